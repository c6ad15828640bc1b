//! Tracks N events of the reference shape from one thread, waits for their outcomes and prints what it cost as one JSON line.
//!
//! Environment: `N` (default 100000; 0 only waits for what is queued), `URL` (full ingestion URL, default the emulator's),
//! `STORE` (`memory`, the default, or `disk` in the folder `DIR`), `BATCH` (events of a request, default 2000), `GZIP` (off unless 1),
//! `DEADLINE_S` (default 60: stop waiting then), `IDS` (a file to which each event's insert id is appended once its `track` returned),
//! `RATE` (events tracked a second, default as fast as it goes).

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufWriter, Write},
    process::ExitCode,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::{Client, Config, DiskOptions, ErrorKind, Event, ProjectKey};
use nix::sys::resource::{UsageWho, getrusage};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let n: u64 = setting("N", 100_000)?;
    let url: String = setting("URL", "http://127.0.0.1:8787/2/httpapi".to_owned())?;
    let batch: usize = setting("BATCH", 2000)?;
    let deadline = Duration::from_secs(setting("DEADLINE_S", 60)?);
    let key = setting("AMPLITUDE_API_KEY", "demo0000000000000000000000000key".to_owned())?;
    let rate: f64 = setting("RATE", f64::INFINITY)?;
    let store: String = setting("STORE", "memory".to_owned())?;
    let mut ids =
        env::var_os("IDS").map(|path| File::options().append(true).create(true).open(path)).transpose()?.map(BufWriter::new);

    let mut config =
        Config::new(ProjectKey::new(key)?).server_url(url).batch_events(batch).flush_at(batch).queue_bytes(usize::MAX / 2);
    config = if env::var("GZIP").is_ok_and(|on| on == "1") { config.gzip(1, 0) } else { config.no_gzip() };
    config = match store.as_str() {
        "memory" => config,
        "disk" => config.disk(DiskOptions::new(env::var_os("DIR").ok_or("STORE=disk: DIR must name a folder")?)),
        _ => return Err(format!("STORE={store}: must be memory or disk").into()),
    };
    let client = Client::new(config)?;

    let users = names("user");
    let devices = names("device");
    let products: Vec<String> = (0..1000).map(|i| format!("sku{i}")).collect();

    let start = Instant::now();
    for i in 0..n {
        // Not asked for its time where nobody waits: what a call costs is measured here.
        if rate.is_finite() {
            let due = Duration::try_from_secs_f64(i as f64 / rate)?;
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
        let pick = (i % 1000) as usize;
        let mut event = Event::builder("Product Purchased")
            .user_id(&users[pick])
            .device_id(&devices[pick])
            .property("product_id", products[pick].as_str())
            .property("price", 29.99)
            .property("quantity", i % 7)
            .property("currency", "USD")
            .property("tags", ["a", "b", "c"])
            .property("discounted", i % 2 == 0)
            .property("category", "Laptops")
            .property("note", "a somewhat longer string value here");
        if let Some(ids) = &mut ids {
            let id = format!("load-{}-{i}", std::process::id());
            event = event.insert_id(&id);
            client.track(event.build()?).or_else(|refused| track_later(&client, refused, start + deadline))?;
            writeln!(ids, "{id}")?;
            ids.flush()?;
        } else {
            client.track(event.build()?).or_else(|refused| track_later(&client, refused, start + deadline))?;
        }
    }
    let enqueued = start.elapsed();
    client.flush_blocking(deadline);
    let wall = start.elapsed();

    let counts = client.counts();
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let cpu = micros(usage.user_time()) + micros(usage.system_time());
    let per_event = n.max(1) as f64;
    println!(
        "{{\"n\":{n},\"delivered\":{},\"rejected\":{},\"dropped\":{},\"unknown\":{},\"pending\":{},\"enqueue_us_per_event\":{:.3},\
         \"wall_s\":{:.3},\"cpu_us_per_event\":{:.3},\"rss_mb\":{:.1}}}",
        counts.delivered,
        counts.rejected,
        counts.dropped,
        counts.unknown,
        counts.pending,
        enqueued.as_secs_f64() * 1e6 / per_event,
        wall.as_secs_f64(),
        cpu / per_event,
        usage.max_rss() as f64 / 1000.0,
    );
    Ok(())
}

/// Where the store has no room for an event, e.g. because the disk is full, it is tried again until there is, as by a program that must lose none.
#[cold]
fn track_later(client: &Client, mut refused: amplitude_sdk::Error, until: Instant) -> Result<(), Box<dyn Error>> {
    while matches!(refused.kind(), ErrorKind::Full | ErrorKind::Store) && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
        let event = refused.into_event().ok_or("a refused event did not come back")?;
        match client.track(event) {
            Ok(()) => return Ok(()),
            Err(error) => refused = error,
        }
    }
    Err(refused.into())
}

fn names(kind: &str) -> Vec<String> {
    (0..1000).map(|i| format!("{kind}-{i:05}")).collect()
}

fn micros(time: nix::sys::time::TimeVal) -> f64 {
    time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64
}

fn setting<T: FromStr>(name: &str, default: T) -> Result<T, String> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name}={text}: cannot be read")),
        Err(_) => Ok(default),
    }
}
