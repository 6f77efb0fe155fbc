//! What an autoscaler measures: checks, and how it is shown.

use serde_json::Value;

use super::horizontal_pod_autoscaler::reference;
use crate::field::Errors;
use crate::names;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;
use crate::quantity::Quantity;

const TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

/// The field that a type of metric has its source in.
pub const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

/// Checks one metric.
pub fn validate(metric: &At, errors: &mut Errors) {
    let kind = metric.get("type");
    if kind.is_unset() {
        kind.required(errors, "must specify a metric source type");
    }
    if !TYPES.contains(&kind.text()) {
        errors.push(crate::field::Error::not_supported(&kind.path(), kind.text(), TYPES));
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == kind.text()).map_or("", |(_, field)| field);
    let mut present = SOURCES.iter().map(|(_, field)| *field).filter(|field| metric[*field].is_set());
    let first = present.next();
    if let Some(field) = first {
        source(field, &metric.get(field), errors);
    }
    if !expected.is_empty() && metric[expected].is_null() {
        metric.get(expected).required(errors, "must populate information for the given metric source");
    }
    let more = present.count() > 0;
    for (_, field) in SOURCES {
        if more && field != expected && metric[field].is_set() {
            metric.get(field).forbidden(errors, "must populate the given metric source only");
        }
    }
}

fn source(field: &str, source: &At, errors: &mut Errors) {
    let goal = source.get("target");
    target(&goal, errors);
    let (value, average) = (goal.get("value"), goal.get("averageValue"));
    match field {
        "object" => {
            reference(&source.get("describedObject"), errors);
            identifier(&source.get("metric"), errors);
            if value.is_null() && average.is_null() {
                average.required(errors, "must set either a target value or averageValue");
            }
        }
        "external" => {
            identifier(&source.get("metric"), errors);
            match (value.is_set(), average.is_set()) {
                (false, false) => {
                    average.required(errors, "must set either a target value for metric or a per-pod target");
                }
                (true, true) => {
                    value.forbidden(errors, "may not set both a target value for metric and a per-pod target");
                }
                _ => {}
            }
        }
        "pods" => {
            identifier(&source.get("metric"), errors);
            if average.is_null() {
                average.required(errors, "must specify a positive target averageValue");
            }
        }
        _ => {
            if source["name"].is_unset() {
                source.get("name").required(errors, "must specify a resource name");
            }
            let utilization = goal.get("averageUtilization");
            match (utilization.is_set(), average.is_set()) {
                (false, false) => {
                    utilization.required(errors, "must set either a target raw value or a target utilization");
                }
                (true, true) => {
                    average.forbidden(errors, "may not set both a target raw value and a target utilization");
                }
                _ => {}
            }
            if field == "containerResource" && source["container"].is_unset() {
                source.get("container").required(errors, "must specify a container");
            }
        }
    }
}

fn target(target: &At, errors: &mut Errors) {
    let kind = target.get("type");
    match kind.text() {
        "" => kind.required(errors, "must specify a metric target type"),
        "Utilization" | "Value" | "AverageValue" => {}
        _ => kind.invalid(errors, "must be either Utilization, Value, or AverageValue"),
    }
    for field in ["value", "averageValue"] {
        let at = target.get(field);
        if at.is_set() && Quantity::from_value(at.value()).is_ok_and(|amount| amount.sign() != 1) {
            at.invalid(errors, "must be positive");
        }
    }
    let utilization = target.get("averageUtilization");
    if utilization.int().is_some_and(|percent| percent < 1) {
        utilization.invalid(errors, "must be greater than 0");
    }
}

fn identifier(metric: &At, errors: &mut Errors) {
    let name = metric.get("name");
    match name.is_unset() {
        true => name.required(errors, "must specify a metric name"),
        false => check::messages(&name, names::path_segment(name.text()), errors),
    }
    check::label_selector(&metric.get("selector"), errors);
}

/// `cpu: 40%/80%, 3/10 (avg)`: what is measured and what it should be.
pub fn shown(metrics: &Value, now: &Value) -> String {
    let texts: Vec<String> =
        metrics.items().iter().enumerate().map(|(index, metric)| one(metric, &now[index])).collect();
    match texts.len() {
        0 => "<none>".to_owned(),
        1 | 2 => texts.join(", "),
        more => format!("{} + {} more...", texts[..2].join(", "), more - 2),
    }
}

fn one(metric: &Value, now: &Value) -> String {
    let kind = metric["type"].text();
    let Some((_, field)) = SOURCES.iter().find(|(name, _)| *name == kind) else { return "<unknown type>".to_owned() };
    let (target, current) = (&metric[*field]["target"], &now[*field]["current"]);
    let text = |value: &Value| match value {
        Value::Null => "<unknown>".to_owned(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let resource = matches!(*field, "resource" | "containerResource");
    let name = if resource { format!("{}: ", metric[*field]["name"].text()) } else { String::new() };
    let average = target["averageValue"].is_set();
    if resource && !average {
        let percent = |value: &Value| value.int().map_or("<unknown>".to_owned(), |percent| format!("{percent}%"));
        let goal = target["averageUtilization"].int().map_or("<auto>".to_owned(), |percent| format!("{percent}%"));
        return format!("{name}{}/{goal}", percent(&current["averageUtilization"]));
    }
    let measure = if average { "averageValue" } else { "value" };
    let suffix = if average && matches!(*field, "object" | "external") { " (avg)" } else { "" };
    format!("{name}{}/{}{suffix}", text(&current[measure]), text(&target[measure]))
}
