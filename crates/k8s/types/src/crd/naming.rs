//! Which names a definition gets, given those that other definitions of its group have.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What is decided about the names of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Naming {
    /// `status.acceptedNames`.
    pub accepted: Value,
    /// Whether all names are accepted.
    pub fine: bool,
    /// Reason of the condition `NamesAccepted`.
    pub reason: &'static str,
    /// Message of the condition.
    pub message: String,
}

/// Decides about the names of `definition`; `others` are the definitions of the same group, itself left out.
pub fn names_of<'o>(definition: &Value, others: impl IntoIterator<Item = &'o Value>) -> Naming {
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for other in others {
        let names = &other["status"]["acceptedNames"];
        let short = names["shortNames"].as_array().into_iter().flatten();
        resources.extend([&names["plural"], &names["singular"]].into_iter().chain(short).filter_map(Value::as_str));
        kinds.extend([&names["kind"], &names["listKind"]].into_iter().filter_map(Value::as_str));
    }
    let wanted = &definition["spec"]["names"];
    let has = &definition["status"]["acceptedNames"];
    let mut naming =
        Naming { accepted: has.clone(), fine: true, reason: "NoConflicts", message: "no conflicts found".into() };
    if !naming.accepted.is_object() {
        naming.accepted = Value::Object(Map::new());
    }
    for (name, used, reason) in [
        ("plural", &resources, "PluralConflict"),
        ("singular", &resources, "SingularConflict"),
        ("shortNames", &resources, "ShortNamesConflict"),
        ("kind", &kinds, "KindConflict"),
        ("listKind", &kinds, "ListKindConflict"),
    ] {
        let taken = taken(&wanted[name], &has[name], used);
        if taken.is_empty() {
            set(&mut naming.accepted, name, &wanted[name]);
        } else {
            naming.fine = false;
            naming.reason = reason;
            naming.message = match taken.as_slice() {
                [one] => format!("{one:?} is already in use"),
                many => format!(
                    "[{}]",
                    many.iter().map(|n| format!("{n:?} is already in use")).collect::<Vec<_>>().join(", ")
                ),
            };
        }
    }
    set(&mut naming.accepted, "categories", &wanted["categories"]);
    naming
}

fn set(accepted: &mut Value, name: &str, value: &Value) {
    let Some(accepted) = accepted.as_object_mut() else { return };
    if value.is_null() {
        accepted.remove(name);
    } else {
        accepted.insert(name.to_owned(), value.clone());
    }
}

/// The wanted names that are not had and used by others.
fn taken<'v>(wanted: &'v Value, has: &Value, used: &BTreeSet<&str>) -> Vec<&'v str> {
    let list = |value: &'v Value| match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect::<Vec<&str>>(),
    };
    let had = |name: &str| *has == name || has.as_array().is_some_and(|items| items.iter().any(|item| item == name));
    list(wanted).into_iter().filter(|name| !had(name) && used.contains(name)).collect()
}
