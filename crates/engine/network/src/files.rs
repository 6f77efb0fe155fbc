//! Contents of a container's `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname`: pure text to text.

use std::net::IpAddr;

/// What `/etc/hosts` says.
#[derive(Debug, Clone, Default)]
pub struct Hosts<'a> {
    pub hostname: &'a str,
    pub domainname: &'a str,
    /// The container's own addresses.
    pub addresses: Vec<IpAddr>,
    /// `--add-host`, host name and address, in the order given.
    pub extra: Vec<(String, IpAddr)>,
    /// Whether the sandbox has IPv6 on its loopback device.
    pub ipv6: bool,
}

/// Text of `/etc/hosts`.
pub fn hosts(_hosts: &Hosts<'_>) -> String {
    todo!()
}

/// Text of `/etc/hostname`.
pub fn hostname(hostname: &str) -> String {
    format!("{hostname}\n")
}

/// What `/etc/resolv.conf` is made from.
#[derive(Debug, Clone, Default)]
pub struct Resolv<'a> {
    /// The host's own file.
    pub host: &'a str,
    /// Name servers, search domains and options of the container, else of the daemon; empty means the host's.
    pub dns: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
    /// Whether the network can reach IPv6 name servers.
    pub ipv6: bool,
    /// Whether the daemon answers names on 127.0.0.11 in this sandbox.
    pub embedded: bool,
}

/// Text of `/etc/resolv.conf`.
pub fn resolv_conf(_resolv: &Resolv<'_>) -> String {
    todo!()
}

/// Name servers of the host's file that the daemon itself can ask.
pub fn nameservers(_host: &str) -> Vec<IpAddr> {
    todo!()
}
