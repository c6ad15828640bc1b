//! `/activate`: where a person enters the code that a device shows, and consents.

use axum::http::Method;

use super::{Asked, consent, pages, pages::Form, params::Params, prefix, scopes::Surface};
use crate::emulator::{
    answer::Answer,
    sealed::{Sealed, mint},
    state::State,
};

pub(super) fn activate(state: &mut State, asked: &Asked) -> Answer {
    if asked.method == Method::POST {
        return decide(state, asked);
    }
    match asked.query() {
        Ok(params) => ask(state, asked, &params),
        Err(_) => pages::broken(),
    }
}

fn ask(state: &mut State, asked: &Asked, params: &Params) -> Answer {
    let now_ms = state.now_ms();
    let action = format!("{}/activate", prefix(asked.region));
    let Some(code) = params.get("user_code") else { return pages::enter_code(&action, false) };
    let token = mint("");
    let Some(device) = state.oauth.waiting(asked.region, code, now_ms) else { return pages::enter_code(&action, true) };
    device.token = Some(Sealed::of(&token));
    let (scopes, user_code) = (device.scopes.clone(), device.user_code.clone());
    pages::consent(&Form {
        action: &action,
        may_lead_to: None,
        title: "A device asks for access",
        app: "The device that shows",
        login_id: &state.oauth.options.login_id,
        notes: &["Allow this only if you have just started it yourself, and it shows this very code."],
        hidden: &[("user_code", &user_code), ("token", &token)],
        scopes: &consent::listed(&state.oauth.catalogue, Surface::Developer, &scopes),
        projects: &consent::projects(state, asked.region, &scopes),
    })
}

fn decide(state: &mut State, asked: &Asked) -> Answer {
    let now_ms = state.now_ms();
    let Ok(form) = asked.form() else { return pages::broken() };
    let code = form.get("user_code").unwrap_or_default();
    let Some(device) = state.oauth.waiting(asked.region, code, now_ms) else {
        return pages::message(
            400,
            "This code is over",
            "It was answered already, or waited too long. Start again on the device.",
        );
    };
    if device.token.is_none() || form.get("token").map(Sealed::of) != device.token {
        return pages::message(403, "This answer is not yours", "It did not come from the page that asked you.");
    }
    let scopes = device.scopes.clone();
    let Ok((granted, project)) = consent::decision(state, asked.region, &scopes, &form) else { return pages::broken() };
    let denied = granted.is_empty();
    let stage = state.oauth.decided(asked.region, granted, project);
    if let Some(device) = state.oauth.waiting(asked.region, code, now_ms) {
        device.stage = stage;
    }
    if denied {
        pages::message(200, "Nothing was granted", "The device is told so. You can close this page.")
    } else {
        pages::message(200, "The device has access", "It goes on by itself. You can close this page.")
    }
}
