//! Short words for reading and changing JSON values: what is absent, null or of another type reads as empty.

use jiff::Timestamp;
use serde_json::{Map, Value};

static NULL: Value = Value::Null;
static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

/// Reads of a value whose type the table has checked. `value["field"]` on what is absent is null, so chains need no `?`.
pub trait Read {
    /// The text, or an empty one.
    fn text(&self) -> &str;
    /// The whole number, if it is one.
    fn int(&self) -> Option<i64>;
    /// True only for `true`.
    fn yes(&self) -> bool;
    /// The items, or none.
    fn items(&self) -> &[Value];
    /// The fields or keys, or none.
    fn fields(&self) -> &Map<String, Value>;
    /// Neither absent nor null.
    fn is_set(&self) -> bool;
    /// Absent, null, or empty text, list or map.
    fn is_unset(&self) -> bool;
}

impl Read for Value {
    fn text(&self) -> &str {
        self.as_str().unwrap_or("")
    }

    fn int(&self) -> Option<i64> {
        self.as_i64()
    }

    fn yes(&self) -> bool {
        self.as_bool().unwrap_or(false)
    }

    fn items(&self) -> &[Value] {
        self.as_array().map_or(&[], Vec::as_slice)
    }

    fn fields(&self) -> &Map<String, Value> {
        self.as_object().unwrap_or(&EMPTY)
    }

    fn is_set(&self) -> bool {
        !self.is_null()
    }

    fn is_unset(&self) -> bool {
        match self {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        }
    }
}

/// The value at a path, null where there is none.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, name| value.get(*name).unwrap_or(&NULL))
}

/// The value at a path, to be changed; nothing is made on the way.
pub fn at_mut<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, name| value.get_mut(*name))
}

/// Sets a value, making the objects on the way. Does nothing where something else than an object is in the way.
pub fn put(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut here = value;
    for name in parents {
        let Some(fields) = object_of(here) else { return };
        here = fields.entry(*name).or_insert(Value::Null);
    }
    if let Some(fields) = object_of(here) {
        fields.insert((*last).to_owned(), new.into());
    }
}

/// Sets a value where there is none; a zero-length text counts as none. Makes no objects on the way: a default belongs into what the client sent.
pub fn or_set(value: &mut Value, name: &str, new: impl Into<Value>) {
    if let Some(fields) = value.as_object_mut()
        && fields.get(name).is_none_or(|old| old.is_null() || old.as_str() == Some(""))
    {
        fields.insert(name.to_owned(), new.into());
    }
}

/// Takes a value away and returns it.
pub fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    at_mut(value, parents)?.as_object_mut()?.remove(*last)
}

/// Every item of the list at a path, to be changed.
pub fn each<'a>(value: &'a mut Value, path: &[&str]) -> impl Iterator<Item = &'a mut Value> {
    at_mut(value, path).and_then(Value::as_array_mut).into_iter().flatten()
}

fn object_of(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// `metadata.name` as a cell.
pub fn name_cell(object: &Value) -> Value {
    object["metadata"]["name"].text().into()
}

/// Time since `metadata.creationTimestamp` as a cell.
pub fn age_cell(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// `5m30s` since a time, `<unknown>` where there is none.
pub fn since(time: &Value, now: Timestamp) -> String {
    match time.text().parse::<Timestamp>() {
        Ok(then) => human(now.duration_since(then).as_secs()),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// A duration in seconds as kubectl shortens it: `119s`, `2m5s`, `9m`, `3h20m`, `47h`, `7d23h`, `100d`, `2y18d`, `9y`.
pub fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let two = |big: i64, unit: char, small: i64, small_unit: char| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{small_unit}"),
    };
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(hours / 24, 'd', hours % 24, 'h'),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => two(hours / 24 / 365, 'y', hours / 24 % 365, 'd'),
        () => format!("{}y", hours / 24 / 365),
    }
}

/// The value at a dotted path as text: what a field selector compares with. Absent is empty, but for booleans and numbers kinds answer themselves.
pub fn field_value(object: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(object, |value, name| value.get(name));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        _ => String::new(),
    }
}

/// `a=b,c=d` of a map of labels, sorted; empty for none.
pub fn labels_text(labels: &Value) -> String {
    let pairs: Vec<String> = labels.fields().iter().map(|(key, value)| format!("{key}={}", value.text())).collect();
    pairs.join(",")
}

/// A `metav1.LabelSelector` as text: `app=web,tier in (a,b),!old`. Empty for one that selects everything, and for none.
pub fn selector_text(selector: &Value) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].fields() {
        parts.push((key.clone(), format!("{key}={}", value.text())));
    }
    for expression in selector["matchExpressions"].items() {
        let key = expression["key"].text();
        let mut values: Vec<&str> = expression["values"].items().iter().map(Read::text).collect();
        values.sort_unstable();
        let text = match expression["operator"].text() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => continue,
        };
        parts.push((key.to_owned(), text));
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    let texts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    texts.join(",")
}

/// Whether two values mean the same: absent, null, false, zero and empty are one.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.iter().all(|(key, value)| same(value, b.get(key).unwrap_or(&NULL)))
                && b.iter().all(|(key, value)| a.contains_key(key) || same(&NULL, value))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b || (is_zero(a) && is_zero(b)),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Object(fields) => fields.values().all(is_zero),
        other => other.is_unset(),
    }
}
