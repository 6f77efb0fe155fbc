//! Network devices of the host that a container gets for itself, with the addresses that they have.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use netlink::route::{self, Address};
use netlink::{Batch, Protocol, Socket};

use crate::error::{AtStep, Error, Result};

/// A device by its name and the name that it has in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub name: String,
    pub inside: String,
}

/// Moves the devices of this process's network namespace into another one, and turns them on there.
pub(crate) fn give(devices: &[Device], netns: BorrowedFd<'_>) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let mut here = Socket::open(Protocol::Route).map_err(|error| failed("list network devices", &error))?;
    let addresses = route::addresses(&mut here).map_err(|error| failed("list addresses", &error))?;
    let mut there = socket_in(netns)?;
    for device in devices {
        let step = || format!("give the network device {} to the container", device.name);
        let link = route::link_named(&mut here, &device.name).map_err(|error| failed(step(), &error))?;
        let link = link.ok_or_else(|| Error::step(step(), rustix::io::Errno::NODEV))?;
        here.run_one(route::move_link(link.index, netns, &device.inside)).map_err(|error| failed(step(), &error))?;
        let moved = route::link_named(&mut there, &device.inside).map_err(|error| failed(step(), &error))?;
        let moved = moved.ok_or_else(|| Error::step(step(), rustix::io::Errno::NODEV))?;
        let mut batch = Batch::new();
        for Address { addr, prefix, .. } in addresses.iter().filter(|address| address.index == link.index) {
            if is_global(*addr) {
                batch.push(route::add_address(moved.index, *addr, *prefix));
            }
        }
        batch.push(route::link_up(moved.index));
        there.run(&batch).map_err(|error| failed(step(), &error))?;
    }
    Ok(())
}

/// What the kernel makes by itself it makes in the container too.
fn is_global(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

/// A socket belongs to the namespace that it was opened in.
fn socket_in(netns: BorrowedFd<'_>) -> Result<Socket> {
    let own = sys::netns::current().at(|| "open the network namespace of this process")?;
    sys::netns::enter(netns).at(|| "join the container's network namespace")?;
    let socket = Socket::open(Protocol::Route);
    sys::netns::enter(std::os::fd::AsFd::as_fd(&own)).at(|| "go back to the network namespace of this process")?;
    socket.map_err(|error| failed("list network devices of the container", &error))
}

fn failed(step: impl Into<String>, error: &netlink::Error) -> Error {
    Error::step(step, io::Error::other(error.to_string()))
}
