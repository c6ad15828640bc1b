//! What an application that uses OAuth is told by its environment.

use std::{fmt, sync::Arc};

use crate::{
    Error, Result,
    server::{
        ClientSecret, ScopeSet, SecretSource,
        env::{Environment, from_environment},
    },
};

/// An OAuth application as its environment describes it.
///
/// | Variable | Meaning |
/// | --- | --- |
/// | `AMPLITUDE_OAUTH_CLIENT_ID` | the client's id; it must be there |
/// | `AMPLITUDE_OAUTH_CLIENT_SECRET` | its secret; none for a public client |
/// | `AMPLITUDE_OAUTH_REDIRECT_URI` | where users come back to |
/// | `AMPLITUDE_OAUTH_SCOPES` | the scopes to ask for, with spaces between them; none is not "all" |
/// | `AMPLITUDE_OAUTH_ISSUER` | the authorization server, in place of Amplitude's |
///
/// ```
/// use amplitude_sdk::server::oauth::OAuthSettings;
///
/// let settings = OAuthSettings::from_lookup(|name| match name {
///     "AMPLITUDE_OAUTH_CLIENT_ID" => Some("my-application".to_owned()),
///     "AMPLITUDE_OAUTH_SCOPES" => Some("mcp:read offline_access".to_owned()),
///     _ => None,
/// })?;
/// assert_eq!(settings.client_id, "my-application");
/// assert!(settings.client_secret.is_none());
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct OAuthSettings {
    /// The client's id.
    pub client_id: String,
    /// Gives its secret, and a newer one once its file has changed; `None` for a public client.
    pub client_secret: Option<Arc<dyn SecretSource>>,
    /// Where users come back to.
    pub redirect_uri: Option<String>,
    /// The scopes to ask for.
    pub scopes: ScopeSet,
    /// The authorization server, in place of Amplitude's.
    pub issuer: Option<String>,
}

impl OAuthSettings {
    fn read(environment: Environment<'_>) -> Result<Self> {
        let text = |name| Ok::<_, Error>(environment.text(name)?.map(|text| text.to_string()));
        let scopes = match environment.text("AMPLITUDE_OAUTH_SCOPES")? {
            Some(scopes) => scopes.parse().map_err(|error: Error| Error::at("AMPLITUDE_OAUTH_SCOPES", error.message()))?,
            None => ScopeSet::new(),
        };
        Ok(Self {
            client_id: environment.required("AMPLITUDE_OAUTH_CLIENT_ID", |id| Ok(id.to_owned()))?,
            client_secret: environment.source("AMPLITUDE_OAUTH_CLIENT_SECRET", |text| ClientSecret::new(text).map(drop))?,
            redirect_uri: text("AMPLITUDE_OAUTH_REDIRECT_URI")?,
            scopes,
            issuer: text("AMPLITUDE_OAUTH_ISSUER")?,
        })
    }
}

from_environment!(OAuthSettings, "AMPLITUDE_OAUTH_CLIENT_ID", "AMPLITUDE_OAUTH_CLIENT_SECRET", "AMPLITUDE_OAUTH_REDIRECT_URI");

/// Without the secret.
impl fmt::Debug for OAuthSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthSettings")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret.as_ref().map(|secret| secret.name()))
            .field("redirect_uri", &self.redirect_uri)
            .field("scopes", &self.scopes)
            .field("issuer", &self.issuer)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<OAuthSettings> {
        OAuthSettings::from_lookup(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn all_is_read_and_the_secret_is_not_shown() {
        let settings = read(&[
            ("AMPLITUDE_OAUTH_CLIENT_ID", "id"),
            ("AMPLITUDE_OAUTH_CLIENT_SECRET", "sentinel"),
            ("AMPLITUDE_OAUTH_REDIRECT_URI", "https://app.example.com/callback"),
            ("AMPLITUDE_OAUTH_SCOPES", "mcp:read  offline_access"),
            ("AMPLITUDE_OAUTH_ISSUER", "https://auth.example.com"),
        ])
        .unwrap();
        assert_eq!(settings.scopes.to_string(), "mcp:read offline_access");
        assert_eq!(settings.issuer.as_deref(), Some("https://auth.example.com"));
        assert_eq!(settings.redirect_uri.as_deref(), Some("https://app.example.com/callback"));
        let shown = format!("{settings:?} {settings:#?}");
        assert!(shown.contains("AMPLITUDE_OAUTH_CLIENT_SECRET") && !shown.contains("sentinel"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (variables, said) in [
            (&[][..], "AMPLITUDE_OAUTH_CLIENT_ID: is not set"),
            (
                &[("AMPLITUDE_OAUTH_CLIENT_ID", "id"), ("AMPLITUDE_OAUTH_SCOPES", "a \u{e9}")],
                "AMPLITUDE_OAUTH_SCOPES: scope: holds",
            ),
            (
                &[("AMPLITUDE_OAUTH_CLIENT_ID", "id"), ("AMPLITUDE_OAUTH_CLIENT_SECRET", "a\nb")],
                "AMPLITUDE_OAUTH_CLIENT_SECRET: client secret: holds",
            ),
            (
                &[
                    ("AMPLITUDE_OAUTH_CLIENT_ID", "id"),
                    ("AMPLITUDE_OAUTH_CLIENT_SECRET", "a"),
                    ("AMPLITUDE_OAUTH_CLIENT_SECRET_FILE", "b"),
                ],
                "AMPLITUDE_OAUTH_CLIENT_SECRET: is set, and so is",
            ),
        ] {
            let error = read(variables).expect_err(said);
            assert!(error.to_string().starts_with(said), "{error}");
        }
    }
}
