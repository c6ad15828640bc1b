//! `examples/command_line.rs`: a user signs in with a browser or by device code, makes a call, and signs out; the tokens are in files meanwhile.

use std::fs;

use crate::{
    browser::{activate, consent, request},
    programs::{Emulator, Program, example, tokens_in},
};

const CLIENT: [&str; 2] = ["--client", "command-line::us:http://127.0.0.1/callback"];

/// A user's machine.
struct Machine {
    emulator: Emulator,
    home: tempfile::TempDir,
}

impl Machine {
    fn new(options: &[&str]) -> Self {
        Self { emulator: Emulator::start(&[&CLIENT, options].concat()), home: tempfile::tempdir().unwrap() }
    }

    fn start(&self, arguments: &[&str], more: &[(&str, &str)]) -> Program {
        let home = self.home.path().to_str().unwrap();
        let variables = [
            ("AMPLITUDE_OAUTH_ISSUER", self.emulator.url.as_str()),
            ("AMPLITUDE_BASE_URL", &self.emulator.url),
            ("AMPLITUDE_OAUTH_CLIENT_ID", "command-line"),
            ("AMPLITUDE_OAUTH_SCOPES", "mcp:read offline_access"),
            ("HOME", home),
            ("XDG_STATE_HOME", home),
            ("LOCALAPPDATA", home),
            // Without programs there, no browser opens.
            ("PATH", home),
        ];
        Program::start(example("command_line"), arguments, &[&variables, more].concat())
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let (status, said) = self.start(arguments, &[]).end();
        (status.success(), said)
    }

    /// What is stored, as text.
    fn tokens(&self) -> String {
        let Ok(folder) = fs::read_dir(self.home.path().join("amplitude-sdk/tokens")) else { return String::new() };
        let files = folder.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "json"));
        files.map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    fn has_ended(&self) -> bool {
        let grants = self.emulator.grants();
        assert_eq!(grants.len(), 1);
        !grants[0]["ended"].is_null()
    }
}

/// The address in what a program says.
fn address(line: &str) -> String {
    line[line.find("http://").unwrap_or_else(|| panic!("{line}"))..].to_owned()
}

/// Signs in with a browser; what was said.
fn login(machine: &Machine, more: &[(&str, &str)], allows: bool) -> (bool, String, String) {
    let mut program = machine.start(&["login"], more);
    let url = address(&program.line("To sign in, open "));
    let callback = consent(&url, allows);
    let page = request("GET", &callback, &[], "");
    assert!(page.status == 200 && page.body.contains("You can close this page"), "{page:?}");
    let (status, said) = program.end();
    (status.success(), said, url)
}

#[test]
fn a_user_signs_in_makes_a_call_and_signs_out() {
    let machine = Machine::new(&["--public-revocation", "on"]);
    assert_eq!(machine.run(&["logout"]), (true, "nobody is signed in\n".to_owned()));
    let (failed, said) = machine.run(&["context"]);
    assert!(!failed && said == "command_line: nobody is signed in; the command login does it\n", "{said}");

    let (succeeded, said, _) = login(&machine, &[], true);
    assert!(succeeded && said.contains("signed in, and may: mcp:read offline_access\n"), "{said}");
    // There are tokens to be found, in files of this user alone.
    let tokens = machine.tokens();
    assert_eq!(tokens_in(&tokens).len(), 2, "{tokens}");

    let (succeeded, said) = machine.run(&["context"]);
    assert!(succeeded && said.contains("ada@example.com") && said.contains("mcp:read offline_access"), "{said}");
    assert!(!machine.has_ended());
    assert_eq!(machine.run(&["logout"]), (true, "signed out\n".to_owned()));
    assert!(machine.has_ended() && machine.tokens().is_empty());
    assert_eq!(machine.run(&["logout"]), (true, "nobody is signed in\n".to_owned()));
}

#[test]
fn a_server_that_revokes_nothing_of_a_public_client_is_not_said_to_have_done_so() {
    let machine = Machine::new(&[]);
    assert!(login(&machine, &[], true).0);
    let (succeeded, said) = machine.run(&["logout"]);
    assert!(succeeded && said.starts_with("signed out here; to end the access as well, "), "{said}");
    assert!(!machine.has_ended() && machine.tokens().is_empty());
}

#[test]
fn a_user_who_says_no_is_not_signed_in() {
    let machine = Machine::new(&[]);
    let (succeeded, said, _) = login(&machine, &[], false);
    assert!(!succeeded && said.contains("command_line: access was denied (access_denied)"), "{said}");
    assert!(machine.tokens().is_empty());
}

#[test]
fn a_device_code_signs_in_where_there_is_no_browser() {
    let machine = Machine::new(&["--device-interval", "1"]);
    let mut program = machine.start(&["--device", "login"], &[]);
    let page = address(&program.line("On any machine, open "));
    let code = program.line("and enter ").replace("and enter ", "");
    activate(&format!("{page}?user_code={code}"), true);
    let (status, said) = program.end();
    assert!(status.success() && said.ends_with("signed in, and may: offline_access openid projects:read\n"), "{said}");

    // The ways are kept apart.
    assert!(machine.run(&["context"]).1.contains("nobody is signed in"));
    let (succeeded, said) = machine.run(&["--device", "context"]);
    assert!(succeeded && said.contains("ada@example.com"), "{said}");
    let (succeeded, said) = machine.run(&["--device", "logout"]);
    assert!(succeeded && said.starts_with("signed out here; "), "{said}");
    assert!(machine.tokens().is_empty());
}

#[test]
fn what_is_no_command_is_answered_with_the_usage() {
    let machine = Machine::new(&[]);
    for arguments in [&[][..], &["--device"], &["whoami"], &["login", "logout"], &["--force", "login"]] {
        let (succeeded, said) = machine.run(arguments);
        assert!(!succeeded && said.starts_with("command_line: usage: "), "{arguments:?}: {said}");
    }
    let (_, said) = Program::start(example("command_line"), &["login"], &[]).end();
    assert!(said.starts_with("command_line: AMPLITUDE_OAUTH_CLIENT_ID: is not set or empty"), "{said}");
}

/// A browser that the environment names, and that is waited for because of its name.
#[cfg(all(target_os = "linux", feature = "open-browser"))]
#[test]
fn the_users_browser_is_opened() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new(&[]);
    let browser = machine.home.path().join("lynx");
    fs::write(&browser, "#!/bin/sh\n/bin/echo \"$@\" > \"$HOME/opened\"\n").unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    let (succeeded, said, url) = login(&machine, &[("BROWSER", browser.to_str().unwrap())], true);
    assert!(succeeded, "{said}");
    assert_eq!(read(&machine.home.path().join("opened")), format!("{url}\n"));
}

#[cfg(all(target_os = "linux", feature = "open-browser"))]
fn read(path: &std::path::Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
