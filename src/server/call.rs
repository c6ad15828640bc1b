//! The one path that every call takes: what authorises it, what is tried again, who hears of it.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, header::WWW_AUTHENTICATE};
use url::Url;

use crate::{
    Error, Result,
    platform::http,
    server::{
        AuthEvent, Client, Credential, Scope,
        api::Api,
        client::{Core, Pace, transport_error},
        credential::{Authorization, Refused, Sealed, Target},
        usage::Meter,
    },
};

/// A server explains a refusal within this.
const MAX_REFUSAL_BYTES: usize = 16 << 10;
const MAX_REFUSAL_TIME: Duration = Duration::from_secs(10);

/// A call of an API.
pub(super) struct Call<'a> {
    pub(super) api: Api,
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) pace: Pace,
    /// What it needs, where that is known.
    pub(super) scope: Option<&'a Scope>,
}

/// What a server answered, and who counts the bytes that come.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) meter: Meter,
}

impl<C: Credential> Client<C> {
    /// Makes a call with the client's credential; `fill` adds what the call needs beside it.
    pub(super) async fn call(
        &self,
        call: Call<'_>,
        fill: impl Fn(RequestBuilder) -> RequestBuilder + Send + Sync,
    ) -> Result<Answer> {
        self.core.call(&self.credential, call, |request, _| fill(request)).await
    }
}

impl Core {
    /// Makes a call with a credential. Whatever status comes back is an answer, not an error, but for a refusal of the credential: the call
    /// is repeated with another one where there is one.
    pub(super) async fn call(
        &self,
        credential: &dyn Sealed,
        call: Call<'_>,
        fill: impl Fn(RequestBuilder, &Authorization) -> RequestBuilder + Send + Sync,
    ) -> Result<Answer> {
        let url = self.url(call.api, call.path)?;
        let target = Target { api: call.api, url: &url, observers: &self.observers };
        let (mut refused, mut refusal) = (Vec::new(), None);
        loop {
            let next = self.runtime.run(credential.authorization(target, &refused)).await?;
            let Some(authorization) = next else {
                // There is always one to begin with, and each that was refused has left its error.
                return Err(refusal.unwrap_or_else(|| Error::invalid(&["credential: holds nothing to authorise a call with"])));
            };
            if authorization.kind.is_bearer() {
                let (host, scope) = (url.host_str().unwrap_or_default(), authorization.scope.as_ref().or(call.scope));
                self.observers.tell(&AuthEvent::BearerUsed { host, scope });
            }
            let request = self.http(call.pace).request(call.method.clone(), url.clone());
            let answer = self.send(fill(authorization.apply(request), &authorization), &authorization).await?;
            if !matches!(answer.response.status().as_u16(), 401 | 403) {
                return Ok(answer);
            }
            let error = self.refusal(answer, &authorization, &url).await?;
            refused.push(authorization.id);
            refusal = Some(error);
        }
    }

    async fn send(&self, request: RequestBuilder, authorization: &Authorization) -> Result<Answer> {
        let (client, request) = request.build_split();
        let request = request.map_err(transport_error)?;
        let meter = Meter::new(self.usage.as_ref(), &self.observers, authorization);
        meter.sent(request.body().and_then(|body| body.as_bytes()).map_or(0, <[u8]>::len));
        let response = self.runtime.run(async { client.execute(request).await.map_err(transport_error) }).await?;
        meter.answered(response.status().as_u16());
        Ok(Answer { response, meter })
    }

    /// What a 401 or 403 means: as an error of this call, where no other credential helps.
    async fn refusal(&self, answer: Answer, authorization: &Authorization, url: &Url) -> Result<Error> {
        let status = answer.response.status().as_u16();
        let challenge = answer.response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let challenge = challenge.unwrap_or_default().to_owned();
        let body = self.read(answer, MAX_REFUSAL_BYTES);
        // An explanation that breaks off, or that takes for ever, is none.
        let body = self.runtime.run(async { tokio::time::timeout(MAX_REFUSAL_TIME, body).await });
        let body = body.await.ok().and_then(Result::ok).unwrap_or_default();
        let refused = Refused { status, host: url.host_str().unwrap_or_default(), challenge: &challenge, body: &body };
        let meaning = refused.meaning(authorization);
        if let Some(needed) = &meaning.missing {
            self.observers.tell(&AuthEvent::InsufficientScope { needed });
        }
        if !meaning.is_credential {
            return Err(meaning.error);
        }
        self.observers.tell(&AuthEvent::CredentialRefused { fingerprint: authorization.id.fingerprint });
        Ok(meaning.error)
    }

    /// The text of an answer, and no more of it than that.
    pub(super) async fn read(&self, answer: Answer, max: usize) -> Result<String> {
        let Answer { response, meter } = answer;
        let text = self.runtime.run(http::read_capped(response, max)).await.map_err(transport_error)?;
        meter.received(text.len());
        Ok(text)
    }
}
