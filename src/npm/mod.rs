//! The JavaScript class: a thin shell over [`Client`] and `web`. Wasm with feature `npm` only.
//!
//! Objects come as the JSON text that the engine made of them; `pkg-template/core.js` refuses before that what JSON would change in
//! silence. The receipt of a call is its number; the `progress` callback tells what becomes of it.

mod options;

use std::{cell::RefCell, time::Duration};

use js_sys::{Array, Error as JsError, Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::{
    Client, DropReason, Error, Event, Flow, Outcome, Plugin, PluginError, Progress, ProjectKey, Properties, Rejection, Report,
    Result,
    json::{self, Kind, Reader},
    platform,
    web::Identity,
};
use options::Options;

/// A client for one page or worker.
#[wasm_bindgen(js_name = Amplitude)]
#[expect(missing_debug_implementations, reason = "nobody in Rust sees it")]
pub struct JsClient {
    client: Client,
    identity: RefCell<Identity>,
}

#[wasm_bindgen(js_class = Amplitude)]
impl JsClient {
    /// Each of `plugins` takes an event's JSON and answers with it, or with null to drop the event. Calls `progress("sending", ids)`,
    /// `progress("settled", ids, status, reason)` and `progress("notice", text)`.
    #[wasm_bindgen(constructor)]
    pub fn new(key: &str, options: &str, progress: Function, plugins: Vec<Function>) -> Result<JsClient, JsValue> {
        Self::open(key, options, progress, plugins).map_err(js)
    }

    /// Tracks an event object. Answers with its number.
    pub fn track(&self, event: &str, time: f64, insert_id: Option<String>) -> Result<f64, JsValue> {
        Event::from_json(event).and_then(|event| self.send(event, time, insert_id)).map_err(js)
    }

    /// Tracks changes of the user's properties: an object of operations.
    pub fn identify(&self, operations: &str, time: f64, insert_id: Option<String>) -> Result<f64, JsValue> {
        self.track(&["{\"event_type\":\"$identify\",\"user_properties\":", operations, "}"].concat(), time, insert_id)
    }

    /// Tracks changes of a group's properties.
    #[wasm_bindgen(js_name = groupIdentify)]
    pub fn group_identify(&self, groups: &str, operations: &str, time: f64, insert_id: Option<String>) -> Result<f64, JsValue> {
        self.track(
            &["{\"event_type\":\"$groupidentify\",\"groups\":", groups, ",\"group_properties\":", operations, "}"].concat(),
            time,
            insert_id,
        )
    }

    /// Puts the user into groups: as a property of the user and as groups of the event, as Amplitude's own SDKs do.
    #[wasm_bindgen(js_name = setGroup)]
    pub fn set_group(&self, groups: &str, time: f64, insert_id: Option<String>) -> Result<f64, JsValue> {
        self.track(
            &["{\"event_type\":\"$identify\",\"groups\":", groups, ",\"user_properties\":{\"$set\":", groups, "}}"].concat(),
            time,
            insert_id,
        )
    }

    /// Tracks revenue.
    pub fn revenue(&self, revenue: &str, time: f64, insert_id: Option<String>) -> Result<f64, JsValue> {
        revenue_event(revenue).and_then(|event| self.send(event, time, insert_id)).map_err(js)
    }

    /// Sets the user's id, or forgets it.
    #[wasm_bindgen(js_name = setUserId)]
    pub fn set_user_id(&self, id: Option<String>) -> Result<(), JsValue> {
        self.identity.borrow_mut().set_user_id(id).map_err(js)
    }

    /// Sets the device's id.
    #[wasm_bindgen(js_name = setDeviceId)]
    pub fn set_device_id(&self, id: String) -> Result<(), JsValue> {
        self.identity.borrow_mut().set_device_id(id).map_err(js)
    }

    /// Forgets the user and becomes a new device.
    pub fn reset(&self) {
        self.identity.borrow_mut().reset();
    }

    /// Sends what waits; resolves with a report when all of it is settled or the time is over.
    pub fn flush(&self, deadline_ms: f64) -> Promise {
        let flush = self.client.flush(Duration::from_millis(deadline_ms as u64));
        future_to_promise(async move { Ok(report_object(&flush.await)) })
    }

    /// The user's id, if there is one.
    #[wasm_bindgen(getter, js_name = userId)]
    pub fn user_id(&self) -> Option<String> {
        self.identity.borrow().user_id.clone()
    }

    /// The device's id.
    #[wasm_bindgen(getter, js_name = deviceId)]
    pub fn device_id(&self) -> String {
        self.identity.borrow().device_id.clone()
    }

    /// The session's id: its start in milliseconds since 1970.
    #[wasm_bindgen(getter, js_name = sessionId)]
    pub fn session_id(&self) -> Option<f64> {
        self.identity.borrow().session_id().map(|id| id as f64)
    }

    /// Tracks what another page left: an array that [`JsClient::pending`] gave. What is broken is skipped, with a warning.
    pub fn adopt(&self, events: &str) {
        if let Err(error) = self.try_adopt(events) {
            platform::log(&["what an earlier page left cannot be read: ", error.message()].concat());
        }
    }

    /// The events that are not settled, as a JSON array: what a page that ends leaves to the next.
    pub fn pending(&self) -> String {
        self.client.pending_json()
    }
}

impl JsClient {
    fn open(key: &str, options: &str, progress: Function, plugins: Vec<Function>) -> Result<Self> {
        let key = ProjectKey::new(key)?;
        let options = Options::read(key.clone(), options)?;
        let mut identity = Identity::open(key.as_str(), options.session_timeout_ms, page_fields());
        if let Some(id) = options.device_id {
            identity.set_device_id(id)?;
        }
        if let Some(id) = options.user_id {
            identity.set_user_id(Some(id))?;
        }
        let notices = progress.clone();
        let mut config = options.config.on_progress(move |step| report_progress(&progress, step)).on_notice(move |notice| {
            let text = notice.message();
            platform::log(&text);
            // What a page's callback throws is its own; delivery goes on.
            let _ = notices.call2(&JsValue::NULL, &"notice".into(), &text.into());
        });
        for (index, step) in plugins.into_iter().enumerate() {
            config = config.plugin(JsPlugin { name: json::decimal(index as u64), step });
        }
        Ok(Self { client: Client::new(config)?, identity: RefCell::new(identity) })
    }

    fn try_adopt(&self, events: &str) -> Result<()> {
        let lift = |error: json::Malformed| Error::invalid(&[error.0]);
        let mut reader = Reader::new(events.as_bytes());
        if reader.kind().map_err(lift)? != Kind::Array {
            return Err(Error::invalid(&["must be an array"]));
        }
        reader.open();
        let mut first = true;
        while reader.next_item(&mut first).map_err(lift)? {
            let from = reader.offset();
            reader.skip().map_err(lift)?;
            let text = str::from_utf8(reader.slice(from)).unwrap_or_default();
            if let Err(error) = Event::from_json(text).and_then(|event| self.client.track(event)) {
                platform::log(&["an event of an earlier page is skipped: ", error.message()].concat());
            }
        }
        Ok(())
    }

    fn send(&self, mut event: Event, time: f64, insert_id: Option<String>) -> Result<f64> {
        if let Some(id) = insert_id {
            event.supply("insert_id", json::text(&id).as_bytes(), 0);
        }
        self.identity.borrow_mut().stamp(&mut event, time as u64);
        Ok(self.client.track_with_receipt(event)?.id() as f64)
    }
}

/// A page's function as a plugin.
struct JsPlugin {
    name: String,
    step: Function,
}

impl Plugin for JsPlugin {
    fn name(&self) -> &str {
        &self.name
    }

    fn process(&self, event: &mut Event) -> Result<Flow, PluginError> {
        let answer = self.step.call1(&JsValue::NULL, &event.to_json().into()).map_err(|thrown| {
            let message = Reflect::get(&thrown, &"message".into()).ok().and_then(|message| message.as_string());
            message.unwrap_or_else(|| "threw something that is no Error".to_owned())
        })?;
        match answer.as_string() {
            Some(json) => *event = Event::from_json(&json)?,
            None if answer.is_null() => return Ok(Flow::Drop),
            None => return Err("answered with neither an event nor null".into()),
        }
        Ok(Flow::Continue)
    }
}

fn report_progress(callback: &Function, step: &Progress<'_>) {
    let numbers = |ids: &[u64]| ids.iter().map(|id| JsValue::from_f64(*id as f64)).collect::<Array>();
    let args = match step {
        Progress::Sending { ids } => Array::of2(&"sending".into(), &numbers(ids)),
        Progress::Settled { ids, outcome } => {
            let (status, reason) = outcome_text(outcome);
            Array::of4(&"settled".into(), &numbers(ids), &status.into(), &reason.into())
        }
    };
    // What a page's callback throws is its own; delivery goes on.
    let _ = callback.apply(&JsValue::NULL, &args);
}

fn outcome_text(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Delivered => ("delivered", String::new()),
        Outcome::Rejected(rejection) => ("rejected", rejection_text(rejection)),
        Outcome::Dropped(DropReason::Plugin) => ("dropped", "a plugin dropped it".to_owned()),
        Outcome::Dropped(DropReason::Shutdown) => ("dropped", "the client was shut down".to_owned()),
        Outcome::Dropped(DropReason::Store) => ("dropped", "the store failed".to_owned()),
        Outcome::Unknown => ("unknown", "no answer came, and it is too old to be sent again".to_owned()),
    }
}

fn rejection_text(rejection: &Rejection) -> String {
    match rejection {
        Rejection::InvalidField(field) => ["the field ", field, " is invalid"].concat(),
        Rejection::MissingField(field) => ["the field ", field, " is missing"].concat(),
        Rejection::IdLength(field) => [field, " is too short or too long"].concat(),
        Rejection::Silenced => "its device is silenced".to_owned(),
        Rejection::TooLarge => "it is too large".to_owned(),
        Rejection::Unexplained => "the server does not say why".to_owned(),
    }
}

fn report_object(report: &Report) -> JsValue {
    let object = js_sys::Object::new();
    for (name, count) in [
        ("delivered", report.delivered),
        ("rejected", report.rejected),
        ("dropped", report.dropped),
        ("unknown", report.unknown),
        ("pending", report.pending),
    ] {
        set(&object, name, &JsValue::from_f64(count as f64));
    }
    object.into()
}

/// A real `Error` with `name`, `kind` and `retryable`.
fn js(error: Error) -> JsValue {
    let object = JsError::new(error.message());
    object.set_name("AmplitudeError");
    set(&object, "kind", &error.kind().as_str().into());
    set(&object, "retryable", &error.is_retryable().into());
    object.into()
}

fn set(object: &JsValue, name: &str, value: &JsValue) {
    // A fresh ordinary object takes every property.
    let _ = Reflect::set(object, &name.into(), value);
}

/// What the page says of itself.
fn page_fields() -> Vec<(&'static str, String)> {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).unwrap_or_default();
    let read = |name: &str| Reflect::get(&navigator, &name.into()).ok().and_then(|value| value.as_string());
    let mut fields = vec![("platform", "\"Web\"".to_owned()), ("ip", "\"$remote\"".to_owned())];
    fields.extend(read("language").map(|language| ("language", json::text(&language))));
    fields.extend(read("userAgent").map(|agent| ("user_agent", json::text(&agent))));
    fields
}

/// What `revenue` takes, and where it stands in the event's properties.
const REVENUE_FIELDS: [(&str, &str, Kind); 8] = [
    ("price", "$price", Kind::Number),
    ("quantity", "$quantity", Kind::Number),
    ("revenue", "$revenue", Kind::Number),
    ("productId", "$productId", Kind::String),
    ("revenueType", "$revenueType", Kind::String),
    ("currency", "$currency", Kind::String),
    ("receipt", "$receipt", Kind::String),
    ("receiptSig", "$receiptSig", Kind::String),
];

/// The event of `{price, quantity, revenue, productId, revenueType, currency, receipt, receiptSig, properties}`.
fn revenue_event(json: &str) -> Result<Event> {
    let fields = Properties::from_json(json)?;
    let has = |name| fields.json(name).is_some();
    if !has("price") && !has("revenue") {
        return Err(Error::invalid(&["revenue: has neither a price nor a revenue"]));
    }
    let mut text = "{\"event_type\":\"revenue_amount\",\"event_properties\":{".to_owned();
    if !has("quantity") {
        text.push_str("\"$quantity\":1,");
    }
    for (name, value) in fields.iter() {
        let mut reader = Reader::new(value.as_bytes());
        let kind = reader.kind().ok();
        if name == "properties" && kind == Some(Kind::Object) {
            // Its members stand beside the others.
            let members = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
            if members.trim_start().is_empty() {
                continue;
            }
            text.push_str(members);
        } else if let Some((_, wire, expected)) = REVENUE_FIELDS.iter().find(|(field, ..)| *field == name) {
            if kind != Some(*expected) {
                return Err(Error::invalid(&["revenue.", name, ": must be ", expected.name()]));
            }
            text.push_str(&["\"", wire, "\":", value].concat());
        } else {
            return Err(Error::invalid(&["revenue.", name, ": is no field of revenue"]));
        }
        text.push(',');
    }
    // The last comma goes.
    text.pop();
    text.push_str("}}");
    Event::from_json(&text)
}
