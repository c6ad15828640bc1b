//! Dead letters: events that were refused or given up, kept for somebody to look at, mend and send again. Both targets; the driver adds, the
//! client lists.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    fmt,
};

use crate::{
    DropReason, Error, Event, Outcome, RejectReason, Rejection, Result,
    json::{self, Kind, Malformed, Reader},
    purge::Whose,
    store::LetterFile,
};

/// An event that was refused or given up, with the reason.
///
/// From [`crate::Client::dead_letters`]. `Debug` shows the reason, never the event.
#[derive(Clone, Eq, PartialEq)]
pub struct DeadLetter {
    insert_id: String,
    outcome: Outcome,
    unix_ms: u64,
    event: String,
}

impl DeadLetter {
    /// The event's insert id, by which Amplitude knows it.
    #[must_use]
    pub fn insert_id(&self) -> &str {
        &self.insert_id
    }

    /// What became of the event, and why.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// When it was given up, in milliseconds since 1970.
    #[must_use]
    pub fn given_up_ms(&self) -> u64 {
        self.unix_ms
    }

    /// The event as it was sent, with its time and its insert id.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] when the letter was changed and is no event any more.
    pub fn event(&self) -> Result<Event> {
        Event::from_json(&self.event)
    }

    /// The letter as one line of JSON, as the disk store keeps it: `insert_id`, `outcome` (`"rejected"`, `"unknown"` or
    /// `"dropped"`), `given_up_ms`, `event` as it was sent, and where there are any, the `reason` and the `field` that the reason names.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::from("{\"insert_id\":");
        json::push_string(&mut text, &self.insert_id);
        let (outcome, reason, field) = names(&self.outcome);
        for (name, value) in [(",\"outcome\":", outcome), (",\"reason\":", reason), (",\"field\":", field)] {
            if !value.is_empty() {
                text.push_str(name);
                json::push_string(&mut text, value);
            }
        }
        text.push_str(",\"given_up_ms\":");
        json::push_unsigned(&mut text, self.unix_ms);
        text.push_str(",\"event\":");
        text.push_str(&self.event);
        text.push('}');
        text
    }

    /// Reads what [`DeadLetter::to_json`] wrote.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that says what is missing or wrong.
    pub fn from_json(text: &str) -> Result<Self> {
        let [insert_id, outcome, reason, field, at, event] =
            fields(text, ["insert_id", "outcome", "reason", "field", "given_up_ms", "event"])?;
        let [insert_id, outcome, reason, field] =
            [("insert_id", insert_id), ("outcome", outcome), ("reason", reason), ("field", field)]
                .map(|(name, json)| string(name, json));
        let (insert_id, outcome) = (insert_id?, outcome?);
        let outcome = outcome_of(&outcome, &reason?, field?)
            .ok_or_else(|| Error::invalid(&["dead letter: its outcome is none of an event that was given up"]))?;
        let (Some(unix_ms), false) = (milliseconds(at), insert_id.is_empty() || event.is_empty()) else {
            return Err(Error::invalid(&["dead letter: needs insert_id, given_up_ms and event"]));
        };
        Ok(Self { insert_id, outcome, unix_ms, event: event.to_owned() })
    }

    fn new(event: &str, outcome: &Outcome, unix_ms: u64) -> Self {
        let insert_id = fields(event, ["insert_id"]).ok().and_then(|[id]| Reader::new(id).string().ok());
        Self { insert_id: insert_id.unwrap_or_default().into_owned(), outcome: outcome.clone(), unix_ms, event: event.to_owned() }
    }

    /// About what it takes up in memory.
    fn bytes(&self) -> usize {
        self.event.len() + 100
    }

    /// What a removal names: an event that was sent again may be given up again, before the first letter is removed.
    fn key(&self) -> (&str, u64) {
        (&self.insert_id, self.unix_ms)
    }
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

/// The JSON texts of these fields of an object; empty where it lacks one.
fn fields<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Result<[&'a str; N]> {
    let lift = |malformed: Malformed| Error::at("dead letter", malformed.0);
    let mut values = [""; N];
    let mut reader = Reader::new(text);
    if reader.kind().map_err(lift)? != Kind::Object {
        return Err(Error::at("dead letter", "must be an object"));
    }
    reader.open();
    let mut first = true;
    while let Some(key) = reader.next_key(&mut first).map_err(lift)? {
        let from = reader.offset();
        reader.skip().map_err(lift)?;
        if let Some(at) = names.iter().position(|name| *name == key) {
            values[at] = reader.slice(from);
        }
    }
    reader.end().map_err(lift)?;
    Ok(values)
}

/// A field that is text; empty where it is not there.
fn string(name: &str, json: &str) -> Result<String> {
    let text = if json.is_empty() { Some(String::new()) } else { Reader::new(json).string().ok().map(Cow::into_owned) };
    text.ok_or_else(|| Error::at("dead letter", &[name, " must be a string"].concat()))
}

fn milliseconds(json: &str) -> Option<u64> {
    Reader::new(json).integer().ok().and_then(|ms| u64::try_from(ms).ok())
}

fn names(outcome: &Outcome) -> (&'static str, &'static str, &str) {
    match outcome {
        Outcome::Rejected(rejection) => {
            let field = match rejection {
                Rejection::InvalidField(field) | Rejection::MissingField(field) | Rejection::IdLength(field) => field.as_str(),
                Rejection::Silenced | Rejection::TooLarge | Rejection::Unexplained => "",
            };
            ("rejected", rejection.reason().as_str(), field)
        }
        Outcome::Dropped(reason) => ("dropped", reason.as_str(), ""),
        Outcome::Unknown => ("unknown", "", ""),
        // These are nobody's end.
        Outcome::Delivered | Outcome::Kept => ("", "", ""),
    }
}

fn outcome_of(outcome: &str, reason: &str, field: String) -> Option<Outcome> {
    Some(match outcome {
        "unknown" => Outcome::Unknown,
        "dropped" => Outcome::Dropped(DropReason::ALL.into_iter().find(|known| known.as_str() == reason)?),
        "rejected" => Outcome::Rejected(match RejectReason::ALL.into_iter().find(|known| known.as_str() == reason)? {
            RejectReason::InvalidField => Rejection::InvalidField(field),
            RejectReason::MissingField => Rejection::MissingField(field),
            RejectReason::IdLength => Rejection::IdLength(field),
            RejectReason::Silenced => Rejection::Silenced,
            RejectReason::TooLarge => Rejection::TooLarge,
            RejectReason::Unexplained => Rejection::Unexplained,
        }),
        _ => return None,
    })
}

/// Where a client keeps them: beside the records where these are on the disk.
pub(crate) enum DeadLetters {
    Memory(Newest),
    File(LetterFile),
}

/// The newest letters within a bound.
pub(crate) struct Newest {
    letters: VecDeque<DeadLetter>,
    bytes: usize,
    bound: usize,
}

impl DeadLetters {
    /// `bound`: bytes; 0: none are kept.
    pub(crate) fn new(bound: usize, file: Option<LetterFile>) -> Self {
        match file {
            Some(file) if bound > 0 => Self::File(file),
            _ => Self::Memory(Newest { letters: VecDeque::new(), bytes: 0, bound }),
        }
    }

    /// Keeps events that were given up.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Store`] that says how many could not be kept, or how many older ones had to go.
    pub(crate) fn add(&mut self, events: &[Vec<u8>], outcome: &Outcome, unix_ms: u64) -> Result<()> {
        let texts = events.iter().filter_map(|event| str::from_utf8(event).ok());
        let letters = texts.map(|event| DeadLetter::new(event, outcome, unix_ms));
        match self {
            Self::Memory(newest) => {
                letters.for_each(|letter| newest.push(letter));
                Ok(())
            }
            Self::File(file) => {
                let lines: Vec<_> = letters.map(|letter| letter.to_json()).collect();
                file.append(&lines, &alive)
            }
        }
    }

    /// All of them, the oldest first, and how many lines of the file are none.
    pub(crate) fn list(&mut self) -> Result<(Vec<DeadLetter>, usize)> {
        let file = match self {
            Self::Memory(newest) => return Ok((newest.letters.iter().cloned().collect(), 0)),
            Self::File(file) => file,
        };
        let text = file.read()?;
        let (letters, broken) = read(&text);
        // Most of it is removed: nobody should find it there.
        if text.lines().count() > 2 * letters.len() + broken {
            file.tidy(&alive)?;
        }
        Ok((letters, broken))
    }

    /// Forgets those of somebody's events. Answers how many.
    pub(crate) fn purge(&mut self, whose: Whose<'_>) -> Result<u64> {
        let is_meant = |letter: &DeadLetter| whose.is(letter.event.as_bytes());
        match self {
            Self::Memory(newest) => {
                let before = newest.letters.len();
                newest.letters.retain(|letter| !is_meant(letter));
                newest.bytes = newest.letters.iter().map(DeadLetter::bytes).sum();
                Ok((before - newest.letters.len()) as u64)
            }
            Self::File(file) => {
                let meant = read(&file.read()?).0.iter().filter(|letter| is_meant(letter)).count();
                // Anew in any case: what was removed before may still stand there.
                file.tidy(&|text| read(text).0.iter().filter(|letter| !is_meant(letter)).map(DeadLetter::to_json).collect())?;
                Ok(meant as u64)
            }
        }
    }

    /// Forgets one that was sent again or that nobody needs.
    pub(crate) fn remove(&mut self, letter: &DeadLetter) -> Result<()> {
        match self {
            Self::Memory(newest) => {
                newest.remove(letter);
                Ok(())
            }
            Self::File(file) => {
                let mut line = String::from("{\"removed\":");
                json::push_string(&mut line, &letter.insert_id);
                line.push_str(",\"given_up_ms\":");
                json::push_unsigned(&mut line, letter.unix_ms);
                line.push('}');
                file.append_removal(line, &alive)
            }
        }
    }
}

impl Newest {
    fn push(&mut self, letter: DeadLetter) {
        self.bytes += letter.bytes();
        self.letters.push_back(letter);
        while self.bytes > self.bound {
            let Some(oldest) = self.letters.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    fn remove(&mut self, removed: &DeadLetter) {
        self.letters.retain(|letter| letter.key() != removed.key());
        self.bytes = self.letters.iter().map(DeadLetter::bytes).sum();
    }
}

/// The letters of a file: lines, each a letter or the removal of one that stands before it.
fn read(text: &str) -> (Vec<DeadLetter>, usize) {
    let mut broken = 0;
    let mut letters: Vec<DeadLetter> = Vec::new();
    // The last removal of a letter counts, for what stands before it.
    let mut removed = HashMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Ok([id, at]) = fields(line, ["removed", "given_up_ms"])
            && let (Ok(id), Some(at)) = (Reader::new(id).string(), milliseconds(at))
        {
            removed.entry(id.into_owned()).or_insert_with(HashMap::new).insert(at, letters.len());
        } else if let Ok(letter) = DeadLetter::from_json(line) {
            letters.push(letter);
        } else {
            broken += 1;
        }
    }
    let mut at = 0;
    letters.retain(|letter| {
        at += 1;
        let before = removed.get(&letter.insert_id).and_then(|removed| removed.get(&letter.unix_ms));
        before.is_none_or(|before| at > *before)
    });
    (letters, broken)
}

/// The lines of a file that are worth keeping when it is written anew.
fn alive(text: &str) -> Vec<String> {
    read(text).0.iter().map(DeadLetter::to_json).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, outcome: Outcome) -> DeadLetter {
        DeadLetter::new(
            &format!(r#"{{"insert_id":"{id}","device_id":"device-1","event_type":"a \"b\""}}"#),
            &outcome,
            1_760_000_000_123,
        )
    }

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        let rejections =
            RejectReason::ALL.into_iter().filter_map(|reason| outcome_of("rejected", reason.as_str(), "ti\nme".to_owned()));
        let outcomes: Vec<_> = rejections.chain([Outcome::Unknown, Outcome::Dropped(DropReason::Expired)]).collect();
        assert_eq!(outcomes.len(), RejectReason::ALL.len() + 2);
        for outcome in outcomes {
            let written = letter("insert-1", outcome);
            let json = written.to_json();
            assert!(!json.contains('\n'), "{json}");
            let read = DeadLetter::from_json(&json).unwrap();
            assert_eq!(read, written);
            assert_eq!((read.insert_id(), read.given_up_ms()), ("insert-1", 1_760_000_000_123));
            assert_eq!(read.event().unwrap().event_type(), "a \"b\"");
        }
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        let whole = letter("insert-1", Outcome::Unknown).to_json();
        for broken in
            ["", "[]", "{}", &whole[..whole.len() - 2], &whole.replace("unknown", "delivered"), &whole.replace("insert_id", "id")]
        {
            assert!(DeadLetter::from_json(broken).is_err(), "{broken}");
        }
        for id in ["7", "null", "[]"] {
            let error = DeadLetter::from_json(&whole.replacen("\"insert-1\"", id, 1)).unwrap_err();
            assert_eq!(error.to_string(), "dead letter: insert_id must be a string");
        }
    }

    #[test]
    fn a_removal_counts_for_what_stands_before_it() {
        let [a, b] = ["a", "b"].map(|id| letter(id, Outcome::Unknown));
        let removed = |id| format!(r#"{{"removed":"{id}","given_up_ms":1760000000123}}"#);
        let lines = [&a.to_json(), &b.to_json(), &removed("a"), "broken", &a.to_json(), &removed("b")];
        assert_eq!(read(&lines.join("\n")), (vec![a], 1));
    }

    #[test]
    fn a_letter_that_was_replayed_takes_no_newer_one_of_its_event_along() {
        let mut letters = DeadLetters::new(1000, None);
        let event = br#"{"insert_id":"insert-1"}"#.to_vec();
        letters.add(std::slice::from_ref(&event), &Outcome::Unknown, 1).unwrap();
        let first = letters.list().unwrap().0.remove(0);
        // Sent again and refused, before the call that replays it removes the first letter.
        letters.add(&[event], &Outcome::Rejected(Rejection::Silenced), 2).unwrap();
        let second = letters.list().unwrap().0.remove(1);
        letters.remove(&first).unwrap();
        // In a file.
        let lines = [&first.to_json(), &second.to_json(), r#"{"removed":"insert-1","given_up_ms":1}"#];
        let left = vec![second];
        assert_eq!(letters.list().unwrap().0, left);
        assert_eq!(read(&lines.join("\n")), (left, 0));
    }

    #[test]
    fn memory_holds_the_newest_within_its_bound() {
        let mut letters = DeadLetters::new(1000, None);
        for number in 0..50 {
            let event = format!(r#"{{"insert_id":"insert-{number}"}}"#);
            letters.add(&[event.into_bytes()], &Outcome::Unknown, 1).unwrap();
        }
        let (listed, _) = letters.list().unwrap();
        assert!((5..10).contains(&listed.len()), "{}", listed.len());
        assert_eq!(listed.last().unwrap().insert_id(), "insert-49");
        letters.remove(&listed[0]).unwrap();
        assert_eq!(letters.list().unwrap().0, listed[1..]);
        let mut none = DeadLetters::new(0, None);
        none.add(&[b"{}".to_vec()], &Outcome::Unknown, 1).unwrap();
        assert_eq!(none.list().unwrap().0, []);
    }
}
