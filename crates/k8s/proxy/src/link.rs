//! The node's link for services: a bridge without ports that has the addresses the daemon itself listens on, and the route of the services' range.
//!
//! A process of the host that connects to a service needs a route before anything is translated, also on a host without a default route; and what is
//! served here needs an address that is the same on every node.

use std::net::IpAddr;

use netlink::{Batch, Protocol, Socket, route};
use rustix::io::Errno;

use crate::config::Config;
use crate::error::{Result, failed};

fn name(config: &Config) -> String {
    format!("svc-{}", config.short())
}

/// Makes the link, or takes the one that is there, with exactly these addresses.
pub(crate) fn ensure(config: &Config) -> Result<()> {
    let failed = || failed("set up the link of services");
    let mut socket = Socket::open(Protocol::Route).map_err(failed())?;
    let name = name(config);
    socket.run_one(route::add_bridge(&name, None, 0).tolerate(Errno::EXIST)).map_err(failed())?;
    let Some(link) = route::link_named(&mut socket, &name).map_err(failed())? else { return Ok(()) };
    let wanted = || config.served.iter().map(|served| served.ip());
    let mut batch = Batch::new();
    for held in route::addresses(&mut socket).map_err(failed())? {
        let link_local = matches!(held.addr, IpAddr::V6(addr) if addr.is_unicast_link_local());
        if held.index == link.index && !link_local && !wanted().any(|address| address == held.addr) {
            batch.push(route::delete_address(link.index, held.addr, held.prefix));
        }
    }
    batch.push(route::link_up(link.index));
    for address in wanted() {
        batch.push(route::add_address(link.index, address, if address.is_ipv4() { 32 } else { 128 }));
    }
    for subnet in &config.service_cidrs {
        batch.push(route::add_route(link.index, subnet.ends().0, subnet.prefix));
    }
    socket.run(&batch).map_err(failed())
}

/// Takes the link away; one that is not there is not missed.
pub(crate) fn remove(config: &Config) -> Result<()> {
    let failed = || failed("remove the link of services");
    let mut socket = Socket::open(Protocol::Route).map_err(failed())?;
    match route::link_named(&mut socket, &name(config)).map_err(failed())? {
        Some(link) => socket.run_one(route::delete_link(link.index).tolerate(Errno::NODEV)).map_err(failed()),
        None => Ok(()),
    }
}
