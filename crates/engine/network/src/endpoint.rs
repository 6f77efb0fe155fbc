//! A container's place on a network, and the request for one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::network::NetworkId;
use crate::ports::{BoundPort, PortRequest};

/// Identity of an endpoint: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(pub String);

impl EndpointId {
    /// A new random identity.
    pub fn random() -> Self {
        EndpointId(crate::networks::random_hex(32))
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Ethernet address, written `02:42:ac:11:00:02`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Docker's address for an IPv4 address: `02:42` and its four bytes.
    pub fn of(ip: Ipv4Addr) -> Self {
        let [a, b, c, d] = ip.octets();
        MacAddr([0x02, 0x42, a, b, c, d])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not an Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a valid mac address")]
pub struct BadMac(pub String);

impl FromStr for MacAddr {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(MacAddr(bytes)) }
    }
}

impl Serialize for MacAddr {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A request to put a container's sandbox on a network.
#[derive(Debug)]
pub struct AttachRequest<'a> {
    pub endpoint: EndpointId,
    /// Container that the endpoint belongs to: identity and name, as errors and inspection show them.
    pub container: String,
    pub container_name: String,
    /// The sandbox; ignored by `host` and `none`.
    pub netns: BorrowedFd<'a>,
    /// Network by name, id or unambiguous beginning of an id.
    pub network: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub mac: Option<MacAddr>,
    /// Names beside the container's own that others on the network find it by.
    pub aliases: Vec<String>,
    /// Name servers that the container asks for names that are no container's; empty means the host's.
    pub dns: Vec<IpAddr>,
    /// Ports to publish; only one of a container's endpoints should carry them.
    pub ports: Vec<PortRequest>,
    /// Whether this network gives the container its default route.
    pub default_route: bool,
}

/// A container's place on a network. The owner stores it and hands it back to `detach` and `reconcile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: EndpointId,
    pub network: NetworkId,
    pub network_name: String,
    pub container: String,
    pub container_name: String,
    /// Name of the device inside the sandbox, `eth0`; empty on `host` and `none`.
    pub interface: String,
    /// Name of the other end, on the host.
    #[serde(default)]
    pub host_device: String,
    pub mac: Option<MacAddr>,
    pub ipv4: Option<(Ipv4Addr, u8)>,
    pub gateway4: Option<Ipv4Addr>,
    pub ipv6: Option<(Ipv6Addr, u8)>,
    pub gateway6: Option<Ipv6Addr>,
    pub aliases: Vec<String>,
    /// Ports as bound on the host.
    pub ports: Vec<BoundPort>,
}

/// An endpoint of a container that runs, as told to `reconcile`.
#[derive(Debug)]
pub struct Live {
    pub endpoint: Endpoint,
    /// The container's network namespace.
    pub netns: OwnedFd,
    /// Name servers, as in [`AttachRequest::dns`].
    pub dns: Vec<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_are_read_written_and_derived() {
        let mac: MacAddr = "02:42:ac:11:00:02".parse().unwrap();
        assert_eq!(mac, MacAddr::of(Ipv4Addr::new(172, 17, 0, 2)));
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert!("02:42:ac:11:00".parse::<MacAddr>().is_err());
        assert!("02:42:ac:11:00:2:3".parse::<MacAddr>().is_err());
    }
}
