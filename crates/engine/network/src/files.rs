//! Contents of a container's `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname`: pure text to text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the daemon answers names inside a sandbox.
pub const EMBEDDED_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

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

/// Text of `/etc/hosts`: loopback, what the user adds, the container's own names.
pub fn hosts(hosts: &Hosts<'_>) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n");
    if hosts.ipv6 {
        text.push_str(
            "::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::\tip6-localnet\n\
             ff00::\tip6-mcastprefix\n\
             ff02::1\tip6-allnodes\n\
             ff02::2\tip6-allrouters\n",
        );
    }
    for (name, addr) in &hosts.extra {
        text.push_str(&format!("{addr}\t{name}\n"));
    }
    let names = match hosts.domainname {
        "" => hosts.hostname.to_owned(),
        domain => format!("{0}.{domain} {0}", hosts.hostname),
    };
    for addr in &hosts.addresses {
        text.push_str(&format!("{addr}\t{names}\n"));
    }
    text
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

/// Text of `/etc/resolv.conf`. Without servers of its own a container gets the host's, less those on the host's
/// loopback, which it cannot reach; if none is left, public ones as with docker. A search of `.` alone means none.
pub fn resolv_conf(resolv: &Resolv<'_>) -> String {
    let parsed = Parsed::of(resolv.host);
    let mut text = String::new();
    for server in servers(resolv, &parsed) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    let search = if resolv.search.is_empty() { parsed.search } else { resolv.search.clone() };
    if !search.is_empty() && search != ["."] {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    let mut options = if resolv.options.is_empty() { parsed.options } else { resolv.options.clone() };
    if resolv.embedded && !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

/// Name servers of the host's file, loopback included: the daemon itself can ask those.
pub fn nameservers(host: &str) -> Vec<IpAddr> {
    Parsed::of(host).servers
}

fn servers(resolv: &Resolv<'_>, parsed: &Parsed) -> Vec<IpAddr> {
    if resolv.embedded {
        return vec![EMBEDDED_DNS.into()];
    }
    if !resolv.dns.is_empty() {
        return resolv.dns.clone();
    }
    let reachable = |addr: &&IpAddr| !addr.is_loopback() && (addr.is_ipv4() || resolv.ipv6);
    let found: Vec<_> = parsed.servers.iter().filter(reachable).copied().collect();
    if !found.is_empty() {
        return found;
    }
    let mut public: Vec<IpAddr> = vec![Ipv4Addr::new(8, 8, 8, 8).into(), Ipv4Addr::new(8, 8, 4, 4).into()];
    if resolv.ipv6 {
        public.push(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888).into());
        public.push(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844).into());
    }
    public
}

#[derive(Default)]
struct Parsed {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    options: Vec<String>,
}

impl Parsed {
    /// Reads a file as the C library does: the last `search` or `domain` holds, options add up, other lines are
    /// comments.
    fn of(text: &str) -> Self {
        let mut parsed = Parsed::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let keyword = words.next();
            let mut rest = words.map(str::to_owned);
            match keyword {
                Some("nameserver") => {
                    // an address with a zone is good only on the host
                    parsed.servers.extend(rest.next().and_then(|addr| addr.parse::<IpAddr>().ok()));
                }
                Some("search" | "domain") => parsed.search = rest.collect(),
                Some("options") => parsed.options.extend(rest),
                _ => {}
            }
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|addr| addr.parse().unwrap()).collect()
    }

    #[test]
    fn hosts_has_loopback_extra_and_own_names() {
        let text = hosts(&Hosts {
            hostname: "web",
            domainname: "example.org",
            addresses: addrs(&["172.17.0.2"]),
            extra: vec![("db".to_owned(), "10.0.0.9".parse().unwrap())],
            ipv6: false,
        });
        assert_eq!(text, "127.0.0.1\tlocalhost\n10.0.0.9\tdb\n172.17.0.2\tweb.example.org web\n");
        let text = hosts(&Hosts { hostname: "w", ipv6: true, ..Hosts::default() });
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\t"));
    }

    #[test]
    fn the_hosts_servers_are_kept_but_for_its_loopback() {
        let host =
            "# made\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fd00::1\nsearch a b\noptions edns0\n";
        let text = resolv_conf(&Resolv { host, ..Resolv::default() });
        assert_eq!(text, "nameserver 192.0.2.1\nsearch a b\noptions edns0\n");
        let text = resolv_conf(&Resolv { host, ipv6: true, ..Resolv::default() });
        assert!(text.starts_with("nameserver 192.0.2.1\nnameserver fd00::1\n"));
    }

    #[test]
    fn without_a_reachable_server_public_ones_are_given() {
        let text = resolv_conf(&Resolv { host: "nameserver 127.0.0.1\n", ..Resolv::default() });
        assert_eq!(text, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    }

    #[test]
    fn what_the_container_says_goes_before_the_host() {
        let host = "nameserver 192.0.2.1\nsearch a\noptions edns0\n";
        let resolv = Resolv {
            host,
            dns: addrs(&["1.1.1.1"]),
            search: vec![".".to_owned()],
            options: vec!["ndots:2".to_owned()],
            ..Resolv::default()
        };
        assert_eq!(resolv_conf(&resolv), "nameserver 1.1.1.1\noptions ndots:2\n");
    }

    #[test]
    fn the_embedded_server_stands_alone() {
        let resolv = Resolv { host: "nameserver 192.0.2.1\nsearch a\n", embedded: true, ..Resolv::default() };
        assert_eq!(resolv_conf(&resolv), "nameserver 127.0.0.11\nsearch a\noptions ndots:0\n");
        assert_eq!(nameservers("nameserver 127.0.0.53\n"), addrs(&["127.0.0.53"]));
    }
}
