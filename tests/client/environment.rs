//! Credentials from the environment of a process, also from one that holds no text.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use amplitude_sdk::{
    Config,
    server::{FileSecret, Options, ProjectPair, SecretSource as _},
};

use crate::{KEY, SECRET};

/// Reads all that is read from an environment.
#[test]
#[ignore = "a process of its own; the tests below start it"]
fn child() {
    if env::var_os("ENVIRONMENT_TEST").is_none() {
        return;
    }
    match ProjectPair::from_env() {
        Ok(pair) => println!("pair of {}", pair.key().as_str()),
        Err(error) => println!("pair: {error} {error:?}"),
    }
    match Config::from_env() {
        Ok(config) => println!("config {config:?}"),
        Err(error) => println!("config: {error}"),
    }
    match Options::from_env() {
        Ok(options) => println!("options {options:?}"),
        Err(error) => println!("options: {error}"),
    }
}

/// To open one waits for who writes to it, and whoever needs the secret would wait, too.
#[test]
fn a_secret_is_not_read_from_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("secret");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (sender, receiver) = mpsc::channel();
    let source = FileSecret::new(&pipe);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        sender.send(runtime.block_on(source.current()).map(drop).map_err(|error| error.to_string()))
    });
    let read = receiver.recv_timeout(Duration::from_secs(20));
    // Whatever came of it, nobody goes on waiting.
    drop(fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap());
    let error = read.expect("it waits").unwrap_err();
    assert!(error.ends_with("the file is none, but a folder, a pipe or a device"), "{error}");
}

fn read(variables: &[(&str, &OsStr)]) -> String {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "environment::child", "--ignored", "--nocapture"]).env("ENVIRONMENT_TEST", "1");
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"AMPLITUDE_")) {
        child.env_remove(name);
    }
    let output = child.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn keys_and_region_are_read() {
    let said = read(&[
        ("AMPLITUDE_API_KEY", OsStr::new(KEY)),
        ("AMPLITUDE_SECRET_KEY", OsStr::new(SECRET)),
        ("AMPLITUDE_REGION", OsStr::new("eu")),
    ]);
    assert!(said.contains(&format!("pair of {KEY}\n")), "{said}");
    assert_eq!(said.matches("region: Eu").count(), 2, "{said}");
    assert!(!said.contains(SECRET));
}

#[test]
fn nothing_set_is_told_by_the_names_of_what_is_missing() {
    let said = read(&[("AMPLITUDE_REGION", OsStr::new("mars"))]);
    assert!(said.contains("pair: AMPLITUDE_API_KEY: is not set or empty, and so is AMPLITUDE_API_KEY_FILE"), "{said}");
    assert!(said.contains("config: AMPLITUDE_API_KEY: is not set"), "{said}");
    assert!(said.contains("options: AMPLITUDE_REGION: region: expected `us` or `eu`"), "{said}");
}

#[test]
fn a_variable_must_be_text_and_a_path_need_not() {
    let broken = OsString::from(OsStr::from_bytes(b"sentinel\xff"));
    let said = read(&[("AMPLITUDE_API_KEY", OsStr::new(KEY)), ("AMPLITUDE_SECRET_KEY", &broken)]);
    assert!(said.contains("pair: AMPLITUDE_SECRET_KEY: is not UTF-8"), "{said}");
    assert!(!said.contains("sentinel"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(OsStr::from_bytes(b"secret\xff"));
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    let said = read(&[("AMPLITUDE_API_KEY", OsStr::new(KEY)), ("AMPLITUDE_SECRET_KEY_FILE", path.as_os_str())]);
    assert!(said.contains(&format!("pair of {KEY}\n")), "{said}");
}
