//! autoscaling/v1 and v2: what the old version has no fields for is kept in annotations, as JSON in the old version's form.

use serde_json::{Value, json};

use super::horizontal_pod_autoscaler::default_metric;
use super::metrics::SOURCES;
use crate::policy::read::{Read, put, take};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Changes an autoscaler to another version.
pub fn convert(object: &mut Value, version: &str) {
    let from = object["apiVersion"].text().to_owned();
    match (from.as_str(), version) {
        ("autoscaling/v2", "autoscaling/v1") => to_v1(object),
        ("autoscaling/v1", "autoscaling/v2") => to_v2(object),
        _ => {}
    }
    put(object, &["apiVersion"], version);
}

fn annotate(object: &mut Value, key: &str, value: &Value) {
    put(object, &["metadata", "annotations", key], value.to_string());
}

/// The JSON in an annotation, which goes away.
fn annotated(object: &mut Value, key: &str) -> Option<Value> {
    let text = take(object, &["metadata", "annotations", key])?;
    if object["metadata"]["annotations"].is_unset() {
        take(object, &["metadata", "annotations"]);
    }
    serde_json::from_str(text.text()).ok()
}

fn is_processor(metric: &Value) -> bool {
    metric["type"].text() == "Resource" && metric["resource"]["name"].text() == "cpu"
}

fn to_v1(object: &mut Value) {
    for key in [METRICS, CURRENT, CONDITIONS, BEHAVIOR] {
        take(object, &["metadata", "annotations", key]);
    }
    let metrics = take(object, &["spec", "metrics"]).unwrap_or_default();
    let utilization =
        |metric: &&Value| is_processor(metric) && metric["resource"]["target"]["averageUtilization"].is_set();
    if let Some(metric) = metrics.items().iter().find(utilization) {
        let percent = metric["resource"]["target"]["averageUtilization"].clone();
        put(object, &["spec", "targetCPUUtilizationPercentage"], percent);
    }
    let others: Vec<Value> =
        metrics.items().iter().filter(|metric| !utilization(metric)).map(|m| flat(m, "target")).collect();
    if !others.is_empty() {
        annotate(object, METRICS, &others.into());
    }
    if let Some(behavior) = take(object, &["spec", "behavior"]).filter(Read::is_set) {
        annotate(object, BEHAVIOR, &behavior);
    }
    let current = take(object, &["status", "currentMetrics"]).unwrap_or_default();
    if !current.is_unset() {
        let processor = current.items().iter().find(|metric| is_processor(metric));
        let percent =
            processor.map_or(Value::Null, |metric| metric["resource"]["current"]["averageUtilization"].clone());
        if percent.is_set() {
            put(object, &["status", "currentCPUUtilizationPercentage"], percent);
        }
        let flat: Vec<Value> = current.items().iter().map(|metric| flat(metric, "current")).collect();
        annotate(object, CURRENT, &flat.into());
    }
    if let Some(conditions) = take(object, &["status", "conditions"]).filter(|list| !list.is_unset()) {
        annotate(object, CONDITIONS, &conditions);
    }
}

fn to_v2(object: &mut Value) {
    let mut metrics = Vec::new();
    if let Some(percent) = take(object, &["spec", "targetCPUUtilizationPercentage"]).filter(Read::is_set) {
        let mut metric = default_metric();
        put(&mut metric, &["resource", "target", "averageUtilization"], percent);
        metrics.push(metric);
    }
    if let Some(others) = annotated(object, METRICS) {
        metrics.extend(others.items().iter().map(|metric| deep(metric, "target")));
    }
    if metrics.is_empty() {
        metrics.push(default_metric());
    }
    put(object, &["spec", "metrics"], metrics);
    if let Some(behavior) = annotated(object, BEHAVIOR) {
        put(object, &["spec", "behavior"], behavior);
    }
    let percent = take(object, &["status", "currentCPUUtilizationPercentage"]);
    let current = annotated(object, CURRENT);
    if let Some(current) = current {
        let current: Vec<Value> = current.items().iter().map(|metric| deep(metric, "current")).collect();
        put(object, &["status", "currentMetrics"], current);
    } else if let Some(percent) = percent.filter(Read::is_set) {
        let metric =
            json!({ "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": percent } } });
        put(object, &["status", "currentMetrics"], json!([metric]));
    }
    if let Some(conditions) = annotated(object, CONDITIONS) {
        put(object, &["status", "conditions"], conditions);
    }
}

/// Where v1 keeps each part of a source of v2, for the fields below `target` or `current` (which v1 puts before the name).
fn fields(source: &str, side: &str) -> Vec<(Vec<String>, String)> {
    let capital = |name: &str| name[..1].to_uppercase() + &name[1..];
    let of = |measure: &str| (vec![side.to_owned(), measure.to_owned()], format!("{side}{}", capital(measure)));
    let metric = |selector: &str| {
        vec![
            (vec!["metric".to_owned(), "name".to_owned()], "metricName".to_owned()),
            (vec!["metric".to_owned(), "selector".to_owned()], selector.to_owned()),
        ]
    };
    let same = |name: &str| (vec![name.to_owned()], name.to_owned());
    let mut all = Vec::new();
    match source {
        "object" => {
            all.extend(metric("selector"));
            all.push((vec!["describedObject".to_owned()], "target".to_owned()));
            all.push(of("value"));
            all.push((vec![side.to_owned(), "averageValue".to_owned()], "averageValue".to_owned()));
        }
        "pods" => {
            all.extend(metric("selector"));
            all.push(of("averageValue"));
        }
        "external" => {
            all.extend(metric("metricSelector"));
            all.push(of("value"));
            all.push(of("averageValue"));
        }
        _ => {
            all.extend([same("name"), same("container"), of("averageUtilization"), of("averageValue")]);
        }
    }
    all
}

/// A metric of v2 in the form of v1.
fn flat(metric: &Value, side: &str) -> Value {
    let mut out = json!({ "type": metric["type"] });
    for (_, source) in SOURCES {
        if metric[source].is_null() {
            continue;
        }
        put(&mut out, &[source], json!({}));
        for (path, name) in fields(source, side) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let value = crate::policy::read::at(&metric[source], &path);
            if value.is_set() {
                put(&mut out, &[source, &name], value.clone());
            }
        }
        // v1 always has these amounts
        for (of, name) in [("object", "Value"), ("pods", "AverageValue")] {
            let name = format!("{side}{name}");
            if of == source && out[source][&name].is_null() {
                put(&mut out, &[source, &name], "0");
            }
        }
    }
    out
}

/// A metric of v1 in the form of v2.
fn deep(metric: &Value, side: &str) -> Value {
    let mut out = json!({ "type": metric["type"] });
    for (_, source) in SOURCES {
        if metric[source].is_null() {
            continue;
        }
        for (path, name) in fields(source, side) {
            let value = &metric[source][&name];
            let nothing = value.text() == "0" && source == "object" && name.ends_with("Value");
            if value.is_set() && !nothing {
                let mut whole = vec![source];
                whole.extend(path.iter().map(String::as_str));
                put(&mut out, &whole, value.clone());
            }
        }
        if side == "target" {
            let target = &out[source]["target"];
            let kind = match () {
                () if target["averageUtilization"].is_set() => "Utilization",
                () if target["averageValue"].is_set() => "AverageValue",
                () => "Value",
            };
            put(&mut out, &[source, "target", "type"], kind);
        } else if out[source]["current"].is_null() {
            put(&mut out, &[source, "current"], json!({}));
        }
    }
    out
}
