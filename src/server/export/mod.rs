//! Export: all events of a range of hours, decoded while the archive is being received.
//!
//! Source: "Export API", amplitude.com/docs, read 2026-03-13.

mod archive;
mod event;
mod lines;
mod range;

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use reqwest::Method;

use self::lines::{Lines, Step};
pub use self::{event::ExportedEvent, range::ExportRange};
use crate::{
    Error, ErrorKind, Result,
    server::{
        CanExport, Client,
        client::{send, status_error, transport_error},
    },
};

/// What an export found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Export {
    /// The events of the range.
    Events(ExportedEvents),
    /// The range holds no event: Amplitude answers that with 404 and no archive.
    NoData,
}

impl<C: CanExport> Client<C> {
    /// Exports the events that were uploaded in a range of hours. They arrive while the archive does, so memory does not grow with it.
    ///
    /// An hour can be exported about two hours after it ended.
    ///
    /// ```no_run
    /// use amplitude_sdk::server::{Client, Export, ExportRange, ProjectPair};
    ///
    /// # async fn run() -> amplitude_sdk::Result<()> {
    /// let client = Client::new(ProjectPair::from_env()?)?;
    /// if let Export::Events(mut events) = client.export(ExportRange::parse("20260101T00", "20260101T23")?).await? {
    ///     while let Some(event) = events.next().await {
    ///         let event = event?;
    ///         println!("{} {:?}", event.event_type(), event.user_id());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for a range of more than 4 GB, and [`ErrorKind::Status`] with 504 for one that took Amplitude too long:
    /// [split](ExportRange::split) it. [`ErrorKind::Unauthorized`] for a wrong key, secret key or region; [`ErrorKind::Transport`] and
    /// [`ErrorKind::Timeout`] by what happens on the way.
    pub async fn export(&self, range: ExportRange) -> Result<Export> {
        let (start, end) = range.texts();
        let request = self.analytics(Method::GET, "/api/2/export")?.query(&[("start", start), ("end", end)]);
        let response = send(request).await?;
        match response.status().as_u16() {
            200 => Ok(Export::Events(ExportedEvents {
                body: Box::pin(response.bytes_stream()),
                lines: Box::new(Lines::new()),
                state: State::Open,
            })),
            404 => Ok(Export::NoData),
            // The range was checked when it was made, so that this is the other documented reason.
            400 => Err(Error::new(ErrorKind::TooLarge, "the export is larger than 4 GB; split its range").with_status(400)),
            504 => {
                Err(Error::new(ErrorKind::Status, "Amplitude could not make the export in time; split its range")
                    .with_status(504))
            }
            _ => Err(status_error(&response)),
        }
    }
}

/// The events of an export, as they arrive: a [`Stream`], with [`ExportedEvents::next`] for those who need no more.
///
/// A line that is no event is an error of its own, with its file and line number, and the rest goes on. An archive that is cut off or broken
/// ends with an error.
pub struct ExportedEvents {
    body: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    lines: Box<Lines>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Open,
    /// Nothing more comes from the server.
    Received,
    Done,
}

impl ExportedEvents {
    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] for a line or an archive that cannot be read, [`ErrorKind::Transport`] when the connection breaks.
    pub async fn next(&mut self) -> Option<Result<ExportedEvent>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// After an error of the archive itself nothing can follow.
    fn end(&mut self, error: Error) -> Poll<Option<Result<ExportedEvent>>> {
        self.state = State::Done;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for ExportedEvents {
    type Item = Result<ExportedEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.state == State::Done {
                return Poll::Ready(None);
            }
            match self.lines.step() {
                Ok(Step::Line(line)) => return Poll::Ready(Some(line.and_then(ExportedEvent::read))),
                Ok(Step::End) => {
                    self.state = State::Done;
                    continue;
                }
                Ok(Step::NeedInput) if self.state == State::Received => {
                    let error = self.lines.cut_off();
                    return self.end(error);
                }
                Ok(Step::NeedInput) => {}
                Err(error) => return self.end(error),
            }
            match self.body.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.lines.feed(&bytes),
                Poll::Ready(Some(Err(error))) => return self.end(transport_error(error)),
                Poll::Ready(None) => self.state = State::Received,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl fmt::Debug for ExportedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportedEvents")
    }
}
