//! `examples/service_account.rs`: what it may do, and a secret that changes in its file.

use std::fs;

use serde_json::json;

use crate::programs::{Emulator, Program, example};

const ACCOUNT: [&str; 2] = ["--service-account", "reports:fake-client-secret:us"];

struct Service {
    emulator: Emulator,
    folder: tempfile::TempDir,
}

impl Service {
    fn new(secret: &str) -> Self {
        let service = Self { emulator: Emulator::start(&ACCOUNT), folder: tempfile::tempdir().unwrap() };
        service.write(secret);
        service
    }

    fn write(&self, secret: &str) {
        // In one step, as mounted secrets change.
        let next = self.folder.path().join("next");
        fs::write(&next, format!("{secret}\n")).unwrap();
        fs::rename(next, self.folder.path().join("secret")).unwrap();
    }

    fn start(&self, arguments: &[&str]) -> Program {
        let file = self.folder.path().join("secret");
        let variables = [
            ("AMPLITUDE_OAUTH_ISSUER", self.emulator.url.as_str()),
            ("AMPLITUDE_BASE_URL", &self.emulator.url),
            ("AMPLITUDE_OAUTH_CLIENT_ID", "reports"),
            ("AMPLITUDE_OAUTH_CLIENT_SECRET_FILE", file.to_str().unwrap()),
            ("AMPLITUDE_OAUTH_SCOPES", "mcp:read"),
        ];
        Program::start(example("service_account"), arguments, &variables)
    }
}

#[test]
fn it_says_what_it_may_do() {
    let service = Service::new("fake-client-secret");
    let (status, said) = service.start(&[]).end();
    assert!(status.success(), "{said}");
    assert_eq!(said, "reports of Emulated Organization may: mcp:read\n");
}

#[test]
fn its_secret_is_rotated_by_file_while_it_runs() {
    let service = Service::new("fake-client-secret");
    let mut program = service.start(&["1"]);
    program.line("may: mcp:read");
    // The administrator gives the account another secret, and ends the token that the old one has brought.
    service.emulator.control("secret", &json!({"client_id": "reports", "secrets": ["fake-other-secret"]}));
    service.write("fake-other-secret");
    service.emulator.control("revoke", &json!({"grant": 0}));
    program.line("refused: ");
    program.line("AMPLITUDE_OAUTH_CLIENT_SECRET_FILE has a new secret: ");
    program.line("may: mcp:read");
}

#[test]
fn what_is_wrong_is_said() {
    let (status, said) = Service::new("fake-wrong-secret").start(&[]).end();
    assert!(!status.success());
    let expected =
        "service_account: the authorization server refuses this client (invalid_client): check its client id and secret\n";
    assert!(said.ends_with(expected), "{said}");

    let (status, said) = Program::start(example("service_account"), &[], &[]).end();
    assert!(!status.success());
    assert!(said.starts_with("service_account: AMPLITUDE_OAUTH_CLIENT_ID: is not set or empty"), "{said}");
    let (status, said) = Program::start(example("service_account"), &["often"], &[]).end();
    assert!(!status.success());
    assert_eq!(said, "service_account: often: must be a number of seconds\n");
}
