//! Proofs that no secret can reach a browser: what holds one is absent from every wasm build, whatever the features.
//!
//! Each proof of absence first proves that its subject exists. Where a tool or the wasm target is missing the proofs
//! fail and never skip; `scripts/setup` installs them.

#![cfg(not(target_family = "wasm"))]

mod dependencies;
mod package;
mod sources;
mod types;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[derive(Clone, Copy, Debug)]
enum Features {
    Default,
    All,
}

fn wasm_cargo() -> Command {
    bounded(Path::new(ROOT).join("scripts/wasm-cargo"))
}

/// A command that ends within ten minutes, whatever its registry or compiler waits for.
fn bounded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "600"]).arg(program);
    command
}

fn output(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().expect("coreutils' timeout is installed")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
