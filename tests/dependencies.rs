//! The dependency graph keeps to deny.toml: licences, banned crates, sources. A small part of what cargo-deny checks,
//! but one that needs neither a long installation nor the network.

#![cfg(not(target_family = "wasm"))]

use std::process::Command;

use serde_json::Value;

#[test]
fn licences_bans_and_sources_keep_to_deny_toml() {
    let policy = include_str!("../deny.toml");
    let licences = list(policy, "allow = [");
    let banned = list(policy, "deny = [");
    assert!(licences.contains(&"MIT") && banned.contains(&"native-tls"), "{licences:?} {banned:?}");

    let mut found = Vec::new();
    let packages = packages();
    for package in &packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let name = text("name");
        if !allows(&licences, text("license")) {
            found.push(format!("{name}: licence {:?}", text("license")));
        }
        if banned.contains(&name) {
            found.push(format!("{name} is banned"));
        }
        // This crate itself has none.
        if !text("source").starts_with("registry+") && name != env!("CARGO_PKG_NAME") {
            found.push(format!("{name}: source {:?}", text("source")));
        }
    }
    assert!(packages.iter().any(|package| package["name"] == "reqwest"), "the graph is not complete");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "ISC"];
    for good in ["MIT", "GPL-2.0 OR MIT", "GPL-2.0/MIT", "MIT AND ISC", "(GPL-2.0 OR MIT) AND ISC", "X WITH Y OR MIT"] {
        assert!(allows(&allowed, good), "{good}");
    }
    for bad in ["", "GPL-2.0", "MIT AND GPL-2.0", "(MIT OR ISC) AND GPL-2.0", "MIT WITH an-exception"] {
        assert!(!allows(&allowed, bad), "{bad}");
    }
}

/// Whether the terms can be met by allowed licences alone: one of each OR, all of each AND.
fn allows(allowed: &[&str], expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    parts(&expression, "AND").iter().all(|part| {
        let part = part.trim();
        let inner = part.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        match inner {
            Some(inner) => allows(allowed, inner),
            None => {
                let choices = parts(part, "OR");
                if choices.len() > 1 { choices.iter().any(|choice| allows(allowed, choice)) } else { allowed.contains(&part) }
            }
        }
    })
}

/// Cuts at an operator that stands outside of parentheses. Where an expression mixes
/// both without parentheses this reading is the stricter one.
fn parts(expression: &str, operator: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for word in expression.split_whitespace() {
        if depth == 0 && word == operator {
            parts.push(String::new());
            continue;
        }
        depth += word.matches('(').count();
        depth -= word.matches(')').count();
        let part = parts.last_mut().expect("never empty");
        part.push_str(if part.is_empty() { "" } else { " " });
        part.push_str(word);
    }
    parts
}

/// The strings of one list in deny.toml, found by the line that opens it.
fn list<'a>(policy: &'a str, opening: &str) -> Vec<&'a str> {
    let rest = policy.split(opening).nth(1).unwrap_or_default();
    let body = rest.split(']').next().unwrap_or_default();
    body.split(',').map(|item| item.trim().trim_matches('"')).filter(|item| !item.is_empty()).collect()
}

fn packages() -> Vec<Value> {
    let answer = Command::new("timeout")
        .args(["300", env!("CARGO"), "metadata", "--locked", "--all-features", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("coreutils' timeout is installed");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let metadata: Value = serde_json::from_slice(&answer.stdout).expect("cargo answers JSON");
    metadata["packages"].as_array().expect("a list").clone()
}
