//! Looks for secrets where none may be: all that a process logs and prints, in every spelling that a text can have there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, Write as _},
    sync::Once,
};

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};

/// A shorter text would be found by chance.
pub(crate) const SHORTEST: usize = 8;

/// From here on, all that is logged by `tracing` and by `log`, by libraries too, goes to the standard error output, a line each with its level
/// first. A line is one write, so that those of several processes do not mix.
pub(crate) fn print_logs() {
    struct Printer;
    impl log::Log for Printer {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            let line = format!("{} {}: {}\n", record.level(), record.target(), record.args());
            io::stderr().write_all(line.as_bytes()).expect("the standard error output");
        }

        fn flush(&self) {}
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Printer).expect("the only logger");
        log::set_max_level(log::LevelFilter::Trace);
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(io::stderr)
            .without_time()
            .with_ansi(false)
            .init();
    });
}

/// Finds any of many secrets in any of their spellings. White space does not count, so that it finds what is printed over several lines.
pub(crate) struct Search<'a> {
    /// All spellings by their first bytes, each with the secret's name.
    by_beginning: HashMap<[u8; SHORTEST], BTreeMap<Vec<u8>, &'a str>>,
}

impl<'a> Search<'a> {
    /// For secrets with their names.
    pub(crate) fn new(secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut by_beginning = HashMap::<_, BTreeMap<_, _>>::new();
        for (name, secret) in secrets {
            for spelling in spellings(secret) {
                let beginning = *spelling.first_chunk().unwrap_or_else(|| panic!("a {name} is too short to be searched for"));
                by_beginning.entry(beginning).or_default().insert(spelling, name);
            }
        }
        Self { by_beginning }
    }

    /// What is there: the name of the secret, how it is spelled, and what stands around it, once for each spelling.
    pub(crate) fn found_in(&self, text: &[u8]) -> Vec<String> {
        let text = without_space(text);
        let mut found = BTreeMap::new();
        for (at, window) in text.windows(SHORTEST).enumerate() {
            let Some(candidates) = self.by_beginning.get(window) else { continue };
            for (spelling, name) in candidates {
                if text[at..].starts_with(spelling) {
                    let around = &text[at.saturating_sub(80)..text.len().min(at + spelling.len() + 20)];
                    found.entry(spelling).or_insert_with(|| format!("a {name}: {}", String::from_utf8_lossy(around)));
                }
            }
        }
        found.into_values().collect()
    }
}

/// As it is, as Rust prints it, as part of a URL, as numbers, in hexadecimal digits, and in Base64 at each of the three places that it can have in
/// there, also after it was escaped for a header.
fn spellings(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let hex = |upper: bool| -> String {
        secret.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    let form: String = url::form_urlencoded::byte_serialize(secret).collect();
    let numbers: Vec<_> = secret.iter().map(u8::to_string).collect();
    let mut spellings = vec![
        secret.to_vec(),
        secret.escape_ascii().to_string().into(),
        String::from_utf8_lossy(secret).escape_debug().to_string().into(),
        form.replace('+', "%20").into(),
        hex(false).into(),
        hex(true).into(),
        numbers.join(",").into(),
    ];
    for bytes in [secret, form.as_bytes()] {
        for before in 0..3 {
            let shifted = [&b"xx"[..before], bytes].concat();
            for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&shifted);
                // The first characters hold bytes from before, the last may hold bytes from behind.
                let end = shifted.len() / 3 * 4;
                spellings.push(encoded[if before == 0 { 0 } else { 4 }..end].into());
            }
        }
    }
    spellings.push(form.into());
    spellings.iter().map(|spelling| without_space(spelling)).collect()
}

fn without_space(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}
