//! What pods and nodes get on their way: tolerations, the cost of their runtime class, the first taint.

use k8s_types::policy::read::{Read, put};
use k8s_types::quantity::Quantity;
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::{Attributes, Operation, lookup};
use crate::registry::Registry;

/// Pods stay five minutes on a node that is away, unless they say otherwise.
pub fn default_tolerations(attributes: &mut Attributes<'_>) {
    let written = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !written || !attributes.is("", "pods") {
        return;
    }
    let Some(pod) = attributes.object.as_deref_mut() else { return };
    let mut tolerations = pod["spec"]["tolerations"].items().to_vec();
    let count = tolerations.len();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|t| {
            let any_key = t["key"].is_unset() && t["operator"] == "Exists";
            let effect = t["effect"].is_unset() || t["effect"] == "NoExecute";
            (any_key || t["key"] == key) && effect
        });
        if !tolerated {
            tolerations
                .push(json!({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300}));
        }
    }
    if tolerations.len() > count {
        put(pod, &["spec", "tolerations"], tolerations);
    }
}

/// A new node is not ready.
pub fn taint_node(attributes: &mut Attributes<'_>) {
    const KEY: &str = "node.kubernetes.io/not-ready";
    if !attributes.is("", "nodes") || attributes.operation != Operation::Create {
        return;
    }
    let Some(node) = attributes.object.as_deref_mut() else { return };
    let mut taints = node["spec"]["taints"].items().to_vec();
    if !taints.iter().any(|t| t["key"] == KEY && t["effect"] == "NoSchedule") {
        taints.push(json!({"effect": "NoSchedule", "key": KEY}));
        put(node, &["spec", "taints"], taints);
    }
}

/// What a runtime class costs and where it can be had.
pub async fn runtime_class(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    if !attributes.is("", "pods") || attributes.operation != Operation::Create {
        return Ok(());
    }
    let spec = &attributes.after()["spec"];
    let name = spec["runtimeClassName"].text();
    if name.is_empty() {
        return match spec["overhead"].is_unset() {
            true => Ok(()),
            false => Err(attributes
                .forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")),
        };
    }
    let class = lookup::get(registry, "node.k8s.io", "runtimeclasses", "", name).await?;
    let class =
        class.ok_or_else(|| attributes.forbidden(format_args!("pod rejected: RuntimeClass \"{name}\" not found")))?;
    let overhead = &class["overhead"]["podFixed"];
    if spec["overhead"].is_set() && !same_amounts(&spec["overhead"], overhead) {
        return Err(attributes.forbidden(match overhead.is_unset() {
            true => "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            false => "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        }));
    }
    let mut selector = spec["nodeSelector"].fields().clone();
    for (key, value) in class["scheduling"]["nodeSelector"].fields() {
        if let Some(own) = selector.get(key).filter(|own| *own != value) {
            let (wanted, own) = (value.text(), own.text());
            return Err(attributes.forbidden(format_args!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {own}"
            )));
        }
        selector.insert(key.clone(), value.clone());
    }
    let mut tolerations = spec["tolerations"].items().to_vec();
    for toleration in class["scheduling"]["tolerations"].items() {
        if !tolerations.contains(toleration) {
            tolerations.push(toleration.clone());
        }
    }
    let Some(pod) = attributes.object.as_deref_mut() else { return Ok(()) };
    if !overhead.is_unset() {
        put(pod, &["spec", "overhead"], overhead.clone());
    }
    if !selector.is_empty() {
        put(pod, &["spec", "nodeSelector"], selector);
    }
    if !tolerations.is_empty() {
        put(pod, &["spec", "tolerations"], tolerations);
    }
    Ok(())
}

fn same_amounts(a: &Value, b: &Value) -> bool {
    let (a, b) = (a.fields(), b.fields());
    let amount = |value: &Value| Quantity::from_value(value).ok();
    a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| amount(value) == amount(other)))
}
