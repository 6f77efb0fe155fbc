//! Event of events.k8s.io: checks of the new API, and the way to and from core's Event.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{named, one_of};
use crate::names;
use crate::policy::Policy;
use crate::policy::read::{Read, put, take};

/// Names of the same field here and in core/v1.
const RENAMED: [(&str, &str); 7] = [
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

pub static EVENT: Policy = Policy {
    validate,
    update_alone: true,
    create_on_update: true,
    convert: Some(convert),
    ..crate::kinds::core::event::POLICY
};

fn convert(event: &mut Value, version: &str) {
    match version {
        "v1" => to_core(event),
        _ => from_core(event),
    }
}

/// Turns an events.k8s.io event into the core one that is stored.
pub fn to_core(event: &mut Value) {
    rename(event, RENAMED);
    put(event, &["apiVersion"], "v1");
}

/// Turns a core event into an events.k8s.io one.
pub fn from_core(event: &mut Value) {
    rename(event, RENAMED.map(|(new, core)| (core, new)));
    put(event, &["apiVersion"], "events.k8s.io/v1");
}

fn rename(event: &mut Value, names: [(&str, &str); 7]) {
    for (from, to) in names {
        if let Some(value) = take(event, &[from]) {
            put(event, &[to], value);
        }
    }
}

/// Checks of an event of this group, told in its form, though it comes in the one that is stored.
fn validate(event: &Value, errors: &mut Errors) {
    let mut shown = event.clone();
    if event["apiVersion"].text() == "v1" {
        from_core(&mut shown);
    }
    let event = &shown;
    if event["eventTime"].is_unset() {
        errors.push(Error::required(&Path::new("eventTime"), ""));
    }
    let controller = Path::new("reportingController");
    if event["reportingController"].is_unset() {
        errors.push(Error::required(&controller, ""));
    } else {
        named(errors, &controller, &event["reportingController"], names::qualified_name);
    }
    for (field, most) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
        let path = Path::new(field);
        if event[field].is_unset() {
            errors.push(Error::required(&path, ""));
        } else if event[field].text().len() > most {
            errors.push(Error::invalid(&path, "", format!("can have at most {most} characters")));
        }
    }
    if event["note"].text().len() > 1024 {
        errors.push(Error::invalid(&Path::new("message"), "", "can have at most 1024 characters"));
    }
    if event["type"].is_unset() {
        errors.push(Error::invalid(&Path::new("type"), "", "has invalid value: "));
    } else {
        one_of(errors, &Path::new("type"), &event["type"], &["Normal", "Warning"]);
    }
}
