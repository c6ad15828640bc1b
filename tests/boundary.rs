//! Proofs that no secret can reach a browser: what holds one is absent from every wasm build, whatever the features.
//!
//! Each proof of absence first proves that its subject exists. Where a tool or the wasm target is missing the proofs
//! fail and never skip; `scripts/setup` installs them.

#![cfg(not(target_family = "wasm"))]

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const WASM: &str = "wasm32-unknown-unknown";

#[derive(Clone, Copy, Debug)]
enum Features {
    Default,
    All,
}

use Features::{All, Default};

mod types {
    //! The secret types are gated by the target alone.

    use super::*;

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
            assert!(
                !build.status.success(),
                "{features:?}: the secret compiled on wasm"
            );

            // The item is known and left out by its gate; no missing dependency, target or toolchain failed instead.
            let gate = said
                .split("the item is gated here")
                .next()
                .unwrap_or_default();
            assert!(
                said.contains("the item is gated here"),
                "{features:?}: {said}"
            );
            assert!(
                gate.contains("#[cfg(not(target_family = \"wasm\"))]"),
                "{features:?}: {said}"
            );
            assert!(
                said.contains("found an item that was configured out"),
                "{features:?}: {said}"
            );
            let errors: Vec<_> = said
                .lines()
                .filter(|line| line.starts_with("error["))
                .collect();
            assert_eq!(errors.len(), 1, "{features:?}: {said}");
            assert!(
                errors[0].contains("unresolved import `amplitude_sdk::server`"),
                "{features:?}: {said}"
            );
            assert!(
                said.contains("could not compile `boundary-fixture`"),
                "{features:?}: {said}"
            );
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
        static COPYING: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one_at_a_time = COPYING.lock();
        let from = Path::new(ROOT).join("tests/fixtures/boundary");
        let to = Path::new(ROOT).join("target/boundary").join(name);
        fs::create_dir_all(to.join("src/bin")).expect("target is writable");
        for file in ["src/bin/names_secret.rs", "src/bin/names_project.rs"] {
            fs::copy(from.join(file), to.join(file)).expect("the fixture is complete");
        }
        let manifest =
            fs::read_to_string(from.join("Cargo.toml")).expect("the fixture is complete");
        assert!(manifest.contains("\"../../..\""));
        fs::write(
            to.join("Cargo.toml"),
            manifest.replace("\"../../..\"", &format!("{ROOT:?}")),
        )
        .expect("writable");
        fs::copy(Path::new(ROOT).join("Cargo.lock"), to.join("Cargo.lock"))
            .expect("the lock file is tracked");
        Fixture {
            manifest: to.join("Cargo.toml"),
        }
    }

    impl Fixture {
        fn check(&self, mut cargo: Command, bin: &str, features: Features) -> Output {
            cargo
                .args(["check", "--bin", bin, "--manifest-path"])
                .arg(&self.manifest);
            if let All = features {
                let all: Vec<_> = own_features()
                    .iter()
                    .map(|name| format!("amplitude-sdk/{name}"))
                    .collect();
                cargo.args(["--features", &all.join(",")]);
            }
            cargo
                .env("CARGO_TARGET_DIR", Path::new(ROOT).join("target"))
                .env("CARGO_TERM_COLOR", "never");
            output(cargo)
        }
    }
}

mod dependencies {
    //! Nothing of the native HTTP, TLS and async world is in the wasm graph.

    use super::*;

    const NATIVE_ONLY: [&str; 10] = [
        "reqwest",
        "hyper",
        "tokio",
        "rustls",
        "ring",
        "mio",
        "socket2",
        "secrecy",
        "zeroize",
        "serde_json",
    ];

    #[test]
    fn native_crates_are_not_in_the_wasm_graph() {
        for features in [Default, All] {
            let native = graph("x86_64-unknown-linux-gnu", features);
            for name in NATIVE_ONLY {
                assert!(
                    native.iter().any(|have| have == name),
                    "{features:?}: {name} is not even in the native graph"
                );
            }
            let wasm = graph(WASM, features);
            for name in ["amplitude-sdk", "wasm-bindgen", "gloo-net"] {
                assert!(
                    wasm.iter().any(|have| have == name),
                    "{features:?}: {name} is not in the wasm graph: {wasm:?}"
                );
            }
            for name in &wasm {
                let family = name.split(['-', '_']).next().unwrap_or(name);
                assert!(
                    !NATIVE_ONLY.contains(&name.as_str()),
                    "{features:?}: {name} is in the wasm graph"
                );
                assert!(
                    !["hyper", "tokio", "rustls", "axum", "openssl", "native"].contains(&family),
                    "{features:?}: {name} is in the wasm graph"
                );
            }
        }
    }

    fn graph(target: &str, features: Features) -> Vec<String> {
        let mut cargo = bounded(env!("CARGO"));
        cargo.args([
            "tree", "--locked", "--target", target, "--edges", "normal", "--prefix", "none",
            "--format", "{p}",
        ]);
        cargo.current_dir(ROOT);
        if let All = features {
            cargo.arg("--all-features");
        }
        let tree = output(cargo);
        assert!(tree.status.success(), "{}", stderr(&tree));
        let text = String::from_utf8(tree.stdout).expect("crate names are UTF-8");
        text.lines()
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect()
    }
}

mod sources {
    //! The target is asked about in few places, so that a reader can check the gates by eye.

    use super::*;

    const MAY: [&str; 3] = ["lib.rs", "platform/mod.rs", "store/mod.rs"];
    const MUST: [&str; 2] = ["lib.rs", "platform/mod.rs"];
    const ASKS: [&str; 8] = [
        "target_family",
        "target_arch",
        "target_os",
        "target_env",
        "target_vendor",
        "target_pointer_width",
        "cfg(unix",
        "cfg(windows",
    ];

    #[test]
    fn target_cfgs_stand_in_their_three_files() {
        let src = Path::new(ROOT).join("src");
        for file in MUST {
            let text = fs::read_to_string(src.join(file)).expect("the file exists");
            assert!(
                text.lines().any(asks_for_the_target),
                "{file} holds no target cfg: is the search broken?"
            );
        }
        let files = rust_files(&src);
        assert!(files.len() > 10, "found {files:?}");
        let mut strays = Vec::new();
        for path in files {
            let name = path
                .strip_prefix(&src)
                .expect("found below src")
                .to_string_lossy()
                .replace('\\', "/");
            let text = fs::read_to_string(&path).expect("sources are UTF-8");
            for (number, line) in text.lines().enumerate() {
                if !MAY.contains(&name.as_str()) && asks_for_the_target(line) {
                    strays.push(format!("src/{name}:{}: {}", number + 1, line.trim()));
                }
            }
        }
        assert!(
            strays.is_empty(),
            "target cfgs outside of {MAY:?}:\n{}",
            strays.join("\n")
        );
    }

    /// The gate itself, word by word: no feature stands in it.
    #[test]
    fn the_gate_of_server_is_the_target_alone() {
        let text = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).expect("lib.rs exists");
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"))
            .collect();
        let at = lines
            .iter()
            .position(|line| *line == "pub mod server;")
            .expect("lib.rs declares `server`");
        let gates: Vec<_> = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("#["))
            .collect();
        assert_eq!(gates, [&"#[cfg(not(target_family = \"wasm\"))]"]);
    }

    fn asks_for_the_target(line: &str) -> bool {
        let code = line.split("//").next().unwrap_or_default();
        ASKS.iter().any(|ask| code.contains(ask))
    }

    fn rust_files(dir: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).expect("the folder is readable") {
            let path = entry.expect("the folder is readable").path();
            if path.is_dir() {
                found.extend(rust_files(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
        found
    }
}

mod package {
    //! What is published to browsers, byte by byte.

    use super::*;

    /// In any case of letters. The scan for `secret` covers `SecretKey`, `secret_key`, `client_secret` and their like.
    const FORBIDDEN: [&str; 22] = [
        "secret",
        "projectpair",
        "project_pair",
        "authorization",
        "bearer",
        "basic ",
        "oauth",
        "refresh_token",
        "refreshtoken",
        "access_token",
        "accesstoken",
        "id_token",
        "grant_type",
        "client_id",
        "client_credentials",
        "code_verifier",
        "code_challenge",
        "token_endpoint",
        "password",
        "keyring",
        "keychain",
        "private_key",
    ];
    /// The option's name in the refusal of an options object that holds a secret.
    const ALLOWED: &str = "secretKey";

    const FILES: [&str; 8] = [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "amplitude.js",
        "amplitude_bg.wasm",
        "index.d.ts",
        "index.js",
        "package.json",
    ];

    #[test]
    fn the_package_holds_no_secret_vocabulary() {
        for features in [Default, All] {
            let package = build(features);
            let mut everything = Vec::new();
            let mut kinds = Vec::new();
            for path in files(&package) {
                let name = path
                    .strip_prefix(&package)
                    .expect("found below")
                    .to_string_lossy()
                    .into_owned();
                let Some(kind) = [".wasm", ".js", ".d.ts"]
                    .into_iter()
                    .find(|kind| name.ends_with(kind))
                else {
                    continue;
                };
                let content = fs::read(&path).expect("the package is readable");
                assert!(content.len() > 64, "{features:?}: {name} is empty");
                kinds.push(kind);
                let found = vocabulary_in(&content);
                assert!(found.is_empty(), "{features:?}: {name} holds {found:#?}");
                everything.extend(content);
            }
            for kind in [".wasm", ".js", ".d.ts"] {
                assert!(
                    kinds.contains(&kind),
                    "{features:?}: the package has no {kind}"
                );
            }
            let text = String::from_utf8_lossy(&everything);
            for word in ["api_key", "insert_id", "groupIdentify", "amplitude_bg.wasm"] {
                assert!(
                    text.contains(word),
                    "{features:?}: not even {word} is in the package: is the scan broken?"
                );
            }
        }
    }

    /// Function names are stripped when packing, so the build before it is asked for the module itself.
    #[test]
    fn the_unstripped_build_holds_no_code_of_the_server_module() {
        for features in [Default, All] {
            let wasm = unstripped(&build(features));
            let content = fs::read(&wasm).expect("build-npm keeps it");
            let text = String::from_utf8_lossy(&content);
            assert!(
                text.contains("13amplitude_sdk3npm"),
                "{features:?}: {wasm:?} names no function of the crate"
            );
            assert!(
                !text.contains("13amplitude_sdk6server"),
                "{features:?}: {wasm:?} holds code of the server module"
            );
        }
    }

    #[test]
    fn npm_packs_exactly_the_files_of_the_package() {
        let mut npm = bounded("npm");
        npm.args(["pack", "--dry-run", "--json", "--ignore-scripts"])
            .current_dir(build(Default));
        let packed = output(npm);
        assert!(packed.status.success(), "{}", stderr(&packed));
        let list: serde_json::Value =
            serde_json::from_slice(&packed.stdout).expect("npm answers JSON");
        let files = list[0]["files"].as_array().expect("npm lists files");
        let mut names: Vec<_> = files
            .iter()
            .filter_map(|file| file["path"].as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, FILES);
    }

    #[test]
    fn the_scan_finds_what_it_looks_for() {
        for planted in [
            "SecretKey",
            "SECRET",
            "client_secret",
            "Basic dXNlcg==",
            "Authorization",
            "xsecretKeyring",
        ] {
            assert!(
                !vocabulary_in(format!("\0\u{1}{planted}\0").as_bytes()).is_empty(),
                "{planted}"
            );
        }
        assert!(vocabulary_in(b"\0the option \"secretKey\" is refused\0").is_empty());
    }

    /// The forbidden words that the content holds, each with what stands around it.
    fn vocabulary_in(content: &[u8]) -> Vec<String> {
        // Latin-1 keeps one character a byte, so that no word hides in a broken sequence.
        let exact: String = content.iter().map(|byte| char::from(*byte)).collect();
        let text = exact.replace(ALLOWED, "").to_lowercase();
        let mut found = Vec::new();
        for word in FORBIDDEN {
            for (at, _) in text.match_indices(word) {
                let around: String = text[..at].chars().rev().take(30).collect();
                let before: String = around.chars().rev().collect();
                let after: String = text[at..].chars().take(word.len() + 30).collect();
                found.push(format!("{word:?} in {:?}", before + &after));
            }
        }
        found
    }

    /// Packs once a set of features and test run.
    fn build(features: Features) -> PathBuf {
        static BUILT: [std::sync::OnceLock<PathBuf>; 2] = [const { std::sync::OnceLock::new() }; 2];
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock();
        let built = BUILT[features as usize].get_or_init(|| {
            let out = Path::new(ROOT)
                .join("target/boundary")
                .join(format!("pkg-{features:?}").to_lowercase());
            let mut pack = bounded(Path::new(ROOT).join("scripts/build-npm"));
            pack.arg("--out")
                .arg(&out)
                .arg("--keep")
                .arg(unstripped(&out));
            if let All = features {
                pack.arg("--all-features");
            }
            let packed = output(pack);
            assert!(packed.status.success(), "{features:?}: {}", stderr(&packed));
            out
        });
        built.clone()
    }

    /// Where `build` keeps the module as cargo made it.
    fn unstripped(package: &Path) -> PathBuf {
        package.with_extension("unstripped.wasm")
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).expect("the package exists") {
            let path = entry.expect("the package is readable").path();
            if path.is_dir() {
                found.extend(files(&path))
            } else {
                found.push(path)
            }
        }
        found
    }
}

/// What `--all-features` means for this crate as somebody's dependency.
fn own_features() -> Vec<String> {
    let mut cargo = bounded(env!("CARGO"));
    cargo
        .args(["metadata", "--no-deps", "--locked", "--format-version", "1"])
        .current_dir(ROOT);
    let answer = output(cargo);
    assert!(answer.status.success(), "{}", stderr(&answer));
    let metadata: serde_json::Value =
        serde_json::from_slice(&answer.stdout).expect("cargo answers JSON");
    let features = metadata["packages"][0]["features"]
        .as_object()
        .expect("the package has features");
    let names: Vec<_> = features.keys().cloned().collect();
    assert!(
        names.iter().any(|name| name == "npm") && names.iter().any(|name| name == "emulator"),
        "{names:?}"
    );
    names
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
    command
        .stdin(Stdio::null())
        .output()
        .expect("coreutils' timeout is installed")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
