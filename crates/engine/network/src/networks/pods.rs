//! The network of pods: routed, on a bridge of its own.

use std::collections::BTreeMap;

use super::Networks;
use crate::error::{Error, Result};
use crate::network::{Ipam, IpamPool, Network, NetworkSpec, Subnet, Subnet4, option};

/// Name of the network of pods.
pub const PODS: &str = "sampan-pods";
/// Every address gets an element of its own, so a node's part of the pods' addresses is bounded.
const SHORTEST_PREFIX: u8 = 20;

/// What the network of pods is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNetwork {
    /// This node's part of the pods' addresses.
    pub subnet: Subnet4,
    /// Where pods are known by their own addresses: all pods and all services.
    pub known_in: Vec<Subnet4>,
    /// 0 means the kernel's default.
    pub mtu: u32,
}

impl Networks {
    /// The network of pods as it is wanted: the one that is there, or a new one. One with another subnet is replaced,
    /// unless pods are on it.
    pub fn ensure_pods(&self, wanted: &PodNetwork) -> Result<Network> {
        if wanted.subnet.prefix() < SHORTEST_PREFIX || wanted.subnet.prefix() > 30 {
            return Err(Error::BadSpec(format!(
                "the pods of a node need a subnet between /{SHORTEST_PREFIX} and /30, not {}",
                wanted.subnet
            )));
        }
        let known_in: Vec<String> = wanted.known_in.iter().map(ToString::to_string).collect();
        let known_in = known_in.join(",");
        let options =
            BTreeMap::from([(option::ROUTED.to_owned(), known_in), (option::MTU.to_owned(), wanted.mtu.to_string())]);
        if let Ok(found) = self.find(PODS) {
            if found.options == options && found.pool4().is_some_and(|(_, subnet)| subnet == wanted.subnet) {
                return Ok(found);
            }
            self.remove(PODS)?;
        }
        let created = self.create(NetworkSpec {
            name: PODS.to_owned(),
            ipam: Ipam { pools: vec![IpamPool::of(Subnet::V4(wanted.subnet))], ..Ipam::default() },
            options,
            ..NetworkSpec::default()
        });
        match created {
            // Somebody else was asked for it at the same time.
            Err(Error::NameTaken(_)) => self.find(PODS),
            other => other,
        }
    }
}
