//! Export: all events of a range of hours, decoded while the archive is being received.
//!
//! Source: "Export API", amplitude.com/docs, read 2026-03-13.

mod archive;
mod event;
mod lines;
mod range;
mod records;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use reqwest::Method;

use self::lines::{Lines, Step};
pub use self::{event::ExportedEvent, range::ExportRange};
use crate::{
    Error, ErrorKind, Result, limits,
    server::{
        CanExport, Client, Credential,
        api::Api,
        call::{Answer, Call},
        client::{Pace, status_error, transport_error},
        runtime::Runtime,
        usage::Meter,
    },
};

/// What an export found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Export {
    /// The events of the range.
    Events(ExportedEvents),
    /// The range holds no event, or none that can be exported yet: Amplitude answers that with 404 and no archive.
    NoData,
}

impl<C: Credential> Client<C> {
    /// Exports the events that were uploaded in a range of hours. They arrive while the archive does, so memory does not grow with it.
    ///
    /// An hour can be exported about two hours after it ended. One export holds at most 365 days and 4 GB; [`ExportRange::split`] cuts a
    /// longer range into several.
    ///
    /// ```no_run
    /// use amplitude_sdk::server::{Client, Export, ExportRange, ProjectPair};
    ///
    /// # async fn run() -> amplitude_sdk::Result<()> {
    /// let client = Client::new(ProjectPair::from_env()?)?;
    /// for day in ExportRange::parse("20260101T00", "20260131T23")?.split(24) {
    ///     let Export::Events(mut events) = client.export(day).await? else { continue };
    ///     while let Some(event) = events.next().await {
    ///         match event {
    ///             Ok(event) => println!("{} {:?}", event.event_type(), event.event_property("price")),
    ///             // One line or one file of the archive; whether more comes, the next call tells.
    ///             Err(error) => eprintln!("{day}: {error}"),
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a range of more than 365 days, [`ErrorKind::TooLarge`] for one of more than 4 GB, and
    /// [`ErrorKind::Status`] with 504 for one that took Amplitude too long: [split](ExportRange::split) it. [`ErrorKind::Unauthorized`]
    /// for a wrong key, secret key or region; [`ErrorKind::NotFound`] for a 404 that is a web page and not Amplitude's,
    /// [`ErrorKind::Protocol`] for a redirect; [`ErrorKind::Throttled`], [`ErrorKind::Status`], [`ErrorKind::Transport`] and
    /// [`ErrorKind::Timeout`] by what happens on the way.
    pub async fn export(&self, range: ExportRange) -> Result<Export>
    where
        // Here and not at the `impl`, so that the compiler says which credential can.
        C: CanExport,
    {
        if range.hours() > limits::EXPORT_DAYS * 24 {
            return Err(Error::invalid(&["range: is longer than the 365 days of one export; split it"]));
        }
        let (start, end) = range.texts();
        let call = Call { api: Api::Analytics, method: Method::GET, path: "/api/2/export", pace: Pace::Patient, scope: None };
        let answer = self.call(call, |request| request.query(&[("start", &start), ("end", &end)])).await?;
        if answer.response.status().as_u16() != 200 {
            return self.refusal(answer).await;
        }
        let Answer { response, meter } = answer;
        Ok(Export::Events(ExportedEvents {
            runtime: self.core.runtime.clone(),
            meter,
            body: Some(Box::pin(response.bytes_stream())),
            lines: Box::new(Lines::new()),
            state: State::Open,
        }))
    }

    /// What a status other than 200 means. 400 and 404 have a documented meaning, which a web page of something in between must not borrow.
    async fn refusal(&self, answer: Answer) -> Result<Export> {
        let (status, error) = (answer.response.status().as_u16(), status_error(&answer.response));
        if status == 504 {
            let split = "Amplitude could not make the export in time; split its range";
            return Err(Error::new(ErrorKind::Status, split).with_status(504));
        }
        if status != 400 && status != 404 {
            return Err(error);
        }
        let body = self.core.read(answer, MAX_REFUSAL_BYTES).await?;
        if is_no_data(status, &body) {
            return Ok(Export::NoData);
        }
        if status == 400 && !is_page(&body) {
            // The range was checked before it was sent, so that this is the other documented reason.
            return Err(Error::new(ErrorKind::TooLarge, "the export is larger than 4 GB; split its range").with_status(400));
        }
        Err(error)
    }
}

/// A page of a proxy or of a load balancer explains itself within this.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// Whether an answer is Amplitude's own 404, with which it says that there is nothing to export.
pub(super) fn is_no_data(status: u16, body: &str) -> bool {
    status == 404 && (!is_page(body) || body.to_lowercase().contains("raw data files were not found"))
}

fn is_page(body: &str) -> bool {
    body.trim_start().starts_with('<')
}

/// The events of an export, as they arrive: a [`Stream`], with [`ExportedEvents::next`] for those who need no more of it.
///
/// A line that is no event is an error of its own, with its file and line number, and the rest goes on; so it is with a file that is broken,
/// where its end can be found. An error of the archive as a whole, or of the connection, is the last item.
///
/// A file's checksum stands at its end: where it turns out to be wrong, the error comes behind the events of that file.
pub struct ExportedEvents {
    runtime: Runtime,
    meter: Meter,
    /// `None` when nothing more is expected from the server.
    body: Option<Body>,
    lines: Box<Lines>,
    state: State,
}

type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    /// Nothing more comes from the server.
    Received,
    Done,
}

impl ExportedEvents {
    /// The next event; `None` after the last, and after an error of the archive or of the connection.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] for a line, a file or an archive that cannot be read, [`ErrorKind::Transport`] when the connection breaks,
    /// [`ErrorKind::Timeout`] when the server falls silent.
    pub async fn next(&mut self) -> Option<Result<ExportedEvent>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Takes more of the archive from the server.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
        match ready!(self.runtime.poll(|| body.as_mut().poll_next(cx))) {
            Some(Ok(bytes)) => {
                self.meter.received(bytes.len());
                self.lines.feed(&bytes);
            }
            Some(Err(error)) => return Poll::Ready(Err(transport_error(error))),
            None => self.state = State::Received,
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing follows: the connection is let go.
    fn end(&mut self) {
        self.state = State::Done;
        self.body = None;
    }
}

impl Stream for ExportedEvents {
    type Item = Result<ExportedEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while self.state != State::Done {
            let fatal = match self.lines.step() {
                Ok(Step::Line(line)) => {
                    let event =
                        line.and_then(|json| ExportedEvent::read(json).map_err(|problem| self.lines.broken_line(&problem)));
                    return Poll::Ready(Some(event));
                }
                Ok(Step::NeedInput) if self.state == State::Open => match ready!(self.poll_receive(cx)) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Ok(Step::NeedInput) => self.lines.cut_off(),
                Ok(Step::End) => break,
                Err(error) => error,
            };
            self.end();
            return Poll::Ready(Some(Err(fatal)));
        }
        self.end();
        Poll::Ready(None)
    }
}

impl fmt::Debug for ExportedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportedEvents")
    }
}
