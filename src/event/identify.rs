//! Identify and group identify: changes of a user's or a group's properties.
//!
//! Operations: "Identify API", amplitude.com/docs, and what Amplitude's own SDKs send (`$preInsert`, `$postInsert`, `$remove`, `$clearAll`).

use crate::{
    Error, Result,
    event::{
        Event, EventBuilder, Properties,
        first_error::FirstError,
        object::Object,
        value::{Number, PropertyValue},
    },
    json::{Kind, Malformed, Reader},
};

/// What Amplitude's SDKs send where an operation takes no value.
const NO_VALUE: &str = "-";
const CLEAR_ALL: &str = "$clearAll";
// Amplitude does not document which of two operations would win.
const TWICE: &str = "the property already has an operation";
const BESIDE: &str = "stands beside other operations; send them in an identify of their own";
const OPERATIONS: &[&str] =
    &["$set", "$setOnce", "$add", "$append", "$prepend", "$preInsert", "$postInsert", "$remove", "$unset", CLEAR_ALL];

/// Operations on properties, in the order in which they came, and the first thing that was wrong.
#[derive(Clone, Debug, Default)]
struct Operations {
    objects: Vec<(&'static str, Object)>,
    clear_all: bool,
    error: FirstError,
}

impl Operations {
    fn push(&mut self, operation: &'static str, key: &str, value: impl PropertyValue) {
        let result = self.try_push(operation, key, value);
        self.error.note(result);
    }

    fn try_push(&mut self, operation: &'static str, key: &str, value: impl PropertyValue) -> Result<()> {
        if self.objects.iter().any(|(_, object)| object.raw(key).is_some()) {
            return Err(Error::at(&[operation, ".", key].concat(), TWICE));
        }
        let at = match self.objects.iter().position(|(known, _)| *known == operation) {
            Some(at) => at,
            None => {
                self.objects.push((operation, Object::default()));
                self.objects.len() - 1
            }
        };
        self.objects.get_mut(at).map_or(Ok(()), |(_, object)| object.set(operation, key, value))
    }

    fn into_properties(self, path: &str) -> Result<Properties> {
        self.error.check()?;
        if self.clear_all && !self.objects.is_empty() {
            return Err(Error::at(&[path, ".", CLEAR_ALL].concat(), BESIDE));
        }
        let mut properties = Properties::new();
        if self.clear_all {
            properties.0.set(path, CLEAR_ALL, NO_VALUE)?;
        }
        for (operation, object) in self.objects {
            properties.0.set(path, operation, Properties(object))?;
        }
        Ok(properties)
    }
}

/// The operations that users and groups share.
macro_rules! operations {
    () => {
        operations! {
            /// Sets the property.
            set => "$set";
            /// Sets the property if it has no value yet.
            set_once => "$setOnce";
            /// Appends a value, or a list of values, to the end of a list.
            append => "$append";
            /// Puts a value, or a list of values, at the front of a list.
            prepend => "$prepend";
            /// Puts the values that the list does not have yet at its front.
            pre_insert => "$preInsert";
            /// Appends the values that the list does not have yet.
            post_insert => "$postInsert";
            /// Removes every occurrence of a value, or of a list of values, from a list.
            remove => "$remove";
        }
    };
    ($($(#[$doc:meta])* $name:ident => $wire:literal;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, key: &str, value: impl PropertyValue) -> Self {
                self.operations.push($wire, key, value);
                self
            }
        )*

        /// Adds to a number; a negative value subtracts.
        pub fn add(mut self, key: &str, value: impl Number) -> Self {
            self.operations.push("$add", key, value);
            self
        }

        /// Removes the property.
        pub fn unset(mut self, key: &str) -> Self {
            self.operations.push("$unset", key, NO_VALUE);
            self
        }
    };
}

/// Changes of a user's properties. Every property has one operation; errors are told when the event is built.
///
/// ```
/// use amplitude_sdk::{Event, Identify};
///
/// let event = Event::identify(Identify::new().set("plan", "pro").add("logins", 1)).user_id("user123").build()?;
/// assert_eq!(event.user_properties().json("$set"), Some(r#"{"plan":"pro"}"#));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it changes nothing until its event is tracked"]
pub struct Identify {
    operations: Operations,
}

impl Identify {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    operations!();

    /// Removes all properties of the user. Stands alone: no other operation may be beside it.
    pub fn clear_all(mut self) -> Self {
        self.operations.clear_all = true;
        self
    }
}

/// Changes of a group's properties.
#[derive(Clone, Debug)]
#[must_use = "it changes nothing until its event is tracked"]
pub struct GroupIdentify {
    operations: Operations,
    groups: Properties,
}

impl GroupIdentify {
    /// The group of that type and name; a list names several groups.
    pub fn new(group_type: &str, name: impl PropertyValue) -> Self {
        let mut groups = Properties::new();
        let mut operations = Operations::default();
        operations.error.note(groups.0.set("groups", group_type, name));
        Self { operations, groups }
    }

    operations!();
}

impl Event {
    /// Starts an event that changes a user's properties.
    pub fn identify(identify: Identify) -> EventBuilder {
        match identify.operations.into_properties("user_properties") {
            Ok(properties) => {
                let mut builder = EventBuilder::new("$identify");
                builder.event_mut().user_properties = properties;
                builder
            }
            Err(error) => EventBuilder::failed("$identify", error),
        }
    }

    /// Starts an event that changes a group's properties.
    pub fn group_identify(identify: GroupIdentify) -> EventBuilder {
        match identify.operations.into_properties("group_properties") {
            Ok(properties) => {
                let mut builder = EventBuilder::new("$groupidentify");
                let event = builder.event_mut();
                event.group_properties = properties;
                event.groups = identify.groups;
                builder
            }
            Err(error) => EventBuilder::failed("$groupidentify", error),
        }
    }
}

/// Refuses operations where Amplitude does not read them, operations beside plain keys, and operations without their values. The text is an
/// object that was checked, or empty.
pub(super) fn check_operations(path: &str, owner: &str, event_type: &str, json: &str) -> Result<()> {
    if json.is_empty() {
        return Ok(());
    }
    let refuse = |key: &str, problem: &str| Err(Error::at(&[path, ".", key].concat(), problem));
    let lift = |malformed: Malformed| Error::at(path, malformed.0);
    let (mut plain, mut operations, mut clears, mut changed) = (None, 0, false, Vec::new());
    let mut reader = Reader::new(json);
    reader.open();
    let mut first = true;
    while let Some(key) = reader.next_key(&mut first).map_err(lift)? {
        if !OPERATIONS.contains(&&*key) {
            plain = plain.or(Some(key));
            reader.skip().map_err(lift)?;
            continue;
        }
        if event_type != owner {
            return refuse(&key, "Amplitude reads operations on identify events alone: $identify, and for groups $groupidentify");
        }
        operations += 1;
        if key == CLEAR_ALL {
            clears = true;
            reader.skip().map_err(lift)?;
            continue;
        }
        if reader.kind().map_err(lift)? != Kind::Object {
            return refuse(&key, "must be an object of properties");
        }
        reader.open();
        let mut first = true;
        while let Some(name) = reader.next_key(&mut first).map_err(lift)? {
            if key == "$add" && reader.kind().map_err(lift)? != Kind::Number {
                return refuse(&["$add.", &name].concat(), "must be a number");
            }
            reader.skip().map_err(lift)?;
            if changed.contains(&name) {
                return refuse(&[&*key, ".", &name].concat(), TWICE);
            }
            changed.push(name);
        }
    }
    if operations > 0
        && let Some(plain) = plain
    {
        return refuse(&plain, "stands beside operations; put it under $set");
    }
    if clears && operations > 1 {
        return refuse(CLEAR_ALL, BESIDE);
    }
    Ok(())
}
