//! What a daemon says about its networks when it starts.

use std::net::{IpAddr, Ipv4Addr};

use crate::network::{Subnet4, Subnet6};

/// A range that subnets of new networks are cut from: `base` in pieces of prefix length `size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    pub base: Subnet4,
    pub size: u8,
}

/// Configuration of [`crate::Networks`]; the names in brackets are dockerd's flags.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Identity of the daemon: names of its table and default bridge derive from it.
    pub instance: String,
    /// Whether the network `bridge` exists at all (`--bridge=none` turns it off).
    pub default_bridge: bool,
    /// Device of the network `bridge` instead of the derived name (`--bridge`).
    pub bridge_name: Option<String>,
    /// Address and prefix of the default bridge (`--bip`); chosen without overlap when absent.
    pub bip: Option<(Ipv4Addr, u8)>,
    /// Part of the bridge's subnet that containers get addresses from (`--fixed-cidr`).
    pub fixed_cidr: Option<Subnet4>,
    /// Gateway of the default bridge other than the bridge itself (`--default-gateway`).
    pub default_gateway: Option<Ipv4Addr>,
    /// IPv6 on the default bridge (`--ipv6`), a unique local prefix unless `fixed_cidr_v6` says otherwise.
    pub ipv6: bool,
    pub fixed_cidr_v6: Option<Subnet6>,
    /// Where subnets of networks come from (`--default-address-pool`); docker's ranges when empty.
    pub pools: Vec<AddressPool>,
    /// Traffic between containers of the default bridge (`--icc`).
    pub icc: bool,
    /// Source translation for the default bridge (`--ip-masq`).
    pub ip_masq: bool,
    /// Turn on the host's forwarding if it is off (`--ip-forward`).
    pub ip_forward: bool,
    /// Host address of ports published without one (`--ip`).
    pub default_bind: IpAddr,
    /// MTU of the default bridge (`--mtu`); 0 means the kernel's default.
    pub mtu: u32,
    /// Name servers, search domains and options given to the daemon (`--dns`, `--dns-search`, `--dns-opt`).
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    /// Sandboxes kept ready per network that has been used; 0 makes every one when it is asked for.
    pub ready: usize,
}

impl NetworkConfig {
    /// Docker's defaults for the instance of that name.
    pub fn new(instance: impl Into<String>) -> Self {
        NetworkConfig {
            instance: instance.into(),
            default_bridge: true,
            bridge_name: None,
            bip: None,
            fixed_cidr: None,
            default_gateway: None,
            ipv6: false,
            fixed_cidr_v6: None,
            pools: Vec::new(),
            icc: true,
            ip_masq: true,
            ip_forward: true,
            default_bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            mtu: 0,
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            ready: 4,
        }
    }
}
