//! The options of `init`.

use std::time::Duration;

use crate::{Config, Error, IngestionApi, LongStrings, ProjectKey, Properties, Region, Result, json::Reader, session};

/// What a page may configure.
pub(super) struct Options {
    pub(super) config: Config,
    pub(super) user_id: Option<String>,
    pub(super) device_id: Option<String>,
    pub(super) session_timeout_ms: u64,
}

impl Options {
    /// Reads a JSON object. An unknown name is refused, because a misspelt option would be ignored in silence.
    pub(super) fn read(key: ProjectKey, json: &str) -> Result<Self> {
        let mut options =
            Self { config: Config::new(key), user_id: None, device_id: None, session_timeout_ms: session::TIMEOUT_MS };
        for (name, value) in Properties::from_json(json)?.iter() {
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let must_be = |what: &str| Error::invalid(&["options.", name, ": must be ", what]);
        let text = || Reader::new(value.as_bytes()).string().map_err(|_| must_be("a string"));
        // Up to 31 bits: what timers and this build's counts take.
        let number = || match Reader::new(value.as_bytes()).integer() {
            Ok(number) if (0..=0x7fff_ffff).contains(&number) => Ok(number as usize),
            _ => Err(must_be("a whole number from 0 to 2147483647")),
        };
        let ms = || number().map(|ms| Duration::from_millis(ms as u64));
        let config = &mut self.config;
        match name {
            "region" => config.region = Region::parse(&text()?).map_err(|_| must_be("\"us\" or \"eu\""))?,
            "serverUrl" => config.server_url = Some(text()?.into_owned()),
            "api" => {
                config.api = match &*text()? {
                    "httpV2" => IngestionApi::HttpV2,
                    "batch" => IngestionApi::Batch,
                    _ => return Err(must_be("\"httpV2\" or \"batch\"")),
                }
            }
            "longStrings" => {
                config.long_strings = match &*text()? {
                    "pass" => LongStrings::Pass,
                    "refuse" => LongStrings::Refuse,
                    _ => return Err(must_be("\"pass\" or \"refuse\"")),
                }
            }
            "flushIntervalMs" => config.flush_interval = ms()?,
            "flushAt" => config.flush_events = number()?,
            "batchEvents" => config.batch_events = number()?,
            "queueBytes" => config.queue_bytes = number()?,
            "minIdLength" => config.min_id_length = Some(number()?),
            "requestTimeoutMs" => config.transport.request_timeout = ms()?,
            "userId" => self.user_id = Some(text()?.into_owned()),
            "deviceId" => self.device_id = Some(text()?.into_owned()),
            "sessionTimeoutMs" => self.session_timeout_ms = number()? as u64,
            _ => return Err(Error::invalid(&["options.", name, ": is no option"])),
        }
        Ok(())
    }
}
