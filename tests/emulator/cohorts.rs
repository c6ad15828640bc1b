//! Cohorts: who may manage them, and what becomes of ids that are nobody's.

use amplitude_sdk::emulator::{Api, DEMO_KEY, DEMO_SECRET, Emulator, Fault};
use serde_json::{Value, json};

use super::{export::authorization, support::*};

const PROJECT: u64 = 100_001;

fn keys() -> String {
    authorization("Basic", &format!("{DEMO_KEY}:{DEMO_SECRET}"))
}

fn call(emulator: &Emulator, request: &str, body: &Value) -> Reply {
    ask(emulator, request, &keys(), body.to_string().as_bytes())
}

fn list(emulator: &Emulator) -> Vec<Value> {
    let reply = call(emulator, "GET /api/3/cohorts", &Value::Null);
    assert_eq!(reply.status, 200);
    reply.json()["cohorts"].as_array().expect("cohorts").clone()
}

fn upload(emulator: &Emulator, changes: &Value) -> Reply {
    let mut body = json!({
        "name": "Power users", "app_id": PROJECT, "id_type": "BY_USER_ID", "ids": ["user-1", "user-2", "nobody"],
        "owner": "ada@example.com", "published": true,
    });
    body.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
    call(emulator, "POST /api/3/cohorts/upload", &body)
}

/// With the users `user-1` to `user-3`.
fn emulator() -> Emulator {
    let emulator = Emulator::builder().start().expect("a free port");
    let events = ["user-1", "user-2", "user-3"].map(|user| json!({"event_type": "a", "user_id": user}));
    assert_eq!(post(&emulator, "/2/httpapi", &json!({"api_key": DEMO_KEY, "events": events})).status, 200);
    emulator
}

#[test]
fn a_cohort_is_made_of_users_listed_and_changed() {
    let emulator = emulator();
    let made = upload(&emulator, &json!({})).json();
    assert_eq!(made["metadata"], json!({"matched": 2, "totals": 3, "invalid_ids_sample": ["nobody"]}));
    let listed = list(&emulator);
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["id"], &listed[0]["size"]), (&made["cohortId"], &json!(2)));
    assert_eq!((&listed[0]["appId"], &listed[0]["name"]), (&json!(PROJECT), &json!("Power users")));

    let change = |changes: Value, more: Value| {
        let mut body = json!({"cohort_id": made["cohortId"], "memberships": changes});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        call(&emulator, "POST /api/3/cohorts/membership", &body)
    };
    let add = json!({"ids": ["user-3", "nobody"], "id_type": "BY_NAME", "operation": "ADD"});
    let reply = change(json!([add]), json!({})).json();
    assert_eq!(reply["memberships_result"], json!([{"skipped_ids": ["nobody"], "id_type": "BY_NAME", "operation": "ADD"}]));
    assert_eq!(list(&emulator)[0]["size"], 3);
    let remove = json!({"ids": ["user-1", "user-2"], "id_type": "BY_NAME", "operation": "REMOVE"});
    assert_eq!(change(json!([remove, add]), json!({"skip_invalid_ids": false})).status, 400);
    assert_eq!(list(&emulator)[0]["size"], 3, "all or nothing");
    assert_eq!(change(json!([remove]), json!({})).status, 200);
    assert_eq!(list(&emulator)[0]["size"], 1);

    // Replaced, and only tried.
    let existing = json!({"existing_cohort_id": made["cohortId"], "ids": ["user-1", "user-2"]});
    assert_eq!(upload(&emulator, &existing).json()["cohortId"], made["cohortId"]);
    assert_eq!(upload(&emulator, &json!({"skip_save": true})).status, 200);
    let listed = list(&emulator);
    assert_eq!((listed.len(), &listed[0]["size"]), (1, &json!(2)));
    assert_eq!(upload(&emulator, &json!({"published": false})).status, 200);
    assert_eq!(list(&emulator).len(), 1, "only those that can be discovered");
    post(&emulator, "/_emulator/reset", &json!({}));
    assert!(list(&emulator).is_empty());
}

#[test]
fn amplitudes_own_ids_are_those_of_an_export() {
    let emulator = emulator();
    let archive = super::export::export(&emulator, &super::export::now());
    let (_, lines) = super::export::unpack(&archive.body);
    let id = lines.iter().find(|line| line["user_id"] == "user-2").expect("its line")["amplitude_id"].to_string();
    let reply = upload(&emulator, &json!({"id_type": "BY_AMP_ID", "ids": [id, "user-2"]})).json();
    assert_eq!(reply["metadata"], json!({"matched": 1, "totals": 2, "invalid_ids_sample": ["user-2"]}));
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let emulator = emulator();
    for (changes, words) in [
        (json!({"app_id": 1}), "app_id"),
        (json!({"id_type": "BY_NAME"}), "BY_AMP_ID"),
        (json!({"ids": "user-1"}), "a sequence"),
        (json!({"cg": "company"}), "users alone"),
        (json!({"skip_invalid_ids": false}), "nobody"),
        (json!({"ids": vec!["user-1"; 100_001]}), "100000"),
        (json!({"name": null}), "null"),
    ] {
        let reply = upload(&emulator, &changes);
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["http_code"]), (400, &json!(400)), "{words}");
        assert!(error["message"].as_str().is_some_and(|it| it.contains(words)), "{words}: {error}");
    }
    assert_eq!(upload(&emulator, &json!({"existing_cohort_id": "gone"})).status, 404);
    let change = json!({"cohort_id": "gone", "memberships": []});
    assert_eq!(call(&emulator, "POST /api/3/cohorts/membership", &change).status, 404);
    assert!(list(&emulator).is_empty());
    assert_eq!(ask(&emulator, "GET /api/3/cohorts", "", b"").status, 401);
    let wrong = authorization("Basic", &format!("{DEMO_KEY}:fake-and-wrong"));
    assert_eq!(ask(&emulator, "GET /api/3/cohorts", &wrong, b"").status, 401);
    assert_eq!(ask(&emulator, "GET /eu/api/3/cohorts", &keys(), b"").status, 401, "a key is known in its own region alone");
    assert_eq!(ask(&emulator, "GET /api/3/cohorts/upload", &keys(), b"").status, 405);
    emulator.fault_on(Api::Cohorts, Fault::Status(429), 1);
    assert_eq!(ask(&emulator, "GET /api/3/cohorts", &keys(), b"").status, 429);
}
