//! Endpoints as they are asked for and as they are; networks themselves are the network crate's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use network::{BoundPort, Endpoint, Ipam, IpamPool, Network, NetworkSpec, Protocol, Subnet};

/// What a container asks of one network; texts as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSpec {
    pub ipv4: String,
    pub ipv6: String,
    pub link_local: Vec<String>,
    pub links: Vec<String>,
    pub aliases: Vec<String>,
    pub mac: String,
    pub driver_options: BTreeMap<String, String>,
    pub gateway_priority: i64,
}

/// One network of a container: what was asked for, and the endpoint while there is one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointView {
    pub spec: EndpointSpec,
    /// Id of the network; empty as long as the container never started.
    pub network_id: String,
    pub endpoint: Option<Endpoint>,
    /// Names that others find the container by.
    pub dns_names: Vec<String>,
}

/// Networking of a container as inspection tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkView {
    pub sandbox_id: String,
    /// Path of the network namespace.
    pub sandbox_key: String,
    pub networks: BTreeMap<String, EndpointView>,
    /// Published ports as bound (of all endpoints).
    pub ports: Vec<BoundPort>,
}

/// A network with the endpoints on it.
#[derive(Debug, Clone)]
pub struct NetworkInspect {
    pub network: Network,
    pub endpoints: Vec<Endpoint>,
}
