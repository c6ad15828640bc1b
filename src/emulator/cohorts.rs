//! Cohorts of a project: listed, made from ids, and changed. They are in memory alone, and of users alone.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Body},
    credentials::{self, Presented},
    oauth::Delegated,
    people::{People, amplitude_id},
    state::State,
};
use crate::{Region, limits};

/// What is asked of cohorts.
#[derive(Clone, Copy, Debug)]
pub(super) enum CohortCall {
    List,
    Upload,
    Membership,
}

#[derive(Debug)]
pub(super) struct Cohort {
    id: String,
    name: String,
    owner: String,
    published: bool,
    /// Ids of users.
    members: BTreeSet<String>,
    created_s: u64,
    changed_s: u64,
}

#[derive(Deserialize)]
struct Upload {
    name: String,
    app_id: u64,
    id_type: UploadIds,
    ids: Vec<String>,
    owner: String,
    published: bool,
    #[serde(default = "users")]
    cg: String,
    #[serde(default)]
    skip_save: bool,
    #[serde(default = "yes")]
    skip_invalid_ids: bool,
    existing_cohort_id: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
enum UploadIds {
    #[serde(rename = "BY_AMP_ID")]
    Amplitude,
    #[serde(rename = "BY_USER_ID")]
    User,
}

#[derive(Deserialize)]
struct Membership {
    cohort_id: String,
    memberships: Vec<Change>,
    #[serde(default = "users")]
    count_group: String,
    #[serde(default = "yes")]
    skip_invalid_ids: bool,
}

#[derive(Deserialize)]
struct Change {
    ids: Vec<String>,
    id_type: String,
    operation: String,
}

fn users() -> String {
    "User".to_owned()
}

const fn yes() -> bool {
    true
}

/// Answers one call of whoever may manage the cohorts of a project.
pub(super) fn cohorts(state: &mut State, region: Region, call: CohortCall, presented: &Presented, body: &[u8]) -> Answer {
    let now_s = state.now_ms() / 1000;
    let number = state.next_number();
    let found = credentials::project_of(state, region, presented, Delegated::Cohorts);
    let judged = found.and_then(|key| {
        let project = state.project_in(&key, region).ok_or_else(|| refusal(401, "the project is not known"))?;
        let (id, people, cohorts) = (project.id, &project.people, &mut project.cohorts);
        match call {
            CohortCall::List => Ok(list(id, cohorts)),
            CohortCall::Upload => upload(id, people, cohorts, &read(body)?, number, now_s),
            CohortCall::Membership => change(people, cohorts, &read(body)?, now_s),
        }
    });
    judged.map_or_else(|answer| answer, |told| Answer::new(200, Body::Json(told)))
}

/// In the form that the upload's documentation has for errors; the values are the emulator's own.
fn refusal(status: u16, message: &str) -> Answer {
    let error = json!({"http_code": status, "type": "invalid_request", "message": message, "metadata": {}});
    Answer::new(status, Body::Json(json!({"error": error})))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| refusal(400, &error.to_string()))
}

/// The published ones.
fn list(project: u64, cohorts: &[Cohort]) -> Value {
    let listed = cohorts.iter().filter(|cohort| cohort.published).map(|cohort| {
        json!({
            "appId": project, "id": cohort.id, "name": cohort.name, "description": "", "owners": [cohort.owner], "viewers": [],
            "published": true, "size": cohort.members.len(), "type": "redshift", "definition": {}, "metadata": null,
            "archived": false, "hidden": false, "finished": true, "is_predictive": false, "is_official_content": false,
            "createdAt": cohort.created_s, "lastMod": cohort.changed_s, "lastComputed": cohort.changed_s,
            "chart_id": null, "edit_id": null, "location_id": null, "view_count": null, "popularity": null, "last_viewed": null,
            "shortcut_ids": [],
        })
    });
    json!({"cohorts": listed.collect::<Vec<_>>()})
}

fn upload(
    project: u64,
    people: &People,
    cohorts: &mut Vec<Cohort>,
    asked: &Upload,
    number: u64,
    now_s: u64,
) -> Result<Value, Answer> {
    if asked.app_id != project {
        return Err(refusal(400, "app_id: is not the project of the credentials"));
    }
    let by_number = matches!(asked.id_type, UploadIds::Amplitude);
    let (known, unknown) = look_up(people, &asked.ids, by_number, &asked.cg, asked.skip_invalid_ids)?;
    let existing = match &asked.existing_cohort_id {
        Some(id) => Some(cohorts.iter().position(|cohort| cohort.id == *id).ok_or_else(|| no_such(id))?),
        None => None,
    };
    let matched = known.len();
    let sample = unknown.into_iter().take(10).collect::<Vec<_>>();
    let id = existing.map_or_else(|| format!("cohort{number}"), |at| cohorts[at].id.clone());
    if !asked.skip_save {
        let made = Cohort {
            id: id.clone(),
            name: asked.name.clone(),
            owner: asked.owner.clone(),
            published: asked.published,
            members: known,
            created_s: existing.map_or(now_s, |at| cohorts[at].created_s),
            changed_s: now_s,
        };
        match existing {
            Some(at) => cohorts[at] = made,
            None => cohorts.push(made),
        }
    }
    Ok(json!({"cohortId": id, "metadata": {"matched": matched, "totals": asked.ids.len(), "invalid_ids_sample": sample}}))
}

fn change(people: &People, cohorts: &mut [Cohort], asked: &Membership, now_s: u64) -> Result<Value, Answer> {
    let cohort = cohorts.iter_mut().find(|cohort| cohort.id == asked.cohort_id).ok_or_else(|| no_such(&asked.cohort_id))?;
    // All or nothing: a change that cannot be made leaves those before it unmade.
    let mut members = cohort.members.clone();
    let mut results = Vec::new();
    for Change { ids, id_type, operation } in &asked.memberships {
        let by_number = match id_type.as_str() {
            "BY_ID" => true,
            "BY_NAME" => false,
            _ => return Err(refusal(400, "id_type: must be BY_ID or BY_NAME")),
        };
        let (known, unknown) = look_up(people, ids, by_number, &asked.count_group, asked.skip_invalid_ids)?;
        match operation.as_str() {
            "ADD" => members.extend(known),
            "REMOVE" => members.retain(|member| !known.contains(member)),
            _ => return Err(refusal(400, "operation: must be ADD or REMOVE")),
        }
        results.push(json!({"skipped_ids": unknown, "id_type": id_type, "operation": operation}));
    }
    cohort.members = members;
    cohort.changed_s = now_s;
    Ok(json!({"cohort_id": asked.cohort_id, "memberships_result": results}))
}

fn no_such(id: &str) -> Answer {
    refusal(404, &format!("there is no cohort {id}"))
}

/// The users that these ids are of, and the ids that are nobody's.
fn look_up<'a>(
    people: &People,
    ids: &'a [String],
    by_number: bool,
    group: &str,
    skips: bool,
) -> Result<(BTreeSet<String>, Vec<&'a str>), Answer> {
    if group != users() {
        return Err(refusal(400, "the emulator has cohorts of users alone"));
    }
    if ids.len() > limits::COHORT_IDS {
        return Err(refusal(400, &format!("ids: must be {} at most", limits::COHORT_IDS)));
    }
    let users: BTreeSet<&str> = people.users().collect();
    let numbers: HashMap<_, _> =
        if by_number { users.iter().map(|user| (amplitude_id(user).to_string(), *user)).collect() } else { HashMap::new() };
    let find = |id: &str| {
        if by_number { numbers.get(id).copied() } else { users.get(id).copied() }
    };
    let (mut known, mut unknown) = (BTreeSet::new(), Vec::new());
    for id in ids {
        match find(id) {
            Some(user) => _ = known.insert(user.to_owned()),
            None if skips => unknown.push(id.as_str()),
            None => return Err(refusal(400, &format!("ids: {id} is nobody's"))),
        }
    }
    Ok((known, unknown))
}
