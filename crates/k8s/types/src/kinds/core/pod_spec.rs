//! The specification of a pod, in a pod and in every template: its defaults and its validation.

use serde_json::Value;

use crate::field::Errors;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

pub mod affinity;
pub mod annotations;
pub mod containers;
pub mod defaults;
pub mod env;
pub mod mounts;
pub mod platform;
pub mod probes;
pub mod resources;
pub mod scheduling;
pub mod security;
pub mod volumes;
pub mod warnings;

/// Whose specification is checked.
#[derive(Clone, Copy)]
pub enum Owner<'a> {
    /// A pod with this metadata.
    Pod(&'a Value),
    /// A template: it may leave out what is set when the pod is made.
    Template,
}

/// Checks a pod's specification.
pub fn validate(spec: &At, owner: Owner, errors: &mut Errors) {
    spec.get("terminationGracePeriodSeconds").needed(errors);
    let volumes = volumes::validate(&spec.get("volumes"), owner, errors);
    resources::claims(&spec.get("resourceClaims"), errors);
    containers::validate(spec, &volumes, errors);
    resources::of_pod(spec, errors);
    host_ports(spec, owner, errors);
    let restart = spec.get("restartPolicy");
    if restart.needed(errors) {
        check::one_of(&restart, &["Always", "OnFailure", "Never"], errors);
    }
    dns(spec, errors);
    check::labels(&spec.get("nodeSelector"), errors);
    security::of_pod(spec, errors);
    affinity::validate(&spec.get("affinity"), errors);
    for gate in spec.get("readinessGates").each() {
        check::qualified_name(&gate.get("conditionType"), errors);
    }
    scheduling::gates(&spec.get("schedulingGates"), errors);
    scheduling::spread(&spec.get("topologySpreadConstraints"), errors);
    platform::host_process(spec, errors);
    host_users(spec, errors);
    names(spec, errors);
    check::within(&spec.get("activeDeadlineSeconds"), 1, i64::from(i32::MAX), errors);
    scheduling::tolerations(&spec.get("tolerations"), errors);
    for alias in spec.get("hostAliases").each() {
        check::ip(&alias.get("ip"), errors);
        for name in alias.get("hostnames").each() {
            check::dns_subdomain(&name, errors);
        }
    }
    let preemption = spec.get("preemptionPolicy");
    check::one_of(&preemption, &["PreemptLowerPriority", "Never"], errors);
    let overhead = serde_json::json!({ "limits": spec["overhead"] });
    if spec["overhead"].is_set() {
        resources::requirements(&spec.named("overhead", &overhead), resources::Of::Container, &[], errors);
    }
    platform::validate(spec, errors);
}

fn names(spec: &At, errors: &mut Errors) {
    for field in ["serviceAccountName", "nodeName", "priorityClassName"] {
        let name = spec.get(field);
        if !name.is_unset() {
            check::dns_subdomain(&name, errors);
        }
    }
    let runtime_class = spec.get("runtimeClassName");
    if runtime_class.is_set() {
        check::dns_subdomain(&runtime_class, errors);
    }
    for field in ["hostname", "subdomain"] {
        let name = spec.get(field);
        if !name.is_unset() {
            check::dns_label(&name, errors);
        }
    }
    host_name_override(spec, errors);
}

fn host_name_override(spec: &At, errors: &mut Errors) {
    let name = spec.get("hostnameOverride");
    if name.is_null() {
        return;
    }
    if name.text().len() > 64 {
        name.too_long(errors, 64);
    }
    check::dns_subdomain(&name, errors);
    if spec["hostNetwork"].yes() {
        name.forbidden(errors, "cannot be used when hostNetwork is true");
    }
    if spec["setHostnameAsFQDN"].yes() {
        spec.get("setHostnameAsFQDN").forbidden(errors, "cannot be used when hostnameOverride is set");
    }
}

/// Ports of a pod in the host's network are the host's.
fn host_ports(spec: &At, owner: Owner, errors: &mut Errors) {
    if !spec["hostNetwork"].yes() {
        return;
    }
    for container in spec.get("containers").each() {
        for port in container.get("ports").each() {
            let host = port["hostPort"].int().unwrap_or(0);
            let wanted = matches!(owner, Owner::Pod(_)) || host != 0;
            if wanted && host != port["containerPort"].int().unwrap_or(0) {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                port.get("hostPort").invalid_value(errors, host, detail);
            }
        }
    }
}

fn host_users(spec: &At, errors: &mut Errors) {
    if spec["hostUsers"].as_bool() != Some(false) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec[field].yes() {
            spec.get(shown).forbidden(errors, "when `hostUsers` is false");
        }
    }
}

fn dns(spec: &At, errors: &mut Errors) {
    let policy = spec.get("dnsPolicy");
    if policy.needed(errors) {
        check::one_of(&policy, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
    }
    let config = spec.get("dnsConfig");
    let servers = config.get("nameservers");
    if policy.text() == "None" {
        if config.is_null() {
            return config.required(errors, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.is_unset() {
            return servers.required(errors, "must provide at least one DNS nameserver when `dnsPolicy` is None");
        }
    }
    if servers.items().len() > 3 {
        servers.invalid(errors, "must not have more than 3 nameservers");
    }
    for server in servers.each() {
        check::ip(&server, errors);
    }
    let searches = config.get("searches");
    if searches.items().len() > 32 {
        searches.invalid(errors, "must not have more than 32 search paths");
    }
    let characters: usize = searches.items().iter().map(|s| s.text().len() + 1).sum();
    if characters > 2048 + 1 {
        searches.invalid(errors, "must not have more than 2048 characters (including spaces) in the search list");
    }
    for search in searches.each().filter(|s| s.text() != ".") {
        let name = search.text().strip_suffix('.').unwrap_or(search.text());
        for message in crate::names::dns1123_subdomain_underscore(name) {
            search.invalid_value(errors, name, message);
        }
    }
    for option in config.get("options").each() {
        if option["name"].is_unset() {
            option.required(errors, "must not be empty");
        }
    }
}
