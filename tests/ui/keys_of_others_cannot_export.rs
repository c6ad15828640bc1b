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
    let _ = client(pair.clone()).export(range());
    let token = || PersonalAccessToken::new("amp_fake").unwrap();
    let _ = client(pair).with_bearer(token()).export(range());

    let _ = client(ProfileKey::new(secret())).export(range());
    let org = OrgPair::new(OrgKey::new(FAKE).unwrap(), OrgSecretKey::new(FAKE).unwrap());
    let _ = client(org).export(range());
    let _ = client(ScimKey::new(FAKE).unwrap()).export(range());
    let _ = client(DeploymentKey::new("client-demo").unwrap()).export(range());
    let _ = client(ServerDeploymentKey::new("server-fake").unwrap()).export(range());
    let _ = client(ManagementKey::new(FAKE).unwrap()).export(range());
    let _ = client(token()).export(range());
}
