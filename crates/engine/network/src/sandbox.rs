//! Sandboxes: network namespaces with loopback up and, for a bridge network, a virtual Ethernet pair already in place.
//!
//! Making one costs the kernel more than a millisecond, so a few per network are made ahead by a thread of their own;
//! taking one from there and giving it its address is all that is left to do when a container starts. A sandbox that
//! nobody holds a descriptor of dies, and its pair with it: that is the only way pairs are removed here.
//!
//! A namespace is made by a thread that moves itself into it and ends; no other thread ever leaves the host's.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use netlink::{Batch, Protocol, Socket, route};

use crate::bridge;
use crate::dns::Ears;
use crate::error::{Error, Result, io_error, netlink_error};
use crate::network::NetworkId;
use crate::networks::random_hex;

/// Index of the device that is made together with a namespace.
const FIRST_DEVICE: u32 = 2;
/// How long a sandbox that was handed out may wait for its `attach` and still be found prepared.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the kernel may take to set a new pair to work; then the container has to do with a slow first packet.
const SETTLE: Duration = Duration::from_millis(200);

/// What a virtual Ethernet pair is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plug {
    pub network: NetworkId,
    pub bridge_index: u32,
    pub mtu: u32,
    pub ipv6: bool,
    /// Containers of this network may not talk to each other.
    pub isolated: bool,
    /// It has no neighbours, whatever a router tells it.
    pub routed: bool,
    /// Containers of this network find each other by name.
    pub dns: bool,
}

/// A sandbox that no container has yet.
pub(crate) struct Sandbox {
    pub netns: OwnedFd,
    /// A socket inside, and what the sandbox is plugged into.
    pub inside: Socket,
    pub plugged: Option<Plugged>,
}

/// Whether the daemon has sockets for names in a sandbox already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listening {
    Yes,
    No,
}

/// A pair in place.
pub(crate) struct Plugged {
    pub plug: Plug,
    /// Name and index of the device inside.
    pub device: String,
    pub index: u32,
    /// Name of the host's end.
    pub host_device: String,
    /// Sockets for names, where the network has names.
    pub ears: Option<Ears>,
}

/// Makes a sandbox, plugged in or not.
pub(crate) fn make(plug: Option<Plug>) -> Result<Sandbox> {
    apart(move || {
        let mut outside = Socket::open(Protocol::Route).map_err(netlink_error("open netlink socket"))?;
        sys::netns::unshare().map_err(io_error("make network namespace"))?;
        let netns = sys::netns::current().map_err(io_error("open new network namespace"))?;
        let mut inside = Socket::open(Protocol::Route).map_err(netlink_error("open netlink socket"))?;
        allow_ordinary_use();
        if plug.as_ref().is_some_and(|plug| plug.routed) {
            ignore_redirects();
        }
        inside.run_one(route::link_up(route::LOOPBACK)).map_err(netlink_error("bring up loopback of a sandbox"))?;
        let plugged = match plug {
            Some(plug) => {
                let ends = Ends { outside: &mut outside, inside: &mut inside, netns: netns.as_fd() };
                let mut plugged = ends.connect(plug, "eth0".to_owned(), Some(FIRST_DEVICE))?;
                plugged.ears = plugged.plug.dns.then(Ears::open).transpose()?;
                Some(plugged)
            }
            None => None,
        };
        Ok(Sandbox { netns, inside, plugged })
    })
}

/// Plugs a namespace that is in use into one more network. Returns a socket inside and what was laid.
pub(crate) fn plug_in(netns: BorrowedFd<'_>, plug: Plug, listening: Listening) -> Result<(Socket, Plugged)> {
    let netns = netns.try_clone_to_owned().map_err(io_error("duplicate network namespace"))?;
    apart(move || {
        let mut outside = Socket::open(Protocol::Route).map_err(netlink_error("open netlink socket"))?;
        sys::netns::enter(netns.as_fd()).map_err(io_error("enter network namespace"))?;
        let mut inside = Socket::open(Protocol::Route).map_err(netlink_error("open netlink socket"))?;
        let failed = || netlink_error("list links of a sandbox");
        let links = route::links(&mut inside).map_err(failed())?;
        let free = |name: &String| !links.iter().any(|link| link.name == *name);
        let name = (0..).map(|n| format!("eth{n}")).find(free).unwrap_or_default();
        let ends = Ends { outside: &mut outside, inside: &mut inside, netns: netns.as_fd() };
        let mut plugged = ends.connect(plug, name, None)?;
        if plugged.plug.dns && listening == Listening::No {
            plugged.ears = Some(Ears::open()?);
        }
        Ok((inside, plugged))
    })
}

/// Opens sockets for names in a namespace that is in use, in place of those of an earlier daemon.
pub(crate) fn listen_in(netns: BorrowedFd<'_>) -> Result<Ears> {
    let netns = netns.try_clone_to_owned().map_err(io_error("duplicate network namespace"))?;
    apart(move || {
        sys::netns::enter(netns.as_fd()).map_err(io_error("enter network namespace"))?;
        Ears::open()
    })
}

/// Removes a device from a namespace that goes on living; this waits some milliseconds for the kernel.
pub(crate) fn unplug(netns: BorrowedFd<'_>, device: &str) -> Result<()> {
    let netns = netns.try_clone_to_owned().map_err(io_error("duplicate network namespace"))?;
    let device = device.to_owned();
    apart(move || {
        sys::netns::enter(netns.as_fd()).map_err(io_error("enter network namespace"))?;
        let mut inside = Socket::open(Protocol::Route).map_err(netlink_error("open netlink socket"))?;
        let failed = || netlink_error(format!("remove device {device} of a sandbox"));
        match route::link_named(&mut inside, &device).map_err(failed())? {
            Some(link) => inside.run_one(route::delete_link(link.index)).map_err(failed()),
            None => Ok(()),
        }
    })
}

/// Sandboxes that were given out and not yet attached, by the identity of their namespace: `attach` gets back the
/// socket inside. An open socket keeps a namespace alive, so entries of whoever never came are dropped.
#[derive(Default)]
pub(crate) struct HandedOut(HashMap<(u64, u64), (Instant, Socket, Plugged)>);

impl HandedOut {
    pub fn give(&mut self, sandbox: Sandbox) -> Result<OwnedFd> {
        let now = Instant::now();
        self.0.retain(|_, (since, ..)| now.duration_since(*since) < PATIENCE);
        let Sandbox { netns, inside, plugged } = sandbox;
        if let Some(plugged) = plugged {
            self.0.insert(identity(netns.as_fd())?, (now, inside, plugged));
        }
        Ok(netns)
    }

    /// The socket inside and the pair, if this sandbox was prepared for the network and is not attached yet.
    pub fn take_back(&mut self, netns: BorrowedFd<'_>, network: &NetworkId) -> Result<Option<(Socket, Plugged)>> {
        let found = self.0.remove(&identity(netns)?);
        Ok(found.filter(|(.., plugged)| plugged.plug.network == *network).map(|(_, inside, plugged)| (inside, plugged)))
    }
}

fn identity(netns: BorrowedFd<'_>) -> Result<(u64, u64)> {
    let stat = rustix::fs::fstat(netns).map_err(io_error("identify network namespace"))?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Runs `work` on a thread inside a network namespace, and waits for it.
pub fn run_inside<T: Send + 'static>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let netns = netns.try_clone_to_owned()?;
    let thread = std::thread::Builder::new().name("netns".to_owned()).stack_size(256 << 10).spawn(move || {
        sys::netns::enter(netns.as_fd())?;
        work()
    })?;
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs on a thread that ends afterwards, whatever namespace it is in by then.
fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let thread = std::thread::Builder::new().name("netns".to_owned()).stack_size(256 << 10).spawn(work);
    match thread.map_err(io_error("start a thread for a network namespace"))?.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Both namespaces that a pair is laid between, seen from a thread inside.
struct Ends<'a> {
    outside: &'a mut Socket,
    inside: &'a mut Socket,
    netns: BorrowedFd<'a>,
}

impl Ends<'_> {
    /// A pair from the bridge to the namespace, which passes frames when this returns. Names of the host's ends are
    /// random: two daemons never meet. The index inside is chosen if one is given.
    fn connect(self, plug: Plug, device: String, index: Option<u32>) -> Result<Plugged> {
        let Ends { outside, inside, netns } = self;
        let failed = || netlink_error("make virtual Ethernet pair");
        let host_name = format!("veth{}", &random_hex(4)[..7]);
        let name = device.as_str();
        let flags = route::PortFlags { isolated: plug.isolated, hairpin: bridge::sees_frames_as_packets() };
        let near = route::VethEnd { name: &host_name, mac: None };
        let far = route::VethEnd { name, mac: None };
        let add = route::add_veth(near, Some(plug.bridge_index), far, netns, index, plug.mtu);
        let batch: Batch = [add, route::port_up(&host_name, flags)].into_iter().collect();
        with_ipv6(plug.ipv6, || outside.run(&batch).map_err(failed()))?;
        let index = match index {
            Some(index) => index,
            None => {
                let link = route::link_named(inside, name).map_err(failed())?;
                link.map(|link| link.index).ok_or_else(|| Error::NoDevice(name.to_owned()))?
            }
        };
        inside.run_one(route::link_up(index)).map_err(failed())?;
        // the kernel sets devices to work a little later; what is sent before that is lost and sent again after a second
        let start = Instant::now();
        let mut pause = Duration::from_micros(200);
        while start.elapsed() < SETTLE {
            let runs = |link: Result<Option<route::Link>, netlink::Error>| {
                link.map(|link| link.is_some_and(|link| link.running)).map_err(failed())
            };
            if runs(route::link_at(inside, index))?
                && runs(route::link_named(outside, &host_name))?
                && runs(route::link_at(outside, plug.bridge_index))?
            {
                break;
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        Ok(Plugged { plug, device, index, host_device: host_name, ears: None })
    }
}

/// Docker's settings for every container: low ports and ping without privileges.
fn allow_ordinary_use() {
    let settings = [("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647")];
    for (name, value) in settings {
        if let Err(error) = bridge::set(name, value) {
            tracing::debug!(%error, "setting of a sandbox left as it is");
        }
    }
}

/// A pod that took the host's word for a shorter way would get answers that the host has not translated back.
fn ignore_redirects() {
    for device in ["all", "default"] {
        if let Err(error) = bridge::set(&format!("net/ipv4/conf/{device}/accept_redirects"), "0") {
            tracing::debug!(%error, "setting of a sandbox left as it is");
        }
    }
}

/// New devices of the thread's namespace have IPv6 or not, while `work` runs.
fn with_ipv6<T>(on: bool, work: impl FnOnce() -> Result<T>) -> Result<T> {
    const DEFAULT: &str = "net/ipv6/conf/default/disable_ipv6";
    // no such file: the kernel has no IPv6, which is as good
    let _ = bridge::set(DEFAULT, if on { "0" } else { "1" });
    let result = work();
    let _ = bridge::set(DEFAULT, "0");
    result
}
