//! A local Amplitude: `amplitude-emulator --help`.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use amplitude_sdk::{
    Region,
    emulator::{DEMO_KEY, DEMO_SECRET, Emulator, Project, Throttle},
};

const HELP: &str = "\
A local Amplitude for demos and tests. Listens on loopback alone.

Usage: amplitude-emulator [OPTIONS]

  --port PORT                   the port, 0 for a free one        [default: 8787]
  --data DIR                    keep events in this folder        [default: memory]
  --project KEY:SECRET:REGION   a project, repeatable; us or eu   [default: see below]
  --throttle off|documented     throttle ids as documented        [default: off]
             PER_SECOND:PER_DAY ... or at other numbers of events
  --silence DEVICE              refuse this device's events, repeatable
  --export-delay SECONDS        until an event can be exported    [default: 0]
  --help                        this text

The default project has the API key demo0000000000000000000000000key and the secret key
fake0000000000000000000000000key in the US region. The EU region is under /eu.
The live view is at the address that is printed; faults and other controls are under /_emulator,
as the documentation of amplitude_sdk::emulator says.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("amplitude-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut builder = Emulator::builder().port(8787);
    let mut default_project = true;
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            print!("{HELP}");
            return Ok(());
        }
        let known = ["--port", "--data", "--project", "--throttle", "--silence", "--export-delay"];
        if !known.contains(&name.as_str()) {
            return Err(format!("{name}: is no option; see --help"));
        }
        let value = arguments.next().ok_or_else(|| format!("{name}: has no value"))?;
        builder = match name.as_str() {
            "--port" => builder.port(value.parse().map_err(|_| format!("--port {value}: must be a number from 0 to 65535"))?),
            "--data" => builder.data_dir(value),
            "--project" => {
                default_project = false;
                builder.project(project(&value)?)
            }
            "--throttle" => builder.throttle(throttle(&value)?),
            "--silence" => builder.silence_device(value),
            _ => builder.export_delay(Duration::from_secs(
                value.parse().map_err(|_| format!("--export-delay {value}: must be a number of seconds"))?,
            )),
        };
    }
    let emulator = builder.start().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => "cannot start: the port is in use; --port 0 takes a free one".to_owned(),
        _ => format!("cannot start: {error}"),
    })?;
    let mut text = format!("listening on {}\ningestion:   {}\n", emulator.url(), emulator.ingestion_url());
    if default_project {
        text.push_str(&format!("project:     {DEMO_KEY} with secret {DEMO_SECRET}\n"));
    }
    // Who started it may not read on; the emulator runs all the same.
    let _ = io::stdout().write_all(text.as_bytes());
    emulator.wait().map_err(|error| error.to_string())
}

fn throttle(text: &str) -> Result<Throttle, String> {
    let limits = || {
        let (per_second, per_day) = text.split_once(':')?;
        Some(Throttle::Limits { per_second: per_second.parse().ok()?, per_day: per_day.parse().ok()? })
    };
    match text {
        "off" => Ok(Throttle::Off),
        "documented" => Ok(Throttle::Documented),
        _ => limits().ok_or_else(|| format!("--throttle {text}: must be off, documented or PER_SECOND:PER_DAY")),
    }
}

/// Errors name the place, never the keys.
fn project(text: &str) -> Result<Project, String> {
    let parts: Vec<_> = text.split(':').collect();
    let [key, secret, region] = parts.as_slice() else { return Err("--project: must be KEY:SECRET:REGION".to_owned()) };
    if key.is_empty() || secret.is_empty() {
        return Err("--project: a key is empty".to_owned());
    }
    Ok(Project::new(*key, *secret, Region::parse(region).map_err(|error| format!("--project: {error}"))?))
}
