//! The instance's nf_tables table: rules that never change, sets and maps that say which bridges, subnets and ports.
//!
//! ```text
//! raw (prerouting, -300)   nobody on a bridge reaches or pretends to be the host's loopback
//! prerouting, output (nat) to a local address: publish. From outside never to 127.0.0.0/8: what is published there
//!                          must not be reachable by a neighbour that routes to it
//! publish                  address, protocol, port -> container's address and port, by map
//! postrouting (nat)        masquerade: what leaves a network; the host's loopback on its way to a published port;
//!                          a container that reaches its own network through a published port. A pod keeps its
//!                          address wherever pods are known, and hides it only from itself
//! forward                  into a bridge: answers, same bridge, published, and everything if it is that of pods;
//!                          nothing else. Networks that are internal:
//!                          only the same bridge
//! ```
//!
//! Accepting ends only our own chain: a drop in any other table of the host still holds. Marking nothing and touching
//! no other table is deliberate.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use netlink::nft::{
    Base, ChainType, CtKey, DataType, Element, Expr, Family, Hook, MetaKey, PayloadBase, SetSpec, Table, Verdict, reg,
};
use netlink::{Batch, Protocol, Request, Socket, conntrack};
use rustix::io::Errno;

use crate::error::{Result, netlink_error};
use crate::network::{Subnet4, Subnet6};
use crate::ports::{BoundPort, Protocol::Udp};

use DataType::{IfName, InetProto, InetService, Ipv4Addr as V4, Ipv6Addr as V6};

const BRIDGES: SetSpec = set("bridges", &[IfName]);
const INTERNAL: SetSpec = set("internal", &[IfName]);
const SAME: SetSpec = set("same", &[IfName, IfName]);
const MASQ4: SetSpec = SetSpec { interval: true, ..set("masq4", &[V4]) };
const MASQ6: SetSpec = SetSpec { interval: true, ..set("masq6", &[V6]) };
const LOCAL4: SetSpec = SetSpec { interval: true, ..set("local4", &[IfName, V4]) };
const LOCAL6: SetSpec = SetSpec { interval: true, ..set("local6", &[IfName, V6]) };
const OPEN: SetSpec = set("open", &[IfName]);
const PODS4: SetSpec = SetSpec { interval: true, ..set("pods4", &[V4]) };
const KNOWN4: SetSpec = SetSpec { interval: true, ..set("known4", &[V4]) };
const SELF4: SetSpec = set("self4", &[V4, V4]);
const PORTS4: SetSpec = SetSpec { data: Some(&[V4, InetService]), ..set("ports4", &[V4, InetProto, InetService]) };
const PORTS6: SetSpec = SetSpec { data: Some(&[V6, InetService]), ..set("ports6", &[V6, InetProto, InetService]) };
const ANY4: SetSpec = SetSpec { data: Some(&[V4, InetService]), ..set("any4", &[InetProto, InetService]) };
const ANY6: SetSpec = SetSpec { data: Some(&[V6, InetService]), ..set("any6", &[InetProto, InetService]) };

const NETWORK_SETS: [&SetSpec; 11] =
    [&BRIDGES, &INTERNAL, &SAME, &MASQ4, &MASQ6, &LOCAL4, &LOCAL6, &OPEN, &PODS4, &KNOWN4, &SELF4];
const PORT_MAPS: [&SetSpec; 4] = [&PORTS4, &PORTS6, &ANY4, &ANY6];

const fn set(name: &'static str, key: &'static [DataType]) -> SetSpec {
    SetSpec::new(name, key)
}

/// What the table has to know of a bridge network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BridgeFacts {
    pub bridge: String,
    pub subnet4: Option<Subnet4>,
    pub subnet6: Option<Subnet6>,
    pub internal: bool,
    pub icc: bool,
    pub masquerade: bool,
    /// It is the network of pods.
    pub routed: bool,
    /// Where pods keep their addresses.
    pub known_in: Vec<Subnet4>,
}

/// A published port and where it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub port: BoundPort,
    pub to: IpAddr,
}

/// The table of one instance. One lock around the socket: batches are short and the kernel takes one at a time anyway.
pub(crate) struct Firewall {
    table: Table,
    socket: Mutex<Socket>,
    connections: Mutex<Socket>,
}

impl Firewall {
    /// Opens the socket in the calling thread's namespace; nothing is changed yet.
    pub fn new(table: String) -> Result<Self> {
        let socket = Socket::open(Protocol::Netfilter).map_err(netlink_error("open nf_tables socket"))?;
        let connections = Socket::open(Protocol::Conntrack).map_err(netlink_error("open conntrack socket"))?;
        let table = Table::new(Family::Inet, table);
        Ok(Firewall { table, socket: Mutex::new(socket), connections: Mutex::new(connections) })
    }

    /// Makes the table, or replaces its rules in one step, and leaves its elements as they are. A table of another
    /// shape (of another version of ours) is made anew.
    pub fn install(&self) -> Result<()> {
        let mut socket = self.socket();
        let batch: Batch = self.skeleton().into_iter().collect();
        let error = match socket.run(&batch) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !matches!(error.errno(), Some(Errno::EXIST | Errno::INVAL | Errno::OPNOTSUPP)) {
            return Err(netlink_error("install nf_tables rules")(error));
        }
        let anew: Batch = [self.table.add(), self.table.delete()].into_iter().chain(self.skeleton()).collect();
        socket.run(&anew).map_err(netlink_error("install nf_tables rules"))
    }

    /// Bridges that the table knows.
    pub fn bridges(&self) -> Result<Vec<String>> {
        let elements = self.dump(&BRIDGES)?;
        Ok(elements.iter().map(|element| text_of(&element.key)).collect())
    }

    /// Makes the sets of networks say exactly this.
    pub fn set_networks(&self, networks: &[BridgeFacts]) -> Result<()> {
        let mut batch = Batch::new();
        for set in NETWORK_SETS {
            let wanted: Vec<_> = networks.iter().flat_map(|facts| elements_of(set, facts)).collect();
            self.difference(set, &wanted, &mut batch)?;
        }
        self.socket().run(&batch).map_err(netlink_error("update networks in nf_tables"))
    }

    /// Adds a network's elements.
    pub fn add_network(&self, facts: &BridgeFacts) -> Result<()> {
        let batch: Batch =
            NETWORK_SETS.iter().flat_map(|set| self.table.add_elements(set, &elements_of(set, facts))).collect();
        self.socket().run(&batch).map_err(netlink_error("add network to nf_tables"))
    }

    /// Deletes a network's elements.
    pub fn remove_network(&self, facts: &BridgeFacts) -> Result<()> {
        let batch: Batch =
            NETWORK_SETS.iter().flat_map(|set| self.table.delete_elements(set, &elements_of(set, facts))).collect();
        match self.socket().run(&batch) {
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(()),
            result => result.map_err(netlink_error("remove network from nf_tables")),
        }
    }

    /// Publishes ports, all or none.
    pub fn publish(&self, ports: &[Published]) -> Result<()> {
        self.socket().run(&self.port_batch(ports, Table::add_elements)).map_err(netlink_error("publish ports"))?;
        let udp: Vec<_> = ports.iter().filter(|one| one.port.protocol == Udp).map(|one| one.port.host.port()).collect();
        if udp.is_empty() {
            return Ok(());
        }
        // clients that never stopped sending would go on to where they were sent before
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = conntrack::forget_udp_to(&mut connections, &udp) {
            tracing::warn!(%error, "UDP clients of a published port may have to wait before they reach it");
        }
        Ok(())
    }

    /// Withdraws ports, all or none; those that are not there are not missed.
    pub fn withdraw(&self, ports: &[Published]) -> Result<()> {
        match self.socket().run(&self.port_batch(ports, Table::delete_elements)) {
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(()),
            result => result.map_err(netlink_error("withdraw ports")),
        }
    }

    /// Makes the maps of published ports say exactly this, in one step; returns how many elements nobody owned.
    pub fn set_ports(&self, ports: &[Published]) -> Result<usize> {
        let mut batch = Batch::new();
        let mut stale = 0;
        for map in PORT_MAPS {
            let wanted: Vec<_> =
                ports.iter().map(port_element).filter(|(of, _)| *of == map).map(|(_, element)| element).collect();
            stale += self.difference(map, &wanted, &mut batch)?;
        }
        self.socket().run(&batch).map_err(netlink_error("update published ports"))?;
        Ok(stale)
    }

    /// Deletes the table.
    pub fn remove(&self) -> Result<()> {
        match self.socket().run_one(self.table.delete().tolerate(Errno::NOENT)) {
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(()),
            result => result.map_err(netlink_error("remove nf_tables table")),
        }
    }

    fn socket(&self) -> MutexGuard<'_, Socket> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dump(&self, set: &SetSpec) -> Result<Vec<Element>> {
        self.table.dump_elements(&mut self.socket(), set).map_err(netlink_error("read nf_tables elements"))
    }

    /// Requests that turn what a set holds into what is wanted; returns how many elements go away for good.
    fn difference(&self, set: &SetSpec, wanted: &[Element], batch: &mut Batch) -> Result<usize> {
        let held: HashSet<Element> = self.dump(set)?.into_iter().collect();
        let goal: HashSet<&Element> = wanted.iter().collect();
        let stale: Vec<_> = held.iter().filter(|element| !goal.contains(element)).cloned().collect();
        let missing: Vec<_> = wanted.iter().filter(|element| !held.contains(element)).cloned().collect();
        batch.extend(self.table.delete_elements(set, &stale));
        batch.extend(self.table.add_elements(set, &missing));
        Ok(stale.len())
    }

    fn port_batch(&self, ports: &[Published], make: fn(&Table, &SetSpec, &[Element]) -> Vec<Request>) -> Batch {
        let elements: Vec<_> = ports.iter().map(port_element).collect();
        let mut batch = Batch::new();
        for map in PORT_MAPS {
            let of_map: Vec<_> =
                elements.iter().filter(|(of, _)| *of == map).map(|(_, element)| element.clone()).collect();
            batch.extend(make(&self.table, map, &of_map));
        }
        batch
    }

    /// Table, sets, chains and rules; old rules go in the same step as the new ones come.
    fn skeleton(&self) -> Vec<Request> {
        let mut requests = vec![self.table.add()];
        requests.extend(NETWORK_SETS.iter().chain(&PORT_MAPS).map(|set| self.table.add_set(set)));
        let chains = [
            ("raw", Some(base(ChainType::Filter, Hook::Prerouting, -300))),
            ("publish", None),
            ("prerouting", Some(base(ChainType::Nat, Hook::Prerouting, -100))),
            ("output", Some(base(ChainType::Nat, Hook::Output, -100))),
            ("postrouting", Some(base(ChainType::Nat, Hook::Postrouting, 100))),
            ("forward", Some(base(ChainType::Filter, Hook::Forward, 0))),
        ];
        for (chain, base) in chains {
            requests.push(self.table.add_chain(chain, base));
            requests.push(self.table.flush_chain(chain));
        }
        requests.extend(rules().into_iter().map(|(chain, rule)| self.table.add_rule(chain, &rule)));
        requests
    }
}

fn base(kind: ChainType, hook: Hook, priority: i32) -> Base {
    Base { kind, hook, priority }
}

/// Every rule with its chain, in order.
fn rules() -> Vec<(&'static str, Vec<Expr>)> {
    let publish = || Expr::Verdict(Verdict::Jump("publish".to_owned()));
    let accept = || Expr::Verdict(Verdict::Accept);
    let drop = || Expr::Verdict(Verdict::Drop);
    let skip = || Expr::Verdict(Verdict::Return);
    vec![
        ("raw", join([inside(MetaKey::InName, &BRIDGES), loopback4(DESTINATION4), vec![drop()]])),
        ("raw", join([inside(MetaKey::InName, &BRIDGES), loopback4(SOURCE4), vec![drop()]])),
        ("publish", published(2, DESTINATION4, 4, Some(&PORTS4))),
        ("publish", published(2, DESTINATION4, 4, None)),
        ("publish", published(10, DESTINATION6, 16, Some(&PORTS6))),
        ("publish", published(10, DESTINATION6, 16, None)),
        ("prerouting", join([loopback4(DESTINATION4), vec![skip()]])),
        ("prerouting", join([loopback6(DESTINATION6), vec![skip()]])),
        ("prerouting", join([to_local(), vec![publish()]])),
        ("output", join([to_local(), vec![publish()]])),
        ("postrouting", join([translated(), inside(MetaKey::OutName, &BRIDGES), loopback4(SOURCE4), masquerade()])),
        ("postrouting", join([translated(), inside(MetaKey::OutName, &BRIDGES), loopback6(SOURCE6), masquerade()])),
        ("postrouting", join([translated(), from_own(2, SOURCE4, 4, &LOCAL4), masquerade()])),
        ("postrouting", join([translated(), from_own(10, SOURCE6, 16, &LOCAL6), masquerade()])),
        ("postrouting", join([translated(), to_itself(), masquerade()])),
        ("postrouting", join([leaving(2, SOURCE4, 4, &PODS4), to_unknown(), masquerade()])),
        ("postrouting", join([leaving(2, SOURCE4, 4, &MASQ4), masquerade()])),
        ("postrouting", join([leaving(10, SOURCE6, 16, &MASQ6), masquerade()])),
        ("forward", join([bits(CtKey::State, ESTABLISHED | RELATED), vec![accept()]])),
        ("forward", join([same_bridge(), vec![accept()]])),
        ("forward", join([inside(MetaKey::InName, &INTERNAL), vec![drop()]])),
        ("forward", join([inside(MetaKey::OutName, &INTERNAL), vec![drop()]])),
        ("forward", join([inside(MetaKey::OutName, &OPEN), vec![accept()]])),
        ("forward", join([inside(MetaKey::OutName, &BRIDGES), translated(), vec![accept()]])),
        ("forward", join([inside(MetaKey::OutName, &BRIDGES), vec![drop()]])),
    ]
}

// offsets into the network header
const SOURCE4: u32 = 12;
const DESTINATION4: u32 = 16;
const SOURCE6: u32 = 8;
const DESTINATION6: u32 = 24;
// bits of a connection's state and status
const ESTABLISHED: u32 = 1 << 1;
const RELATED: u32 = 1 << 2;
const DESTINATION_TRANSLATED: u32 = 1 << 5;

fn join<const N: usize>(parts: [Vec<Expr>; N]) -> Vec<Expr> {
    parts.into_iter().flatten().collect()
}

fn family(number: u8) -> Vec<Expr> {
    vec![
        Expr::Meta { key: MetaKey::Family, to: reg::at(0) },
        Expr::Cmp { from: reg::at(0), equal: true, data: vec![number] },
    ]
}

fn inside(device: MetaKey, set: &SetSpec) -> Vec<Expr> {
    vec![
        Expr::Meta { key: device, to: reg::at(0) },
        Expr::Lookup { set: set.name.to_owned(), from: reg::at(0), present: true },
    ]
}

/// The address at the offset is in 127.0.0.0/8.
fn loopback4(offset: u32) -> Vec<Expr> {
    let mut rule = family(2);
    rule.push(Expr::Payload { base: PayloadBase::Network, offset, len: 1, to: reg::at(0) });
    rule.push(Expr::Cmp { from: reg::at(0), equal: true, data: vec![127] });
    rule
}

/// The address at the offset is ::1.
fn loopback6(offset: u32) -> Vec<Expr> {
    let mut rule = family(10);
    rule.push(Expr::Payload { base: PayloadBase::Network, offset, len: 16, to: reg::at(0) });
    rule.push(Expr::Cmp { from: reg::at(0), equal: true, data: Ipv6Addr::LOCALHOST.octets().to_vec() });
    rule
}

fn to_local() -> Vec<Expr> {
    const LOCAL: u32 = 2;
    vec![
        Expr::FibDestinationType { to: reg::at(0) },
        Expr::Cmp { from: reg::at(0), equal: true, data: LOCAL.to_ne_bytes().to_vec() },
    ]
}

fn bits(key: CtKey, any: u32) -> Vec<Expr> {
    vec![
        Expr::Ct { key, to: reg::at(0) },
        Expr::Mask { from: reg::at(0), to: reg::at(0), mask: any.to_ne_bytes().to_vec() },
        Expr::Cmp { from: reg::at(0), equal: false, data: vec![0; 4] },
    ]
}

/// The connection goes to a published port.
fn translated() -> Vec<Expr> {
    bits(CtKey::Status, DESTINATION_TRANSLATED)
}

/// In and out by the same bridge, whose containers may talk to each other.
fn same_bridge() -> Vec<Expr> {
    vec![
        Expr::Meta { key: MetaKey::InName, to: reg::at(0) },
        Expr::Meta { key: MetaKey::OutName, to: reg::at(4) },
        Expr::Lookup { set: SAME.name.to_owned(), from: reg::at(0), present: true },
    ]
}

/// Out by the bridge that the source belongs to.
fn from_own(number: u8, offset: u32, len: u32, set: &SetSpec) -> Vec<Expr> {
    let mut rule = family(number);
    rule.push(Expr::Meta { key: MetaKey::OutName, to: reg::at(0) });
    rule.push(Expr::Payload { base: PayloadBase::Network, offset, len, to: reg::at(4) });
    rule.push(Expr::Lookup { set: set.name.to_owned(), from: reg::at(0), present: true });
    rule
}

/// From a network that hides its addresses, out by none of our bridges.
fn leaving(number: u8, offset: u32, len: u32, set: &SetSpec) -> Vec<Expr> {
    let mut rule = family(number);
    rule.push(Expr::Meta { key: MetaKey::OutName, to: reg::at(0) });
    rule.push(Expr::Lookup { set: BRIDGES.name.to_owned(), from: reg::at(0), present: false });
    rule.push(Expr::Payload { base: PayloadBase::Network, offset, len, to: reg::at(0) });
    rule.push(Expr::Lookup { set: set.name.to_owned(), from: reg::at(0), present: true });
    rule
}

/// From a pod to the same pod.
fn to_itself() -> Vec<Expr> {
    let mut rule = family(2);
    rule.push(Expr::Payload { base: PayloadBase::Network, offset: SOURCE4, len: 4, to: reg::at(0) });
    rule.push(Expr::Payload { base: PayloadBase::Network, offset: DESTINATION4, len: 4, to: reg::at(1) });
    rule.push(Expr::Lookup { set: SELF4.name.to_owned(), from: reg::at(0), present: true });
    rule
}

/// To where pods are not known by their addresses.
fn to_unknown() -> Vec<Expr> {
    vec![
        Expr::Payload { base: PayloadBase::Network, offset: DESTINATION4, len: 4, to: reg::at(0) },
        Expr::Lookup { set: KNOWN4.name.to_owned(), from: reg::at(0), present: false },
    ]
}

fn masquerade() -> Vec<Expr> {
    vec![Expr::Masquerade]
}

/// Translates to where the map leads: by address, protocol and port, or by protocol and port at any address.
fn published(number: u8, offset: u32, len: u32, by_address: Option<&SetSpec>) -> Vec<Expr> {
    let words = len / 4;
    let any = if number == 2 { &ANY4 } else { &ANY6 };
    let mut rule = family(number);
    let first = match by_address {
        Some(_) => {
            rule.push(Expr::Payload { base: PayloadBase::Network, offset, len, to: reg::at(0) });
            words
        }
        None => 0,
    };
    rule.push(Expr::Meta { key: MetaKey::Transport, to: reg::at(first) });
    rule.push(Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, to: reg::at(first + 1) });
    let map = by_address.unwrap_or(any).name.to_owned();
    rule.push(Expr::Map { map, from: reg::at(0), to: reg::at(0) });
    rule.push(Expr::Dnat { family: number, addr: reg::at(0), port: Some(reg::at(words)) });
    rule
}

/// The elements of one set that a network stands for.
fn elements_of(set: &SetSpec, facts: &BridgeFacts) -> Vec<Element> {
    let name = name_of(&facts.bridge);
    let masq = facts.masquerade && !facts.internal && !facts.routed;
    let pods = facts.subnet4.filter(|_| facts.routed);
    if *set == BRIDGES {
        vec![Element::key(&[&name])]
    } else if *set == INTERNAL {
        Vec::from_iter(facts.internal.then(|| Element::key(&[&name])))
    } else if *set == SAME {
        Vec::from_iter(facts.icc.then(|| Element::key(&[&name, &name])))
    } else if *set == MASQ4 {
        facts.subnet4.filter(|_| masq).map(range4).unwrap_or_default()
    } else if *set == MASQ6 {
        facts.subnet6.filter(|_| masq).map(range6).unwrap_or_default()
    } else if *set == OPEN {
        Vec::from_iter(facts.routed.then(|| Element::key(&[&name])))
    } else if *set == PODS4 {
        pods.map(range4).unwrap_or_default()
    } else if *set == KNOWN4 {
        merged(&facts.known_in).into_iter().flat_map(|(first, last)| between4(first, last)).collect()
    } else if *set == SELF4 {
        let all = |subnet: Subnet4| subnet.base().to_bits()..=subnet.last().to_bits();
        let both = |bits: u32| Element::key(&[&bits.to_be_bytes(), &bits.to_be_bytes()]);
        pods.into_iter().flat_map(all).map(both).collect()
    } else if *set == LOCAL4 && facts.routed {
        Vec::new()
    } else if *set == LOCAL4 {
        let range =
            |subnet: Subnet4| Element::key(&[&name, &subnet.base().octets()]).to(&[&name, &subnet.last().octets()]);
        Vec::from_iter(facts.subnet4.map(range))
    } else {
        let range =
            |subnet: Subnet6| Element::key(&[&name, &subnet.base().octets()]).to(&[&name, &subnet.last().octets()]);
        Vec::from_iter(facts.subnet6.map(range))
    }
}

fn range4(subnet: Subnet4) -> Vec<Element> {
    between4(subnet.base().to_bits(), subnet.last().to_bits())
}

fn between4(first: u32, last: u32) -> Vec<Element> {
    let mut range = vec![Element::key(&[&first.to_be_bytes()])];
    if let Some(after) = last.checked_add(1) {
        range.push(Element::end_before(&[&Ipv4Addr::from_bits(after).octets()]));
    }
    range
}

/// Subnets as ranges that neither overlap nor touch.
fn merged(subnets: &[Subnet4]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<_> = subnets.iter().map(|it| (it.base().to_bits(), it.last().to_bits())).collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if end.checked_add(1).is_none_or(|next| first <= next) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn range6(subnet: Subnet6) -> Vec<Element> {
    let mut range = vec![Element::key(&[&subnet.base().octets()])];
    if let Some(after) = subnet.last().to_bits().checked_add(1) {
        range.push(Element::end_before(&[&Ipv6Addr::from_bits(after).octets()]));
    }
    range
}

/// The map that a published port belongs to, and its element.
fn port_element(published: &Published) -> (&'static SetSpec, Element) {
    let Published { port, to } = published;
    let protocol = [port.protocol.number()];
    let host_port = port.host.port().to_be_bytes();
    let container_port = port.container_port.to_be_bytes();
    let to: &[u8] = match to {
        IpAddr::V4(v4) => &v4.octets(),
        IpAddr::V6(v6) => &v6.octets(),
    };
    let (map, key) = match port.host {
        SocketAddr::V4(host) if host.ip().is_unspecified() => (&ANY4, Element::key(&[&protocol, &host_port])),
        SocketAddr::V6(host) if host.ip().is_unspecified() => (&ANY6, Element::key(&[&protocol, &host_port])),
        SocketAddr::V4(host) => (&PORTS4, Element::key(&[&host.ip().octets(), &protocol, &host_port])),
        SocketAddr::V6(host) => (&PORTS6, Element::key(&[&host.ip().octets(), &protocol, &host_port])),
    };
    (map, key.with_data(&[to, &container_port]))
}

fn name_of(bridge: &str) -> [u8; 16] {
    let mut name = [0; 16];
    let len = bridge.len().min(15);
    name[..len].copy_from_slice(&bridge.as_bytes()[..len]);
    name
}

fn text_of(name: &[u8]) -> String {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}
