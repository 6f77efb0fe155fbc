//! Updates of services: what was allocated stays, what no longer fits the type goes.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{is_external, is_headless, needs_cluster_ip, needs_health_port, needs_node_port};
use crate::field::Errors;
use crate::policy::At;
use crate::policy::read::{Read, each, put, same, take};

/// Brings an update in line with what is there. `(new, old)`
pub fn prepare(new: &mut Value, old: &Value) {
    crate::policy::prepare::status_from(new, old);
    keep_allocated(new, old);
    normalize(new, Some(old));
    drop_unfit(new, old);
}

/// `clusterIP` and the first of `clusterIPs` are the same; whichever the client knows is what it means.
pub fn normalize(new: &mut Value, old: Option<&Value>) {
    let (ip, ips) = (new["spec"]["clusterIP"].clone(), new["spec"]["clusterIPs"].clone());
    let Some(old) = old else {
        if !ip.is_unset() && ips.is_unset() {
            put(new, &["spec", "clusterIPs"], json!([ip]));
        }
        return;
    };
    let (old_ip, old_ips) = (&old["spec"]["clusterIP"], &old["spec"]["clusterIPs"]);
    let same_ip = same(&ip, old_ip);
    if !old_ips.is_unset() && ips.is_unset() && same_ip && !ip.is_unset() {
        put(new, &["spec", "clusterIPs"], old_ips.clone());
    }
    if same_ip || !same(&ips, old_ips) {
        if !same_ip && ips.is_unset() && !ip.is_unset() {
            put(new, &["spec", "clusterIPs"], json!([ip]));
        }
        return;
    }
    if ip.is_unset() {
        take(new, &["spec", "clusterIPs"]);
    } else {
        put(new, &["spec", "clusterIPs"], json!([ip]));
    }
}

/// A client that leaves out what the server allocated means to keep it.
fn keep_allocated(new: &mut Value, old: &Value) {
    let before = &old["spec"];
    if needs_cluster_ip(new) && needs_cluster_ip(old) && !before["clusterIP"].is_unset() {
        if new["spec"]["clusterIP"].is_unset() && new["spec"]["clusterIPs"].is_unset() {
            put(new, &["spec", "clusterIP"], before["clusterIP"].clone());
        }
        if new["spec"]["clusterIPs"].is_unset() && new["spec"]["clusterIP"] == before["clusterIP"] {
            put(new, &["spec", "clusterIPs"], before["clusterIPs"].clone());
        }
    }
    if needs_node_port(new) && needs_node_port(old) {
        let ports = new["spec"]["ports"].items().iter();
        let mut used: HashSet<i64> = ports.filter_map(|port| port["nodePort"].int()).filter(|p| *p != 0).collect();
        for port in each(new, &["spec", "ports"]) {
            if port["nodePort"].int().unwrap_or(0) != 0 {
                continue;
            }
            let like = |was: &&Value| was["port"] == port["port"] && was["protocol"] == port["protocol"];
            let was = before["ports"].items().iter().find(like).and_then(|was| was["nodePort"].int());
            if let Some(node_port) = was.filter(|p| *p != 0 && !used.contains(p)) {
                used.insert(node_port);
                put(port, &["nodePort"], node_port);
            }
        }
    }
    let health = "healthCheckNodePort";
    if needs_health_port(new)
        && needs_health_port(old)
        && new["spec"][health].int().unwrap_or(0) == 0
        && !before[health].is_null()
    {
        put(new, &["spec", health], before[health].clone());
    }
}

/// When the type changes, what only the old type had goes, unless the client has changed it.
fn drop_unfit(new: &mut Value, old: &Value) {
    let unchanged = |new: &Value, field: &str| same(&new["spec"][field], &old["spec"][field]);
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        for fields in [["clusterIP", "clusterIPs"], ["ipFamilies", "ipFamilyPolicy"]] {
            if fields.iter().all(|field| unchanged(new, field)) {
                fields.iter().for_each(|field| drop(take(new, &["spec", field])));
            }
        }
    }
    if needs_node_port(old) && !needs_node_port(new) {
        let ports = |service: &Value| -> Vec<i64> {
            service["spec"]["ports"].items().iter().filter_map(|port| port["nodePort"].int()).collect()
        };
        if ports(new) == ports(old) {
            each(new, &["spec", "ports"]).for_each(|port| drop(take(port, &["nodePort"])));
        }
    }
    let balanced = |service: &Value| service["spec"]["type"].text() == "LoadBalancer";
    let rules: [(&str, bool, bool); 4] = [
        ("healthCheckNodePort", needs_health_port(old), needs_health_port(new)),
        ("allocateLoadBalancerNodePorts", balanced(old), balanced(new)),
        ("loadBalancerClass", balanced(old), balanced(new)),
        ("externalTrafficPolicy", is_external(old), is_external(new)),
    ];
    for (field, had, has) in rules {
        if had && !has && unchanged(new, field) {
            take(new, &["spec", field]);
        }
    }
}

/// Checks what an update may not change. `(new, old)`
pub fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let spec = root.get("spec");
    let named = |service: &Value| service["spec"]["type"].text() == "ExternalName";
    if !named(new) && !named(old) {
        addresses(&spec, old, errors);
        families(&spec, new, old, errors);
    }
    let balanced = |service: &Value| service["spec"]["type"].text() == "LoadBalancer";
    let class = spec.get("loadBalancerClass");
    if balanced(new) && balanced(old) && !same(&class, &old["spec"]["loadBalancerClass"]) {
        class.invalid(errors, "may not change once set");
    }
    let port = spec.get("healthCheckNodePort");
    if needs_health_port(new) && needs_health_port(old) && !same(&port, &old["spec"]["healthCheckNodePort"]) {
        port.forbidden(errors, "field is immutable");
    }
}

fn addresses(spec: &At, old: &Value, errors: &mut Errors) {
    const ONCE: &str = "may not change once set";
    let ips = spec.get("clusterIPs");
    let (now, was) = (ips.items(), old["spec"]["clusterIPs"].items());
    if is_headless(old) && now.len() == 1 && now[0].text() == "None" {
        return;
    }
    let all = ips.value().clone();
    match now.len().cmp(&was.len()) {
        std::cmp::Ordering::Equal => {
            for (index, (now, was)) in now.iter().zip(was).enumerate() {
                if now != was {
                    ips.index(index).invalid_value(errors, all.clone(), ONCE);
                }
            }
        }
        std::cmp::Ordering::Less => {
            let first = ips.index(0);
            match now.first() {
                None => first.invalid_value(errors, all, "primary clusterIP can not be unset"),
                Some(ip) if *ip != was[0] => first.invalid_value(errors, all, ONCE),
                Some(_) => {}
            }
            released(spec, now.len(), "clusterIP", errors);
        }
        std::cmp::Ordering::Greater => {
            if was.first().is_some_and(|was| *was != now[0]) {
                ips.index(0).invalid_value(errors, all, ONCE);
            }
        }
    }
}

fn released(spec: &At, left: usize, what: &str, errors: &mut Errors) {
    let policy = spec.get("ipFamilyPolicy");
    if left == 1 && policy.text() != "SingleStack" {
        policy.invalid(errors, format!("must be set to 'SingleStack' when releasing the secondary {what}"));
    }
}

fn families(spec: &At, new: &Value, old: &Value, errors: &mut Errors) {
    const ONCE: &str = "may not change once set";
    if is_headless(new) || is_headless(old) {
        return;
    }
    let list = spec.get("ipFamilies");
    let (now, was) = (list.items(), old["spec"]["ipFamilies"].items());
    let first = list.index(0);
    let all = list.value().clone();
    if now.len() == was.len() {
        if now != was {
            first.invalid_value(errors, all, ONCE);
        }
        return;
    }
    if now.first().is_some_and(|now| was.first().is_some_and(|was| was != now)) {
        first.invalid_value(errors, spec["clusterIPs"].clone(), ONCE);
    }
    if now.len() < was.len() {
        if spec["clusterIPs"].is_unset() {
            first.invalid_value(errors, all, "primary ipFamily can not be unset");
        }
        released(spec, now.len(), "ipFamily", errors);
    }
}
