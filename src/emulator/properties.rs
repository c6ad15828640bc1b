//! Properties and groups: their forms, what Amplitude shortens or ignores, and the operations that change them.

use serde_json::{Map, Number, Value};

use crate::limits;

/// In the order in which they are applied.
const OPERATIONS: [&str; 10] =
    ["$clearAll", "$unset", "$set", "$setOnce", "$add", "$append", "$prepend", "$preInsert", "$postInsert", "$remove"];

/// How an object of user or group properties is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// Values under their names.
    Plain,
    /// Operations, each with values under their names.
    Operations,
}

/// `None` for what is no object, too deep, a mixture of both forms, or an operation on what it cannot work on.
pub(super) fn form(value: &Value) -> Option<Form> {
    let members = value.as_object()?;
    if depth(value) > limits::DEPTH {
        return None;
    }
    if !members.keys().any(|key| OPERATIONS.contains(&key.as_str())) {
        return Some(Form::Plain);
    }
    let is_operation = |(name, operand): (&String, &Value)| match name.as_str() {
        "$clearAll" => true,
        "$add" => operand.as_object().is_some_and(|operand| operand.values().all(Value::is_number)),
        name => OPERATIONS.contains(&name) && operand.is_object(),
    };
    members.iter().all(is_operation).then_some(Form::Operations)
}

/// How many properties an object in that form names.
pub(super) fn count(value: &Value, form: Form) -> usize {
    let members = |value: &Value| value.as_object().map_or(0, Map::len);
    match form {
        Form::Plain => members(value),
        Form::Operations => value.as_object().map_or(0, |operations| operations.values().map(members).sum()),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// `{type: group}` or `{type: [group, ...]}`.
pub(super) fn are_groups(value: &Value) -> bool {
    let is_group = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    value.as_object().is_some_and(|types| {
        types.values().all(|value| is_group(value) || value.as_array().is_some_and(|groups| groups.iter().all(is_group)))
    })
}

/// An event as Amplitude keeps it: without the groups it ignores and with the strings it shortens.
pub(super) fn kept(mut event: Map<String, Value>) -> Map<String, Value> {
    if event.get("event_type").is_none_or(|it| it != "$groupidentify") {
        event.remove("group_properties");
    }
    if let Some(Value::Object(groups)) = event.remove("groups") {
        event.insert("groups".to_owned(), Value::Object(first_groups(groups)));
    }
    event.into_iter().map(|(key, value)| (key, shortened(value))).collect()
}

fn first_groups(groups: Map<String, Value>) -> Map<String, Value> {
    let mut left = limits::GROUPS;
    let first = groups.into_iter().take(limits::GROUP_TYPES).map(|(kind, mut value)| {
        let count = value.as_array().map_or(1, Vec::len);
        if let Value::Array(groups) = &mut value {
            groups.truncate(left);
        }
        let has_room = left > 0;
        left = left.saturating_sub(count);
        has_room.then_some((kind, value))
    });
    first.flatten().collect()
}

fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if text.encode_utf16().count() > limits::STRING_CHARS => {
            let mut units = 0;
            let fits = |character: &char| {
                units += character.len_utf16();
                units <= limits::STRING_CHARS
            };
            Value::String(text.chars().take_while(fits).collect())
        }
        Value::Array(items) => items.into_iter().map(shortened).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, shortened(value))).collect(),
        other => other,
    }
}

/// Changes `properties` by an object in either form, whose form was checked. Plain values are set.
pub(super) fn apply(properties: &mut Map<String, Value>, changes: &Map<String, Value>) {
    if !changes.keys().any(|key| OPERATIONS.contains(&key.as_str())) {
        properties.extend(changes.clone());
        return;
    }
    for operation in OPERATIONS {
        match changes.get(operation) {
            Some(Value::Object(operands)) if operation != "$clearAll" => {
                for (name, operand) in operands {
                    operate(properties, operation, name, operand);
                }
            }
            Some(_) if operation == "$clearAll" => properties.clear(),
            _ => {}
        }
    }
}

fn operate(properties: &mut Map<String, Value>, operation: &str, name: &str, operand: &Value) {
    let before = properties.get(name);
    let list = || before.map_or(Vec::new(), listed);
    let new = || listed(operand).into_iter().filter(|it| !list().contains(it)).collect();
    let after = match (operation, before) {
        ("$unset", _) => {
            properties.remove(name);
            return;
        }
        ("$setOnce", Some(before)) => before.clone(),
        ("$add", Some(before)) => sum(before, operand),
        ("$append", _) => [list(), listed(operand)].concat().into(),
        ("$prepend", _) => [listed(operand), list()].concat().into(),
        ("$preInsert", _) => [new(), list()].concat().into(),
        ("$postInsert", _) => [list(), new()].concat().into(),
        ("$remove", None) => return,
        ("$remove", Some(before)) => {
            let gone = listed(operand);
            listed(before).into_iter().filter(|it| !gone.contains(it)).collect()
        }
        _ => operand.clone(),
    };
    properties.insert(name.to_owned(), after);
}

fn listed(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// What is no number stays as it is.
fn sum(before: &Value, more: &Value) -> Value {
    let whole = before.as_i64().zip(more.as_i64()).and_then(|(before, more)| before.checked_add(more)).map(Number::from);
    let broken = || before.as_f64().zip(more.as_f64()).and_then(|(before, more)| Number::from_f64(before + more));
    whole.or_else(broken).map_or_else(|| before.clone(), Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_change_properties_in_their_order() {
        let cases = [
            (json!({}), json!({"a": 1, "b": [1]}), json!({"a": 1, "b": [1]})),
            (json!({"a": 1}), json!({"$set": {"a": 2}, "$unset": {"a": "-"}}), json!({"a": 2})),
            (json!({"a": 1}), json!({"$setOnce": {"a": 2, "b": 2}}), json!({"a": 1, "b": 2})),
            (json!({"a": 1, "t": "x"}), json!({"$add": {"a": -3, "b": 0.5, "t": 1}}), json!({"a": -2, "b": 0.5, "t": "x"})),
            (json!({"a": 1.5}), json!({"$add": {"a": 1}}), json!({"a": 2.5})),
            (json!({"l": [1]}), json!({"$append": {"l": [1, 2], "n": 1}}), json!({"l": [1, 1, 2], "n": [1]})),
            (json!({"l": "x"}), json!({"$prepend": {"l": "y"}}), json!({"l": ["y", "x"]})),
            (json!({"l": [1, 2]}), json!({"$preInsert": {"l": [3, 2, 4]}}), json!({"l": [3, 4, 1, 2]})),
            (json!({"l": [1, 2]}), json!({"$postInsert": {"l": [3, 2]}}), json!({"l": [1, 2, 3]})),
            (json!({"l": [1, 2, 1]}), json!({"$remove": {"l": 1, "n": 1}}), json!({"l": [2]})),
            (json!({"a": 1, "b": 1}), json!({"$clearAll": "-", "$set": {"c": 1}}), json!({"c": 1})),
        ];
        for (before, changes, after) in cases {
            let (Value::Object(mut properties), Value::Object(changes)) = (before, changes) else { panic!("objects") };
            apply(&mut properties, &changes);
            assert_eq!(Value::Object(properties), after, "{changes:?}");
        }
    }

    #[test]
    fn forms_are_told_apart() {
        let nested = |depth| (1..depth).fold(json!({"a": 1}), |inner, _| json!({"a": inner}));
        for (value, expected) in [
            (json!({}), Some(Form::Plain)),
            (json!({"a": 1, "$other": 1}), Some(Form::Plain)),
            (json!({"$set": {"a": 1}, "$clearAll": "-"}), Some(Form::Operations)),
            (json!({"$set": {"a": 1}, "a": 1}), None),
            (json!({"$set": 1}), None),
            (json!({"$add": {"a": "1"}}), None),
            (json!([]), None),
            (nested(40), Some(Form::Plain)),
            (nested(41), None),
        ] {
            assert_eq!(form(&value), expected, "{value}");
        }
    }

    #[test]
    fn groups_beyond_the_limits_are_ignored() {
        let many: Vec<_> = (0..9).map(|number| json!(number)).collect();
        let Value::Object(event) = json!({"groups": {"a": many, "b": ["x", "y", "z"], "c": "x"}, "group_properties": {"a": 1}})
        else {
            panic!("an object")
        };
        assert_eq!(Value::Object(kept(event)), json!({"groups": {"a": many, "b": ["x"]}}));
    }
}
