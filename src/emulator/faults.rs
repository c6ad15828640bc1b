//! Faults to come: what the next requests of an API meet instead of their answer, or along with it.

use std::{collections::VecDeque, time::Duration};

use serde::Deserialize;

/// The requests that a fault is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// HTTP V2 and Batch.
    #[default]
    Ingestion,
    /// Identify and Group Identify.
    Identify,
    /// Export.
    Export,
    /// Cohorts.
    Cohorts,
    /// The token endpoints: of the MCP surface and of the Developer API.
    Token,
    /// The start of a device flow.
    Device,
    /// Revocation.
    Revoke,
    /// `GET /v1/context` of the Developer API.
    Context,
}

/// What one request meets instead of an answer, or along with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// This status with an empty body; nothing is taken.
    Status(u16),
    /// The right answer, after so long.
    Delay(Duration),
    /// The connection breaks; nothing is taken.
    HangUp,
    /// 200 with an HTML page, as a captive portal answers; nothing is taken.
    Html,
    /// The events are taken, then the connection breaks.
    AcceptThenHangUp,
    /// The events are taken, then this status is the answer.
    AcceptThenStatus(u16),
}

/// First come, first served, for each API.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<(Api, Fault, u32)>);

impl Faults {
    pub(super) fn add(&mut self, api: Api, fault: Fault, times: u32) {
        if times > 0 {
            self.0.push_back((api, fault, times));
        }
    }

    pub(super) fn next(&mut self, api: Api) -> Option<Fault> {
        let at = self.0.iter().position(|it| it.0 == api)?;
        let (_, fault, left) = self.0.get_mut(at)?;
        let fault = *fault;
        *left -= 1;
        if *left == 0 {
            self.0.remove(at);
        }
        Some(fault)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    kind: String,
    status: Option<u16>,
    ms: Option<u64>,
    #[serde(default)]
    api: Api,
    #[serde(default = "once")]
    count: u32,
}

fn once() -> u32 {
    1
}

/// Reads `{"kind": "status", "status": 503, "count": 2, "api": "ingestion"}` and the like; says what is wrong with it.
pub(super) fn parse(body: &[u8]) -> Result<(Api, Fault, u32), String> {
    let request: Request = serde_json::from_slice(body).map_err(|error| format!("fault: {error}"))?;
    let fault = match (request.kind.as_str(), request.status, request.ms) {
        ("status", Some(status), None) => Fault::Status(status),
        ("delay", None, Some(ms)) => Fault::Delay(Duration::from_millis(ms)),
        ("hang_up", None, None) => Fault::HangUp,
        ("html", None, None) => Fault::Html,
        ("accept_then_hang_up", None, None) => Fault::AcceptThenHangUp,
        ("accept_then_status", Some(status), None) => Fault::AcceptThenStatus(status),
        ("status" | "accept_then_status", ..) => return Err("fault: this kind takes a status alone".to_owned()),
        ("delay", ..) => return Err("fault: this kind takes ms alone".to_owned()),
        ("hang_up" | "html" | "accept_then_hang_up", ..) => return Err("fault: this kind takes neither status nor ms".to_owned()),
        _ => {
            let kinds = "status, delay, hang_up, html, accept_then_hang_up or accept_then_status";
            return Err(format!("fault: kind must be {kinds}"));
        }
    };
    if request.status.is_some_and(|status| !(200..=599).contains(&status)) {
        return Err("fault: the status must be 200 to 599".to_owned());
    }
    Ok((request.api, fault, request.count))
}
