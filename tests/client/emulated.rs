//! Credentials against the emulator, which checks them as Amplitude's documentation says.

use amplitude_sdk::{
    ErrorKind, Event, ProjectKey, Region,
    emulator::{Credential, CredentialKind, CredentialState, DEMO_KEY, DEMO_SECRET, Emulator},
    server::{Client, CredentialError, IngestOptions, Options, PersonalAccessToken, ProjectPair, Refusal, SecretKey, scope},
};

use crate::block_on;

const TOKEN: &str = "amp_fake00000000000000000000token";

fn options(emulator: &Emulator) -> Options {
    Options::new().base_url(emulator.url())
}

fn pair(secret: &str) -> ProjectPair {
    ProjectPair::new(ProjectKey::new(DEMO_KEY).unwrap(), SecretKey::new(secret).unwrap())
}

fn reason(error: &amplitude_sdk::Error) -> &CredentialError {
    error.credential_error().unwrap_or_else(|| panic!("{error:?}"))
}

#[test]
fn a_projects_keys_are_verified_and_wrong_ones_are_not() {
    let emulator = Emulator::builder().start().unwrap();
    let client = Client::with_options(pair(DEMO_SECRET), options(&emulator)).unwrap();
    block_on(client.verify()).unwrap();
    let event = || [Event::builder("Product Purchased").user_id("user123").build().unwrap()];
    block_on(client.ingest(&mut event(), IngestOptions::new())).unwrap();
    block_on(client.verify()).unwrap();
    let wrong = Client::with_options(pair("fake-and-wrong"), options(&emulator)).unwrap();
    let error = block_on(wrong.verify()).unwrap_err();
    assert!(matches!(reason(&error), CredentialError::Refused { .. }), "{error:?}");
    // A key of the US does not open the EU.
    let eu = Options::new().base_url(format!("{}/eu", emulator.url()));
    let error = block_on(Client::with_options(pair(DEMO_SECRET), eu).unwrap().verify()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(matches!(reason(&error), CredentialError::Refused { why: Refusal::WrongRegion, .. }), "{error:?}");
    assert!(error.to_string().contains("AMPLITUDE_REGION"), "{error}");
}

#[test]
fn a_personal_access_token_tells_whose_it_is() {
    let known = Credential::new(CredentialKind::PersonalAccessToken, TOKEN, Region::Us);
    let emulator = Emulator::builder().credential(known).start().unwrap();
    let client = |token: &str| Client::with_options(PersonalAccessToken::new(token).unwrap(), options(&emulator)).unwrap();
    let context = block_on(client(TOKEN).context()).unwrap();
    assert_eq!(context.auth_type, "pat");
    assert!(context.scopes.contains(&scope::PROJECTS_READ), "{context:?}");
    assert!(context.login_id.is_some() && context.org_id.is_some() && context.org_name.is_some(), "{context:?}");
    block_on(client(TOKEN).verify()).unwrap();
    let error = block_on(client("amp_unknown").context()).unwrap_err();
    assert!(matches!(reason(&error), CredentialError::Refused { why: Refusal::Unknown, .. }), "{error:?}");
}

/// What a user reads of a credential that is wrong in one way or another: each time something else, which says what to do.
#[test]
fn each_way_in_which_a_credential_is_wrong_has_its_own_error() {
    const SAID: [(&str, &str); 5] = [
        ("expired", "has expired: get a new one"),
        ("revoked", "was revoked or deleted: get a new one"),
        ("mistyped", "compare with what is shown"),
        ("wrong region", "set the region (Options::region, AMPLITUDE_REGION)"),
        ("missing", "is not set or empty"),
    ];
    let known = Credential::new(CredentialKind::PersonalAccessToken, TOKEN, Region::Us);
    let emulator = Emulator::builder().credential(known).start().unwrap();
    let verify = |secret: &str, options: Options| block_on(Client::with_options(pair(secret), options).unwrap().verify());
    verify(DEMO_SECRET, options(&emulator)).unwrap();
    let ended = |state| {
        assert!(emulator.set_credential_state(DEMO_SECRET, state));
        let error = verify(DEMO_SECRET, options(&emulator)).unwrap_err();
        assert!(emulator.set_credential_state(DEMO_SECRET, CredentialState::Good));
        error
    };
    let errors = [
        ended(CredentialState::Expired),
        ended(CredentialState::Revoked),
        verify("fake0000000000000000000000000kez", options(&emulator)).unwrap_err(),
        verify(DEMO_SECRET, Options::new().base_url(format!("{}/eu", emulator.url()))).unwrap_err(),
        ProjectPair::from_lookup(|name| (name == "AMPLITUDE_API_KEY").then(|| DEMO_KEY.to_owned())).unwrap_err(),
    ];
    for (error, (how, said)) in errors.iter().zip(SAID) {
        assert!(error.to_string().contains(said), "{how}: {error}");
        assert_eq!(error.kind() == ErrorKind::Unauthorized, how != "missing", "{how}: {error:?}");
    }
    verify(DEMO_SECRET, options(&emulator)).unwrap();

    let client = Client::with_options(PersonalAccessToken::new(TOKEN).unwrap(), options(&emulator)).unwrap();
    for (state, why) in [(CredentialState::Expired, Refusal::Expired), (CredentialState::Revoked, Refusal::Revoked)] {
        assert!(emulator.set_credential_state(TOKEN, state));
        let error = block_on(client.context()).unwrap_err();
        assert!(matches!(reason(&error), CredentialError::Refused { why: found, .. } if *found == why), "{error:?}");
    }
    assert!(emulator.set_credential_state(TOKEN, CredentialState::Good));
    assert!(!emulator.set_credential_state("amp_unknown", CredentialState::Revoked), "there is none");
    block_on(client.context()).unwrap();
}
