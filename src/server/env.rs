//! Settings from the environment, or from the file that a variable's `_FILE` twin names (as Docker and Kubernetes mount secrets).

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

use crate::{
    Error, ProjectKey, Region, Result,
    server::{EnvSecret, SecretSource, credential::Rotating},
};
#[cfg(feature = "oauth")]
use crate::{platform::http::parse_url, server::ScopeSet};

/// A file for one credential is smaller; a larger one was named by mistake.
const MAX_FILE_BYTES: usize = 64 << 10;

/// Where variables are looked up: those of the process, or a test's own, because the process has but one environment.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl<'a> Environment<'a> {
    pub(crate) fn of_process() -> Self {
        Self(&|name| env::var_os(name))
    }

    pub(crate) fn of(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self(lookup)
    }

    /// The file that a variable's twin names.
    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        self.read(&[name, "_FILE"].concat()).map(PathBuf::from)
    }

    /// A secret that must be there, as `check` says that it has to be. From a file it is read anew when the file changes.
    pub(super) fn secret(&self, name: &str, check: fn(&str) -> Result<()>) -> Result<Rotating> {
        let source = self.source(name, check)?.ok_or_else(|| missing(name))?;
        Ok(Rotating::from_source(source, check))
    }

    /// What gives a secret, if it is there.
    pub(super) fn source(&self, name: &str, check: fn(&str) -> Result<()>) -> Result<Option<Arc<dyn SecretSource>>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        check(&text).map_err(|error| named(name, &error))?;
        Ok(Some(Arc::new(EnvSecret::found(name, *self)?)))
    }

    /// Whether a variable or its twin is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.read(name).is_some() || self.file(name).is_some()
    }

    /// The text of a variable, or of the file that its twin names, without that file's last line break.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Zeroizing<String>>> {
        let twin = [name, "_FILE"].concat();
        match (self.read(name), self.read(&twin)) {
            (Some(_), Some(_)) => Err(Error::invalid(&[name, ": is set, and so is ", &twin, "; set one of them"])),
            (Some(text), None) => match text.into_string() {
                Ok(text) => Ok(Some(Zeroizing::new(text))),
                Err(_) => Err(Error::invalid(&[name, ": is not UTF-8"])),
            },
            (None, Some(path)) => read_file(&twin, Path::new(&path)).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// What the text of a variable that must be there means.
    pub(crate) fn required<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let text = self.text(name)?;
        let text = text.ok_or_else(|| missing(name))?;
        parse(&text).map_err(|error| named(name, &error))
    }

    /// What the text of a variable means, where it is set.
    pub(crate) fn optional<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
        self.text(name)?.map(|text| parse(&text).map_err(|error| named(name, &error))).transpose()
    }

    pub(crate) fn project_key(&self) -> Result<ProjectKey> {
        self.required("AMPLITUDE_API_KEY", |text| ProjectKey::new(text))
    }

    pub(crate) fn region(&self) -> Result<Option<Region>> {
        self.optional("AMPLITUDE_REGION", Region::parse)
    }

    /// The scopes of `AMPLITUDE_OAUTH_SCOPES`; none where it is not set.
    #[cfg(feature = "oauth")]
    pub(crate) fn scopes(&self) -> Result<ScopeSet> {
        Ok(self.optional("AMPLITUDE_OAUTH_SCOPES", str::parse)?.unwrap_or_default())
    }

    /// The host of `AMPLITUDE_BASE_URL`, where calls go in place of Amplitude's hosts.
    #[cfg(feature = "oauth")]
    pub(crate) fn base_host(&self) -> Result<Option<String>> {
        const BASE_URL: &str = "AMPLITUDE_BASE_URL";
        let url = self.text(BASE_URL)?.map(|url| parse_url(BASE_URL, &url)).transpose()?;
        Ok(url.and_then(|url| url.host_str().map(str::to_owned)))
    }

    /// A variable that is set to nothing counts as not set, because templates of deployments set all that they know.
    fn read(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|text| !text.is_empty())
    }
}

/// Gives a credential its ways from the environment, which `read` goes.
macro_rules! from_environment {
    ($type:ident, $first:literal $(, $more:literal)*) => {
        $crate::server::env::from_environment!($type, $crate::Error: "[`crate::ErrorKind::Invalid`]", $first $(, $more)*);
    };
    ($type:ident, $error:ty: $named:literal, $first:literal $(, $more:literal)*) => {
        impl $type {
            #[doc = concat!("Reads `", $first, "`", $(" and `", $more, "`",)* ", or the files that the same names with `_FILE` behind them give")]
            /// (as Docker and Kubernetes mount secrets). A file's last line break is not part of what it holds; a file with a secret is read
            /// anew when it changes, so that nothing restarts for a rotation.
            ///
            /// # Errors
            #[doc = concat!($named, " that names the variable that is missing, set twice or cannot be read; never its value.")]
            pub fn from_env() -> $crate::Result<Self, $error> {
                Self::read($crate::server::env::Environment::of_process())
            }

            /// As [`Self::from_env`], from variables that are kept elsewhere, e.g. in a map of a `.env` file.
            ///
            /// # Errors
            /// As [`Self::from_env`].
            pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> $crate::Result<Self, $error> {
                Self::read($crate::server::env::Environment::of(&|name| lookup(name).map(Into::into)))
            }
        }
    };
}

pub(super) use from_environment;

pub(super) fn missing(name: &str) -> Error {
    Error::invalid(&[name, ": is not set or empty, and so is ", name, "_FILE; set one of them"])
}

fn named(name: &str, error: &Error) -> Error {
    Error::invalid(&[name, ": ", &error.to_string()])
}

/// The text of a file, without its last line break; `name` is what named it.
pub(super) fn read_file(name: &str, path: &Path) -> Result<Zeroizing<String>> {
    // Without the path: where the secret itself was put in its place by mistake, an error would show it.
    let fail = |problem| Error::invalid(&[name, ": the file ", problem]);
    // Before it is opened, because to open a pipe waits for who writes to it.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(fail("is none, but a folder, a pipe or a device")),
        Ok(_) => {}
        Err(error) => return Err(fail("cannot be read").with_source(error)),
    }
    // With room from the start, so that growing leaves no copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    let read = |file: File| -> io::Result<usize> { file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes) };
    File::open(path).and_then(read).map_err(|error| fail("cannot be read").with_source(error))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(fail("is larger than 64 KiB"));
    }
    let text = str::from_utf8(&bytes).map_err(|_| fail("is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(fail("is empty"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::{
        Config,
        server::{Expose as _, ProjectPair, observer::Observers},
    };

    const KEY: &str = "demo0000000000000000000000000key";
    const SECRET: &str = "fake0000000000000000000000000key";

    fn with<T>(variables: &[(&str, &OsStr)], read: impl FnOnce(Environment<'_>) -> Result<T>) -> Result<T> {
        read(Environment(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())))
    }

    fn pair(variables: &[(&str, &str)]) -> Result<ProjectPair> {
        let variables: Vec<_> = variables.iter().map(|(name, text)| (*name, OsStr::new(*text))).collect();
        with(&variables, ProjectPair::read)
    }

    /// The text of a pair's secret key.
    fn secret_of(pair: &ProjectPair) -> String {
        let observers = Observers::default();
        let mut next = std::pin::pin!(pair.secret().next(&observers, &[]));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(held) = next.as_mut().poll(&mut context) else { panic!("it waits") };
        held.unwrap().unwrap().secret.expose().to_owned()
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn both_keys_come_from_variables_or_from_files() {
        let read = pair(&[("AMPLITUDE_API_KEY", KEY), ("AMPLITUDE_SECRET_KEY", SECRET)]).unwrap();
        assert_eq!((read.key().as_str(), secret_of(&read).as_str()), (KEY, SECRET));
        for end in ["", "\n", "\r\n"] {
            let (key, secret) = (file(format!("{KEY}{end}").as_bytes()), file(format!("{SECRET}{end}").as_bytes()));
            let read = pair(&[
                ("AMPLITUDE_API_KEY_FILE", key.path().to_str().unwrap()),
                ("AMPLITUDE_SECRET_KEY_FILE", secret.path().to_str().unwrap()),
                // Set to nothing is not set.
                ("AMPLITUDE_SECRET_KEY", ""),
            ]);
            let read = read.unwrap();
            assert_eq!((read.key().as_str(), secret_of(&read).as_str()), (KEY, SECRET), "{end:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        let sentinel = "sentinel of a secret";
        let twice = file(format!("{sentinel}\n\n").as_bytes());
        let (empty, broken) = (file(b"\n"), file(b"sentinel\xff\n"));
        let huge = file(&[b's'; MAX_FILE_BYTES + 1]);
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
        let missing = folder.path().join("missing").to_str().unwrap().to_owned();
        for (variables, said) in [
            (vec![], "AMPLITUDE_SECRET_KEY: is not set or empty, and so is AMPLITUDE_SECRET_KEY_FILE"),
            (vec![("AMPLITUDE_SECRET_KEY", "")], "AMPLITUDE_SECRET_KEY: is not set or empty"),
            (vec![("AMPLITUDE_SECRET_KEY", sentinel)], "AMPLITUDE_SECRET_KEY: secret key: holds white space"),
            (vec![("AMPLITUDE_SECRET_KEY", "sentinel\n")], "AMPLITUDE_SECRET_KEY: secret key: holds white space"),
            (
                vec![("AMPLITUDE_SECRET_KEY", "sentinel"), ("AMPLITUDE_SECRET_KEY_FILE", "x")],
                "AMPLITUDE_SECRET_KEY: is set, and so is",
            ),
            (vec![("AMPLITUDE_SECRET_KEY_FILE", &*missing)], "AMPLITUDE_SECRET_KEY_FILE: the file"),
            (vec![("AMPLITUDE_SECRET_KEY_FILE", folder.path().to_str().unwrap())], "is none, but a folder"),
            (vec![("AMPLITUDE_SECRET_KEY_FILE", "sentinel")], "AMPLITUDE_SECRET_KEY_FILE: the file cannot be read"),
            (vec![("AMPLITUDE_SECRET_KEY_FILE", &*path(&empty))], "is empty"),
            (vec![("AMPLITUDE_SECRET_KEY_FILE", &*path(&broken))], "is not UTF-8"),
            (vec![("AMPLITUDE_SECRET_KEY_FILE", &*path(&huge))], "is larger than 64 KiB"),
            (vec![("AMPLITUDE_SECRET_KEY_FILE", &*path(&twice))], "AMPLITUDE_SECRET_KEY: secret key: holds white space"),
        ] {
            let error = pair(&[&[("AMPLITUDE_API_KEY", KEY)], &variables[..]].concat()).expect_err(said);
            assert_eq!(error.kind(), crate::ErrorKind::Invalid);
            assert!(error.to_string().contains(said), "{error} does not say {said}");
            assert!(!format!("{error:?} {error}").contains("sentinel"), "{error:?}");
        }
        let error = pair(&[("AMPLITUDE_SECRET_KEY", SECRET)]).unwrap_err();
        assert!(error.to_string().starts_with("AMPLITUDE_API_KEY: is not set"), "{error}");
    }

    #[test]
    fn a_configuration_reads_key_region_and_address() {
        let read = |variables: &[(&str, &str)]| {
            let variables: Vec<_> = variables.iter().map(|(name, text)| (*name, OsStr::new(*text))).collect();
            with(&variables, Config::read)
        };
        let config = read(&[("AMPLITUDE_API_KEY", KEY), ("AMPLITUDE_REGION", "EU")]).unwrap();
        assert_eq!(config.url(), "https://api.eu.amplitude.com/2/httpapi");
        let config = read(&[("AMPLITUDE_API_KEY", KEY), ("AMPLITUDE_SERVER_URL", "http://127.0.0.1:1/x")]).unwrap();
        assert_eq!(config.url(), "http://127.0.0.1:1/x");
        for (variables, said) in [
            (vec![], "AMPLITUDE_API_KEY: is not set"),
            (vec![("AMPLITUDE_API_KEY", "a b")], "AMPLITUDE_API_KEY: project key: holds"),
            (vec![("AMPLITUDE_API_KEY", KEY), ("AMPLITUDE_REGION", "mars")], "AMPLITUDE_REGION: region: expected `us` or `eu`"),
        ] {
            let error = read(&variables).expect_err(said);
            assert!(error.to_string().starts_with(said), "{error}");
        }
    }

    #[test]
    fn options_read_region_and_address() {
        let read = |variables: &[(&str, &str)]| {
            let variables: Vec<_> = variables.iter().map(|(name, text)| (*name, OsStr::new(*text))).collect();
            with(&variables, crate::server::Options::read)
        };
        let options = read(&[]).unwrap();
        assert_eq!((options.region, options.base_url), (Region::Us, None));
        let options = read(&[("AMPLITUDE_REGION", "eu"), ("AMPLITUDE_BASE_URL", "http://127.0.0.1:1")]).unwrap();
        assert_eq!((options.region, options.base_url.as_deref()), (Region::Eu, Some("http://127.0.0.1:1")));
        assert!(read(&[("AMPLITUDE_REGION", "mars")]).unwrap_err().to_string().starts_with("AMPLITUDE_REGION: "));
    }
}
