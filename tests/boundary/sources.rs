//! The target is asked about in few places, so that a reader can check the gates by eye.

use std::{fs, path::Path};

use crate::{ROOT, files_below};

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
        assert!(text.lines().any(asks_for_the_target), "{file} holds no target cfg: is the search broken?");
    }
    let mut files = files_below(&src);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(files.len() > 10, "found {files:?}");
    let mut strays = Vec::new();
    for path in files {
        let name = path.strip_prefix(&src).expect("found below src").to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&path).expect("sources are UTF-8");
        for (number, line) in text.lines().enumerate() {
            if !MAY.contains(&name.as_str()) && asks_for_the_target(line) {
                strays.push(format!("src/{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(strays.is_empty(), "target cfgs outside of {MAY:?}:\n{}", strays.join("\n"));
}

/// The gate itself, word by word: no feature stands in it.
#[test]
fn the_gate_of_server_is_the_target_alone() {
    let text = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).expect("lib.rs exists");
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
    let at = lines.iter().position(|line| *line == "pub mod server;").expect("lib.rs declares `server`");
    let gates: Vec<_> = lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).collect();
    assert_eq!(gates, [&"#[cfg(not(target_family = \"wasm\"))]"]);
}

fn asks_for_the_target(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ASKS.iter().any(|ask| code.contains(ask))
}
