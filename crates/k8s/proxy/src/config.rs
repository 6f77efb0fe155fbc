//! What the proxy is told at its start.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;

/// Configuration of [`crate::Proxy`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of this node's object.
    pub node_name: String,
    /// Tells this daemon's table and link from those of others on the same host.
    pub instance: String,
    /// Where pods of the whole cluster have their addresses.
    pub pod_cidrs: Vec<Subnet>,
    /// Where services have theirs.
    pub service_cidrs: Vec<Subnet>,
    /// Addresses of services that the daemon itself listens on: it gives them to its link and translates nothing for them.
    pub served: Vec<SocketAddr>,
    /// Addresses of the cluster's name server; each is one that is served, on port 53.
    pub dns: Vec<IpAddr>,
    /// `cluster.local`
    pub domain: String,
    /// Servers for other names; empty for those of `resolv_conf`.
    pub upstream: Vec<IpAddr>,
    /// The node's list of servers, read again when it changes.
    pub resolv_conf: PathBuf,
}

impl Config {
    /// Defaults: the customary ranges and the name server on 10.43.0.10.
    pub fn new(node_name: impl Into<String>, instance: impl Into<String>) -> Config {
        let dns = IpAddr::from([10, 43, 0, 10]);
        Config {
            node_name: node_name.into(),
            instance: instance.into(),
            pod_cidrs: vec![Subnet { base: [10, 42, 0, 0].into(), prefix: 16 }],
            service_cidrs: vec![Subnet { base: [10, 43, 0, 0].into(), prefix: 16 }],
            served: vec![(dns, 53).into()],
            dns: vec![dns],
            domain: "cluster.local".to_owned(),
            upstream: Vec::new(),
            resolv_conf: "/etc/resolv.conf".into(),
        }
    }

    /// Eight letters or fewer that are this instance's.
    pub(crate) fn short(&self) -> String {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if (1..=8).contains(&self.instance.len()) && self.instance.bytes().all(plain) {
            return self.instance.clone();
        }
        // FNV-1a: the same in every version, so that the next daemon finds what this one made
        let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        format!("{:08x}", self.instance.bytes().fold(0x811c_9dc5, hash))
    }

    /// Whether an address belongs to the cluster's own ranges.
    pub(crate) fn is_cluster(&self, address: IpAddr) -> bool {
        self.pod_cidrs.iter().chain(&self.service_cidrs).any(|subnet| subnet.contains(address))
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    pub base: IpAddr,
    pub prefix: u8,
}

impl FromStr for Subnet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Subnet, Error> {
        let bad = || Error::Subnet(text.to_owned());
        let (base, prefix) = text.split_once('/').ok_or_else(bad)?;
        let base: IpAddr = base.parse().map_err(|_| bad())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= most).ok_or_else(bad)?;
        Ok(Subnet { base: Subnet { base, prefix }.ends().0, prefix })
    }
}

impl Subnet {
    /// First and last address.
    pub fn ends(&self) -> (IpAddr, IpAddr) {
        match self.base {
            IpAddr::V4(base) => {
                let host = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let bits = base.to_bits() & !host;
                (std::net::Ipv4Addr::from_bits(bits).into(), std::net::Ipv4Addr::from_bits(bits | host).into())
            }
            IpAddr::V6(base) => {
                let host = u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let bits = base.to_bits() & !host;
                (std::net::Ipv6Addr::from_bits(bits).into(), std::net::Ipv6Addr::from_bits(bits | host).into())
            }
        }
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (first, last) = self.ends();
        first.is_ipv4() == address.is_ipv4() && first <= address && address <= last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_have_ends() {
        let subnet: Subnet = "10.42.7.9/16".parse().unwrap();
        assert_eq!(subnet.ends(), ([10, 42, 0, 0].into(), [10, 42, 255, 255].into()));
        assert!(subnet.contains([10, 42, 3, 4].into()) && !subnet.contains([10, 43, 0, 0].into()));
        assert!("0.0.0.0/0".parse::<Subnet>().unwrap().contains([1, 2, 3, 4].into()));
        assert!("fd00::/8".parse::<Subnet>().unwrap().contains("fd12::1".parse().unwrap()));
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", "::/129"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }
}
