//! Settings from the environment, or from the file that a variable's `_FILE` twin names (as Docker and Kubernetes mount secrets).

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use zeroize::Zeroizing;

use crate::{Error, ProjectKey, Region, Result};

/// A file for one credential is smaller; a larger one was named by mistake.
const MAX_FILE_BYTES: usize = 64 << 10;

/// Where variables are looked up: those of the process, or a test's own, because the process has but one environment.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl Environment<'_> {
    pub(crate) fn of_process() -> Self {
        Self(&|name| env::var_os(name))
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
            (None, Some(path)) => read_file(&twin, &path).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// What the text of a variable that must be there means.
    pub(crate) fn required<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let text = self.text(name)?;
        let text = text.ok_or_else(|| Error::invalid(&[name, ": is not set or empty, and so is ", name, "_FILE"]))?;
        parse(&text).map_err(|error| named(name, &error))
    }

    pub(crate) fn project_key(&self) -> Result<ProjectKey> {
        self.required("AMPLITUDE_API_KEY", |text| ProjectKey::new(text))
    }

    pub(crate) fn region(&self) -> Result<Option<Region>> {
        let name = "AMPLITUDE_REGION";
        self.text(name)?.map(|text| Region::parse(&text).map_err(|error| named(name, &error))).transpose()
    }

    /// A variable that is set to nothing counts as not set, because templates of deployments set all that they know.
    fn read(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|text| !text.is_empty())
    }
}

fn named(name: &str, error: &Error) -> Error {
    Error::invalid(&[name, ": ", &error.to_string()])
}

fn read_file(name: &str, path: &OsStr) -> Result<Zeroizing<String>> {
    let path = Path::new(path);
    let fail = |problem| Error::invalid(&[name, ": the file \"", &path.to_string_lossy(), "\" ", problem]);
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
    use super::*;
    use crate::{Config, server::ProjectPair};

    const KEY: &str = "demo0000000000000000000000000key";
    const SECRET: &str = "fake0000000000000000000000000key";

    fn with<T>(variables: &[(&str, &OsStr)], read: impl FnOnce(Environment<'_>) -> Result<T>) -> Result<T> {
        read(Environment(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())))
    }

    fn pair(variables: &[(&str, &str)]) -> Result<ProjectPair> {
        let variables: Vec<_> = variables.iter().map(|(name, text)| (*name, OsStr::new(*text))).collect();
        with(&variables, ProjectPair::read)
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn both_keys_come_from_variables_or_from_files() {
        let read = pair(&[("AMPLITUDE_API_KEY", KEY), ("AMPLITUDE_SECRET_KEY", SECRET)]).unwrap();
        assert_eq!((read.key().as_str(), read.secret().expose()), (KEY, SECRET));
        for end in ["", "\n", "\r\n"] {
            let (key, secret) = (file(format!("{KEY}{end}").as_bytes()), file(format!("{SECRET}{end}").as_bytes()));
            let read = pair(&[
                ("AMPLITUDE_API_KEY_FILE", key.path().to_str().unwrap()),
                ("AMPLITUDE_SECRET_KEY_FILE", secret.path().to_str().unwrap()),
                // Set to nothing is not set.
                ("AMPLITUDE_SECRET_KEY", ""),
            ]);
            let read = read.unwrap();
            assert_eq!((read.key().as_str(), read.secret().expose()), (KEY, SECRET), "{end:?}");
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
            (vec![("AMPLITUDE_SECRET_KEY_FILE", folder.path().to_str().unwrap())], "cannot be read"),
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
