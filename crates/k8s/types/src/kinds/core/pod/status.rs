//! What an update of a pod's status may say.

use std::net::IpAddr;

use serde_json::Value;

use super::update::annotations;
use crate::field::Errors;
use crate::kinds::core::pod_spec::containers::is_sidecar;
use crate::policy::read::{Read, same};
use crate::policy::{At, check};

/// Checks an update of the status. `(new, old)`
pub fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    annotations(&root, old, errors);
    let (metadata, status) = (root.get("metadata"), root.get("status"));
    let conditions = metadata.named("conditions", &new["status"]["conditions"]);
    for condition in conditions.each() {
        if !["PodScheduled", "Ready", "Initialized"].contains(&condition["type"].text()) {
            check::qualified_name(&condition.named("Type", &condition["type"]), errors);
        }
    }
    let before = &old["status"];
    let nominated = status.get("nominatedNodeName");
    if !nominated.is_unset() && nominated.value() != &before["nominatedNodeName"] {
        check::dns_subdomain(&nominated, errors);
    }
    let class = status.get("qosClass");
    if !same(&class, &before["qosClass"]) {
        class.invalid(errors, check::IMMUTABLE);
    }
    let policy = new["spec"]["restartPolicy"].text();
    for (list, policy) in
        [("containerStatuses", policy), ("initContainerStatuses", policy), ("ephemeralContainerStatuses", "Never")]
    {
        restarts(&status.get(list), &before[list], policy, &new["spec"], errors);
    }
    claims(&status.get("resourceClaimStatuses"), &new["spec"]["resourceClaims"], errors);
    addresses(&status.get("podIPs"), errors);
    let hosts = status.get("hostIPs");
    if let Some(first) = hosts.items().first()
        && first["ip"] != status["hostIP"]
    {
        hosts.index(0).get("ip").invalid_value(errors, first["ip"].clone(), "must be equal to `hostIP`");
    }
    addresses(&hosts, errors);
}

/// What has ended stays ended, unless it may be started again.
fn restarts(new: &At, old: &Value, policy: &str, spec: &Value, errors: &mut Errors) {
    if policy == "Always" {
        return;
    }
    for (index, before) in old.items().iter().enumerate() {
        let ended = &before["state"]["terminated"];
        let failed = ended["exitCode"].int().unwrap_or(0) != 0;
        let named = |c: &&Value| c["name"] == before["name"];
        let of = spec["initContainers"].items().iter().chain(spec["containers"].items()).find(named);
        let own_rules = of.is_some_and(|c| is_sidecar(c) || c["restartPolicy"].is_set());
        if ended.is_null() || (failed && policy == "OnFailure") || own_rules {
            continue;
        }
        let now = new.items().iter().find(|status| status["name"] == before["name"]);
        if now.is_some_and(|now| now["state"]["terminated"].is_null()) {
            new.index(index).get("state").forbidden(errors, "may not be transitioned to non-terminated state");
        }
    }
}

fn claims(statuses: &At, claims: &Value, errors: &mut Errors) {
    let mut seen = Vec::new();
    for status in statuses.each() {
        let name = status.get("name");
        if !claims.items().iter().any(|claim| claim["name"] == *name.value()) {
            name.invalid(errors, "must match the name of an entry in `spec.resourceClaims`");
        }
        if seen.contains(&name.text().to_owned()) {
            name.duplicate(errors);
        }
        seen.push(name.text().to_owned());
        let claim = status.get("resourceClaimName");
        if claim.is_set() {
            for message in crate::names::dns1123_subdomain(claim.text()) {
                name.invalid_value(errors, claim.text(), message);
            }
        }
    }
}

fn addresses(list: &At, errors: &mut Errors) {
    let mut found: Vec<Option<IpAddr>> = Vec::new();
    for item in list.each() {
        let address = item["ip"].text();
        let parsed = check::parse_ip(address);
        if parsed.is_none() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            item.invalid_value(errors, address, detail);
        }
        if found.contains(&parsed) {
            item.duplicate(errors);
        }
        found.push(parsed);
    }
    let six = |ip: &Option<IpAddr>| ip.is_some_and(|ip| ip.is_ipv6());
    if found.len() > 1 && (found.len() > 2 || six(&found[0]) == six(&found[1])) {
        list.invalid(errors, "may specify no more than one IP for each IP family");
    }
}
