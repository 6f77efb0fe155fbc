//! The endpoints that the pods of a service make, in groups that share ports.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, ForNode, ForZone};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pods::{has_ended, is_ready, is_terminating};

/// Zones by node.
pub type Zones = HashMap<String, String>;

/// Endpoints of one family with the same ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// `IPv4`, `IPv6`
    pub family: &'static str,
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

/// Whether nothing of a pod differs that endpoints are made of.
pub fn looks_same(old: &Pod, new: &Pod) -> bool {
    let made_of = |pod: &Pod| {
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        (
            pod.metadata.uid.clone(),
            pod.metadata.labels.clone(),
            (is_ready(pod), is_terminating(pod), has_ended(pod)),
            spec.map(|spec| (spec.node_name.clone(), spec.hostname.clone(), spec.subdomain.clone())),
            status.map(|status| (status.pod_ip.clone(), status.pod_ips.clone())),
        )
    };
    made_of(old) == made_of(new)
}

pub fn is_selected(pod: &Pod, selector: &BTreeMap<String, String>) -> bool {
    let labels = pod.metadata.labels.as_ref();
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Families that a service has addresses of, or would have.
pub fn families(service: &Service) -> Vec<&'static str> {
    let named = service.spec.iter().flat_map(|spec| spec.ip_families.iter().flatten());
    let mut families: Vec<_> = named.map(|family| if family == "IPv6" { "IPv6" } else { "IPv4" }).collect();
    if families.is_empty() {
        families.push("IPv4");
    }
    families
}

/// Addresses of a pod.
pub fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let several = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut all: Vec<IpAddr> = several.filter_map(|ip| ip.parse().ok()).collect();
    if all.is_empty() {
        all.extend(status.pod_ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }
    all
}

/// Whether pods of a service count before they are ready.
pub fn publishes_all(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

/// Name by which a pod is called beneath a service.
pub fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let own = spec.subdomain.as_ref() == service.metadata.name.as_ref();
    spec.hostname.clone().filter(|hostname| own && !hostname.is_empty())
}

pub fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// Ports of a service as they are in one pod; a port of a name that the pod does not have is left out.
pub fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let all = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    all.filter_map(|port| {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let number = match &port.target_port {
            None => port.port,
            Some(IntOrString::Int(0)) => port.port,
            Some(IntOrString::Int(number)) => *number,
            Some(IntOrString::String(name)) => named_port(pod, name, protocol)?,
        };
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(number),
            protocol: Some(protocol.to_owned()),
            app_protocol: port.app_protocol.clone(),
        })
    })
    .collect()
}

fn named_port(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|it| it.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(sidecars);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let mut same = ports
        .filter(|port| port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol);
    same.next().map(|port| port.container_port)
}

/// The endpoints of a service. Where there are none, one group without endpoints for each family says so.
pub fn groups(service: &Service, pods: &[Arc<Pod>], zones: &Zones) -> Vec<Group> {
    let distribution = service.spec.as_ref().and_then(|spec| spec.traffic_distribution.as_deref());
    let mut groups: Vec<Group> = Vec::new();
    for family in families(service) {
        for pod in pods.iter().filter(|pod| !has_ended(pod)) {
            let own = |address: &&IpAddr| address.is_ipv4() == (family == "IPv4");
            let Some(address) = addresses(pod).iter().find(own).copied() else { continue };
            let ports = ports(service, pod);
            let endpoint = endpoint(service, pod, address, zones, distribution);
            match groups.iter_mut().find(|group| group.family == family && group.ports == ports) {
                Some(group) => group.endpoints.push(endpoint),
                None => groups.push(Group { family, ports, endpoints: vec![endpoint] }),
            }
        }
        if !groups.iter().any(|group| group.family == family) {
            groups.push(Group { family, ports: Vec::new(), endpoints: Vec::new() });
        }
    }
    groups
}

fn endpoint(service: &Service, pod: &Pod, address: IpAddr, zones: &Zones, distribution: Option<&str>) -> Endpoint {
    let serving = is_ready(pod);
    let ready = publishes_all(service) || serving && !is_terminating(pod);
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let zone = node.as_ref().and_then(|node| zones.get(node)).cloned();
    Endpoint {
        addresses: vec![address.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(is_terminating(pod)),
        }),
        hints: hints(distribution.filter(|_| ready), node.as_ref(), zone.as_ref()),
        hostname: hostname(service, pod),
        target_ref: Some(reference(pod)),
        node_name: node,
        zone,
        ..Endpoint::default()
    }
}

/// Who should use an endpoint, as the service wants its traffic distributed.
fn hints(distribution: Option<&str>, node: Option<&String>, zone: Option<&String>) -> Option<EndpointHints> {
    let near = matches!(distribution?, "PreferClose" | "PreferSameZone" | "PreferSameNode");
    let zone = zone.filter(|_| near).map(|zone| vec![ForZone { name: zone.clone() }]);
    let same_node = distribution == Some("PreferSameNode");
    let node = node.filter(|_| same_node).map(|node| vec![ForNode { name: node.clone() }]);
    (zone.is_some() || node.is_some()).then_some(EndpointHints { for_nodes: node, for_zones: zone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(last: u8, ready: &str, extra: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": format!("p{last}"), "namespace": "default", "labels": {"app": "web"}},
            "spec": {"nodeName": "a", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8000 + u16::from(last) / 8}]}]},
            "status": {"phase": "Running", "podIP": format!("10.42.0.{last}"), "podIPs": [{"ip": format!("10.42.0.{last}")}],
                "conditions": [{"type": "Ready", "status": ready}]},
        });
        for (key, value) in extra.as_object().into_iter().flatten() {
            pod[key.as_str()].as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap()
    }

    #[test]
    fn pods_are_grouped_by_the_numbers_of_their_ports() {
        let service = service(json!({"ports": [{"port": 80, "targetPort": "http"}]}));
        let groups = groups(
            &service,
            &[pod(1, "True", json!({})), pod(2, "False", json!({})), pod(9, "True", json!({}))],
            &Zones::new(),
        );
        let seen: Vec<_> = groups.iter().map(|group| (group.ports[0].port, group.endpoints.len())).collect();
        assert_eq!(seen, [(Some(8000), 2), (Some(8001), 1)]);
        let conditions = |at: usize| groups[0].endpoints[at].conditions.clone().unwrap();
        assert_eq!((conditions(0).ready, conditions(1).ready), (Some(true), Some(false)));
    }

    #[test]
    fn what_ends_still_serves_and_what_has_ended_is_out() {
        let service = service(json!({"ports": [{"port": 80}]}));
        let ending = pod(1, "True", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        let ended = pod(2, "True", json!({"status": {"phase": "Succeeded"}}));
        let groups = groups(&service, &[ending, ended], &Zones::new());
        let conditions = groups[0].endpoints[0].conditions.clone().unwrap();
        assert_eq!(
            (conditions.ready, conditions.serving, conditions.terminating),
            (Some(false), Some(true), Some(true))
        );
        assert_eq!(groups[0].endpoints.len(), 1);
        let nobody = super::groups(&service, &[], &Zones::new());
        assert_eq!(nobody, [Group { family: "IPv4", ports: vec![], endpoints: vec![] }]);
    }

    #[test]
    fn names_and_hints_follow_the_service() {
        let spec = json!({"clusterIP": "None", "publishNotReadyAddresses": true, "trafficDistribution": "PreferClose", "ports": []});
        let named = pod(1, "False", json!({"spec": {"hostname": "db-0", "subdomain": "web"}}));
        let other = pod(2, "False", json!({"spec": {"hostname": "db-1", "subdomain": "x"}}));
        let zones = Zones::from([("a".to_owned(), "north".to_owned())]);
        let endpoints = groups(&service(spec), &[named, other], &zones).remove(0).endpoints;
        assert_eq!((endpoints[0].hostname.as_deref(), endpoints[1].hostname.as_deref()), (Some("db-0"), None));
        assert_eq!(endpoints[0].conditions.as_ref().unwrap().ready, Some(true));
        assert_eq!(endpoints[0].hints.as_ref().unwrap().for_zones.as_ref().unwrap()[0].name, "north");
    }
}
