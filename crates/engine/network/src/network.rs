//! What a network is: identity, driver, subnets, options; and the request to make one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::firewall::BridgeFacts;

/// Identity of a network: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkId(pub String);

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a network is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge device of our own, with a subnet, source translation and published ports.
    Bridge,
    /// The host's own namespace.
    Host,
    /// A namespace with nothing but loopback; docker calls the driver `null` and the network `none`.
    Null,
}

impl Driver {
    /// Docker's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Driver::Bridge => "bridge",
            Driver::Host => "host",
            Driver::Null => "null",
        }
    }
}

/// An IPv4 network in prefix notation; host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet4 {
    base: Ipv4Addr,
    prefix: u8,
}

/// An IPv6 network in prefix notation; host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet6 {
    base: Ipv6Addr,
    prefix: u8,
}

/// Either family.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subnet {
    V4(Subnet4),
    V6(Subnet6),
}

/// A text is not an address with a prefix length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub struct BadSubnet(pub String);

impl Subnet4 {
    /// The network that holds `addr`; `prefix` is at most 32.
    pub fn new(addr: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Subnet4 { base: Ipv4Addr::from_bits(addr.to_bits() & mask4(prefix)), prefix }
    }

    pub fn base(self) -> Ipv4Addr {
        self.base
    }

    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The last address: broadcast, where the network has one.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() | !mask4(self.prefix))
    }

    pub fn contains(self, addr: Ipv4Addr) -> bool {
        addr.to_bits() & mask4(self.prefix) == self.base.to_bits()
    }

    pub fn overlaps(self, other: Subnet4) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

impl Subnet6 {
    /// The network that holds `addr`; `prefix` is at most 128.
    pub fn new(addr: Ipv6Addr, prefix: u8) -> Self {
        let prefix = prefix.min(128);
        Subnet6 { base: Ipv6Addr::from_bits(addr.to_bits() & mask6(prefix)), prefix }
    }

    pub fn base(self) -> Ipv6Addr {
        self.base
    }

    pub fn prefix(self) -> u8 {
        self.prefix
    }

    pub fn last(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.base.to_bits() | !mask6(self.prefix))
    }

    pub fn contains(self, addr: Ipv6Addr) -> bool {
        addr.to_bits() & mask6(self.prefix) == self.base.to_bits()
    }

    pub fn overlaps(self, other: Subnet6) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

fn mask4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl Subnet {
    pub fn v4(self) -> Option<Subnet4> {
        match self {
            Subnet::V4(subnet) => Some(subnet),
            Subnet::V6(_) => None,
        }
    }

    pub fn v6(self) -> Option<Subnet6> {
        match self {
            Subnet::V6(subnet) => Some(subnet),
            Subnet::V4(_) => None,
        }
    }

    pub fn contains(self, addr: IpAddr) -> bool {
        match (self, addr) {
            (Subnet::V4(subnet), IpAddr::V4(addr)) => subnet.contains(addr),
            (Subnet::V6(subnet), IpAddr::V6(addr)) => subnet.contains(addr),
            _ => false,
        }
    }

    /// Whether the other is a part of this one.
    pub fn covers(self, other: Subnet) -> bool {
        match (self, other) {
            (Subnet::V4(a), Subnet::V4(b)) => a.contains(b.base) && a.prefix <= b.prefix,
            (Subnet::V6(a), Subnet::V6(b)) => a.contains(b.base) && a.prefix <= b.prefix,
            _ => false,
        }
    }
}

impl FromStr for Subnet {
    type Err = BadSubnet;

    fn from_str(text: &str) -> Result<Self, BadSubnet> {
        let bad = || BadSubnet(text.to_owned());
        let (addr, prefix) = text.split_once('/').ok_or_else(bad)?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        match addr.parse().map_err(|_| bad())? {
            IpAddr::V4(addr) if prefix <= 32 => Ok(Subnet::V4(Subnet4::new(addr, prefix))),
            IpAddr::V6(addr) if prefix <= 128 => Ok(Subnet::V6(Subnet6::new(addr, prefix))),
            _ => Err(bad()),
        }
    }
}

impl FromStr for Subnet4 {
    type Err = BadSubnet;

    fn from_str(text: &str) -> Result<Self, BadSubnet> {
        match text.parse()? {
            Subnet::V4(subnet) => Ok(subnet),
            Subnet::V6(_) => Err(BadSubnet(text.to_owned())),
        }
    }
}

impl FromStr for Subnet6 {
    type Err = BadSubnet;

    fn from_str(text: &str) -> Result<Self, BadSubnet> {
        match text.parse()? {
            Subnet::V6(subnet) => Ok(subnet),
            Subnet::V4(_) => Err(BadSubnet(text.to_owned())),
        }
    }
}

macro_rules! as_text {
    ($($kind:ident),*) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.base, self.prefix)
            }
        }
        as_text!(@rest $kind);
    )*};
    (@rest $kind:ident) => {
        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Subnet4, Subnet6);
as_text!(@rest Subnet);

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subnet::V4(subnet) => subnet.fmt(f),
            Subnet::V6(subnet) => subnet.fmt(f),
        }
    }
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamPool {
    pub subnet: Subnet,
    /// Part of the subnet that addresses are given from.
    #[serde(default)]
    pub range: Option<Subnet>,
    /// Address of the gateway; in a request, the first one when absent.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// Addresses that are never given out, by name.
    #[serde(default)]
    pub reserved: BTreeMap<String, IpAddr>,
}

impl IpamPool {
    /// A subnet and nothing else.
    pub fn of(subnet: Subnet) -> Self {
        IpamPool { subnet, range: None, gateway: None, reserved: BTreeMap::new() }
    }

    /// Refuses ranges, gateways and reserved addresses that are not of the subnet.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |what: String| Error::BadSpec(format!("invalid network config:\n{what}"));
        if let Some(range) = self.range
            && !self.subnet.covers(range)
        {
            return Err(bad(format!("invalid ip-range {range}: parent subnet is {}", self.subnet)));
        }
        if let Some(gateway) = self.gateway
            && !self.subnet.contains(gateway)
        {
            return Err(bad(format!("invalid gateway {gateway}: parent subnet is {}", self.subnet)));
        }
        for (name, addr) in &self.reserved {
            if !self.subnet.contains(*addr) {
                return Err(bad(format!("invalid auxiliary address {name}: parent subnet is {}", self.subnet)));
            }
        }
        Ok(())
    }

    /// The first address that is not reserved, for the gateway.
    pub(crate) fn first_free(&self) -> Option<IpAddr> {
        let free = |addr: &IpAddr| !self.reserved.values().any(|reserved| reserved == addr);
        match self.subnet {
            Subnet::V4(subnet) => {
                let first = subnet.base().to_bits().checked_add(u32::from(subnet.prefix() < 31))?;
                let mut all = (first..=subnet.last().to_bits()).map(|bits| Ipv4Addr::from_bits(bits).into());
                all.find(free)
            }
            Subnet::V6(subnet) => {
                let first = subnet.base().to_bits().checked_add(1)?;
                let mut all = (first..=subnet.last().to_bits()).map(|bits| Ipv6Addr::from_bits(bits).into());
                all.find(free)
            }
        }
    }
}

/// How a network's addresses are managed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    /// Only `default` exists; empty means it.
    #[serde(default)]
    pub driver: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Subnets; in a request, what is missing is chosen.
    #[serde(default)]
    pub pools: Vec<IpamPool>,
}

/// A request to make a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub name: String,
    /// `bridge` when empty.
    pub driver: String,
    /// No way in or out but between its containers.
    pub internal: bool,
    pub attachable: bool,
    /// `None` means on.
    pub ipv4: Option<bool>,
    pub ipv6: bool,
    pub ipam: Ipam,
    /// Driver options, `com.docker.network.*`.
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// A network as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub id: NetworkId,
    pub name: String,
    pub driver: Driver,
    pub created: SystemTime,
    pub internal: bool,
    pub attachable: bool,
    pub ipv4: bool,
    pub ipv6: bool,
    /// Subnets with their gateways, as in use.
    pub ipam: Ipam,
    /// Whether the user chose a subnet: only then may a container ask for an address.
    pub subnet_chosen_by_user: bool,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Name of the bridge device; empty for `host` and `none`.
    pub bridge: String,
}

impl Network {
    /// Whether it is one of the three that always exist.
    pub fn is_predefined(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// Whether containers find each other by name on it.
    pub fn has_dns(&self) -> bool {
        self.driver == Driver::Bridge && !self.is_predefined() && !self.is_routed()
    }

    /// The first IPv4 pool.
    pub fn pool4(&self) -> Option<(&IpamPool, Subnet4)> {
        self.ipam.pools.iter().find_map(|pool| match pool.subnet {
            Subnet::V4(subnet) => Some((pool, subnet)),
            Subnet::V6(_) => None,
        })
    }

    /// MTU of its devices; 0 means the kernel's default.
    pub fn mtu(&self) -> u32 {
        self.options.get(option::MTU).and_then(|mtu| mtu.parse().ok()).unwrap_or(0)
    }

    /// Whether its containers may talk to each other.
    pub fn icc(&self) -> bool {
        self.is_on(option::ICC)
    }

    /// Whether its containers' addresses are hidden behind the host's.
    pub fn masquerades(&self) -> bool {
        self.is_on(option::MASQUERADE)
    }

    /// Whether each container has an address of its own and no neighbours: everything goes through the host, which
    /// translates what is a service's, and answers come back the same way.
    pub fn is_routed(&self) -> bool {
        self.options.contains_key(option::ROUTED)
    }

    /// Of a routed network: where its containers are known by their own addresses.
    pub(crate) fn known_in(&self) -> Vec<Subnet4> {
        let list = self.options.get(option::ROUTED).map_or("", String::as_str);
        list.split(',').filter_map(|subnet| subnet.parse().ok()).collect()
    }

    /// Host address of ports that are published without one, if it says so.
    pub(crate) fn host_binding(&self) -> Option<IpAddr> {
        self.options.get(option::HOST_BINDING).and_then(|addr| addr.parse().ok())
    }

    /// A container's IPv4 gateway; none on an internal network.
    pub(crate) fn gateway4(&self) -> Option<Ipv4Addr> {
        let (pool, _) = self.pool4().filter(|_| !self.internal)?;
        match pool.reserved.get(option::DEFAULT_GATEWAY).or(pool.gateway.as_ref()) {
            Some(IpAddr::V4(addr)) => Some(*addr),
            _ => None,
        }
    }

    /// A container's IPv6 gateway; none on an internal network.
    pub(crate) fn gateway6(&self) -> Option<Ipv6Addr> {
        let (pool, _) = self.pool6().filter(|_| !self.internal)?;
        match pool.gateway {
            Some(IpAddr::V6(addr)) => Some(addr),
            _ => None,
        }
    }

    /// What the firewall has to know of it.
    pub(crate) fn facts(&self) -> BridgeFacts {
        BridgeFacts {
            bridge: self.bridge.clone(),
            subnet4: self.pool4().map(|(_, subnet)| subnet),
            subnet6: self.pool6().map(|(_, subnet)| subnet),
            internal: self.internal,
            icc: self.icc(),
            masquerade: self.masquerades(),
            routed: self.is_routed(),
            known_in: self.known_in(),
        }
    }

    fn is_on(&self, option: &str) -> bool {
        self.options
            .get(option)
            .is_none_or(|value| matches!(value.as_str(), "true" | "1" | "t" | "T" | "True" | "TRUE"))
    }

    /// The first IPv6 pool.
    pub fn pool6(&self) -> Option<(&IpamPool, Subnet6)> {
        self.ipam.pools.iter().find_map(|pool| match pool.subnet {
            Subnet::V6(subnet) => Some((pool, subnet)),
            Subnet::V4(_) => None,
        })
    }
}

/// Driver options that mean something here.
pub(crate) mod option {
    pub const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
    pub const ICC: &str = "com.docker.network.bridge.enable_icc";
    pub const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
    pub const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
    pub const MTU: &str = "com.docker.network.driver.mtu";
    /// Subnets in which the containers of a routed network are known by their own addresses.
    pub const ROUTED: &str = "sampan.network.routed";
    /// Name under which docker keeps a gateway that is not the bridge.
    pub const DEFAULT_GATEWAY: &str = "DefaultGatewayIPv4";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_are_read_masked_and_compared() {
        let a: Subnet4 = "172.17.3.4/16".parse().unwrap();
        assert_eq!(a.to_string(), "172.17.0.0/16");
        assert_eq!(a.last(), Ipv4Addr::new(172, 17, 255, 255));
        assert!(a.overlaps("172.17.200.0/24".parse().unwrap()));
        assert!(!a.overlaps("172.18.0.0/16".parse().unwrap()));
        assert!(a.overlaps("0.0.0.0/0".parse().unwrap()));
        assert!("172.17.0.0/33".parse::<Subnet4>().is_err());
        assert!("fd00::/64".parse::<Subnet4>().is_err());
        let six: Subnet6 = "fd00:1::5/64".parse().unwrap();
        assert_eq!(six.to_string(), "fd00:1::/64");
        assert!(six.contains("fd00:1::ffff".parse().unwrap()));
    }
}
