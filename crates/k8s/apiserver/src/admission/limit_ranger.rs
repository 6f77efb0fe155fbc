//! Limit ranges: defaults for containers that ask for nothing, and bounds for containers, pods and claims.

mod bounds;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use k8s_types::object;
use k8s_types::policy::read::{Read, put};
use k8s_types::status::ApiError;
use serde_json::Value;

use super::{Attributes, Operation, lookup};
use crate::registry::Registry;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn concerned(attributes: &Attributes<'_>) -> bool {
    match attributes.operation {
        Operation::Create => attributes.is("", "pods") || attributes.is("", "persistentvolumeclaims"),
        Operation::Update => {
            attributes.is("", "persistentvolumeclaims")
                || (attributes.row.is("", "pods") && attributes.subresource == "resize")
        }
        Operation::Delete | Operation::Connect => false,
    }
}

pub async fn mutate(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    if !concerned(attributes) || !attributes.row.is("", "pods") || attributes.operation != Operation::Create {
        return Ok(());
    }
    for range in lookup::list(registry, "", "limitranges", attributes.namespace).await? {
        if let Some(pod) = attributes.object.as_deref_mut() {
            fill_in(pod, &range);
        }
    }
    Ok(())
}

pub async fn validate(registry: &Registry, attributes: &Attributes<'_>) -> Result<(), ApiError> {
    if !concerned(attributes) {
        return Ok(());
    }
    let object = attributes.after();
    for range in lookup::list(registry, "", "limitranges", attributes.namespace).await? {
        let is_pod = attributes.row.is("", "pods");
        let faults = if is_pod { bounds::pod_faults(object, &range) } else { bounds::claim_faults(object, &range) };
        match faults.as_slice() {
            [] => {}
            [one] => return Err(attributes.forbidden(one)),
            many => return Err(attributes.forbidden(format_args!("[{}]", many.join(", ")))),
        }
    }
    Ok(())
}

/// Gives containers the requests and limits they leave out.
fn fill_in(pod: &mut Value, range: &Value) {
    let items = range["spec"]["limits"].items();
    let of_containers = |field: &str| {
        let limits = items.iter().filter(|item| item["type"] == "Container");
        limits.flat_map(|item| item[field].fields().clone()).collect::<serde_json::Map<String, Value>>()
    };
    let (requests, limits) = (of_containers("defaultRequest"), of_containers("default"));
    let mut notes = Vec::new();
    for (list, what) in [("initContainers", "init container"), ("containers", "container")] {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let name = container["name"].text().to_owned();
            for (field, word, defaults) in [("limits", "limit", &limits), ("requests", "request", &requests)] {
                let given = give(container, field, defaults);
                if !given.is_empty() {
                    let given: Vec<String> = given.into_iter().collect();
                    notes.push((word, format!("{} {word} for {what} {name}", given.join(", "))));
                }
            }
        }
    }
    if !notes.is_empty() {
        notes.sort_by_key(|(word, _)| *word != "request");
        let notes: Vec<String> = notes.into_iter().map(|(_, note)| note).collect();
        object::set_annotation(pod, ANNOTATION, &format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

fn give(container: &mut Value, field: &str, defaults: &serde_json::Map<String, Value>) -> BTreeSet<String> {
    let missing = |name: &&String| container["resources"][field][name.as_str()].is_null();
    let names: BTreeSet<String> = defaults.keys().filter(missing).cloned().collect();
    for name in &names {
        put(container, &["resources", field, name], defaults[name].clone());
    }
    names
}
