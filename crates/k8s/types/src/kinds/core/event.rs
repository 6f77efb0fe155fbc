//! Event, in the form of the core group; events.k8s.io shows the same objects.

use jiff::Timestamp;
use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::events::{from_core, to_core};
use crate::policy::read::{Read, field_value, name_cell, or_set, since};
use crate::policy::{At, Column, Policy, check};

/// The policy of events.
pub const POLICY: Policy = Policy {
    defaults: |event| {
        or_set(event, "firstTimestamp", Value::Null);
        or_set(event, "lastTimestamp", Value::Null);
    },
    validate,
    columns: &[
        Column::text("Last Seen", "Time since it happened last."),
        Column::text("Type", "Normal or Warning."),
        Column::text("Reason", "Why it happened, in one word."),
        Column::text("Object", "What it is about."),
        Column::text("Subobject", "Which part of that object it is about.").wide(),
        Column::text("Source", "Who told it.").wide(),
        Column::text("Message", "What happened."),
        Column::text("First Seen", "Time since it happened first.").wide(),
        Column::text("Count", "How often it happened.").wide(),
        Column { priority: 1, ..Column::NAME },
    ],
    cells,
    field: |event, path| match path {
        "source" => match event["source"]["component"].text() {
            "" => event["reportingComponent"].text().to_owned(),
            component => component.to_owned(),
        },
        _ => field_value(event, path),
    },
    convert: Some(|event, version| match version {
        "v1" => to_core(event),
        _ => from_core(event),
    }),
    create_on_update: true,
    ..Policy::NEUTRAL
};

fn validate(event: &Value, errors: &mut Errors) {
    let root = At::root(event);
    let involved = root.get("involvedObject");
    let (namespace, own) = (involved.get("namespace"), event["metadata"]["namespace"].text());
    let fits = match namespace.text() {
        // of objects without namespace, in the namespace default or of the node's own
        "" => ["", "default", "kube-system"].contains(&own),
        namespace => namespace == own,
    };
    if !fits {
        let detail = "does not match event.namespace";
        errors.push(Error::invalid(&Path::new("involvedObject").child("namespace"), namespace.text(), detail));
    }
    check::one_of(&root.get("type"), &["Normal", "Warning"], errors);
}

fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let seen = |time: &Value| since(time, now);
    let first = if event["firstTimestamp"].is_unset() { &event["eventTime"] } else { &event["firstTimestamp"] };
    let series = &event["series"];
    let last = match () {
        () if series.is_set() => &series["lastObservedTime"],
        () if event["lastTimestamp"].is_unset() => first,
        () => &event["lastTimestamp"],
    };
    let count = match series.is_set() {
        true => series["count"].int().unwrap_or(0),
        false => event["count"].int().filter(|count| *count != 0).unwrap_or(1),
    };
    let about = &event["involvedObject"];
    let kind = about["kind"].text().to_lowercase();
    let object = if about["name"].is_unset() { kind } else { format!("{kind}/{}", about["name"].text()) };
    vec![
        seen(last).into(),
        event["type"].text().into(),
        event["reason"].text().into(),
        object.into(),
        about["fieldPath"].text().into(),
        source(event).into(),
        event["message"].text().trim().into(),
        seen(first).into(),
        count.to_string().into(),
        name_cell(event),
    ]
}

fn source(event: &Value) -> String {
    let either = |field: &str, newer: &str| match event["source"][field].text() {
        "" => event[newer].text().to_owned(),
        text => text.to_owned(),
    };
    let (component, host) = (either("component", "reportingComponent"), either("host", "reportingInstance"));
    if host.is_empty() { component } else { format!("{component}, {host}") }
}
