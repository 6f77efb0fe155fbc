//! For tests of kinds: an object as a client writes it goes through defaults and checks, and what is found comes back as lines.

use jiff::Timestamp;
use serde_json::Value;

use crate::field::Errors;
use crate::policy::{self, Policy};

/// An object from YAML.
pub fn object(yaml: &str) -> Value {
    yaml_serde::from_str(yaml).expect("YAML of a test")
}

/// The policy of an object's kind.
pub fn policy_of(object: &Value) -> &'static Policy {
    let version = object["apiVersion"].as_str().unwrap_or("v1");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    policy::of(group, object["kind"].as_str().expect("kind of a test's object"))
}

/// An object with metadata filled, defaults set and prepared, as the registry does it on create.
pub fn made(yaml: &str) -> Value {
    let mut new = object(yaml);
    let policy = policy_of(&new);
    for (field, value) in [("name", "x"), ("uid", "u-1"), ("creationTimestamp", "2026-01-01T00:00:00Z")] {
        if new["metadata"][field].is_null() {
            new["metadata"][field] = value.into();
        }
    }
    (policy.defaults)(&mut new);
    (policy.prepare_create)(&mut new);
    new
}

/// What is wrong with a new object, a line each. Whether its kind has namespaces is not looked at.
pub fn faults(yaml: &str) -> String {
    let new = made(yaml);
    let policy = policy_of(&new);
    let mut errors = Errors::new();
    let namespaced = new["metadata"]["namespace"].is_string();
    policy.check_create(&new, namespaced, &mut errors);
    lines(&errors)
}

/// What is wrong with changing one object to another.
pub fn update_faults(old: &str, new: &str) -> String {
    let old = made(old);
    let mut changed = made(new);
    let policy = policy_of(&old);
    (policy.prepare_update)(&mut changed, &old);
    let mut errors = Errors::new();
    policy.check_update(&changed, &old, false, &mut errors);
    lines(&errors)
}

/// The cells of an object, an hour after the tests' objects were made.
pub fn row(yaml: &str) -> String {
    let mut new = object(yaml);
    for (field, value) in [("name", "x"), ("creationTimestamp", "2026-01-01T00:00:00Z")] {
        if new["metadata"][field].is_null() {
            new["metadata"][field] = value.into();
        }
    }
    let policy = policy_of(&new);
    let now: Timestamp = "2026-01-01T01:00:00Z".parse().expect("time of a test");
    let cells = (policy.cells)(&new, now);
    assert_eq!(cells.len(), policy.columns.len(), "a cell for every column");
    let texts: Vec<String> = cells.iter().map(|c| c.as_str().map_or_else(|| c.to_string(), str::to_owned)).collect();
    texts.join(" | ")
}

fn lines(errors: &Errors) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("\n")
}
