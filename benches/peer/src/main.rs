//! What `examples/load.rs` does, with the `amplitude-rs` crate: same events, same environment (`N`, `URL`, `BATCH`), same JSON line.

use std::{env, error::Error, time::Instant};

use amplitude_rs::{Amplitude, BaseEvent, Config};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let n: u64 = env::var("N").map_or(Ok(100_000), |n| n.parse())?;
    let url = env::var("URL")?;
    let batch: usize = env::var("BATCH").map_or(Ok(2000), |n| n.parse())?;

    let mut config = Config::new("demo0000000000000000000000000key").server_url(url).flush_queue_size(batch);
    config.max_storage_capacity = usize::MAX;
    let client = Amplitude::new(config)?;
    let names = |kind: &str| -> Vec<String> { (0..1000).map(|i| format!("{kind}-{i:05}")).collect() };
    let (users, devices, products) = (names("user"), names("device"), names("sku"));

    let start = Instant::now();
    for i in 0..n {
        let pick = (i % 1000) as usize;
        let mut event = BaseEvent::new("Product Purchased").user_id(users[pick].as_str()).event_properties(json!({
            "product_id": products[pick],
            "price": 29.99,
            "quantity": i % 7,
            "currency": "USD",
            "tags": ["a", "b", "c"],
            "discounted": i % 2 == 0,
            "category": "Laptops",
            "note": "a somewhat longer string value here",
        }));
        event.device_id = Some(devices[pick].clone());
        client.track(event);
    }
    let enqueued = start.elapsed();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(client.flush());
    let wall = start.elapsed();

    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64;
    println!(
        "{}",
        json!({
            "n": n,
            "enqueue_us_per_event": enqueued.as_secs_f64() * 1e6 / n as f64,
            "wall_s": wall.as_secs_f64(),
            "cpu_us_per_event": (micros(usage.user_time()) + micros(usage.system_time())) / n as f64,
            "rss_mb": usage.max_rss() as f64 / 1000.0,
        })
    );
    Ok(())
}
