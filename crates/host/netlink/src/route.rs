//! Requests about links, addresses and routes.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{Emitable, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData,
    InfoPortKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::error::Error;
use crate::socket::{F_CREATE, F_DUMP, F_EXCL, F_REPLACE, Request, Socket};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;
/// Index of the loopback device in every namespace.
pub const LOOPBACK: u32 = 1;

/// A link as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// Turned on.
    pub up: bool,
    /// Turned on and passing frames: the kernel has seen its other end and set it to work.
    pub running: bool,
    pub mac: Option<[u8; 6]>,
    pub mtu: u32,
    /// Index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// `bridge`, `veth`; empty for hardware and loopback.
    pub kind: String,
}

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub index: u32,
    pub addr: IpAddr,
    pub prefix: u8,
}

/// A route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Link that it leads out of.
    pub index: Option<u32>,
    /// Destination; all zero with prefix 0 for the default route.
    pub to: IpAddr,
    pub prefix: u8,
}

/// One end of a virtual Ethernet pair to be made.
#[derive(Debug, Clone, Copy)]
pub struct VethEnd<'a> {
    pub name: &'a str,
    pub mac: Option<[u8; 6]>,
}

/// Makes a bridge; a refusal with EEXIST means that the name is taken.
pub fn add_bridge(name: &str, mac: Option<[u8; 6]>, mtu: u32) -> Request {
    let mut message = named(name);
    mac_and_mtu(&mut message, mac, mtu);
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Bridge),
        LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::ForwardDelay(0)])),
    ]));
    request(format!("add bridge {name}"), NEWLINK, F_CREATE | F_EXCL, &message)
}

/// Makes a virtual Ethernet pair: `near` here and as a port of the bridge `master`, `far` in the namespace `netns`,
/// with the index `far_index` if one is given (it must be free there); both are down.
pub fn add_veth(
    near: VethEnd<'_>,
    master: Option<u32>,
    far: VethEnd<'_>,
    netns: BorrowedFd<'_>,
    far_index: Option<u32>,
    mtu: u32,
) -> Request {
    let mut peer = named(far.name);
    peer.header.index = far_index.unwrap_or(0);
    mac_and_mtu(&mut peer, far.mac, mtu);
    peer.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
    let mut message = named(near.name);
    mac_and_mtu(&mut message, near.mac, mtu);
    message.attributes.extend(master.map(LinkAttribute::Controller));
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    request(format!("add veth {}", near.name), NEWLINK, F_CREATE | F_EXCL, &message)
}

/// Turns a link on.
pub fn link_up(index: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    request(format!("set link {index} up"), NEWLINK, 0, &message)
}

/// Settings of a bridge's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortFlags {
    /// It exchanges nothing with other isolated ports.
    pub isolated: bool,
    /// Frames may leave by it that came in by it.
    pub hairpin: bool,
}

/// Turns a bridge's port on by name, without an IPv6 address of its own making.
pub fn port_up(name: &str, flags: PortFlags) -> Request {
    let mut message = named(name);
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
        In6AddrGenMode::None,
    )])]));
    let mut port = Vec::new();
    port.extend(flags.isolated.then_some(InfoBridgePort::Isolated(true)));
    port.extend(flags.hairpin.then_some(InfoBridgePort::HairpinMode(true)));
    if !port.is_empty() {
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(port)),
        ]));
    }
    request(format!("set link {name} up"), NEWLINK, 0, &message)
}

/// Gives a link another Ethernet address.
pub fn set_mac(index: u32, mac: [u8; 6]) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Address(mac.to_vec()));
    request(format!("set address of link {index}"), NEWLINK, 0, &message)
}

/// Gives a link another name; it has to be down or of a kind that can be renamed while up.
pub fn rename_link(index: u32, name: &str) -> Request {
    let mut message = named(name);
    message.header.index = index;
    request(format!("rename link {index} to {name}"), NEWLINK, 0, &message)
}

/// Moves a link into another network namespace and gives it a name there. It arrives turned off and without addresses.
pub fn move_link(index: u32, netns: BorrowedFd<'_>, name: &str) -> Request {
    let mut message = named(name);
    message.header.index = index;
    message.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
    request(format!("move link {index} into a namespace as {name}"), NEWLINK, 0, &message)
}

/// Removes a link, which waits for every processor to forget it: 10 to 20 ms for a virtual Ethernet pair.
pub fn delete_link(index: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    request(format!("delete link {index}"), DELLINK, 0, &message)
}

/// Adds an address, or takes it for success that it is there; IPv6 addresses are usable at once.
pub fn add_address(index: u32, addr: IpAddr, prefix: u8) -> Request {
    let mut message = address(index, addr, prefix);
    if addr.is_ipv6() {
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    if let IpAddr::V4(v4) = addr
        && prefix < 31
    {
        let broadcast = v4.to_bits() | (u32::MAX >> prefix);
        message.attributes.push(AddressAttribute::Broadcast(Ipv4Addr::from_bits(broadcast)));
    }
    request(format!("add address {addr}/{prefix}"), NEWADDR, F_CREATE | F_REPLACE, &message)
}

/// Removes an address.
pub fn delete_address(index: u32, addr: IpAddr, prefix: u8) -> Request {
    request(format!("delete address {addr}/{prefix}"), DELADDR, 0, &address(index, addr, prefix))
}

/// Leads a subnet out of a link, or replaces the route that is there.
pub fn add_route(index: u32, to: IpAddr, prefix: u8) -> Request {
    let mut message = RouteMessage::default();
    message.header.address_family = family(to);
    message.header.destination_prefix_length = prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.scope = if to.is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
    message.header.kind = RouteType::Unicast;
    message.attributes.push(RouteAttribute::Destination(match to {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }));
    message.attributes.push(RouteAttribute::Oif(index));
    request(format!("add route to {to}/{prefix}"), NEWROUTE, F_CREATE | F_REPLACE, &message)
}

/// Adds a default route, or replaces the one that is there.
pub fn default_route(index: u32, gateway: IpAddr) -> Request {
    default_route_with(index, gateway, RouteFlags::empty())
}

/// The same via a gateway that is on the link although no address of the link says so.
pub fn default_route_onlink(index: u32, gateway: IpAddr) -> Request {
    default_route_with(index, gateway, RouteFlags::Onlink)
}

fn default_route_with(index: u32, gateway: IpAddr, flags: RouteFlags) -> Request {
    let mut message = RouteMessage::default();
    message.header.address_family = family(gateway);
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.header.flags = flags;
    message.attributes.push(RouteAttribute::Gateway(match gateway {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }));
    message.attributes.push(RouteAttribute::Oif(index));
    request(format!("add default route via {gateway}"), NEWROUTE, F_CREATE | F_REPLACE, &message)
}

/// All links of the socket's namespace.
pub fn links(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    let all = request("list links", GETLINK, F_DUMP, &LinkMessage::default());
    socket.dump(&all, |body| LinkMessage::parse(body).ok().map(link))
}

/// The link of that name.
pub fn link_named(socket: &mut Socket, name: &str) -> Result<Option<Link>, Error> {
    let one = request(format!("look for link {name}"), GETLINK, 0, &named(name));
    found(socket, &one)
}

/// The link of that index.
pub fn link_at(socket: &mut Socket, index: u32) -> Result<Option<Link>, Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let one = request(format!("look for link {index}"), GETLINK, 0, &message);
    found(socket, &one)
}

/// All addresses of the socket's namespace.
pub fn addresses(socket: &mut Socket) -> Result<Vec<Address>, Error> {
    let all = request("list addresses", GETADDR, F_DUMP, &AddressMessage::default());
    socket.dump(&all, |body| {
        let message = AddressMessage::parse(body).ok()?;
        let addr = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(addr) => Some(*addr),
            _ => None,
        });
        let addr = addr.or_else(|| {
            message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(addr) => Some(*addr),
                _ => None,
            })
        })?;
        Some(Address { index: message.header.index, addr, prefix: message.header.prefix_len })
    })
}

/// All unicast routes of the main table, both families.
pub fn routes(socket: &mut Socket) -> Result<Vec<Route>, Error> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let all = request("list routes", GETROUTE, F_DUMP, &message);
        found.extend(socket.dump(&all, |body| RouteMessage::parse(body).ok().and_then(route))?);
    }
    Ok(found)
}

fn request(what: impl Into<Cow<'static, str>>, kind: u16, flags: u16, message: &impl Emitable) -> Request {
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    Request { what: what.into(), kind, flags, body, tolerated: None }
}

fn found(socket: &mut Socket, one: &Request) -> Result<Option<Link>, Error> {
    match socket.dump(one, |body| LinkMessage::parse(body).ok().map(link)) {
        Ok(found) => Ok(found.into_iter().next()),
        Err(error) if error.errno() == Some(rustix::io::Errno::NODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn mac_and_mtu(message: &mut LinkMessage, mac: Option<[u8; 6]>, mtu: u32) {
    message.attributes.extend(mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    message.attributes.extend((mtu != 0).then_some(LinkAttribute::Mtu(mtu)));
}

fn address(index: u32, addr: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(addr);
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(addr), AddressAttribute::Address(addr)];
    message
}

fn family(addr: IpAddr) -> AddressFamily {
    if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn link(message: LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        up: message.header.flags.contains(LinkFlags::Up),
        running: message.header.flags.contains(LinkFlags::Running),
        mac: None,
        mtu: 0,
        master: None,
        kind: String::new(),
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(mac) => link.mac = mac.try_into().ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Controller(master) => link.master = Some(master),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        link.kind = kind.to_string();
                    }
                }
            }
            _ => {}
        }
    }
    link
}

fn route(message: RouteMessage) -> Option<Route> {
    if message.header.table != RouteHeader::RT_TABLE_MAIN || message.header.kind != RouteType::Unicast {
        return None;
    }
    let mut found = Route {
        index: None,
        to: if message.header.address_family == AddressFamily::Inet6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        },
        prefix: message.header.destination_prefix_length,
    };
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(addr)) => found.to = addr.into(),
            RouteAttribute::Destination(RouteAddress::Inet6(addr)) => found.to = addr.into(),
            RouteAttribute::Oif(index) => found.index = Some(index),
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::attributes;

    #[test]
    fn an_address_is_written_with_its_broadcast_address() {
        let request = add_address(3, "172.17.0.1".parse().unwrap(), 16);
        assert_eq!(request.body[..8], [2, 16, 0, 0, 3, 0, 0, 0]);
        let found: Vec<_> = attributes(&request.body[8..]).collect();
        assert_eq!(found, [(2, &[172, 17, 0, 1][..]), (1, &[172, 17, 0, 1]), (4, &[172, 17, 255, 255])]);
    }

    #[test]
    fn a_pair_carries_its_other_end_inside() {
        let netns = std::fs::File::open("/proc/self/ns/net").unwrap();
        let near = VethEnd { name: "veth1234567", mac: None };
        let far = VethEnd { name: "eth0", mac: Some([2, 0x42, 0, 0, 0, 1]) };
        let request = add_veth(near, Some(7), far, std::os::fd::AsFd::as_fd(&netns), Some(2), 0);
        let info = attributes(&request.body[16..]).find(18).unwrap();
        assert_eq!(attributes(info).find(1), Some(&b"veth\0"[..]));
        let peer = attributes(attributes(info).find(2).unwrap()).find(1).unwrap();
        assert_eq!(peer[4..8], [2, 0, 0, 0], "index of the far end");
        assert_eq!(attributes(&peer[16..]).find(3), Some(&b"eth0\0"[..]));
    }

    #[test]
    fn loopback_is_listed_everywhere() {
        let mut socket = Socket::open(crate::Protocol::Route).unwrap();
        let links = links(&mut socket).unwrap();
        assert!(links.iter().any(|link| link.name == "lo" && link.index == LOOPBACK));
        assert_eq!(link_named(&mut socket, "lo").unwrap().unwrap().index, LOOPBACK);
        assert_eq!(link_named(&mut socket, "no-such-link").unwrap(), None);
        routes(&mut socket).unwrap();
        addresses(&mut socket).unwrap();
    }
}
