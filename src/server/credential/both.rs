//! Two credentials in one client.

use super::{Authorization, BodySecret, CanBearer, CanExport, CanIngest, CanVerify, Credential, Probe, Sealed, SecretId, Target};
use crate::{
    ProjectKey, Result,
    server::{BoxFuture, api::Api},
};

/// A credential of a project, and a user's token beside it: what the one cannot do, the other can. Made by [`super::super::Client::with_bearer`].
///
/// The token goes to the Developer API, the project's credential to all else.
#[derive(Clone, Debug)]
pub struct Both<P, T>(pub P, pub T);

impl<P: Credential, T: CanBearer> Sealed for Both<P, T> {
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        match target.api {
            Api::Developer => self.1.authorization(target, refused),
            _ => self.0.authorization(target, refused),
        }
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        Ok([self.0.probes()?, self.1.probes()?].concat())
    }
}

impl<P: Credential, T: CanBearer> Credential for Both<P, T> {}
impl<P: CanExport, T: CanBearer> CanExport for Both<P, T> {}
impl<P: Credential, T: CanBearer> CanBearer for Both<P, T> {}
impl<P: CanVerify, T: CanBearer + CanVerify> CanVerify for Both<P, T> {}
impl<P: CanIngest, T: CanBearer> CanIngest for Both<P, T> {
    fn project_key(&self) -> Result<&ProjectKey> {
        self.0.project_key()
    }

    fn body_secret(&self) -> Option<BodySecret> {
        self.0.body_secret()
    }
}
