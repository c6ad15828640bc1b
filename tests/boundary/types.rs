//! The secret types are gated by the target alone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
};

use crate::{
    Features::{self, All, Default},
    ROOT, bounded, output, stderr, wasm_cargo,
};

#[test]
fn an_application_on_native_may_name_a_secret() {
    for features in [Default, All] {
        let build = fixture("native").check(bounded(env!("CARGO")), "names_secret", features);
        assert!(build.status.success(), "{features:?}: {}", stderr(&build));
    }
}

#[test]
fn an_application_on_wasm_cannot_name_a_secret_for_the_right_reason() {
    for features in [Default, All] {
        let build = fixture("wasm").check(wasm_cargo(), "names_secret", features);
        let said = stderr(&build);
        assert!(!build.status.success(), "{features:?}: the secret compiled on wasm");

        // The item is known and left out by its gate; no missing dependency, target or toolchain failed instead.
        let gate = said.split("the item is gated here").next().unwrap_or_default();
        assert!(said.contains("the item is gated here"), "{features:?}: {said}");
        assert!(gate.contains("#[cfg(not(target_family = \"wasm\"))]"), "{features:?}: {said}");
        assert!(said.contains("found an item that was configured out"), "{features:?}: {said}");
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error[")).collect();
        assert_eq!(errors.len(), 1, "{features:?}: {said}");
        assert!(errors[0].contains("unresolved import `amplitude_sdk::server`"), "{features:?}: {said}");
        assert!(said.contains("could not compile `boundary-fixture`"), "{features:?}: {said}");
    }
}

#[test]
fn an_application_on_wasm_may_name_a_project_key() {
    for features in [Default, All] {
        let build = fixture("wasm").check(wasm_cargo(), "names_project", features);
        assert!(build.status.success(), "{features:?}: {}", stderr(&build));
    }
}

struct Fixture {
    manifest: PathBuf,
}

/// A copy outside of the tracked tree, under the versions of this crate's lock file, one a compiler.
fn fixture(name: &str) -> Fixture {
    static COPYING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = COPYING.lock();
    let from = Path::new(ROOT).join("tests/fixtures/boundary");
    let to = Path::new(ROOT).join("target/boundary").join(name);
    fs::create_dir_all(to.join("src/bin")).expect("target is writable");
    for file in ["src/bin/names_secret.rs", "src/bin/names_project.rs"] {
        fs::copy(from.join(file), to.join(file)).expect("the fixture is complete");
    }
    let manifest = fs::read_to_string(from.join("Cargo.toml")).expect("the fixture is complete");
    assert!(manifest.contains("\"../../..\""));
    fs::write(to.join("Cargo.toml"), manifest.replace("\"../../..\"", &format!("{ROOT:?}"))).expect("writable");
    fs::copy(Path::new(ROOT).join("Cargo.lock"), to.join("Cargo.lock")).expect("the lock file is tracked");
    Fixture { manifest: to.join("Cargo.toml") }
}

impl Fixture {
    fn check(&self, mut cargo: Command, bin: &str, features: Features) -> Output {
        cargo.args(["check", "--bin", bin, "--manifest-path"]).arg(&self.manifest);
        if let All = features {
            let all: Vec<_> = own_features().iter().map(|name| format!("amplitude-sdk/{name}")).collect();
            cargo.args(["--features", &all.join(",")]);
        }
        cargo.env("CARGO_TARGET_DIR", Path::new(ROOT).join("target")).env("CARGO_TERM_COLOR", "never");
        output(cargo)
    }
}

/// What `--all-features` means for this crate as somebody's dependency.
fn own_features() -> Vec<String> {
    let mut cargo = bounded(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--locked", "--format-version", "1"]).current_dir(ROOT);
    let answer = output(cargo);
    assert!(answer.status.success(), "{}", stderr(&answer));
    let metadata: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("cargo answers JSON");
    let features = metadata["packages"][0]["features"].as_object().expect("the package has features");
    let names: Vec<_> = features.keys().cloned().collect();
    assert!(names.iter().any(|name| name == "npm") && names.iter().any(|name| name == "emulator"), "{names:?}");
    names
}
