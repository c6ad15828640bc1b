//! A call that a credential cannot make is a compile error that names the credential which can.
//!
//! A case is compiled by rustc alone against the crate as it was built for this test. It marks its errors as the compiler's own tests do:
//! `//~ CODE text` on the line of an error, `//~^ text` below it for more of what is said. All of them must be there and no others, so that
//! the rest of a case is known to compile. Other than whole messages, this holds from one compiler to the next.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn wrong_credentials_do_not_compile() {
    let library = library();
    let folders: &[_] =
        if cfg!(feature = "oauth") { &["tests/ui/server", "tests/ui/server_oauth"] } else { &["tests/ui/server"] };
    let cases = || folders.iter().flat_map(|folder| fs::read_dir(Path::new(ROOT).join(folder)).unwrap());
    for entry in cases() {
        let case = entry.unwrap().path();
        let expected = expected(&fs::read_to_string(&case).unwrap());
        assert!(!expected.is_empty(), "{case:?} marks no error");
        let found = errors(&library, &case);
        let lines = |errors: &BTreeMap<u64, _>| errors.keys().copied().collect::<Vec<_>>();
        assert_eq!(lines(&found), expected.keys().copied().collect::<Vec<_>>(), "{case:?}: {found:#?}");
        for (line, texts) in expected {
            for text in texts {
                assert!(found[&line].contains(&text), "{case:?}: {text:?} is not said: {}", found[&line]);
            }
        }
    }
    assert!(cases().count() >= 7);
}

/// What a case says of its errors, by their lines.
fn expected(source: &str) -> BTreeMap<u64, Vec<String>> {
    let mut expected: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (number, line) in (1..).zip(source.lines()) {
        let Some((_, text)) = line.split_once("//~") else { continue };
        match text.strip_prefix("^ ") {
            Some(more) => expected.entry(number - 1).or_default().push(more.to_owned()),
            None => {
                let (code, text) = text.trim_start().split_once(' ').expect("a code and a text");
                expected.entry(number).or_default().extend([code.to_owned(), text.to_owned()]);
            }
        }
    }
    expected
}

/// The compiler's errors about a case, by their lines: code, message, notes.
fn errors(library: &Path, case: &Path) -> BTreeMap<u64, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "--error-format=json", "--out-dir"])
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .arg("-L")
        .arg(format!("dependency={}", library.parent().unwrap().display()))
        .arg("--extern")
        .arg(format!("amplitude_sdk={}", library.display()))
        .arg(case)
        .output()
        .unwrap();
    assert!(!output.status.success(), "{case:?} compiles");
    let mut errors: BTreeMap<u64, String> = BTreeMap::new();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("rustc says: {line}"));
        let (text, code) = (message["message"].as_str().unwrap(), message["code"]["code"].as_str());
        let Some(code) = code.filter(|_| message["level"] == "error") else {
            assert!(message["level"] != "error" || text.starts_with("aborting due to"), "{line}");
            continue;
        };
        let spans = message["spans"].as_array().unwrap();
        let at = spans.iter().find(|span| span["is_primary"] == true).and_then(|span| span["line_start"].as_u64()).unwrap();
        let said = errors.entry(at).or_default();
        for text in
            [code, text].into_iter().chain(message["children"].as_array().unwrap().iter().filter_map(|it| it["message"].as_str()))
        {
            *said += text;
            said.push('\n');
        }
    }
    errors
}

/// The crate as this test has it. Cargo built it a moment ago and only tells its place.
fn library() -> PathBuf {
    let mut cargo = Command::new("timeout");
    cargo.args(["600", env!("CARGO"), "test", "--no-run", "--locked", "--test", "client", "--message-format=json"]);
    cargo.current_dir(ROOT);
    // What cargo tells this test about its package would be news to build scripts that look at it, and they would run again.
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            cargo.env_remove(name);
        }
    }
    if cfg!(feature = "emulator") {
        cargo.arg("--all-features");
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("coreutils' timeout is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let files = messages
        .filter(|it| it["reason"] == "compiler-artifact" && it["target"]["name"] == "amplitude_sdk")
        .flat_map(|it| it["filenames"].as_array().unwrap().clone());
    let mut libraries = files.filter_map(|file| file.as_str().filter(|file| file.ends_with(".rlib")).map(PathBuf::from));
    libraries.next().expect("the library was built")
}
