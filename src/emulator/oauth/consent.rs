//! What a person says to an application: the page that asks, and its answer.

use super::{
    Asked,
    authorize::{AuthorizationRequest, moved},
    failure::Failure,
    pages::{self, Form},
    params::Params,
    prefix, redirect,
    scopes::{Catalogue, Scopes, Surface},
};
use crate::{
    Region,
    emulator::{answer::Answer, sealed::Sealed, state::State},
};

pub(super) fn page(state: &State, request: &AuthorizationRequest, id: &str, token: &str) -> Answer {
    let oauth = &state.oauth;
    let app = request.app.as_deref().unwrap_or("An application without a name");
    let back = redirect::origin(&request.redirect_uri);
    let note = format!("You will be sent back to {back}.");
    pages::consent(&Form {
        action: &format!("{}/authorize", prefix(request.region)),
        may_lead_to: Some(&redirect::source(&request.redirect_uri)),
        title: &format!("{app} asks for access"),
        app,
        login_id: &oauth.options.login_id,
        notes: &[&note],
        hidden: &[("request", id), ("token", token)],
        scopes: &listed(&oauth.catalogue, Surface::Mcp, &request.scopes),
        projects: &projects(state, request.region, &request.scopes),
    })
}

/// Scopes with what they mean, in the catalogue's order.
pub(super) fn listed<'a>(catalogue: &'a Catalogue, surface: Surface, scopes: &Scopes) -> Vec<(&'a str, &'a str)> {
    catalogue.of(surface).filter(|(name, _)| scopes.has(name)).collect()
}

/// The projects to choose from, where one is to be chosen: key and number.
pub(super) fn projects(state: &State, region: Region, scopes: &Scopes) -> Vec<(String, u64)> {
    if !state.oauth.catalogue.need_a_project(scopes) {
        return Vec::new();
    }
    state.projects_of(region).map(|it| (it.project.key.clone(), it.id)).collect()
}

/// What a form says: the scopes of these that were granted, which are none where access was denied, and the project.
pub(super) fn decision(
    state: &State,
    region: Region,
    asked: &Scopes,
    form: &Params,
) -> Result<(Scopes, Option<String>), Failure> {
    let granted = match form.need("decision")? {
        "allow" => asked.and(&form.all("scope").collect()),
        "deny" => Scopes::default(),
        _ => return Err(Failure::request("decision: must be allow or deny")),
    };
    let project = match form.get("project") {
        Some(key) => Some(
            state
                .projects_of(region)
                .find(|it| it.project.key == key)
                .ok_or_else(|| Failure::request("project: is not known"))?,
        ),
        None => state.projects_of(region).next(),
    };
    Ok((granted, project.map(|it| it.project.key.clone())))
}

pub(super) fn decide(state: &mut State, asked: &Asked) -> Answer {
    let now_ms = state.now_ms();
    let Ok(form) = asked.form() else { return pages::broken() };
    let id = form.get("request").unwrap_or_default();
    let found = state.oauth.requests.get(id).filter(|it| it.region == asked.region && it.expires_ms > now_ms);
    let Some(request) = found.cloned() else {
        let text = "It was answered already, or waited too long. Start again from the application.";
        return pages::message(400, "This request is over", text);
    };
    if form.get("token").map(Sealed::of) != request.token {
        return pages::message(403, "This answer is not yours", "It did not come from the page that asked you.");
    }
    let (granted, project) = match decision(state, asked.region, &request.scopes, &form) {
        Ok(decision) => decision,
        Err(_) => return pages::broken(),
    };
    state.oauth.requests.remove(id);
    moved(303, &state.oauth.settle(request, granted, project, now_ms))
}
