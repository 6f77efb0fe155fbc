//! Host ports in use: each is held by a bound socket of our own, so that no other program takes it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::endpoint::EndpointId;
use crate::error::{Error, Result};
use crate::ports::{BoundPort, HostPorts, PortRequest, Protocol};

/// What ports are bound for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binder {
    /// The container's addresses.
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    /// Host address of a port that names none.
    pub default: IpAddr,
}

/// All ports of this instance.
#[derive(Default)]
pub(crate) struct PortTable {
    held: HashMap<(Protocol, u16), Vec<Held>>,
    next_ephemeral: u16,
}

struct Held {
    ip: IpAddr,
    endpoint: EndpointId,
    /// Absent where the kernel has no such protocol, or another program took the port while no daemon ran.
    _socket: Option<OwnedFd>,
}

impl PortTable {
    /// Binds what an endpoint asks for, all or nothing.
    pub fn bind(&mut self, endpoint: &EndpointId, requests: &[PortRequest], binder: Binder) -> Result<Vec<BoundPort>> {
        let mut bound = Vec::new();
        for request in requests {
            match self.bind_request(endpoint, request, binder) {
                Ok(ports) => bound.extend(ports),
                Err(error) => {
                    self.release(endpoint);
                    return Err(error);
                }
            }
        }
        Ok(bound)
    }

    /// Takes over ports that were bound by a daemon before this one. A port that another program took meanwhile is
    /// told of, and stays published: the container has used it all the time.
    pub fn adopt(&mut self, endpoint: &EndpointId, ports: &[BoundPort]) -> Vec<SocketAddr> {
        let mut taken = Vec::new();
        for port in ports {
            let socket = hold(port.protocol, port.host);
            if socket.is_err() {
                taken.push(port.host);
            }
            self.insert(endpoint, port.protocol, port.host, socket.ok().flatten());
        }
        taken
    }

    /// Lets go of all ports of an endpoint.
    pub fn release(&mut self, endpoint: &EndpointId) {
        self.held.retain(|_, held| {
            held.retain(|one| one.endpoint != *endpoint);
            !held.is_empty()
        });
    }

    fn bind_request(&mut self, of: &EndpointId, request: &PortRequest, binder: Binder) -> Result<Vec<BoundPort>> {
        let ips = host_addresses(request, binder)?;
        let protocol = request.protocol;
        let bound = |port| {
            let port = |ip| BoundPort { container_port: request.container_port, protocol, host: (ip, port).into() };
            ips.iter().copied().map(port).collect()
        };
        match request.host_ports {
            HostPorts::One(port) => self.bind_all(of, protocol, &ips, port, binder, request).map(|()| bound(port)),
            HostPorts::Range(first, last) => {
                let mut failure = Error::NoFreePort;
                for port in first..=last {
                    match self.bind_all(of, protocol, &ips, port, binder, request) {
                        Ok(()) => return Ok(bound(port)),
                        Err(error) if first == last => return Err(error),
                        Err(error) => failure = error,
                    }
                }
                Err(if matches!(failure, Error::PortAllocated { .. }) { Error::NoFreePort } else { failure })
            }
            HostPorts::Any => {
                let (first, last) = ephemeral_range();
                for _ in first..=last {
                    let port = if (first..=last).contains(&self.next_ephemeral) { self.next_ephemeral } else { first };
                    self.next_ephemeral = if port == last { first } else { port + 1 };
                    if self.bind_all(of, protocol, &ips, port, binder, request).is_ok() {
                        return Ok(bound(port));
                    }
                }
                Err(Error::NoFreePort)
            }
        }
    }

    /// The same port at every address.
    fn bind_all(
        &mut self,
        of: &EndpointId,
        protocol: Protocol,
        ips: &[IpAddr],
        port: u16,
        binder: Binder,
        request: &PortRequest,
    ) -> Result<()> {
        if let Some(ip) = ips.iter().find(|ip| self.is_taken(protocol, **ip, port)) {
            return Err(Error::PortAllocated { ip: *ip, port });
        }
        let mut sockets = Vec::new();
        for ip in ips {
            let socket = hold(protocol, (*ip, port).into()).map_err(|source| Error::PortBind {
                host: (*ip, port).into(),
                container: (container_address(*ip, binder), request.container_port).into(),
                protocol: protocol.as_str(),
                source,
            })?;
            sockets.push((*ip, socket));
        }
        for (ip, socket) in sockets {
            self.insert(of, protocol, (ip, port).into(), socket);
        }
        Ok(())
    }

    fn is_taken(&self, protocol: Protocol, ip: IpAddr, port: u16) -> bool {
        let overlaps = |held: &Held| {
            held.ip.is_ipv4() == ip.is_ipv4() && (held.ip == ip || held.ip.is_unspecified() || ip.is_unspecified())
        };
        self.held.get(&(protocol, port)).is_some_and(|held| held.iter().any(overlaps))
    }

    fn insert(&mut self, of: &EndpointId, protocol: Protocol, host: SocketAddr, socket: Option<OwnedFd>) {
        let held = Held { ip: host.ip(), endpoint: of.clone(), _socket: socket };
        self.held.entry((protocol, host.port())).or_default().push(held);
    }
}

/// Address of the container that a host address leads to.
pub(crate) fn container_address(host: IpAddr, binder: Binder) -> IpAddr {
    match host {
        IpAddr::V4(_) => binder.ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
        IpAddr::V6(_) => binder.ipv6.unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
    }
}

/// Host addresses that a request stands for.
fn host_addresses(request: &PortRequest, binder: Binder) -> Result<Vec<IpAddr>> {
    let everywhere = request.host_ip.is_none() && binder.default == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let wanted = if everywhere {
        vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
    } else {
        vec![request.host_ip.unwrap_or(binder.default)]
    };
    let reachable = |ip: &IpAddr| {
        if ip.is_ipv4() { binder.ipv4.is_some() } else { binder.ipv6.is_some() }
    };
    let ips: Vec<_> = wanted.iter().copied().filter(reachable).collect();
    match (ips.is_empty(), wanted.first()) {
        (true, Some(ip)) => Err(Error::Unimplemented(format!(
            "publishing a port on {ip} for a container without an address of that family"
        ))),
        _ => Ok(ips),
    }
}

/// Binds (and for TCP listens on) an address, so that others are refused; `None` where the kernel lacks the protocol.
fn hold(protocol: Protocol, host: SocketAddr) -> io::Result<Option<OwnedFd>> {
    let family = if host.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = match rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(number)) {
        Ok(socket) => socket,
        Err(Errno::PROTONOSUPPORT | Errno::NOPROTOOPT) if protocol == Protocol::Sctp => {
            return Ok(None);
        }
        Err(errno) => return Err(errno.into()),
    };
    if host.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // connections of an earlier holder that are in TIME_WAIT are no obstacle; a listener is
    if protocol == Protocol::Tcp {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &host)?;
    if protocol != Protocol::Udp {
        rustix::net::listen(&socket, 1)?;
    }
    Ok(Some(socket))
}

/// The kernel's range for ports that nobody asked for by number.
fn ephemeral_range() -> (u16, u16) {
    const USUAL: (u16, u16) = (32768, 60999);
    let Ok(text) = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") else {
        return USUAL;
    };
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first < last => (first, last),
        _ => USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDER: Binder =
        Binder { ipv4: Some(Ipv4Addr::new(10, 0, 0, 2)), ipv6: None, default: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };

    fn request(host_ip: &str, host_ports: HostPorts) -> PortRequest {
        PortRequest { container_port: 80, protocol: Protocol::Tcp, host_ip: host_ip.parse().ok(), host_ports }
    }

    fn id(name: &str) -> EndpointId {
        EndpointId(name.to_owned())
    }

    #[test]
    fn a_port_is_held_against_us_and_against_others_until_released() {
        let mut table = PortTable::default();
        let any = table.bind(&id("a"), &[request("127.0.0.1", HostPorts::Any)], BINDER).unwrap();
        let port = any[0].host.port();
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err());
        let error = table.bind(&id("b"), &[request("", HostPorts::One(port))], BINDER).unwrap_err();
        assert_eq!(error.to_string(), format!("Bind for 0.0.0.0:{port} failed: port is already allocated"));
        table.release(&id("a"));
        assert_eq!(table.bind(&id("b"), &[request("", HostPorts::One(port))], BINDER).unwrap().len(), 1);
    }

    #[test]
    fn a_port_of_another_program_is_refused_in_dockers_words() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let error =
            PortTable::default().bind(&id("a"), &[request("127.0.0.1", HostPorts::One(port))], BINDER).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("failed to bind host port for 127.0.0.1:{port}:10.0.0.2:80/tcp: address already in use")
        );
    }

    #[test]
    fn a_range_gives_the_first_free_port_and_says_when_there_is_none() {
        let mut table = PortTable::default();
        let first = table.bind(&id("a"), &[request("127.0.0.1", HostPorts::Any)], BINDER).unwrap()[0].host.port();
        let range = HostPorts::Range(first, first.saturating_add(20));
        let second = table.bind(&id("b"), &[request("127.0.0.1", range)], BINDER).unwrap()[0].host.port();
        assert!(second > first);
        let none = table.bind(&id("c"), &[request("127.0.0.1", HostPorts::Range(first, first))], BINDER);
        assert!(none.is_err());
    }

    #[test]
    fn a_failure_lets_go_of_what_was_bound_before_it() {
        let mut table = PortTable::default();
        let port = table.bind(&id("a"), &[request("127.0.0.1", HostPorts::Any)], BINDER).unwrap()[0].host.port();
        let requests = [request("127.0.0.1", HostPorts::Any), request("127.0.0.1", HostPorts::One(port))];
        assert!(table.bind(&id("b"), &requests, BINDER).is_err());
        assert!(table.held.values().flatten().all(|held| held.endpoint == id("a")));
    }
}
