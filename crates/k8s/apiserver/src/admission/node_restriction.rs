//! What a node may write: itself, the pods bound to it, its leases, its drivers.

use k8s_types::policy::read::Read;
use k8s_types::status::ApiError;
use serde_json::Value;

use super::{Attributes, Operation, lookup};
use crate::auth::nodes::node_of;
use crate::registry::Registry;

const MIRROR: &str = "kubernetes.io/config.mirror";

pub async fn check(registry: &Registry, attributes: &Attributes<'_>) -> Result<(), ApiError> {
    let Some(node) = node_of(attributes.identity) else { return Ok(()) };
    let row = attributes.row;
    let why = match () {
        () if row.is("", "pods") => pods(registry, attributes, node).await?,
        () if row.is("", "nodes") => nodes(attributes, node),
        () if row.is("", "persistentvolumeclaims") => claims(attributes),
        () if row.is("coordination.k8s.io", "leases") => leases(attributes, node),
        () if row.is("storage.k8s.io", "csinodes") => named_as_node(attributes, node, "CSINode"),
        () if row.is("resource.k8s.io", "resourceslices") => slices(attributes, node),
        () => None,
    };
    why.map_or(Ok(()), |why| Err(attributes.forbidden(why)))
}

async fn pods(registry: &Registry, attributes: &Attributes<'_>, node: &str) -> Result<Option<String>, ApiError> {
    let (new, old) = (attributes.after(), attributes.before());
    let bound_elsewhere = |pod: &Value| pod["spec"]["nodeName"] != node;
    Ok(match (attributes.subresource, attributes.operation) {
        ("", Operation::Create) => mirror_pod(new, node, attributes.name),
        ("", Operation::Delete) | ("status", Operation::Update) if bound_elsewhere(old) => {
            let what = if attributes.subresource.is_empty() { "delete pods" } else { "update pod status for pods" };
            Some(format!("node {node:?} can only {what} with spec.nodeName set to itself"))
        }
        ("status", Operation::Update) if new["metadata"]["labels"] != old["metadata"]["labels"] => {
            Some(format!("node {node:?} cannot update labels through pod status"))
        }
        ("", Operation::Delete) | ("status", Operation::Update) => None,
        ("eviction", Operation::Create) => {
            let pod = lookup::get(registry, "", "pods", attributes.namespace, attributes.name).await?;
            pod.filter(bound_elsewhere)
                .map(|_| format!("node {node:?} can only evict pods with spec.nodeName set to itself"))
        }
        (subresource, _) => Some(format!("unexpected operation on pods/{subresource} by node {node:?}")),
    })
}

/// Nodes create nothing but the mirrors of their own static pods.
fn mirror_pod(pod: &Value, node: &str, name: &str) -> Option<String> {
    if pod["metadata"]["annotations"][MIRROR].is_null() {
        return Some(format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"));
    }
    if pod["spec"]["nodeName"] != node {
        return Some(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners = pod["metadata"]["ownerReferences"].items();
    let owned_by_node = matches!(owners, [owner]
        if owner["kind"] == "Node" && owner["apiVersion"] == "v1" && owner["name"] == node && owner["controller"].yes());
    if !owned_by_node {
        return Some(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if !pod["spec"]["serviceAccountName"].is_unset() {
        return Some(format!("node {node:?} can not create pods that reference a service account"));
    }
    let sources = ["secret", "configMap", "persistentVolumeClaim"];
    let refers = |volume: &Value| sources.iter().any(|source| volume[*source].is_set());
    let volumes = pod["spec"]["volumes"].items();
    volumes.iter().any(refers).then(|| format!("node {node:?} can not create pods that reference objects: {name}"))
}

fn nodes(attributes: &Attributes<'_>, node: &str) -> Option<String> {
    if attributes.operation == Operation::Delete {
        return Some(format!("node {node:?} cannot delete node {:?}", attributes.name));
    }
    if attributes.name != node {
        return Some(format!("node {node:?} is not allowed to modify node {:?}", attributes.name));
    }
    let (new, old) = (attributes.after(), attributes.before());
    let create = attributes.operation == Operation::Create;
    let verb = if create { "set" } else { "modify" };
    let labels = changed_labels(new, old);
    let forbidden: Vec<&str> = labels.iter().filter(|label| !label_allowed(label)).map(String::as_str).collect();
    if !forbidden.is_empty() {
        return Some(format!("is not allowed to {verb} labels: {}", forbidden.join(", ")));
    }
    if create {
        return None;
    }
    if new["spec"]["configSource"] != old["spec"]["configSource"] {
        return Some(format!("node {node:?} cannot update configSource to a new non-nil configSource"));
    }
    if new["spec"]["taints"] != old["spec"]["taints"] {
        return Some(format!("node {node:?} is not allowed to modify taints"));
    }
    if new["metadata"]["ownerReferences"] != old["metadata"]["ownerReferences"] {
        return Some(format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    None
}

fn changed_labels(new: &Value, old: &Value) -> Vec<String> {
    let (new, old) = (new["metadata"]["labels"].fields(), old["metadata"]["labels"].fields());
    let mut changed: Vec<String> =
        new.keys().chain(old.keys()).filter(|k| new.get(*k) != old.get(*k)).cloned().collect();
    changed.sort();
    changed.dedup();
    changed
}

/// Labels of the kubelet, and any that are not of Kubernetes.
fn label_allowed(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return true };
    let under = |parent: &str| domain == parent || domain.ends_with(&format!(".{parent}"));
    if under("node-restriction.kubernetes.io") {
        return false;
    }
    let known = [
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "node.kubernetes.io/windows-build",
    ];
    let of_kubernetes = under("kubernetes.io") || under("k8s.io");
    known.contains(&label) || under("kubelet.kubernetes.io") || under("node.kubernetes.io") || !of_kubernetes
}

fn claims(attributes: &Attributes<'_>) -> Option<String> {
    let update = attributes.operation == Operation::Update && attributes.subresource == "status";
    if !update {
        return Some("may only update PVC status".to_owned());
    }
    let (new, old) = (attributes.after(), attributes.before());
    (new["spec"] != old["spec"])
        .then(|| "is not allowed to update fields other than status.quantity and status.conditions".to_owned())
}

fn leases(attributes: &Attributes<'_>, node: &str) -> Option<String> {
    if attributes.namespace != "kube-node-lease" {
        return Some("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    let why = || format!("can only access node lease with the same name as the requesting node ({node})");
    (attributes.name != node).then(why)
}

fn named_as_node(attributes: &Attributes<'_>, node: &str, kind: &str) -> Option<String> {
    (attributes.name != node)
        .then(|| format!("can only access {kind} with the same name as the requesting node ({node})"))
}

fn slices(attributes: &Attributes<'_>, node: &str) -> Option<String> {
    let slice = if attributes.operation == Operation::Delete { attributes.before() } else { attributes.after() };
    let why = || {
        format!(
            "can only {} ResourceSlice with the same NodeName as the requesting node",
            match attributes.operation {
                Operation::Create => "create",
                Operation::Update => "update",
                _ => "delete",
            }
        )
    };
    (slice["spec"]["nodeName"] != node).then(why)
}
