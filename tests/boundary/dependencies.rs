//! Nothing of the native HTTP, TLS and async world is in the wasm graph.

use crate::{
    Features::{self, All, Default},
    ROOT, bounded, output, stderr,
};

const NATIVE_ONLY: [&str; 10] =
    ["reqwest", "hyper", "tokio", "rustls", "ring", "mio", "socket2", "secrecy", "zeroize", "serde_json"];

#[test]
fn native_crates_are_not_in_the_wasm_graph() {
    for features in [Default, All] {
        let native = graph("x86_64-unknown-linux-gnu", features);
        for name in NATIVE_ONLY {
            assert!(native.iter().any(|have| have == name), "{features:?}: {name} is not even in the native graph");
        }
        let wasm = graph("wasm32-unknown-unknown", features);
        for name in ["amplitude-sdk", "wasm-bindgen", "gloo-net"] {
            assert!(wasm.iter().any(|have| have == name), "{features:?}: {name} is not in the wasm graph: {wasm:?}");
        }
        for name in &wasm {
            let family = name.split(['-', '_']).next().unwrap_or(name);
            assert!(!NATIVE_ONLY.contains(&name.as_str()), "{features:?}: {name} is in the wasm graph");
            assert!(
                !["hyper", "tokio", "rustls", "axum", "openssl", "native"].contains(&family),
                "{features:?}: {name} is in the wasm graph"
            );
        }
    }
}

fn graph(target: &str, features: Features) -> Vec<String> {
    let mut cargo = bounded(env!("CARGO"));
    cargo.args(["tree", "--locked", "--target", target, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    cargo.current_dir(ROOT);
    if let All = features {
        cargo.arg("--all-features");
    }
    let tree = output(cargo);
    assert!(tree.status.success(), "{}", stderr(&tree));
    let text = String::from_utf8(tree.stdout).expect("crate names are UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
