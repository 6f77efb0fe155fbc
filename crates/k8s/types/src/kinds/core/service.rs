//! Service: one address for many pods. Addresses and node ports are allocated by the server; here are the rules about them.

use serde_json::Value;

use crate::policy::read::{Read, at_mut, each, or_set, put, take};
use crate::policy::{NameRule, Policy, prepare};

mod columns;
#[cfg(test)]
mod tests;
mod update;
mod validate;

pub use update::normalize;

/// The policy of services.
pub static POLICY: Policy = Policy {
    defaults,
    prepare_create: |service| {
        prepare::drop_status(service);
        put(service, &["status"], serde_json::json!({ "loadBalancer": {} }));
        normalize(service, None);
    },
    prepare_update: update::prepare,
    prepare_status: prepare::only_status,
    validate: validate::validate,
    validate_update: update::validate,
    validate_status: validate::status,
    warnings: validate::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name: NameRule::Label,
    ..Policy::NEUTRAL
};

/// Whether a service has an address of its own.
pub fn needs_cluster_ip(service: &Value) -> bool {
    matches!(service["spec"]["type"].text(), "ClusterIP" | "NodePort" | "LoadBalancer" | "")
}

/// Whether a service has ports on every node.
pub fn needs_node_port(service: &Value) -> bool {
    let spec = &service["spec"];
    match spec["type"].text() {
        "NodePort" => true,
        "LoadBalancer" => spec["allocateLoadBalancerNodePorts"].as_bool().unwrap_or(true),
        _ => false,
    }
}

/// Whether a service has a port on every node that tells its health.
pub fn needs_health_port(service: &Value) -> bool {
    let spec = &service["spec"];
    spec["type"].text() == "LoadBalancer" && spec["externalTrafficPolicy"].text() == "Local"
}

/// Whether a service can be reached from outside of the cluster.
pub fn is_external(service: &Value) -> bool {
    let spec = &service["spec"];
    match spec["type"].text() {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !spec["externalIPs"].is_unset(),
        _ => false,
    }
}

/// Whether a service has no address on purpose.
pub fn is_headless(service: &Value) -> bool {
    let ips = service["spec"]["clusterIPs"].items();
    (ips.len() == 1 && ips[0].text() == "None") || (ips.is_empty() && service["spec"]["clusterIP"].text() == "None")
}

fn defaults(service: &mut Value) {
    {
        let Some(spec) = at_mut(service, &["spec"]).filter(|spec| spec.is_object()) else { return };
        or_set(spec, "sessionAffinity", "None");
        or_set(spec, "type", "ClusterIP");
        match spec["sessionAffinity"].text() {
            "None" => {
                take(spec, &["sessionAffinityConfig"]);
            }
            "ClientIP" if spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null() => {
                put(spec, &["sessionAffinityConfig"], serde_json::json!({ "clientIP": { "timeoutSeconds": 10800 } }));
            }
            _ => {}
        }
        for port in each(spec, &["ports"]) {
            or_set(port, "protocol", "TCP");
            let target = &port["targetPort"];
            if target.is_unset() || target.int() == Some(0) {
                let number = port["port"].clone();
                put(port, &["targetPort"], number);
            }
        }
    }
    let external = is_external(service);
    let Some(spec) = at_mut(service, &["spec"]) else { return };
    if external {
        or_set(spec, "externalTrafficPolicy", "Cluster");
    }
    let kind = spec["type"].text().to_owned();
    if kind != "ExternalName" {
        or_set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        or_set(spec, "allocateLoadBalancerNodePorts", true);
        for ingress in each(service, &["status", "loadBalancer", "ingress"]) {
            if !ingress["ip"].is_unset() {
                or_set(ingress, "ipMode", "VIP");
            }
        }
    }
}
