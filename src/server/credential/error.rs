//! Why a credential did not do, and what to do next.

use std::{error::Error as StdError, fmt};

use super::CredentialKind;
use crate::{Error, ErrorKind, server::ScopeSet};

/// Why a call was not allowed: the [`Error::credential_error`] of an [`Error`] of kind [`ErrorKind::Unauthorized`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CredentialError {
    /// The client's credential is not of the kind that the call takes: nothing was sent. Only an [`super::AnyCredential`] meets this; with
    /// the others such a call does not compile.
    Unable {
        /// What the client holds.
        held: CredentialKind,
        /// What was called for.
        call: &'static str,
        /// Which credential can.
        needs: &'static str,
    },
    /// The server refuses the credential.
    Refused {
        /// Which one it was.
        kind: CredentialKind,
        /// Why, as far as the server tells.
        why: Refusal,
        /// The host that was asked.
        host: String,
    },
    /// The credential is good, but may not do this (403).
    Forbidden {
        /// Which one it was.
        kind: CredentialKind,
        /// The host that was asked.
        host: String,
    },
    /// The credential's scopes do not allow this.
    InsufficientScope {
        /// The scopes that are missing, where they are known.
        needed: ScopeSet,
    },
    /// A bearer token was refused by an API that, as far as Amplitude's public documentation goes, takes none.
    BearerUndocumented {
        /// The host that was asked.
        host: String,
    },
}

/// Why a server refuses a credential.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// It has expired.
    Expired,
    /// It was revoked or deleted.
    Revoked,
    /// It is of another region.
    WrongRegion,
    /// The server does not say, or does not know the credential.
    Unknown,
}

impl Refusal {
    /// Reads the server's own words, where they are its own and not a page of something in between.
    pub(crate) fn read(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if text.trim_start().starts_with('<') {
            Self::Unknown
        } else if says(&["expired"]) {
            Self::Expired
        } else if says(&["revoked", "deleted", "disabled", "deactivated"]) {
            Self::Revoked
        } else if says(&["region", "data center", "datacenter"]) {
            Self::WrongRegion
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unable { held, call, needs } => {
                write!(f, "{held} cannot {call}: make the client from {needs}")
            }
            Self::Refused { kind, why: Refusal::Expired, .. } => {
                write!(f, "{kind} has expired: get a new one ({})", kind.place())
            }
            // Nobody puts such a token anywhere.
            Self::Refused {
                kind: kind @ (CredentialKind::OAuth | CredentialKind::ProjectBearer), why: Refusal::Revoked, ..
            } => {
                write!(f, "{kind} was revoked: get a new one ({})", kind.place())
            }
            Self::Refused { kind, why: Refusal::Revoked, .. } => write!(
                f,
                "{kind} was revoked or deleted: get a new one ({}) and put it where the old one is read from",
                kind.place()
            ),
            Self::Refused { kind, why: Refusal::WrongRegion, host } => write!(
                f,
                "{kind} is of another region than {host}: what belongs to an EU project works on EU hosts only, and the other way \
                 round; set the region (Options::region, AMPLITUDE_REGION)"
            ),
            // Nobody sees such a token, so that there is nothing to compare it with.
            Self::Refused {
                kind: kind @ (CredentialKind::OAuth | CredentialKind::ProjectBearer),
                why: Refusal::Unknown,
                host,
            } => {
                write!(
                    f,
                    "{host} does not take {kind}: get a new one ({}); and check the region, because tokens of an EU organization work \
                     on EU hosts only",
                    kind.place()
                )
            }
            Self::Refused { kind, why: Refusal::Unknown, host } => write!(
                f,
                "{host} does not take {kind}: compare with what is shown ({}), whole and without white space; if it was revoked or \
                 replaced, use the new one; check the region, because keys of an EU project work on EU hosts only; and see that the project's plan \
                 has this API",
                kind.place()
            ),
            Self::Forbidden { kind, host } => {
                write!(f, "{host} knows {kind} but does not allow this call: ask who manages the organization for the right")
            }
            Self::InsufficientScope { needed } if needed.is_empty() => {
                f.write_str("the credential's scopes do not allow this call: make one that has more")
            }
            Self::InsufficientScope { needed } => {
                write!(f, "the credential lacks scopes that this call needs: {needed}; make one that has them")
            }
            Self::BearerUndocumented { host } => write!(
                f,
                "{host} refuses the bearer token: Amplitude's public documentation shows bearer tokens only on the Developer API and \
                 MCP; use a `ProjectPair`, or ask Amplitude whether your application's scopes open this API"
            ),
        }
    }
}

impl StdError for CredentialError {}

impl From<CredentialError> for Error {
    fn from(error: CredentialError) -> Self {
        Self::new(ErrorKind::Unauthorized, error.to_string()).speaking_for(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_words_tell_why() {
        for (text, why) in [
            ("Invalid Api-Key", Refusal::Unknown),
            ("", Refusal::Unknown),
            (r#"Bearer error="invalid_token", error_description="The access token expired""#, Refusal::Expired),
            (r#"{"error":"API key has been REVOKED"}"#, Refusal::Revoked),
            (r#"{"error":"this key belongs to the EU data center"}"#, Refusal::WrongRegion),
            ("<html>your session expired, log in</html>", Refusal::Unknown),
        ] {
            assert_eq!(Refusal::read(text), why, "{text}");
        }
    }

    #[test]
    fn each_refusal_says_what_to_do_next() {
        let texts = [Refusal::Expired, Refusal::Revoked, Refusal::WrongRegion, Refusal::Unknown].map(|why| {
            CredentialError::Refused { kind: CredentialKind::ProjectPair, why, host: "amplitude.com".to_owned() }.to_string()
        });
        for (text, said) in texts.iter().zip(["has expired: get a new one", "was revoked", "set the region", "EU hosts only"]) {
            assert!(text.contains(said), "{text}");
        }
        let kinds = [(CredentialKind::OAuth, "get a new one (a new login"), (CredentialKind::ScimKey, "compare with")];
        for (kind, said) in kinds {
            let text = CredentialError::Refused { kind, why: Refusal::Unknown, host: "h".to_owned() }.to_string();
            assert!(text.contains(said), "{text}");
        }
        let different: std::collections::BTreeSet<_> = texts.iter().collect();
        assert_eq!(different.len(), 4);
    }
}
