//! Claims in the store: an `IPAddress` object for an address, a record of its own for a node port.

use std::net::IpAddr;

use k8s_store::{At, Expect, Write};
use k8s_types::object;
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use crate::registry::{self, Registry};
use crate::stored;

/// What the keys of claimed node ports begin with; no resource is called so.
pub const PORTS: &str = "sampan/nodeports/";
const ADDRESSES: &str = "networking.k8s.io/ipaddresses/";
/// The label by which addresses of services are told from those that somebody made by hand.
pub const MANAGED_BY: (&str, &str) = ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io");

/// What a key of the store claims.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    Ip(IpAddr),
    Port(u16),
}

pub fn ip_key(ip: IpAddr) -> String {
    format!("{ADDRESSES}{ip}")
}

pub fn port_key(port: u16) -> String {
    format!("{PORTS}{port}")
}

pub fn addresses_prefix() -> &'static str {
    ADDRESSES
}

pub fn of_key(key: &str) -> Option<Claim> {
    let ip = key.strip_prefix(ADDRESSES).and_then(|ip| ip.parse().ok()).map(Claim::Ip);
    ip.or_else(|| key.strip_prefix(PORTS)?.parse().ok().map(Claim::Port))
}

pub async fn is_there(registry: &Registry, key: &str) -> Result<bool, ApiError> {
    let got = registry.store().get(key, At::Latest).await.map_err(registry::read_error)?;
    Ok(got.entry.is_some())
}

pub fn take_ip(ip: IpAddr, service: &Value) -> Write {
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let (namespace, name) = (object::namespace(service), object::name(service));
    let address = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {
            "name": ip.to_string(), "generation": 1, "creationTimestamp": registry::now(),
            "uid": registry::uid().unwrap_or_default(),
            "labels": {"ipaddress.kubernetes.io/ip-family": family, MANAGED_BY.0: MANAGED_BY.1},
        },
        "spec": {"parentRef": {"group": "", "resource": "services", "namespace": namespace, "name": name}},
    });
    Write::put(ip_key(ip), Expect::Absent, stored::encode(&address))
}

pub fn take_port(port: u16, service: &Value) -> Write {
    let record = json!({"namespace": object::namespace(service), "service": object::name(service)});
    Write::put(port_key(port), Expect::Absent, stored::to_json(&record))
}

pub fn give_back_ip(ip: IpAddr) -> Write {
    Write::delete(ip_key(ip), Expect::Any)
}

pub fn give_back_port(port: u16) -> Write {
    Write::delete(port_key(port), Expect::Any)
}
