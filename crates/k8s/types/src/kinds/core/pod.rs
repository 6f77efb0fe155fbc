//! Pod.

use serde_json::{Value, json};

use super::pod_spec::{self, Owner, annotations, containers, defaults};
use crate::field::Errors;
use crate::policy::read::{Read, at_mut, field_value, put};
use crate::policy::{At, Part, Policy, prepare};

pub mod columns;
mod labels;
pub mod qos;
mod resize;
mod status;
mod update;

#[cfg(test)]
mod tests;

/// The policy of pods.
pub static POLICY: Policy = Policy {
    defaults: pod_defaults,
    prepare_create,
    prepare_update: |new, old| {
        prepare::status_from(new, old);
        prepare::count_generation(new, old);
    },
    prepare_status: |new, old| {
        prepare::only_status(new, old);
        keep_changes_of_status(new, old);
    },
    validate,
    validate_update: update::validate,
    update_alone: true,
    validate_status: status::validate,
    warnings: |new, old| match old {
        Some(old) if old["spec"] == new["spec"] => Vec::new(),
        _ => {
            let root = At::root(new);
            pod_spec::warnings::of(&root.get("spec"), &root.get("metadata"))
        }
    },
    columns: columns::COLUMNS,
    cells: columns::cells,
    field: |pod, path| match path {
        "spec.hostNetwork" => pod["spec"]["hostNetwork"].yes().to_string(),
        "status.podIP" => first_ip(pod),
        _ => field_value(pod, path),
    },
    parts: &[
        Part { name: "ephemeralcontainers", prepare: update::only_ephemeral, validate: update::ephemeral },
        Part { name: "resize", prepare: resize::prepare, validate: resize::validate },
    ],
    grace: Some(grace),
    ..Policy::NEUTRAL
};

fn first_ip(pod: &Value) -> String {
    let single = pod["status"]["podIP"].text();
    if single.is_empty() { pod["status"]["podIPs"][0]["ip"].text() } else { single }.to_owned()
}

fn pod_defaults(pod: &mut Value) {
    if let Some(spec) = at_mut(pod, &["spec"]) {
        defaults::pod_spec(spec);
        defaults::pod_only(spec);
    }
    if let Some(status) = at_mut(pod, &["status"]) {
        for (one, many) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
            let single = status[one].text().to_owned();
            if !single.is_empty() && status[many].is_unset() {
                put(status, &[many], json!([{ "ip": single }]));
            }
        }
    }
}

fn prepare_create(pod: &mut Value) {
    put(pod, &["metadata", "generation"], 1);
    put(pod, &["status"], json!({ "phase": "Pending", "qosClass": qos::class(pod) }));
    labels::join(pod);
    if !pod["spec"]["schedulingGates"].is_unset() {
        let message = "Scheduling is blocked due to non-empty scheduling gates";
        let gated = json!({
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": message,
            "lastProbeTime": null, "lastTransitionTime": null,
        });
        put(pod, &["status", "conditions"], json!([gated]));
    }
}

/// A kubelet's update may leave out the quality of service, which never changes.
fn keep_changes_of_status(new: &mut Value, old: &Value) {
    if new["status"]["qosClass"].is_unset() && !old["status"]["qosClass"].is_unset() {
        put(new, &["status", "qosClass"], old["status"]["qosClass"].clone());
    }
}

/// Checks what creates and updates have in common.
fn common(pod: &Value, errors: &mut Errors) {
    let root = At::root(pod);
    let (spec, metadata) = (root.get("spec"), root.get("metadata"));
    annotations::validate(&metadata.get("annotations"), &spec, errors);
    pod_spec::validate(&spec, Owner::Pod(&pod["metadata"]), errors);
    if spec["serviceAccountName"].is_unset() {
        for volume in spec.get("volumes").each() {
            for source in volume.down(&["projected", "sources"]).each() {
                if source["serviceAccountToken"].is_set() {
                    let detail = "must not be specified when serviceAccountName is not set";
                    source.get("serviceAccountToken").forbidden(errors, detail);
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get(list).each() {
            containers::image_text(&container, errors);
        }
    }
}

fn validate(pod: &Value, errors: &mut Errors) {
    common(pod, errors);
    let root = At::root(pod);
    let spec = root.get("spec");
    if !spec["ephemeralContainers"].is_unset() {
        spec.get("ephemeralContainers").forbidden(errors, "cannot be set on create");
    }
    if !spec["nodeName"].is_unset() && !spec["schedulingGates"].is_unset() {
        spec.get("nodeName").forbidden(errors, "cannot be set until all schedulingGates have been cleared");
    }
    annotations::agree(&root.down(&["metadata", "annotations"]), &spec, errors);
}

/// How long a deletion takes: what was asked for, else what the pod wants; no time for what runs nowhere.
fn grace(pod: &Value, asked: Option<i64>) -> i64 {
    let own = pod["spec"]["terminationGracePeriodSeconds"].int();
    let period = asked.or(own).unwrap_or(0);
    let period = if period < 0 { 1 } else { period };
    let ended = matches!(pod["status"]["phase"].text(), "Failed" | "Succeeded");
    if pod["spec"]["nodeName"].is_unset() || ended { 0 } else { period }
}
