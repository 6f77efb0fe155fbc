//! PriorityLevelConfiguration: how many requests of a level run at once, and how the others wait.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::required_one_of;
use crate::policy::read::{Read, age_cell, name_cell, put};
use crate::policy::{Column, Policy};

pub static PRIORITY_LEVEL: Policy = Policy {
    defaults,
    validate,
    columns: &[
        Column::NAME,
        Column::text("Type", "Limited or Exempt."),
        Column::text("NominalConcurrencyShares", "Its share of what runs at once."),
        Column::text("Queues", "How many queues there are."),
        Column::text("HandSize", "How many queues a flow may use."),
        Column::text("QueueLengthLimit", "How many may wait in a queue."),
        Column::AGE,
    ],
    cells: |level, now| {
        let limited = &level["spec"]["limited"];
        let queuing = &limited["limitResponse"]["queuing"];
        let cell = |value: &Value| if value.is_null() { "<none>".into() } else { value.clone() };
        vec![
            name_cell(level),
            level["spec"]["type"].text().into(),
            cell(&limited["nominalConcurrencyShares"]),
            cell(&queuing["queues"]),
            cell(&queuing["handSize"]),
            cell(&queuing["queueLengthLimit"]),
            age_cell(level, now),
        ]
    },
    ..Policy::SPEC_STATUS
};

fn defaults(level: &mut Value) {
    let mut default = |holder: &[&str], field: &str, value: i64, zero_too: bool| {
        let Some(holder) = crate::policy::read::at_mut(level, holder).filter(|holder| holder.is_object()) else {
            return;
        };
        if holder[field].is_null() || (zero_too && holder[field].int() == Some(0)) {
            put(holder, &[field], value);
        }
    };
    default(&["spec", "limited"], "nominalConcurrencyShares", 30, false);
    default(&["spec", "limited"], "lendablePercent", 0, false);
    default(&["spec", "exempt"], "nominalConcurrencyShares", 0, false);
    default(&["spec", "exempt"], "lendablePercent", 0, false);
    let queuing = ["spec", "limited", "limitResponse", "queuing"];
    default(&queuing, "queues", 64, true);
    default(&queuing, "handSize", 8, true);
    default(&queuing, "queueLengthLimit", 50, true);
}

fn validate(level: &Value, errors: &mut Errors) {
    let (spec, path) = (&level["spec"], Path::new("spec"));
    let (name, kind) = (level["metadata"]["name"].text(), spec["type"].text());
    if (name == "exempt") != (kind == "Exempt") && (kind == "Exempt" || kind == "Limited") {
        let wrong = "type must be 'Exempt' if and only if name is 'exempt'";
        errors.push(Error::invalid(&path.child("type"), kind, wrong));
    }
    required_one_of(errors, &path.child("type"), &spec["type"], &["Exempt", "Limited"]);
    let (limited, place) = (&spec["limited"], path.child("limited"));
    match kind {
        "Exempt" if limited.is_set() => {
            errors.push(Error::forbidden(&place, "must be nil if the type is not Limited"));
        }
        "Limited" if limited.is_null() => {
            errors.push(Error::required(&place, "must not be empty when type is Limited"))
        }
        "Limited" => check_limited(limited, &place, errors),
        _ => {}
    }
    let (exempt, place) = (&spec["exempt"], path.child("exempt"));
    if kind == "Limited" && exempt.is_set() {
        errors.push(Error::forbidden(&place, "must be nil if the type is Limited"));
    } else if exempt.is_set() {
        check_shares(exempt, 0, &place, errors);
    }
}

fn check_shares(holder: &Value, least: i64, path: &Path, errors: &mut Errors) {
    if let Some(shares) = holder["nominalConcurrencyShares"].int().filter(|s| *s < least) {
        let wrong = if least == 0 { "must be a non-negative integer" } else { "must be positive" };
        errors.push(Error::invalid(&path.child("nominalConcurrencyShares"), shares, wrong));
    }
    if let Some(percent) = holder["lendablePercent"].int().filter(|p| !(0..=100).contains(p)) {
        errors.push(Error::invalid(&path.child("lendablePercent"), percent, "must be between 0 and 100, inclusive"));
    }
    if let Some(percent) = holder["borrowingLimitPercent"].int().filter(|p| *p < 0) {
        let wrong = "if specified, must be a non-negative integer";
        errors.push(Error::invalid(&path.child("borrowingLimitPercent"), percent, wrong));
    }
}

fn check_limited(limited: &Value, path: &Path, errors: &mut Errors) {
    check_shares(limited, 0, path, errors);
    let (response, place) = (&limited["limitResponse"], path.child("limitResponse"));
    required_one_of(errors, &place.child("type"), &response["type"], &["Queue", "Reject"]);
    let (queuing, place) = (&response["queuing"], place.child("queuing"));
    match response["type"].text() {
        "Queue" if queuing.is_null() => {
            errors.push(Error::required(&place, "must not be empty if limited.limitResponse.type is Queue"));
        }
        "Reject" if queuing.is_set() => {
            errors.push(Error::forbidden(&place, "must be nil if limited.limitResponse.type is not Limited"));
        }
        "Queue" => check_queuing(queuing, &place, errors),
        _ => {}
    }
}

fn check_queuing(queuing: &Value, path: &Path, errors: &mut Errors) {
    let of = |field: &str| queuing[field].int().unwrap_or(0);
    for field in ["queueLengthLimit", "queues", "handSize"] {
        if of(field) <= 0 {
            errors.push(Error::invalid(&path.child(field.to_owned()), of(field), "must be positive"));
        }
    }
    if of("queues") > 10_000_000 {
        errors.push(Error::invalid(&path.child("queues"), of("queues"), "must not be greater than 10000000"));
    }
    if of("handSize") > of("queues") {
        let wrong = format!("should not be greater than queues ({})", of("queues"));
        errors.push(Error::invalid(&path.child("handSize"), of("handSize"), wrong));
    }
}
