//! Users, devices and groups with their properties, as events and identifies leave them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{properties::apply, throttle::Id};
use crate::pipeline::fnv1a;

type Properties = Map<String, Value>;

/// Who is known, and how.
#[derive(Debug, Default)]
pub(super) struct People {
    /// By devices: the user that each was last seen with.
    last_users: HashMap<String, String>,
    /// Of users, and of devices that no user was seen with. Shared with the events that carry them.
    properties: BTreeMap<Id, Arc<Properties>>,
    groups: BTreeMap<(String, String), Properties>,
}

impl People {
    /// Learns from an event or an identification: who it is about, and its changes. Answers with the properties of that user, unless
    /// nobody is named.
    pub(super) fn learn(&mut self, object: &Properties) -> Option<Arc<Properties>> {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let id = self.who(text("user_id"), text("device_id"))?;
        let known = self.properties.entry(id).or_default();
        if let Some(Value::Object(changes)) = object.get("user_properties")
            && !changes.is_empty()
        {
            apply(Arc::make_mut(known), changes);
        }
        Some(Arc::clone(known))
    }

    /// Changes the properties of a group.
    pub(super) fn learn_group(&mut self, kind: &str, name: &str, changes: &Properties) {
        apply(self.groups.entry((kind.to_owned(), name.to_owned())).or_default(), changes);
    }

    /// Whose properties count. What a device did before its first user belongs to that user.
    fn who(&mut self, user: Option<&str>, device: Option<&str>) -> Option<Id> {
        let Some(device) = device else { return user.map(|user| Id::User(user.to_owned())) };
        let Some(user) = user else {
            return Some(
                self.last_users.get(device).map_or_else(|| Id::Device(device.to_owned()), |user| Id::User(user.clone())),
            );
        };
        let id = Id::User(user.to_owned());
        if self.last_users.insert(device.to_owned(), user.to_owned()).is_none()
            && let Some(anonymous) = self.properties.remove(&Id::Device(device.to_owned()))
        {
            let known = Arc::make_mut(self.properties.entry(id.clone()).or_default());
            for (name, value) in anonymous.iter() {
                known.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        Some(id)
    }

    /// The ids of users.
    pub(super) fn users(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().filter_map(|id| if let Id::User(user) = id { Some(user.as_str()) } else { None })
    }

    /// All of it as JSON.
    pub(super) fn describe(&self) -> Value {
        let mut devices: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
        for (device, user) in &self.last_users {
            devices.entry(user).or_default().push(device);
        }
        devices.values_mut().for_each(|devices| devices.sort());
        let users: Vec<_> = self
            .properties
            .iter()
            .map(|(id, properties)| match id {
                Id::User(user) => {
                    let devices = devices.get(user).cloned().unwrap_or_default();
                    json!({"user_id": user, "device_ids": devices, "user_properties": **properties})
                }
                Id::Device(device) => json!({"user_id": null, "device_ids": [device], "user_properties": **properties}),
            })
            .collect();
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|((kind, name), properties)| json!({"group_type": kind, "group_value": name, "group_properties": properties}))
            .collect();
        json!({"users": users, "groups": groups})
    }
}

/// Amplitude's number for who has this id: the same person has the same.
pub(super) fn amplitude_id(who: &str) -> u64 {
    fnv1a(who.as_bytes()) >> 12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(people: &mut People, object: Value) -> Value {
        let Value::Object(object) = object else { panic!("an object") };
        people.learn(&object).map_or(Value::Null, |properties| Value::Object((*properties).clone()))
    }

    #[test]
    fn what_a_device_did_before_its_user_is_the_users() {
        let mut people = People::default();
        learn(&mut people, json!({"device_id": "device-1", "user_properties": {"a": 1, "b": 1}}));
        learn(&mut people, json!({"user_id": "user-1", "user_properties": {"$set": {"a": 2}}}));
        let seen = learn(&mut people, json!({"device_id": "device-1", "user_id": "user-1"}));
        assert_eq!(seen, json!({"a": 2, "b": 1}));
        assert_eq!(learn(&mut people, json!({"device_id": "device-1"})), seen, "the device's user is remembered");
        learn(&mut people, json!({"device_id": "device-1", "user_id": "user-2"}));
        let users = people.describe()["users"].clone();
        assert_eq!(
            users,
            json!([
                {"user_id": "user-1", "device_ids": [], "user_properties": {"a": 2, "b": 1}},
                {"user_id": "user-2", "device_ids": ["device-1"], "user_properties": {}},
            ])
        );
    }
}
