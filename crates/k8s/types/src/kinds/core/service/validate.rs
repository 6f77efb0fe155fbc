//! What a service may say.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{is_external, is_headless, needs_health_port};
use crate::field::{Errors, Path};
use crate::names;
use crate::policy::read::Read;
use crate::policy::{At, check};

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";
const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";

/// Checks a service.
pub fn validate(service: &Value, errors: &mut Errors) {
    let root = At::root(service);
    let (spec, annotations) = (root.get("spec"), root.down(&["metadata", "annotations"]));
    if let (Some(mode), Some(hints)) = (annotations.get(MODE).as_str(), annotations.get(HINTS).as_str())
        && mode != hints
    {
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        annotations.key(MODE).invalid(errors, detail);
    }
    let kind = spec["type"].text();
    if spec["ports"].is_unset() && !is_headless(service) && kind != "ExternalName" {
        spec.get("ports").required(errors, "");
    }
    of_type(service, &spec, errors);
    ports(service, &spec, errors);
    check::labels(&spec.get("selector"), errors);
    affinity(&spec, errors);
    if kind != "ExternalName" {
        addresses(service, &spec, errors);
    }
    for ip in spec.get("externalIPs").each() {
        if let Some(address) = check::ip(&ip, errors) {
            check::not_special(&ip, address, errors);
        }
    }
    let at = spec.get("type");
    if at.needed(errors) {
        check::one_of(&at, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], errors);
    }
    source_ranges(&spec, &annotations, errors);
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if spec[field].is_set() && kind != "LoadBalancer" {
            spec.get(field).forbidden(errors, ONLY_BALANCED);
        }
    }
    let class = spec.get("loadBalancerClass");
    if class.is_set() && kind == "LoadBalancer" {
        check::qualified_name(&class, errors);
    }
    traffic(service, &spec, errors);
}

fn of_type(service: &Value, spec: &At, errors: &mut Errors) {
    let kind = spec["type"].text();
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(service) => {
            let first = spec.get("clusterIPs");
            let detail = format!("may not be set to 'None' for {kind} services");
            first.index(0).invalid_value(errors, "None", detail);
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if !spec[field].is_unset() {
                    spec.get(field).forbidden(errors, "may not be set for ExternalName services");
                }
            }
            let name = spec.get("externalName");
            let text = name.text().strip_suffix('.').unwrap_or(name.text());
            if text.is_empty() {
                return name.required(errors, "");
            }
            for message in names::dns1123_subdomain(text) {
                name.invalid_value(errors, text, message);
            }
        }
        _ => {}
    }
}

fn ports(service: &Value, spec: &At, errors: &mut Errors) {
    let list = spec.get("ports");
    let many = list.items().len() > 1;
    let (mut port_names, mut numbers, mut node_ports) = (HashSet::new(), HashSet::new(), HashSet::new());
    for port in list.each() {
        let name = port.get("name");
        if !name.is_unset() {
            check::dns_label(&name, errors);
            if !port_names.insert(name.text().to_owned()) {
                name.duplicate(errors);
            }
        } else if many {
            name.required(errors, "");
        }
        check::port_number(&port.get("port"), errors);
        let protocol = port.get("protocol");
        if protocol.needed(errors) {
            check::one_of(&protocol, &["SCTP", "TCP", "UDP"], errors);
        }
        check::port_number_or_name(&port.get("targetPort"), errors);
        let app = port.get("appProtocol");
        if app.is_set() {
            check::qualified_name(&app, errors);
        }
    }
    for port in list.each() {
        let node_port = port.get("nodePort");
        if node_port.int().unwrap_or(0) == 0 {
            continue;
        }
        if service["spec"]["type"].text() == "ClusterIP" {
            node_port.forbidden(errors, "may not be used when `type` is 'ClusterIP'");
        }
        if !node_ports.insert((port["protocol"].text().to_owned(), node_port.int())) {
            node_port.duplicate(errors);
        }
    }
    for port in list.each() {
        if !numbers.insert((port["protocol"].text().to_owned(), port["port"].int())) {
            let key = json!({ "port": port["port"], "protocol": port["protocol"], "targetPort": 0 });
            port.duplicate_value(errors, key);
        }
    }
}

fn affinity(spec: &At, errors: &mut Errors) {
    const DETAIL: &str = "when session affinity type is ClientIP";
    let affinity = spec.get("sessionAffinity");
    if affinity.needed(errors) {
        check::one_of(&affinity, &["ClientIP", "None"], errors);
    }
    let config = spec.get("sessionAffinityConfig");
    match affinity.text() {
        "None" if config.is_set() => config.forbidden(errors, "must not be set when session affinity is None"),
        "ClientIP" => {
            let client = config.get("clientIP");
            let seconds = client.get("timeoutSeconds");
            for at in [&config, &client, &seconds] {
                if at.is_null() {
                    return at.required(errors, DETAIL);
                }
            }
            if !(1..=86400).contains(&seconds.int().unwrap_or(0)) {
                seconds.invalid(errors, "must be greater than 0 and less than 86400");
            }
        }
        _ => {}
    }
}

/// Checks addresses, families and the policy about them, and that they fit together.
fn addresses(service: &Value, spec: &At, errors: &mut Errors) {
    let (single, ips) = (spec["clusterIP"].text(), spec.get("clusterIPs"));
    let list = ips.items();
    match (single.is_empty(), list.first()) {
        (false, None) => ips.required(errors, ""),
        (false, Some(first)) if first.text() != single => ips.invalid(errors, "first value must match `clusterIP`"),
        (true, Some(_)) => ips.invalid(errors, "must be empty when `clusterIP` is not specified"),
        _ => {}
    }
    let families = spec.get("ipFamilies");
    let mut seen = HashSet::new();
    for family in families.each() {
        check::one_of(&family, &["IPv4", "IPv6"], errors);
        if !seen.insert(family.text().to_owned()) {
            family.duplicate(errors);
        }
    }
    let policy = spec.get("ipFamilyPolicy");
    check::one_of(&policy, &["PreferDualStack", "RequireDualStack", "SingleStack"], errors);
    let mut parsed = Vec::new();
    let mut bad = false;
    for (index, ip) in ips.each().enumerate() {
        if index == 0 && ip.text() == "None" {
            if list.len() > 1 {
                bad = true;
                ips.invalid(errors, "'None' must be the first and only value");
            }
            continue;
        }
        match check::ip(&ip, errors) {
            Some(address) => parsed.push(address),
            None => bad = true,
        }
    }
    if list.len() > 2 {
        ips.invalid(errors, "may only hold up to 2 values");
    }
    if bad {
        return;
    }
    if list.len() > 1 && !(parsed.iter().any(|ip| ip.is_ipv4()) && parsed.iter().any(|ip| ip.is_ipv6())) {
        ips.invalid(errors, "may specify no more than one IP for each IP family");
    }
    if is_headless(service) {
        return;
    }
    for (index, (ip, family)) in parsed.iter().zip(families.items()).enumerate() {
        let is = if ip.is_ipv6() { "IPv6" } else { "IPv4" };
        let wanted = family.text();
        if matches!(wanted, "IPv4" | "IPv6") && wanted != is {
            let detail = format!("expected an {wanted} value as indicated by `ipFamilies[{index}]`");
            ips.index(index).invalid(errors, detail);
        }
    }
}

fn source_ranges(spec: &At, annotations: &At, errors: &mut Errors) {
    let balanced = spec["type"].text() == "LoadBalancer";
    let ranges = &spec["loadBalancerSourceRanges"];
    if !ranges.is_unset() {
        let told = spec.named("LoadBalancerSourceRanges", ranges);
        if !balanced {
            told.forbidden(errors, ONLY_BALANCED);
        }
        for range in told.each() {
            check::cidr(&range, range.text().trim(), errors);
        }
        return;
    }
    let annotation = annotations.key(RANGES);
    let Some(text) = annotation.as_str() else { return };
    if !balanced {
        annotation.forbidden(errors, ONLY_BALANCED);
    }
    for range in text.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        check::cidr(&annotation, range, errors);
    }
}

fn traffic(service: &Value, spec: &At, errors: &mut Errors) {
    let external = spec.get("externalTrafficPolicy");
    if !is_external(service) {
        if !external.is_unset() {
            external.invalid(errors, "may only be set for externally-accessible services");
        }
    } else if external.needed(errors) {
        check::one_of(&external, &["Cluster", "Local"], errors);
    }
    let health = spec.get("healthCheckNodePort");
    if health.int().unwrap_or(0) != 0 {
        if needs_health_port(service) {
            check::port_number(&health, errors);
        } else {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            health.invalid(errors, detail);
        }
    }
    let internal = spec.get("internalTrafficPolicy");
    if internal.is_null() {
        if spec["type"].text() != "ExternalName" {
            internal.required(errors, "");
        }
    } else {
        check::one_of(&internal, &["Cluster", "Local"], errors);
    }
    let distribution = spec.get("trafficDistribution");
    check::one_of(&distribution, &["PreferClose", "PreferSameNode", "PreferSameZone"], errors);
}

/// Checks a status: addresses of load balancers.
pub fn status(new: &Value, _old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let list = root.down(&["status", "loadBalancer", "ingress"]);
    if !list.is_unset() && new["spec"]["type"].text() != "LoadBalancer" {
        return list.forbidden(errors, "may only be used when `spec.type` is 'LoadBalancer'");
    }
    for ingress in list.each() {
        let (ip, mode, host) = (ingress.get("ip"), ingress.get("ipMode"), ingress.get("hostname"));
        if !ip.is_unset() {
            check::ip(&ip, errors);
        }
        match (mode.is_set(), ip.is_unset()) {
            (false, false) => mode.required(errors, "must be specified when `ip` is set"),
            (true, true) => mode.forbidden(errors, "may not be specified when `ip` is not set"),
            _ => {
                check::one_of(&mode, &["Proxy", "VIP"], errors);
            }
        }
        if !host.is_unset() {
            check::dns_subdomain(&host, errors);
            if check::parse_ip(host.text()).is_some() {
                host.invalid(errors, "must be a DNS name, not an IP address");
            }
        }
    }
}

/// What a client is warned of.
pub fn warnings(service: &Value, _old: Option<&Value>) -> Vec<String> {
    let (root, mut all) = (At::root(service), Vec::new());
    let (spec, annotations) = (root.get("spec"), &service["metadata"]["annotations"]);
    if annotations.get(HINTS).is_some() {
        let path = Path::new("metadata").child("annotations").key(HINTS);
        all.push(format!("{path}: annotation is deprecated, please use {MODE} instead"));
    }
    if !spec["externalIPs"].is_unset() && spec["type"].text() == "ExternalName" {
        let path = spec.get("externalIPs").path();
        all.push(format!("{path} is ignored when spec.type is \"ExternalName\""));
    }
    if spec["type"].text() != "ExternalName" && !spec["externalName"].is_unset() {
        let path = spec.get("externalName").path();
        all.push(format!("{path} is ignored when spec.type is not \"ExternalName\""));
    }
    if is_headless(service) {
        for (field, unset) in [("loadBalancerIP", ""), ("externalIPs", ""), ("sessionAffinity", "None")] {
            if !spec[field].is_unset() && spec[field].text() != unset {
                all.push(format!("{} is ignored for headless services", spec.get(field).path()));
            }
        }
    }
    all
}
