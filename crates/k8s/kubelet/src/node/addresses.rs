//! The node's own addresses: on the link that the default route leads out of, else on any link that is not of containers.

use std::net::IpAddr;

use netlink::route::{self, Address, Link, Route};
use netlink::{Protocol, Socket};

/// Finds them; the loopback address where the machine has no other.
pub fn find() -> Vec<IpAddr> {
    let looked = || -> Result<Vec<IpAddr>, netlink::Error> {
        let mut socket = Socket::open(Protocol::Route)?;
        let (links, routes) = (route::links(&mut socket)?, route::routes(&mut socket)?);
        Ok(choose(&links, &route::addresses(&mut socket)?, &routes))
    };
    let found = looked().unwrap_or_else(|error| {
        tracing::warn!(%error, "the node's addresses cannot be found");
        Vec::new()
    });
    if found.is_empty() { vec![IpAddr::from([127, 0, 0, 1])] } else { found }
}

fn choose(links: &[Link], addresses: &[Address], routes: &[Route]) -> Vec<IpAddr> {
    let usable = |address: &&Address| match address.addr {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let on = |index: u32| addresses.iter().filter(move |address| address.index == index).filter(usable);
    // One of each family, those of version 4 first.
    let mut found: Vec<IpAddr> = Vec::new();
    for v4 in [true, false] {
        let default = routes.iter().filter(|route| route.prefix == 0 && route.to.is_ipv4() == v4);
        let mut indexes: Vec<u32> = default.filter_map(|route| route.index).collect();
        let others = links.iter().filter(|link| link.up && !matches!(link.kind.as_str(), "bridge" | "veth"));
        indexes.extend(others.map(|link| link.index));
        found.extend(indexes.into_iter().flat_map(on).map(|address| address.addr).find(|addr| addr.is_ipv4() == v4));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: &str) -> Link {
        Link {
            index,
            name: format!("l{index}"),
            up: true,
            running: true,
            mac: None,
            mtu: 1500,
            master: None,
            kind: kind.into(),
        }
    }

    fn address(index: u32, addr: &str) -> Address {
        Address { index, addr: addr.parse().unwrap(), prefix: 24 }
    }

    #[test]
    fn the_default_route_decides_and_bridges_of_containers_do_not_count() {
        let links = [link(1, ""), link(2, ""), link(3, "bridge"), link(4, "")];
        let all = [
            address(1, "127.0.0.1"),
            address(2, "192.0.2.2"),
            address(3, "172.17.0.1"),
            address(4, "198.51.100.4"),
            address(4, "fe80::1"),
        ];
        let default = [Route { index: Some(4), to: "0.0.0.0".parse().unwrap(), prefix: 0 }];
        assert_eq!(choose(&links, &all, &default), ["198.51.100.4".parse::<IpAddr>().unwrap()]);
        assert_eq!(choose(&links, &all, &[]), ["192.0.2.2".parse::<IpAddr>().unwrap()]);
        assert!(choose(&links[2..3], &all, &[]).is_empty());
    }
}
