//! What the child processes do: track until they are killed, or deliver what the others have left.

use std::{
    env,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::{Client, Config, DiskOptions, Event, ProjectKey};

use crate::{MAX_IN_FLIGHT, PATIENCE, Random};

const KEY: &str = "demo0000000000000000000000000key";

/// Where the children keep their events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store {
    Disk,
    Memory,
}

impl Store {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "disk" => Self::Disk,
            "memory" => Self::Memory,
            _ => panic!("no such store: {name}"),
        }
    }

    fn configure(self, config: Config, dir: &Path) -> Config {
        match self {
            Self::Disk => config.disk(DiskOptions::new(dir)),
            Self::Memory => config,
        }
    }
}

/// In the parent's run it has nothing to do.
#[test]
fn child() {
    let Ok(task) = env::var("CRASH_TASK") else { return };
    let dir = PathBuf::from(env::var("CRASH_DIR").unwrap());
    let config = Config::new(ProjectKey::new(KEY).unwrap())
        .server_url(env::var("CRASH_URL").unwrap())
        .no_gzip()
        .flush_interval(Duration::from_millis(2))
        .flush_at(10)
        .batch_events(50)
        .max_in_flight(MAX_IN_FLIGHT);
    let client = Client::new(Store::named(&env::var("CRASH_STORE").unwrap()).configure(config, &dir.join("store"))).unwrap();
    match task.strip_prefix("track ") {
        Some(round) => track(&client, round.parse().unwrap(), &dir),
        None => {
            let report = client.shutdown_blocking(PATIENCE);
            assert_eq!((report.pending, report.rejected, report.dropped), (0, 0, 0), "{report:?}");
            println!("delivered");
        }
    }
}

/// Tracks and notes the insert id of each event once its `track` has returned. Whoever waits for the kill in vain must not live on.
fn track(client: &Client, round: u64, dir: &Path) {
    let mut ids = File::options().append(true).create(true).open(dir.join("ids")).unwrap();
    let mut random = Random(round);
    let until = Instant::now() + PATIENCE;
    let mut number = 0;
    while Instant::now() < until {
        let insert_id = format!("{round}-{number}");
        let event = Event::builder("Product Purchased")
            .user_id("user123")
            .device_id(&format!("device-{}", random.below(200)))
            .insert_id(&insert_id)
            .property("note", "x".repeat(random.below(600) as usize))
            .build()
            .unwrap();
        client.track(event).unwrap();
        ids.write_all(format!("{insert_id}\n").as_bytes()).unwrap();
        if number == 0 {
            println!("tracking");
        }
        number += 1;
        // About as fast as they are delivered, and slower once there are many.
        thread::sleep(Duration::from_micros(if number < 300 { random.below(200) } else { 2_000 }));
    }
    panic!("nobody killed it");
}
