//! Bridge devices and the host's settings that networks need.

use std::fs;
use std::net::IpAddr;

use netlink::{Batch, Socket, route};
use rustix::io::Errno;

use crate::error::{Error, Result, io_error, netlink_error};
use crate::network::{Network, Subnet, Subnet4, Subnet6};
use crate::networks::random_mac;

/// Makes a network's bridge, or takes the one that is there, and gives it exactly the network's gateway addresses.
/// Returns its index.
pub(crate) fn ensure(socket: &mut Socket, network: &Network) -> Result<u32> {
    let name = network.bridge.as_str();
    let failed = || netlink_error(format!("set up bridge {name}"));
    let mut link = route::link_named(socket, name).map_err(failed())?;
    if link.is_none() {
        let add = route::add_bridge(name, Some(random_mac()), network.mtu()).tolerate(Errno::EXIST);
        socket.run_one(add).map_err(failed())?;
        link = route::link_named(socket, name).map_err(failed())?;
    }
    let link = link.filter(|link| link.kind == "bridge").ok_or_else(|| Error::NotABridge(name.to_owned()))?;
    let wanted = addresses(network);
    let mut batch = Batch::new();
    for held in route::addresses(socket).map_err(failed())? {
        let link_local = matches!(held.addr, IpAddr::V6(addr) if addr.is_unicast_link_local());
        if held.index == link.index && !link_local && !wanted.contains(&(held.addr, held.prefix)) {
            batch.push(route::delete_address(link.index, held.addr, held.prefix));
        }
    }
    if network.ipv6 {
        set(&format!("net/ipv6/conf/{name}/disable_ipv6"), "0")?;
    }
    // a bridge listens to no router, and lets the host's loopback reach published ports through it
    let _ = set(&format!("net/ipv6/conf/{name}/accept_ra"), "0");
    set(&format!("net/ipv4/conf/{name}/route_localnet"), "1")?;
    batch.extend(wanted.into_iter().map(|(addr, prefix)| route::add_address(link.index, addr, prefix)));
    batch.push(route::link_up(link.index));
    socket.run(&batch).map_err(failed())?;
    Ok(link.index)
}

/// Removes a bridge; one that is not there is not missed.
pub(crate) fn remove(socket: &mut Socket, name: &str) -> Result<()> {
    let failed = || netlink_error(format!("remove bridge {name}"));
    match route::link_named(socket, name).map_err(failed())? {
        Some(link) if link.kind == "bridge" => {
            socket.run_one(route::delete_link(link.index).tolerate(Errno::NODEV)).map_err(failed())
        }
        _ => Ok(()),
    }
}

/// Turns forwarding on where it is off.
pub(crate) fn forward(ipv6: bool) -> Result<()> {
    on("net/ipv4/ip_forward")?;
    if ipv6 {
        on("net/ipv6/conf/default/forwarding")?;
        on("net/ipv6/conf/all/forwarding")?;
    }
    Ok(())
}

/// Subnets that the host has routes or addresses in, without those of the devices named.
pub(crate) fn in_use(socket: &mut Socket, except: &[String]) -> Result<(Vec<Subnet4>, Vec<Subnet6>)> {
    let failed = || netlink_error("list the host's routes");
    let links = route::links(socket).map_err(failed())?;
    let ours: Vec<u32> = links.iter().filter(|link| except.contains(&link.name)).map(|link| link.index).collect();
    let mut found = (Vec::new(), Vec::new());
    let mut note = |addr: IpAddr, prefix: u8| match addr {
        IpAddr::V4(addr) => found.0.push(Subnet4::new(addr, prefix)),
        IpAddr::V6(addr) => found.1.push(Subnet6::new(addr, prefix)),
    };
    for route in route::routes(socket).map_err(failed())? {
        if route.prefix > 0 && !route.index.is_some_and(|index| ours.contains(&index)) {
            note(route.to, route.prefix);
        }
    }
    for address in route::addresses(socket).map_err(failed())? {
        if !ours.contains(&address.index) {
            note(address.addr, address.prefix);
        }
    }
    Ok(found)
}

/// Whether frames between ports of a bridge go through the rules for packets (br_netfilter, which dockerd loads). Then
/// a container that reaches itself through a published port never leaves the bridge, and its port has to let the frame
/// out again.
pub(crate) fn sees_frames_as_packets() -> bool {
    fs::read("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|value| value.starts_with(b"1"))
}

/// Writes a setting of the calling thread's namespace.
pub(crate) fn set(name: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/{name}"), value).map_err(io_error(format!("set {name} to {value}")))
}

fn on(name: &str) -> Result<()> {
    let path = format!("/proc/sys/{name}");
    let now = fs::read_to_string(&path).map_err(io_error(format!("read {name}")))?;
    if now.trim() == "0" { set(name, "1") } else { Ok(()) }
}

/// The bridge's own addresses.
fn addresses(network: &Network) -> Vec<(IpAddr, u8)> {
    let prefix = |subnet| match subnet {
        Subnet::V4(subnet) => subnet.prefix(),
        Subnet::V6(subnet) => subnet.prefix(),
    };
    network.ipam.pools.iter().filter_map(|pool| Some((pool.gateway?, prefix(pool.subnet)))).collect()
}
