//! A credential whose kind is known only at run time.

use super::{
    Authorization, BodySecret, Both, CanBearer, CanExport, CanIngest, CanVerify, Credential, CredentialError, CredentialKind,
    DeploymentKey, ManagementKey, OrgPair, PersonalAccessToken, Probe, ProfileKey, ProjectPair, ScimKey, Sealed, SecretId,
    ServerDeploymentKey, Target,
};
#[cfg(feature = "oauth")]
use super::{OAuth, ProjectBearer};
use crate::{
    Error, ProjectKey, Result,
    server::{BoxFuture, Client, api::Api},
};

/// A client whose credential is chosen at run time, for an application's state. It has all methods; those that its credential cannot make
/// end in a [`CredentialError::Unable`] before anything is sent.
///
/// ```
/// use amplitude_sdk::{ErrorKind, ProjectKey, server::{AnyClient, Client, ExportRange}};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let client: AnyClient = Client::new(ProjectKey::new("demo0000000000000000000000000key")?)?.into_any();
/// let error = client.export(ExportRange::parse("20260101T00", "20260101T23")?).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unauthorized);
/// assert!(error.to_string().contains("make the client from a `ProjectPair`"));
/// # Ok::<(), amplitude_sdk::Error>(())
/// # }).unwrap();
/// ```
pub type AnyClient = Client<AnyCredential>;

macro_rules! any {
    ($($(#[$gate:meta])* $kind:ident: $api:pat,)*) => {
        /// One credential of any kind.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum AnyCredential {
            $($(#[$gate])* #[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind),)*
            /// A credential of a project and a user's token.
            Both(Box<AnyCredential>, Box<AnyCredential>),
        }

        $($(#[$gate])* impl From<$kind> for AnyCredential {
            fn from(credential: $kind) -> Self {
                Self::$kind(credential)
            }
        })*

        impl AnyCredential {
            /// Its kind; of two, that of the project's.
            #[must_use]
            pub fn kind(&self) -> CredentialKind {
                match self {
                    $($(#[$gate])* Self::$kind(_) => CredentialKind::$kind,)*
                    Self::Both(project, _) => project.kind(),
                }
            }

            /// The one that opens an API.
            fn opens(&self, api: Api) -> Option<&dyn Sealed> {
                match self {
                    $($(#[$gate])* Self::$kind(credential) => matches!(api, $api).then_some(credential as _),)*
                    Self::Both(project, bearer) => {
                        if api == Api::Developer { bearer.opens(api) } else { project.opens(api) }
                    }
                }
            }

            fn all_probes(&self) -> Result<Vec<Probe>> {
                match self {
                    $($(#[$gate])* Self::$kind(credential) => credential.probes(),)*
                    Self::Both(project, bearer) => Ok([project.all_probes()?, bearer.all_probes()?].concat()),
                }
            }
        }
    };
}

any! {
    ProjectKey: Api::Ingestion,
    ProjectPair: Api::Ingestion | Api::Analytics,
    ProfileKey: Api::Profile,
    OrgPair: Api::UserManagement,
    ScimKey: Api::Scim,
    DeploymentKey: Api::Evaluation,
    ServerDeploymentKey: Api::Evaluation,
    ManagementKey: Api::Experiment,
    PersonalAccessToken: Api::Developer,
    #[cfg(feature = "oauth")]
    OAuth: Api::Developer,
    #[cfg(feature = "oauth")]
    ProjectBearer: Api::Analytics,
}

impl<P: Into<Self>, T: Into<Self>> From<Both<P, T>> for AnyCredential {
    fn from(Both(project, bearer): Both<P, T>) -> Self {
        Self::Both(Box::new(project.into()), Box::new(bearer.into()))
    }
}

impl AnyCredential {
    fn unable(&self, api: Api) -> Error {
        CredentialError::Unable { held: self.kind(), call: api.name(), needs: api.needs() }.into()
    }
}

impl Sealed for AnyCredential {
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        match self.opens(target.api) {
            Some(credential) => credential.authorization(target, refused),
            None => Box::pin(async move { Err(self.unable(target.api)) }),
        }
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        let probes = self.all_probes()?;
        if probes.is_empty() {
            let needs = "another kind of credential: this one shows with its first call whether it is good";
            return Err(CredentialError::Unable { held: self.kind(), call: "be verified", needs }.into());
        }
        Ok(probes)
    }
}

impl Credential for AnyCredential {}
impl CanBearer for AnyCredential {}
impl CanExport for AnyCredential {}
impl CanVerify for AnyCredential {}
impl CanIngest for AnyCredential {
    fn project_key(&self) -> Result<&ProjectKey> {
        match self {
            Self::ProjectKey(key) => Ok(key),
            Self::ProjectPair(pair) => Ok(pair.key()),
            Self::Both(project, _) => project.project_key(),
            _ => Err(self.unable(Api::Ingestion)),
        }
    }

    fn body_secret(&self) -> Option<BodySecret> {
        match self {
            Self::ProjectPair(pair) => pair.body_secret(),
            Self::Both(project, _) => project.body_secret(),
            _ => None,
        }
    }
}
