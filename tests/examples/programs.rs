//! Programs that a test starts, and what they say.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::browser::{Reply, request};

/// What anything is waited for at most; a passing test never comes near it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs. It ends with this value, and what it has said until then shows no secret.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    /// All lines so far, of both outputs.
    said: String,
}

impl Program {
    /// Starts a program with this environment and no other.
    pub(crate) fn start(program: impl AsRef<Path>, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).env_clear().envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display()));
        let (sender, lines) = channel();
        read(child.stdout.take().expect("piped"), sender.clone());
        read(child.stderr.take().expect("piped"), sender);
        Self { child, lines, said: String::new() }
    }

    /// The next line that holds this text.
    pub(crate) fn line(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.said.push_str(&format!("{line}\n"));
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("{text:?} was not said: {}", self.said),
            }
        }
    }

    /// Waits for its end, and all that it said.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        self.read_on();
        (self.child.wait().unwrap(), self.said.clone())
    }

    /// Until both outputs are closed.
    fn read_on(&mut self) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.said.push_str(&format!("{line}\n")),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", self.said),
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            self.read_on();
            assert_shows_no_secret(&self.said);
        }
    }
}

fn read(output: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // A test that has ended reads no more.
            let _ = lines.send(line);
        }
    });
}

/// An example as a program. `cargo test` builds it before it runs the tests, unless only some of them are named.
pub(crate) fn example(name: &str) -> PathBuf {
    let deps = env::current_exe().unwrap();
    let built = deps.parent().and_then(Path::parent).unwrap();
    let program = built.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(format!("{name}.rs"));
    let written = |path: &Path| fs::metadata(path).and_then(|found| found.modified());
    let is_current = written(&program).is_ok_and(|built| written(&source).is_ok_and(|source| source <= built));
    assert!(is_current, "{} is not there, or old: cargo build --all-features --examples", program.display());
    program
}

/// The emulator as a program.
pub(crate) struct Emulator {
    _program: Program,
    pub(crate) url: String,
}

impl Emulator {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments = [&["--port", "0"], arguments].concat();
        let mut program = Program::start(env!("CARGO_BIN_EXE_amplitude-emulator"), &arguments, &[]);
        let url = program.line("listening on ").replace("listening on ", "");
        Self { _program: program, url }
    }

    /// A control that only an emulator has.
    pub(crate) fn control(&self, name: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json")];
        let reply = request("POST", &format!("{}/_emulator/oauth/{name}", self.url), &headers, &body.to_string());
        assert!(reply.status < 400, "{name}: {reply:?}");
        reply
    }

    /// What it tells of what was granted.
    pub(crate) fn grants(&self) -> Vec<Value> {
        let state = request("GET", &format!("{}/_emulator/oauth", self.url), &[], "").body;
        let state: Value = serde_json::from_str(&state).unwrap();
        state["grants"].as_array().expect("a list").clone()
    }
}

/// What nobody may be shown.
pub(crate) fn assert_shows_no_secret(text: &str) {
    assert_eq!(tokens_in(text), Vec::<&str>::new(), "{text}");
    for secret in ["fake-client-secret", "fake-other-secret", "fake-wrong-secret"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// The tokens and codes that the emulator has made: each has a prefix and 43 characters. Nothing else here is of that length.
pub(crate) fn tokens_in(text: &str) -> Vec<&str> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '-' && it != '_');
    words.filter(|word| word.len() == 46 && ["at_", "rt_", "ac_", "dc_"].iter().any(|kind| word.starts_with(kind))).collect()
}
