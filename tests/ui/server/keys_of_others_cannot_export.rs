//! Each credential opens its own API and no other: those of organizations, of Experiment and of users export nothing.

use amplitude_sdk::{
    ProjectKey,
    server::{
        Client, Credential, DeploymentKey, ExportRange, ManagementKey, OrgKey, OrgPair, OrgSecretKey, PersonalAccessToken,
        ProfileKey, ProjectPair, ScimKey, SecretKey, ServerDeploymentKey,
    },
};

const FAKE: &str = "fake0000000000000000000000000key";

fn range() -> ExportRange {
    ExportRange::parse("20260101T00", "20260101T23").unwrap()
}

fn client<C: Credential>(credential: C) -> Client<C> {
    Client::new(credential).unwrap()
}

fn main() {
    let secret = || SecretKey::new(FAKE).unwrap();
    let pair = ProjectPair::new(ProjectKey::new("demo0000000000000000000000000key").unwrap(), secret());
    drop(client(pair.clone()).export(range()));
    let token = || PersonalAccessToken::new("amp_fake").unwrap();
    drop(client(pair).with_bearer(token()).export(range()));

    drop(client(ProfileKey::new(secret())).export(range())); //~ E0277 ProfileKey` cannot export events
    //~^ make the client from a `server::ProjectPair`
    let org = OrgPair::new(OrgKey::new(FAKE).unwrap(), OrgSecretKey::new(FAKE).unwrap());
    drop(client(org).export(range())); //~ E0277 OrgPair` cannot export events
    drop(client(ScimKey::new(FAKE).unwrap()).export(range())); //~ E0277 ScimKey` cannot export events
    drop(client(DeploymentKey::new("client-demo").unwrap()).export(range())); //~ E0277 DeploymentKey` cannot export events
    drop(client(ServerDeploymentKey::new("server-fake").unwrap()).export(range())); //~ E0277 ServerDeploymentKey` cannot export
    drop(client(ManagementKey::new(FAKE).unwrap()).export(range())); //~ E0277 ManagementKey` cannot export events
    drop(client(token()).export(range())); //~ E0277 PersonalAccessToken` cannot export events
}
