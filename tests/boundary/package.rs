//! What is published to browsers, byte by byte.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use crate::{
    Features::{self, All, Default},
    ROOT, bounded, files_below, output, stderr,
};

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

/// What each kind of file surely holds, so that a scan of nothing cannot pass.
const KNOWN: [(&str, &[&str]); 3] =
    [(".wasm", &["api_key", "insert_id"]), (".js", &["amplitude_bg.wasm", "groupIdentify"]), (".d.ts", &["groupIdentify"])];

const FILES: [&str; 11] = [
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "amplitude_bg.wasm",
    "client.js",
    "index.d.ts",
    "index.js",
    "letters.js",
    "loader.js",
    "package.json",
    "static.js",
];

#[test]
fn the_package_holds_no_secret_vocabulary() {
    for features in [Default, All] {
        let package = build(features);
        let mut texts = KNOWN.map(|_| String::new());
        for path in files_below(&package) {
            let name = path.to_string_lossy().into_owned();
            let Some(kind) = KNOWN.iter().position(|(kind, _)| name.ends_with(kind)) else {
                continue;
            };
            let content = fs::read(&path).expect("the package is readable");
            assert!(!content.is_empty(), "{name} is empty");
            let found = vocabulary_in(&content);
            assert!(found.is_empty(), "{name} holds {found:#?}");
            texts[kind] += &String::from_utf8_lossy(&content);
        }
        for ((kind, words), text) in KNOWN.iter().zip(&texts) {
            for word in *words {
                assert!(text.contains(word), "not even {word} is in a {kind} of {package:?}: is the scan broken?");
            }
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
        assert!(names_module(&text, "pipeline"), "{features:?}: {wasm:?} names no function of the crate");
        assert!(!names_module(&text, "server"), "{features:?}: {wasm:?} holds code of the server module");
    }
}

/// A mangled name holds each part of its path with its length before it.
fn names_module(text: &str, module: &str) -> bool {
    let part = format!("{}{module}", module.len());
    text.match_indices(&part).any(|(at, _)| !text[..at].ends_with(|before: char| before.is_ascii_digit()))
}

#[test]
fn npm_packs_exactly_the_files_of_the_package() {
    let mut npm = bounded("npm");
    npm.args(["pack", "--dry-run", "--json", "--ignore-scripts"]).current_dir(build(Default));
    let packed = output(npm);
    assert!(packed.status.success(), "{}", stderr(&packed));
    let list: serde_json::Value = serde_json::from_slice(&packed.stdout).expect("npm answers JSON");
    let files = list[0]["files"].as_array().expect("npm lists files");
    let mut names: Vec<_> = files.iter().filter_map(|file| file["path"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, FILES);
}

#[test]
fn the_scan_finds_what_it_looks_for() {
    for planted in ["SecretKey", "SECRET", "client_secret", "Basic dXNlcg==", "Authorization"] {
        let found = vocabulary_in(format!("\0\u{1}{planted}\0").as_bytes());
        assert!(!found.is_empty(), "{planted}");
    }
    assert!(names_module("_RNvNtCs1_13amplitude_sdk6server6export", "server"));
    assert!(!names_module("_RNvNtCs1_13amplitude_sdk16server_something", "server"));
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
    static BUILT: [OnceLock<PathBuf>; 2] = [const { OnceLock::new() }; 2];
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let built = BUILT[features as usize].get_or_init(|| {
        let out = Path::new(ROOT).join("target/boundary").join(format!("pkg-{features:?}").to_lowercase());
        let mut pack = bounded(Path::new(ROOT).join("scripts/build-npm"));
        pack.arg("--out").arg(&out).arg("--keep").arg(unstripped(&out));
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
