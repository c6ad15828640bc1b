//! The browser side: `fetch`, timers, WebCrypto, in windows and workers alike. Nothing is touched before the first client is made.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use gloo_net::http::Request as Fetch;
use js_sys::{Date, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortController;

use crate::{
    Config, Error, Notice, Result,
    pipeline::{Failure, Now, Reply},
};

/// The `library` field of every event.
pub(crate) const LIBRARY: &str = concat!("amplitude-sdk-wasm/", env!("CARGO_PKG_VERSION"));

/// Whether errors say what keeps a text from being JSON.
pub(crate) const EXPLAINS_JSON: bool = false;

/// Everything: nothing leaves its thread here.
pub trait Shared {}

impl<T: ?Sized> Shared for T {}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, ms: i32) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
    #[wasm_bindgen(js_name = String)]
    fn number_text(value: f64) -> String;
    #[wasm_bindgen(js_namespace = console)]
    fn warn(text: &str);
    type URL;
    #[wasm_bindgen(constructor, catch)]
    fn new(url: &str, base: &JsValue) -> Result<URL, JsValue>;
    #[wasm_bindgen(method, getter)]
    fn protocol(this: &URL) -> String;
    #[wasm_bindgen(method, getter)]
    fn hostname(this: &URL) -> String;
    #[wasm_bindgen(method, getter)]
    fn username(this: &URL) -> String;
    #[wasm_bindgen(method, getter)]
    fn password(this: &URL) -> String;
}

pub(crate) fn now() -> Now {
    // Times of this century are whole numbers in a double, and `as` saturates what is not.
    Now { mono_ms: performance_now() as u64, unix_ms: unix_ms() }
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    Date::now() as u64
}

/// Pages do not fork.
pub(crate) fn process_id() -> u32 {
    1
}

pub(crate) fn fill_random(bytes: &mut [u8]) {
    get_random_values(bytes);
}

/// The value of a JSON number. The engine reads and writes numbers, because the tables for it would be a third of the download.
pub(crate) fn parse_number(text: &str) -> f64 {
    js_sys::Number::parse_float(text)
}

/// Appends the shortest text that reads as the number again.
pub(crate) fn push_number(out: &mut String, value: f64) {
    out.push_str(&number_text(value));
}

/// Waits at least that long. Engines take 31 bits of milliseconds; the loop that waits longer wakes early and sleeps again.
pub(crate) async fn sleep(duration: Duration) {
    struct Timer(Rc<RefCell<JsValue>>);
    impl Drop for Timer {
        fn drop(&mut self) {
            clear_timeout(&self.0.borrow());
        }
    }
    let ms = i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    let timer = Timer(Rc::new(RefCell::new(JsValue::UNDEFINED)));
    let promise = Promise::new(&mut |resolve, _| {
        *timer.0.borrow_mut() = set_timeout(&resolve, ms);
    });
    // A timer's promise is never rejected.
    let _ = JsFuture::from(promise).await;
}

pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(future);
}

pub(crate) fn log(notice: &Notice) {
    warn(&["amplitude: ", &notice.message()].concat());
}

/// A panic ends the instance on this target, so there is nothing to catch.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    Some(call())
}

/// https, http on this machine, or an address on the page's own origin, whatever that is.
pub(crate) fn check_url(url: &str) -> Result<()> {
    let page = page_url();
    let parsed = URL::new(url, &page).map_err(|_| Error::invalid(&["server url: is not a URL"]))?;
    // What the parser leaves as digits and dots is an address; `127.example.com` is a name, of anybody.
    let is_address = |host: &str| host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let loopback = |host: &str| host == "localhost" || host == "[::1]" || (host.starts_with("127.") && is_address(host));
    let relative = URL::new(url, &JsValue::UNDEFINED).is_err();
    match parsed.protocol().as_str() {
        _ if !parsed.username().is_empty() || !parsed.password().is_empty() => {
            Err(Error::invalid(&["server url: must not hold a user name or password"]))
        }
        "https:" => Ok(()),
        "http:" if relative || loopback(&parsed.hostname()) => Ok(()),
        _ => Err(Error::invalid(&["server url: must be https, or http on a loopback address"])),
    }
}

/// The address of the page or of the worker's script; undefined where there is none.
fn page_url() -> JsValue {
    let location = Reflect::get(&js_sys::global(), &"location".into()).unwrap_or_default();
    Reflect::get(&location, &"href".into()).unwrap_or_default()
}

/// The task that delivers.
pub(crate) struct Driver;

impl Driver {
    pub(crate) fn start(run: impl Future<Output = ()> + 'static) -> Result<()> {
        spawn(run);
        Ok(())
    }
}

/// How requests are made.
#[derive(Clone)]
pub(crate) struct TransportOptions {
    pub(crate) request_timeout: Duration,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self { request_timeout: Duration::from_secs(30) }
    }
}

impl TransportOptions {
    pub(crate) fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Config {
    /// The time from a request's start to the end of its answer. Default: 30 seconds.
    #[must_use]
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.transport.request_timeout = limit;
        self
    }
}

/// The ingestion endpoint, reached through `fetch`.
pub(crate) struct Transport {
    url: String,
    timeout: Duration,
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Ok(Self { url: config.url(), timeout: config.transport.request_timeout })
    }

    pub(crate) async fn send(&self, body: Vec<u8>) -> Result<Reply, Failure> {
        let abort = AbortController::new().ok();
        let mut fetch = pin!(self.fetch(&body, abort.as_ref()));
        let mut timer = pin!(sleep(self.timeout));
        let answer = poll_fn(|cx| match fetch.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer),
            Poll::Pending => timer.as_mut().poll(cx).map(|()| Err(Failure::Timeout)),
        })
        .await;
        if answer.is_err()
            && let Some(abort) = &abort
        {
            abort.abort();
        }
        answer
    }

    async fn fetch(&self, body: &[u8], abort: Option<&AbortController>) -> Result<Reply, Failure> {
        let signal = abort.map(AbortController::signal);
        let response = Fetch::post(&self.url)
            .abort_signal(signal.as_ref())
            .header("content-type", "application/json")
            .body(Uint8Array::from(body))
            .map_err(|_| Failure::Interrupted)?
            .send()
            .await
            .map_err(|_| if is_offline() { Failure::Connect } else { Failure::Interrupted })?;
        let retry_after = response.headers().get("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let body = response.text().await.map_err(|_| Failure::Interrupted)?;
        Ok(Reply { status: response.status(), retry_after, body })
    }
}

/// Whether the browser knows that there is no network, so that the server cannot have seen the request.
fn is_offline() -> bool {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).unwrap_or_default();
    Reflect::get(&navigator, &"onLine".into()).is_ok_and(|online| online.is_falsy() && !online.is_undefined())
}
