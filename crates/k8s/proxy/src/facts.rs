//! What services and their endpoints say, in the form that everything here works with.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// This node, as far as endpoints are chosen by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Here {
    pub node: String,
    /// Label `topology.kubernetes.io/zone` of the node, empty if it has none.
    pub zone: String,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    pub name: String,
    /// 6, 17 or 132.
    pub protocol: u8,
    pub port: u16,
    /// 0 if it has none.
    pub node_port: u16,
}

/// Who receives what is meant for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Cluster,
    Local,
}

/// Ports of a service.
pub(crate) fn ports(service: &Service) -> Vec<Port> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: protocol_number(port.protocol.as_deref())?,
                port: u16::try_from(port.port).ok()?,
                node_port: port.node_port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
            })
        })
        .collect()
}

fn protocol_number(name: Option<&str>) -> Option<u8> {
    match name.unwrap_or("TCP") {
        "TCP" => Some(6),
        "UDP" => Some(17),
        "SCTP" => Some(132),
        _ => None,
    }
}

pub(crate) fn protocol_name(number: u8) -> &'static str {
    match number {
        6 => "tcp",
        17 => "udp",
        _ => "sctp",
    }
}

/// Addresses in the cluster's range; none for a service that has no address of its own.
pub(crate) fn cluster_ips(service: &Service) -> Vec<IpAddr> {
    let Some(spec) = &service.spec else { return Vec::new() };
    if spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let several = spec.cluster_ips.iter().flatten();
    let one = spec.cluster_ip.iter().filter(|_| spec.cluster_ips.is_none());
    several.chain(one).filter_map(|address| address.parse().ok()).collect()
}

/// Whether it leads to its endpoints by name alone.
pub(crate) fn is_headless(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .is_some_and(|spec| spec.type_.as_deref() != Some("ExternalName") && spec.cluster_ip.as_deref() == Some("None"))
}

/// Addresses outside the cluster's range: its own, and those that a load-balancer leads here.
pub(crate) struct External {
    pub addresses: Vec<IpAddr>,
    pub balanced: Vec<IpAddr>,
}

pub(crate) fn external(service: &Service) -> External {
    let addresses = service.spec.iter().flat_map(|spec| spec.external_ips.iter().flatten());
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let is_balanced = service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"));
    let ingress = status.filter(|_| is_balanced).into_iter().flat_map(|status| status.ingress.iter().flatten());
    // mode `Proxy`: the balancer delivers to the node, not to this address
    let balanced = ingress.filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"));
    External {
        addresses: addresses.filter_map(|address| address.parse().ok()).collect(),
        balanced: balanced.filter_map(|ingress| ingress.ip.as_deref()?.parse().ok()).collect(),
    }
}

fn policy(text: Option<&str>) -> Policy {
    if text == Some("Local") { Policy::Local } else { Policy::Cluster }
}

pub(crate) fn internal_policy(service: &Service) -> Policy {
    policy(service.spec.as_ref().and_then(|spec| spec.internal_traffic_policy.as_deref()))
}

pub(crate) fn external_policy(service: &Service) -> Policy {
    policy(service.spec.as_ref().and_then(|spec| spec.external_traffic_policy.as_deref()))
}

/// Seconds for which a client comes back to the same endpoint.
pub(crate) fn affinity(service: &Service) -> Option<u32> {
    const DEFAULT: u32 = 10_800;
    let spec = service.spec.as_ref().filter(|spec| spec.session_affinity.as_deref() == Some("ClientIP"))?;
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let seconds = config.and_then(|config| config.timeout_seconds).and_then(|seconds| u32::try_from(seconds).ok());
    Some(seconds.unwrap_or(DEFAULT).max(1))
}

/// One address of a service's endpoints with one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backend {
    pub address: IpAddr,
    pub port: u16,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
    pub node: String,
    /// Zones and nodes that should use it; none is said where they are empty.
    pub zones: Vec<String>,
    pub nodes: Vec<String>,
    pub hostname: Option<String>,
}

/// Endpoints of one port of a service; addresses of both families.
pub(crate) fn backends(slices: &[Arc<EndpointSlice>], port: &Port) -> Vec<Backend> {
    let mut found = Vec::new();
    for slice in slices.iter().filter(|slice| matches!(slice.address_type.as_str(), "IPv4" | "IPv6")) {
        let same = |other: &&k8s_openapi::api::discovery::v1::EndpointPort| {
            other.name.as_deref().unwrap_or("") == port.name
                && protocol_number(other.protocol.as_deref()) == Some(port.protocol)
        };
        let target = slice.ports.iter().flatten().find(same).and_then(|port| u16::try_from(port.port?).ok());
        let Some(target) = target else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            // the others are there for whoever reads more than one
            let Some(address) = endpoint.addresses.first().and_then(|address| address.parse::<IpAddr>().ok()) else {
                continue;
            };
            if address.is_ipv4() != (slice.address_type == "IPv4") {
                continue;
            }
            let conditions = endpoint.conditions.as_ref();
            let ready = conditions.and_then(|it| it.ready).unwrap_or(true);
            let hints = endpoint.hints.as_ref();
            let zones = hints.into_iter().flat_map(|hints| hints.for_zones.iter().flatten());
            let nodes = hints.into_iter().flat_map(|hints| hints.for_nodes.iter().flatten());
            found.push(Backend {
                address,
                port: target,
                ready,
                serving: conditions.and_then(|it| it.serving).unwrap_or(ready),
                terminating: conditions.and_then(|it| it.terminating).unwrap_or(false),
                node: endpoint.node_name.clone().unwrap_or_default(),
                zones: zones.map(|zone| zone.name.clone()).collect(),
                nodes: nodes.map(|node| node.name.clone()).collect(),
                hostname: endpoint.hostname.clone().filter(|name| !name.is_empty()),
            });
        }
    }
    // while endpoints move from one slice to another, they are in both
    found.sort_by_key(|backend| (backend.address, backend.port, !backend.ready));
    found.dedup_by_key(|backend| (backend.address, backend.port));
    found
}

/// Port of the health check that tells load-balancers which nodes have endpoints.
pub(crate) fn health_port(service: &Service) -> Option<u16> {
    let spec = service.spec.as_ref()?;
    let wanted = spec.type_.as_deref() == Some("LoadBalancer") && external_policy(service) == Policy::Local;
    spec.health_check_node_port.filter(|_| wanted).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}
