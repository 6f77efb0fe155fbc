//! Node.

use jiff::Timestamp;
use serde_json::Value;

use super::pod_spec::scheduling;
use super::pod_template::or_none;
use super::resource_name as resource;
use crate::field::Errors;
use crate::policy::read::{Read, age_cell, field_value, name_cell, put, same};
use crate::policy::{At, Column, Policy, check, prepare};

/// The policy of nodes.
pub static POLICY: Policy = Policy {
    defaults: |node| {
        let status = &node["status"];
        if status["allocatable"].is_null() && status["capacity"].is_set() {
            let capacity = status["capacity"].clone();
            put(node, &["status", "allocatable"], capacity);
        }
        both_cidrs(node);
    },
    prepare_update: prepare::status_from,
    prepare_status: |new, old| {
        let metadata = new["metadata"].clone();
        prepare::only_status(new, old);
        // the kubelet labels and annotates its node with the status
        for field in ["labels", "annotations"] {
            if let Some(value) = metadata.get(field) {
                put(new, &["metadata", field], value.clone());
            }
        }
    },
    validate: |node, errors| {
        let root = At::root(node);
        taints(&root, errors);
        resources(&root, errors);
        cidrs(&root.down(&["spec", "podCIDRs"]), errors);
    },
    validate_update,
    update_alone: true,
    validate_status: |new, old, errors| validate_update(new, old, errors),
    warnings,
    columns: &[
        Column::NAME,
        Column::text("Status", "Whether the node is ready, and whether pods are scheduled to it."),
        Column::text("Roles", "What the node is for."),
        Column::AGE,
        Column::text("Version", "Version of the kubelet."),
        Column::text("Internal-IP", "Address inside of the cluster.").wide(),
        Column::text("External-IP", "Address from outside of the cluster.").wide(),
        Column::text("OS-Image", "Operating system.").wide(),
        Column::text("Kernel-Version", "Version of the kernel.").wide(),
        Column::text("Container-Runtime", "Container runtime and its version.").wide(),
    ],
    cells,
    field: |node, path| match path {
        "spec.unschedulable" => node["spec"]["unschedulable"].yes().to_string(),
        _ => field_value(node, path),
    },
    ..Policy::NEUTRAL
};

fn both_cidrs(node: &mut Value) {
    let single = node["spec"]["podCIDR"].text().to_owned();
    if !single.is_empty() && node["spec"]["podCIDRs"].is_unset() {
        put(node, &["spec", "podCIDRs"], serde_json::json!([single]));
    }
}

fn taints(root: &At, errors: &mut Errors) {
    let metadata = root.get("metadata");
    scheduling::taints(&metadata.named("taints", &root.value()["spec"]["taints"]), errors);
}

/// Kubernetes prints the names of resources here as fields.
fn resources(root: &At, errors: &mut Errors) {
    let status = root.get("status");
    for list in ["capacity", "allocatable"] {
        let list = status.get(list);
        for (key, value) in list.fields() {
            resource::amount(&list.named(key, value), key, errors);
        }
    }
}

fn cidrs(list: &At, errors: &mut Errors) {
    let mut found = Vec::new();
    for cidr in list.each() {
        if let Some(address) = check::cidr(&cidr, cidr.text(), errors) {
            found.push(address.is_ipv6());
        }
    }
    let texts = list.items();
    if texts.len() > 1 && (texts.len() > 2 || found.first() == found.get(1)) {
        list.invalid(errors, "may specify no more than one CIDR for each IP family");
    }
    for (index, text) in texts.iter().enumerate() {
        if texts[..index].contains(text) {
            list.index(index).duplicate(errors);
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let (spec, before) = (root.get("spec"), &old["spec"]);
    resources(&root, errors);
    let addresses = root.down(&["status", "addresses"]);
    for (index, address) in addresses.items().iter().enumerate() {
        if addresses.items()[..index].contains(address) {
            addresses.index(index).duplicate(errors);
        }
    }
    if !before["podCIDRs"].is_unset() && !same(&spec["podCIDRs"], &before["podCIDRs"]) {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        spec.get("podCIDRs").forbidden(errors, detail);
    }
    if !before["providerID"].is_unset() && spec["providerID"] != before["providerID"] {
        let detail = "node updates may not change providerID except from \"\" to valid";
        spec.get("providerID").forbidden(errors, detail);
    }
    taints(&root, errors);
    if !same(&spec["externalID"], &before["externalID"]) {
        spec.get("externalID").forbidden(errors, "may not be updated");
    }
}

fn warnings(node: &Value, _old: Option<&Value>) -> Vec<String> {
    let mut all = Vec::new();
    if node["spec"]["configSource"].is_set() {
        all.push("spec.configSource: the feature is no longer supported".to_owned());
    }
    if !node["spec"]["externalID"].is_unset() {
        all.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    all
}

fn cells(node: &Value, now: Timestamp) -> Vec<Value> {
    let (status, info) = (&node["status"], &node["status"]["nodeInfo"]);
    let ready = status["conditions"].items().iter().find(|c| c["type"].text() == "Ready");
    let mut state = match ready.map(|c| c["status"].text()) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if node["spec"]["unschedulable"].yes() {
        state.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let found = status["addresses"].items().iter().find(|a| a["type"].text() == kind);
        or_none(found.map_or("", |a| a["address"].text()).to_owned())
    };
    let known = |field: &str| Value::from(if info[field].is_unset() { "<unknown>" } else { info[field].text() });
    vec![
        name_cell(node),
        state.into(),
        or_none(roles(node)),
        age_cell(node, now),
        info["kubeletVersion"].text().into(),
        address("InternalIP"),
        address("ExternalIP"),
        known("osImage"),
        known("kernelVersion"),
        known("containerRuntimeVersion"),
    ]
}

fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = Vec::new();
    for (key, value) in node["metadata"]["labels"].fields() {
        let role = match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => role,
            None if key == "kubernetes.io/role" => value.text(),
            None => "",
        };
        if !role.is_empty() {
            roles.push(role);
        }
    }
    roles.sort_unstable();
    roles.dedup();
    roles.join(",")
}
