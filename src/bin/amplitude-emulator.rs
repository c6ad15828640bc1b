//! A local Amplitude: `amplitude-emulator --help`.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use amplitude_sdk::{
    Region,
    emulator::{
        Consent, Credential, CredentialKind, DEMO_KEY, DEMO_SECRET, Emulator, OAuthClient, OAuthOptions, Project, ServiceAccount,
        Throttle,
    },
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
  --credential KIND:REGION:VALUE
                                a credential beside projects, repeatable; the kinds are org (its
                                value is KEY:SECRET), scim, client_deployment, server_deployment,
                                management and pat (a personal access token)

OAuth 2.0, whose pages are /authorize and /activate:

  --client ID:SECRET:REGION:URI an application and its redirect URI, repeatable; without a secret
                                (ID::REGION:URI) it is public; the same ID again adds a redirect URI
  --service-account ID:SECRET:REGION
                                a service account with the scopes mcp:read and events:read, repeatable
  --scope NAME=MEANING          a scope that can be asked for beside Amplitude's, and what the
                                consent page says of it, repeatable
  --consent ask|grant|deny      who answers for the user          [default: ask, on a page]
  --access-lifetime SECONDS     of an access token                [default: 3600]
  --refresh-lifetime SECONDS    of a refresh token                [default: 2592000]
  --device-interval SECONDS     between a device's questions      [default: 5]
  --registration-management on|off
                                read, change and delete registered clients (RFC 7592)   [default: off]
  --public-revocation on|off    let clients without a secret revoke                     [default: off]

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
    let mut oauth = OAuthOptions::new();
    let mut clients: Vec<(String, OAuthClient)> = Vec::new();
    let mut default_project = true;
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            print!("{HELP}");
            return Ok(());
        }
        if !OPTIONS.contains(&name.as_str()) {
            return Err(format!("{name}: is no option; see --help"));
        }
        let value = arguments.next().ok_or_else(|| format!("{name}: has no value"))?;
        match name.as_str() {
            "--port" => {
                builder = builder.port(value.parse().map_err(|_| format!("--port {value}: must be a number from 0 to 65535"))?)
            }
            "--data" => builder = builder.data_dir(value),
            "--project" => {
                default_project = false;
                builder = builder.project(project(&value)?);
            }
            "--throttle" => builder = builder.throttle(throttle(&value)?),
            "--silence" => builder = builder.silence_device(value),
            "--export-delay" => builder = builder.export_delay(seconds(&name, &value)?),
            "--credential" => builder = builder.credential(credential(&value)?),
            "--client" => add_client(&mut clients, &value)?,
            "--service-account" => oauth = oauth.service_account(service_account(&value)?),
            "--scope" => {
                let (name, meaning) = value.split_once('=').ok_or("--scope: must be NAME=MEANING")?;
                oauth = oauth.scope(name, meaning);
            }
            "--consent" => oauth = oauth.consent(consent(&value)?),
            "--access-lifetime" => oauth = oauth.access_lifetime(seconds(&name, &value)?),
            "--refresh-lifetime" => oauth = oauth.refresh_lifetime(seconds(&name, &value)?),
            "--device-interval" => oauth = oauth.device_interval(seconds(&name, &value)?),
            "--registration-management" => oauth = oauth.registration_management(is_on(&name, &value)?),
            _ => oauth = oauth.public_revocation(is_on(&name, &value)?),
        }
    }
    let oauth = clients.into_iter().fold(oauth, |oauth, (_, client)| oauth.client(client));
    let builder = builder.oauth(oauth);
    let emulator = builder.start().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => "cannot start: the port is in use; --port 0 takes a free one".to_owned(),
        _ => format!("cannot start: {error}"),
    })?;
    let mut text = format!("listening on {}\ningestion:   {}\n", emulator.url(), emulator.ingestion_url());
    if default_project {
        text.push_str(&format!("project:     {DEMO_KEY} with secret {DEMO_SECRET}\n"));
    }
    text.push_str(&format!("live view:   {}/\n", emulator.url()));
    // Who started it may not read on; the emulator runs all the same.
    let _ = io::stdout().write_all(text.as_bytes());
    emulator.wait().map_err(|error| error.to_string())
}

const OPTIONS: [&str; 16] = [
    "--port",
    "--data",
    "--project",
    "--throttle",
    "--silence",
    "--export-delay",
    "--credential",
    "--client",
    "--service-account",
    "--scope",
    "--consent",
    "--access-lifetime",
    "--refresh-lifetime",
    "--device-interval",
    "--registration-management",
    "--public-revocation",
];

fn seconds(name: &str, text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| format!("{name} {text}: must be a number of seconds"))
}

fn is_on(name: &str, text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{name} {text}: must be on or off")),
    }
}

fn consent(text: &str) -> Result<Consent, String> {
    match text {
        "ask" => Ok(Consent::Ask),
        "grant" => Ok(Consent::Grant),
        "deny" => Ok(Consent::Deny),
        _ => Err(format!("--consent {text}: must be ask, grant or deny")),
    }
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
    Ok(Project::new(*key, *secret, region_of("--project", region)?))
}

fn region_of(name: &str, text: &str) -> Result<Region, String> {
    Region::parse(text).map_err(|error| format!("{name}: {error}"))
}

fn credential(text: &str) -> Result<Credential, String> {
    let parts: Vec<_> = text.splitn(3, ':').collect();
    let [kind, region, value] = parts.as_slice() else { return Err("--credential: must be KIND:REGION:VALUE".to_owned()) };
    let kind = CredentialKind::parse(kind).ok_or("--credential: the kind is none of those that --help lists")?;
    let region = region_of("--credential", region)?;
    if value.is_empty()
        || (kind == CredentialKind::Org && value.split_once(':').is_none_or(|(key, secret)| key.is_empty() || secret.is_empty()))
    {
        return Err("--credential: the value is empty, or no KEY:SECRET where it must be".to_owned());
    }
    Ok(Credential::new(kind, value, region))
}

fn add_client(clients: &mut Vec<(String, OAuthClient)>, text: &str) -> Result<(), String> {
    let parts: Vec<_> = text.splitn(4, ':').collect();
    let [id, secret, region, uri] = parts.as_slice() else { return Err("--client: must be ID:SECRET:REGION:URI".to_owned()) };
    if let Some((_, client)) = clients.iter_mut().find(|(it, _)| it == id) {
        *client = client.clone().redirect_uri(*uri);
        return Ok(());
    }
    let mut client = OAuthClient::new(*id).region(region_of("--client", region)?).redirect_uri(*uri);
    if !secret.is_empty() {
        client = client.secret(secret);
    }
    clients.push(((*id).to_owned(), client));
    Ok(())
}

fn service_account(text: &str) -> Result<ServiceAccount, String> {
    let parts: Vec<_> = text.split(':').collect();
    let [id, secret, region] = parts.as_slice() else { return Err("--service-account: must be ID:SECRET:REGION".to_owned()) };
    if secret.is_empty() {
        return Err("--service-account: the secret is empty".to_owned());
    }
    let region = region_of("--service-account", region)?;
    Ok(ServiceAccount::new(*id, secret, region).scopes(["mcp:read", "events:read"]))
}
