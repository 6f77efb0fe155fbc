//! Values against schemas. What was wrong before an update and is left as it was is not told again.

use serde_json::{Map, Number, Value};

use super::formats;
use super::node::{Additional, Checks, JsonType, ListType, Node};
use crate::field::{Error, Errors, Kind, Path, float};

/// Checks `value`, which is at `path`, against `node`. With `old`, faults of values that did not change are left out.
pub(super) fn check(node: &Node, value: &Value, old: Option<&Value>, path: &Path, errors: &mut Errors) {
    let walk = Walk { root: path };
    let found = walk.value(node, value, old, "");
    for error in found.errors {
        if !errors.iter().any(|known| *known == error) {
            errors.push(error);
        }
    }
}

struct Walk<'p> {
    root: &'p Path,
}

/// What was found, and how many checks were made: among alternatives the one with the most tells its faults.
#[derive(Default)]
struct Found {
    errors: Vec<Error>,
    checks: usize,
}

impl Found {
    fn merge(&mut self, other: Found) {
        self.checks += other.checks;
        for error in other.errors {
            if !self.errors.contains(&error) {
                self.errors.push(error);
            }
        }
    }

    fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

impl Walk<'_> {
    /// The path for a place whose dotted name is `name`.
    fn path(&self, name: &str) -> Path {
        match name.trim_start_matches('.') {
            "" => self.root.clone(),
            name => self.root.child(name.to_owned()),
        }
    }

    fn value(&self, node: &Node, value: &Value, old: Option<&Value>, name: &str) -> Found {
        let mut found = Found::default();
        self.kind(node, value, name, &mut found);
        if let Some(checks) = &node.checks {
            if !value.is_null() {
                self.alternatives(checks, value, name, &mut found);
                self.scalar(node, checks, value, name, &mut found);
            }
            self.allowed(checks, value, name, &mut found);
        }
        match value {
            Value::Array(items) => self.items(node, items, old, name, &mut found),
            Value::Object(map) => self.object(node, map, old, name, &mut found),
            _ => {}
        }
        found.checks += 1;
        if !found.is_valid() && old == Some(value) {
            found.errors.clear();
        }
        found
    }

    fn invalid(&self, name: &str, value: impl Into<Value>, detail: String) -> Error {
        Error::invalid(&self.path(name), value, detail)
    }

    fn kind(&self, node: &Node, value: &Value, name: &str, found: &mut Found) {
        let format = node.checks.as_ref().map_or("", |checks| checks.format.as_str());
        let types = if node.int_or_string { "integer,string" } else { node.kind.name() };
        if types.is_empty() && format.is_empty() {
            return;
        }
        found.checks += 1;
        let given = type_of(value);
        let fail = |want: &str, given: &str| {
            let detail = format!("{name} in body must be of type {want}: {given:?}");
            Error::type_invalid(&self.path(name), given, detail)
        };
        if value.is_null() {
            if !types.is_empty() && !node.nullable {
                found.errors.push(fail(types, "null"));
            }
            return;
        }
        let wants = |kind: &str| types.split(',').any(|want| want == kind);
        let fits = wants(given)
            || given == "number" && wants("integer") && value.as_f64().is_some_and(|n| n.fract() == 0.0)
            || given == "integer" && wants("number");
        let textual = matches!(value, Value::String(_) | Value::Array(_));
        let untyped = types.is_empty() && textual;
        if untyped && !format.is_empty() {
            return;
        }
        if !fits && !untyped {
            let want = if types.is_empty() || !textual && !format.is_empty() { format } else { types };
            if !want.is_empty() {
                found.errors.push(fail(want, given));
            }
        }
    }

    fn allowed(&self, checks: &Checks, value: &Value, name: &str, found: &mut Found) {
        if checks.allowed.is_empty() {
            return;
        }
        found.checks += 1;
        if checks.allowed.iter().any(|allowed| same_value(allowed, value)) {
            return;
        }
        let shown = checks.allowed.iter().map(|allowed| match allowed {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let shown: Vec<String> = shown.collect();
        found.errors.push(Error::not_supported(&self.path(name), value.clone(), &shown));
    }

    fn scalar(&self, node: &Node, checks: &Checks, value: &Value, name: &str, found: &mut Found) {
        match value {
            Value::String(text) => self.text(checks, text, name, found),
            Value::Number(number) => self.number(node, checks, number, name, found),
            _ => {}
        }
    }

    fn text(&self, checks: &Checks, text: &str, name: &str, found: &mut Found) {
        found.checks += 1;
        let length =
            if checks.max_length.is_some() || checks.min_length.is_some() { text.chars().count() as u64 } else { 0 };
        if let Some(max) = checks.max_length.filter(|max| length > *max) {
            found.errors.push(Error::too_long(&self.path(name), max as usize));
        }
        if let Some(min) = checks.min_length.filter(|min| length < *min) {
            let detail = format!("{name} in body should be at least {min} chars long");
            found.errors.push(self.invalid(name, text, detail));
        }
        if let Some((pattern, Some(regex))) = &checks.pattern
            && !regex.is_match(text)
        {
            let detail = format!("{name} in body should match '{pattern}'");
            found.errors.push(self.invalid(name, text, detail));
        }
        if !formats::fits(&checks.format, text) {
            let detail = format!("{name} in body must be of type {}: {text:?}", checks.format);
            found.errors.push(Error::type_invalid(&self.path(name), text, detail));
        }
    }

    fn number(&self, node: &Node, checks: &Checks, number: &Number, name: &str, found: &mut Found) {
        found.checks += 1;
        if !in_range(node.kind, &checks.format, number) {
            let with = if checks.format.is_empty() {
                "(default format)".to_owned()
            } else {
                format!("with format {}", checks.format)
            };
            let detail = format!("Checked value must be of type {} {with}", node.kind.name());
            found.errors.push(Error::invalid(self.root, "", detail));
        }
        if let Some(of) = &checks.multiple_of
            && !is_multiple(number, of)
        {
            let detail = format!("{name} in body should be a multiple of {}", shown(of));
            found.errors.push(self.invalid(name, number.clone(), detail));
        }
        if let Some((max, exclusive)) = &checks.maximum {
            let order = compare(number, max);
            if order.is_gt() || *exclusive && order.is_eq() {
                let than = if *exclusive { "less than" } else { "less than or equal to" };
                let detail = format!("{name} in body should be {than} {}", shown(max));
                found.errors.push(self.invalid(name, number.clone(), detail));
            }
        }
        if let Some((min, exclusive)) = &checks.minimum {
            let order = compare(number, min);
            if order.is_lt() || *exclusive && order.is_eq() {
                let than = if *exclusive { "greater than" } else { "greater than or equal to" };
                let detail = format!("{name} in body should be {than} {}", shown(min));
                found.errors.push(self.invalid(name, number.clone(), detail));
            }
        }
    }

    fn items(&self, node: &Node, items: &[Value], old: Option<&Value>, name: &str, found: &mut Found) {
        found.checks += 1;
        let count = items.len() as u64;
        if let Some(checks) = &node.checks {
            if let Some(min) = checks.min_items.filter(|min| count < *min) {
                let detail = format!("{name} in body should have at least {min} items");
                found.errors.push(self.invalid(name, count, detail));
            }
            if let Some(max) = checks.max_items.filter(|max| count > *max) {
                found.errors.push(Error::too_many(&self.path(name), items.len(), max as usize));
            }
            let repeated = || items.iter().enumerate().any(|(n, item)| items[..n].contains(item));
            if checks.unique && items.len() <= 1000 && repeated() {
                let detail = format!("{name} in body shouldn't contain duplicates");
                found.errors.push(self.invalid(name, "", detail));
            }
        }
        let Some(of) = &node.items else { return };
        for (n, item) in items.iter().enumerate() {
            let old = old_item(&node.list, item, old);
            found.merge(self.value(of, item, old, &format!("{name}[{n}]")));
        }
    }

    fn object(&self, node: &Node, map: &Map<String, Value>, old: Option<&Value>, name: &str, found: &mut Found) {
        found.checks += 1;
        let count = map.len() as u64;
        if let Some(checks) = &node.checks {
            if let Some(min) = checks.min_properties.filter(|min| count < *min) {
                let detail = format!("{name} in body should have at least {min} properties");
                found.errors.push(self.invalid(name, count, detail));
                return;
            }
            if let Some(max) = checks.max_properties.filter(|max| count > *max) {
                found.errors.push(Error::too_many(&self.path(name), map.len(), max as usize));
                return;
            }
        }
        let child = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        for (key, value) in map {
            let old = if node.atomic { None } else { old.and_then(|old| old.get(key)) };
            match (node.properties.get(key), &node.additional) {
                (Some(property), _) => found.merge(self.value(property, value, old, &child(key))),
                (None, Additional::Schema(of)) => found.merge(self.value(of, value, old, &child(key))),
                (None, Additional::Allowed(false)) => {
                    let detail = format!("{name}.{key} in body is a forbidden property");
                    found.errors.push(self.invalid(name, key.as_str(), detail));
                }
                _ => {}
            }
        }
        for key in &node.required {
            if !map.contains_key(key) {
                found.errors.push(Error::required(&self.path(&format!("{name}.{key}")), ""));
            }
        }
    }

    fn alternatives(&self, checks: &Checks, value: &Value, name: &str, found: &mut Found) {
        let told = |text: String| Error {
            kind: Kind::Invalid,
            field: self.root.to_string(),
            value: Some("".into()),
            detail: text,
        };
        if !checks.any_of.is_empty() {
            let (valid, best) = self.try_all(&checks.any_of, value, name);
            if valid == 0 {
                found.errors.push(told(format!("{name:?} must validate at least one schema (anyOf)")));
            }
            found.merge(best);
        }
        if !checks.one_of.is_empty() {
            let (valid, best) = self.try_all(&checks.one_of, value, name);
            let more = match valid {
                0 => Some("Found none valid".to_owned()),
                1 => None,
                n => Some(format!("Found {n} valid alternatives")),
            };
            match more {
                Some(more) => {
                    found.errors.push(told(format!("{name:?} must validate one and only one schema (oneOf). {more}")));
                    if valid == 0 {
                        found.merge(best);
                    }
                }
                None => found.merge(best),
            }
        }
        if !checks.all_of.is_empty() {
            let mut valid = 0;
            for node in &checks.all_of {
                let result = self.value(node, value, None, name);
                valid += usize::from(result.is_valid());
                found.merge(result);
            }
            if valid < checks.all_of.len() {
                let more = if valid == 0 { ". None validated" } else { "" };
                found.errors.push(told(format!("{name:?} must validate all the schemas (allOf){more}")));
            }
        }
        if let Some(not) = &checks.not
            && self.value(not, value, None, name).is_valid()
        {
            found.errors.push(told(format!("{name:?} must not validate the schema (not)")));
        }
        found.checks += 1;
    }

    /// How many schemas the value fits, and what the best of them found.
    fn try_all(&self, nodes: &[Node], value: &Value, name: &str) -> (usize, Found) {
        let mut valid = 0;
        let mut best: Option<Found> = None;
        for node in nodes {
            let result = self.value(node, value, None, name);
            if result.is_valid() {
                if valid == 0 {
                    best = Some(result);
                }
                valid += 1;
            } else if valid == 0 && best.as_ref().is_none_or(|best| result.checks > best.checks) {
                best = Some(result);
            }
        }
        (valid, best.unwrap_or_default())
    }
}

/// The item of the old list that is the same one by its keys.
pub(super) fn old_item<'o>(list: &ListType, item: &Value, old: Option<&'o Value>) -> Option<&'o Value> {
    let ListType::Map(keys) = list else { return None };
    let old = old?.as_array()?;
    old.iter().find(|old| keys.iter().all(|key| old.get(key) == item.get(key)))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether both are the same; whole numbers may be written in two ways.
fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b).is_eq(),
        (a, b) => a == b,
    }
}

fn compare(a: &Number, b: &Number) -> std::cmp::Ordering {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal),
    }
}

fn is_multiple(number: &Number, of: &Number) -> bool {
    if let (Some(number), Some(of)) = (number.as_i64(), of.as_i64()) {
        return of == 0 || number.wrapping_rem(of) == 0;
    }
    let (Some(number), Some(of)) = (number.as_f64(), of.as_f64()) else { return true };
    let times = number / of;
    of == 0.0 || (times - times.round()).abs() < 1e-9
}

fn in_range(kind: JsonType, format: &str, number: &Number) -> bool {
    if kind != JsonType::Integer {
        return true;
    }
    let (low, high) = match format {
        "int32" => (i64::from(i32::MIN) as f64, i64::from(i32::MAX) as f64),
        _ => (i64::MIN as f64, i64::MAX as f64),
    };
    number.as_f64().is_none_or(|n| n >= low && n <= high)
}

fn shown(number: &Number) -> String {
    match number.as_i64() {
        Some(n) => n.to_string(),
        None => float(number.as_f64().unwrap_or(0.0)),
    }
}
