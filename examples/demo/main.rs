//! The demo's small server, in parts that know nothing of each other:
//!
//! | File | What |
//! | --- | --- |
//! | `page` | serves the page and the npm package |
//! | `line` | carries the page's events to Amplitude, or drops the line |
//! | `export` | exports the events again; it alone holds the secret key |
//! | `access` | an application that reads the events for a person who consents (OAuth 2.0), and has no secret key |
//! | `guard`, `reply` | who may ask, and what is answered where something does not work |
//!
//! `make demo` starts it beside the emulator. By hand: `demo [--port PORT] [--amplitude URL] [--root DIR]`, with `AMPLITUDE_API_KEY` and
//! `AMPLITUDE_SECRET_KEY` in the environment. It listens on loopback alone.

mod access;
mod export;
mod guard;
mod line;
mod page;
mod reply;

use std::{env, error::Error as StdError, net::Ipv4Addr, path::PathBuf, process::ExitCode};

use amplitude_sdk::server::ProjectPair;
use axum::{Json, Router, middleware, routing::get};
use serde_json::json;
use tokio::net::TcpListener;

use self::{access::Access, reply::with_causes};

type Failure = Box<dyn StdError + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let (mut port, mut amplitude) = (8788, "http://127.0.0.1:8787".to_owned());
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name}: has no value"))?;
        match name.as_str() {
            "--port" => port = value.parse().map_err(|_| format!("--port {value}: must be a number from 0 to 65535"))?,
            "--amplitude" => amplitude = value.trim_end_matches('/').to_owned(),
            "--root" => root = value.into(),
            _ => return Err(format!("{name}: is no option; there are --port, --amplitude and --root").into()),
        }
    }
    let page = page::router(&root)?;
    let pair = ProjectPair::from_env()?;
    // What the page must know. The project's API key is public.
    let config = Json(json!({"projectKey": pair.key().as_str(), "amplitude": amplitude}));
    let export = export::router(pair, &amplitude)?;
    let line = line::router(&amplitude)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| format!("port {port}: {error}"))?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/api/config", get(config))
        .merge(export)
        .merge(line)
        .merge(access::router(Access::new(&amplitude, address.port())?))
        .merge(page)
        .layer(middleware::from_fn(guard::guard));
    println!("listening on http://{address}");
    Ok(axum::serve(listener, router).await?)
}
