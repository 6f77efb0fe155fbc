//! The sets and maps of the table, and how their elements are written and read.

use std::net::IpAddr;
use std::sync::Arc;

use netlink::nft::{DataType, Element, SetSpec, Verdict};

use DataType::{InetProto, InetService, Ipv4Addr as V4, Ipv6Addr as V6, Mark};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    V4,
    V6,
}

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The digit that names of sets and chains end in.
    pub fn digit(self) -> char {
        match self {
            Family::V4 => '4',
            Family::V6 => '6',
        }
    }
}

/// What the elements of services are in; places first, so that a service that is written in parts leads to some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Set {
    /// address, protocol, port, number: a place
    Ends,
    PortEnds,
    /// address, protocol, port: how many places there are to choose from
    Services,
    /// the same for who is inside the cluster, where that differs
    Inside,
    /// protocol and port at any address of the node
    Ports,
    InsidePorts,
    /// what clients shall be led to the same place by again
    Sticky,
    StickyPorts,
    /// places that may talk to themselves
    Hairpin,
    /// places on this node
    Local,
    /// addresses of services outside the services' range
    Outer,
    /// node ports
    Own,
    /// services that only some may use, and who
    Ranged,
    Allowed,
    /// services without a place to go to
    Refused,
}

pub(crate) const SETS: [Set; 15] = [
    Set::Ends,
    Set::PortEnds,
    Set::Services,
    Set::Inside,
    Set::Ports,
    Set::InsidePorts,
    Set::Sticky,
    Set::StickyPorts,
    Set::Hairpin,
    Set::Local,
    Set::Outer,
    Set::Own,
    Set::Ranged,
    Set::Allowed,
    Set::Refused,
];

const AIM4: &[DataType] = &[V4, InetProto, InetService];
const AIM6: &[DataType] = &[V6, InetProto, InetService];
const NUMBERED4: &[DataType] = &[V4, InetProto, InetService, Mark];
const NUMBERED6: &[DataType] = &[V6, InetProto, InetService, Mark];
const PORT: &[DataType] = &[InetProto, InetService];
const NUMBERED_PORT: &[DataType] = &[InetProto, InetService, Mark];
const PLACE4: &[DataType] = &[V4, InetService];
const PLACE6: &[DataType] = &[V6, InetService];
const DECISION: &[DataType] = &[DataType::Verdict];
const FROM4: &[DataType] = &[V4, InetProto, InetService, V4];
const FROM6: &[DataType] = &[V6, InetProto, InetService, V6];

/// Clients that are remembered at a time.
const REMEMBERED: u32 = 32 << 10;

impl Set {
    pub fn spec(self, family: Family) -> SetSpec {
        let v6 = family == Family::V6;
        let (aim, numbered, place, from) =
            if v6 { (AIM6, NUMBERED6, PLACE6, FROM6) } else { (AIM4, NUMBERED4, PLACE4, FROM4) };
        let address: &'static [DataType] = if v6 { &[V6] } else { &[V4] };
        let pair: &'static [DataType] = if v6 { &[V6, V6] } else { &[V4, V4] };
        let [four, six] = self.names();
        let name = if v6 { six } else { four };
        match self {
            Set::Services | Set::Inside | Set::Sticky => SetSpec::map(name, aim, DECISION),
            Set::Ports | Set::InsidePorts | Set::StickyPorts => SetSpec::map(name, PORT, DECISION),
            Set::Ends => SetSpec::map(name, numbered, place),
            Set::PortEnds => SetSpec::map(name, NUMBERED_PORT, place),
            Set::Hairpin => SetSpec::new(name, pair),
            Set::Local | Set::Outer => SetSpec::new(name, address),
            Set::Own => SetSpec::new(name, PORT),
            Set::Ranged | Set::Refused => SetSpec::new(name, aim),
            Set::Allowed => SetSpec::ranges(name, from),
        }
    }

    fn names(self) -> [&'static str; 2] {
        match self {
            Set::Services => ["services4", "services6"],
            Set::Inside => ["inside4", "inside6"],
            Set::Ports => ["ports4", "ports6"],
            Set::InsidePorts => ["inside-ports4", "inside-ports6"],
            Set::Ends => ["ends4", "ends6"],
            Set::PortEnds => ["port-ends4", "port-ends6"],
            Set::Sticky => ["sticky4", "sticky6"],
            Set::StickyPorts => ["sticky-ports4", "sticky-ports6"],
            Set::Hairpin => ["hairpin4", "hairpin6"],
            Set::Local => ["local4", "local6"],
            Set::Outer => ["outer4", "outer6"],
            Set::Own => ["own-ports4", "own-ports6"],
            Set::Ranged => ["ranged4", "ranged6"],
            Set::Allowed => ["allowed4", "allowed6"],
            Set::Refused => ["refused4", "refused6"],
        }
    }

    /// Whether the key is a port alone.
    fn by_port(self) -> bool {
        matches!(self, Set::Ports | Set::InsidePorts | Set::StickyPorts)
    }
}

/// Clients and where they were led, which rules write: client, address, protocol, port to place.
pub(crate) fn affinity(family: Family) -> SetSpec {
    const CLIENT4: &[DataType] = &[V4, V4, InetProto, InetService];
    const CLIENT6: &[DataType] = &[V6, V6, InetProto, InetService];
    let map = match family {
        Family::V4 => SetSpec::map("affinity4", CLIENT4, PLACE4),
        Family::V6 => SetSpec::map("affinity6", CLIENT6, PLACE6),
    };
    SetSpec { dynamic: Some(REMEMBERED), ..map }
}

/// Where pods have their addresses.
pub(crate) fn pods(family: Family) -> SetSpec {
    match family {
        Family::V4 => SetSpec::ranges("pods4", &[V4]),
        Family::V6 => SetSpec::ranges("pods6", &[V6]),
    }
}

/// Where services have theirs.
pub(crate) fn range(family: Family) -> SetSpec {
    match family {
        Family::V4 => SetSpec::ranges("range4", &[V4]),
        Family::V6 => SetSpec::ranges("range6", &[V6]),
    }
}

/// Addresses of the name server.
pub(crate) fn names(family: Family) -> SetSpec {
    match family {
        Family::V4 => SetSpec::new("names4", &[V4]),
        Family::V6 => SetSpec::new("names6", &[V6]),
    }
}

/// Where a connection is led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub address: IpAddr,
    pub port: u16,
}

impl Place {
    /// As data of a map; reads it back with [`Place::read`].
    pub fn fields(&self) -> (Vec<u8>, [u8; 2]) {
        (octets(self.address), self.port.to_be_bytes())
    }

    pub fn read(family: Family, data: &[u8]) -> Option<Place> {
        let (address, rest) = split_address(family, data)?;
        Some(Place { address, port: u16::from_be_bytes(*rest.first_chunk::<2>()?) })
    }
}

/// An address from the beginning of fields, and the rest.
pub(crate) fn split_address(family: Family, bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    Some(match family {
        Family::V4 => (IpAddr::from(*bytes.first_chunk::<4>()?), &bytes[4..]),
        Family::V6 => (IpAddr::from(*bytes.first_chunk::<16>()?), &bytes[16..]),
    })
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// What an element leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Value {
    /// A set has no data.
    Present,
    Place(Place),
    Drop,
    /// One of so many places, by chance.
    Spread(u32),
    /// The client is remembered for so many seconds.
    Keep(u32),
    /// Nothing of ours.
    Foreign,
}

/// Set, family and key of an element, in one piece: there are many.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(Arc<[u8]>);

impl Key {
    pub fn new(set: Set, family: Family, fields: &[&[u8]]) -> Key {
        Key::of(set, family, &Element::key(fields))
    }

    /// A range in the last field.
    pub fn ranged(set: Set, family: Family, first: &[&[u8]], last: &[&[u8]]) -> Key {
        Key::of(set, family, &Element::key(first).to(last))
    }

    /// Of an element as the kernel tells it.
    pub fn of(set: Set, family: Family, element: &Element) -> Key {
        let mut bytes = vec![set as u8, family as u8];
        bytes.extend(&element.key);
        bytes.extend(element.key_end.iter().flatten());
        Key(bytes.into())
    }

    pub fn set(&self) -> Set {
        SETS[usize::from(self.0[0])]
    }

    pub fn family(&self) -> Family {
        FAMILIES[usize::from(self.0[1])]
    }

    /// The element that this key makes with a value.
    pub fn element(&self, value: &Value) -> Element {
        let fields = &self.0[2..];
        let mut element = match self.set() {
            Set::Allowed => {
                let (first, last) = fields.split_at(fields.len() / 2);
                Element { key_end: Some(last.to_vec()), ..Element::key(&[first]) }
            }
            _ => Element::key(&[fields]),
        };
        match value {
            Value::Present | Value::Foreign => {}
            Value::Place(place) => {
                let (address, port) = place.fields();
                element = element.with_data(&[&address, &port]);
            }
            Value::Drop => element.verdict = Some(Verdict::Drop),
            Value::Spread(_) | Value::Keep(_) => {
                element.verdict = self.chain(value).map(Verdict::Goto);
            }
        }
        element
    }

    /// The chain that a value of this key leads to.
    pub fn chain(&self, value: &Value) -> Option<String> {
        let kind = if self.set().by_port() { Kind::Port } else { Kind::Address };
        match value {
            Value::Spread(count) => Some(spread_name(kind, self.family(), *count)),
            Value::Keep(seconds) => Some(keep_name(self.family(), *seconds)),
            _ => None,
        }
    }

    /// What an element of this key leads to, as the kernel tells it.
    pub fn value_of(&self, element: &Element) -> Value {
        match (&element.verdict, &element.data) {
            (None, None) => Value::Present,
            (None, Some(data)) => Place::read(self.family(), data).map_or(Value::Foreign, Value::Place),
            (Some(Verdict::Drop), _) => Value::Drop,
            (Some(Verdict::Goto(chain)), _) => {
                let number = chain.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
                let possible = [Value::Spread(number), Value::Keep(number)];
                possible.into_iter().find(|value| self.chain(value).as_ref() == Some(chain)).unwrap_or(Value::Foreign)
            }
            (Some(_), _) => Value::Foreign,
        }
    }
}

/// What places are numbered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Address,
    Port,
}

/// Chain that chooses one of `count` places.
pub(crate) fn spread_name(kind: Kind, family: Family, count: u32) -> String {
    let kind = if kind == Kind::Port { "port" } else { "address" };
    format!("{kind}{}-{count}", family.digit())
}

/// Chain that remembers a client.
pub(crate) fn keep_name(family: Family, seconds: u32) -> String {
    format!("keep{}-{seconds}", family.digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_keys_and_values() {
        let place = Place { address: [10, 42, 0, 7].into(), port: 8080 };
        let cases = [
            (Set::Services, Value::Spread(3)),
            (Set::Ports, Value::Spread(300)),
            (Set::Sticky, Value::Keep(10800)),
            (Set::Services, Value::Drop),
            (Set::Ends, Value::Place(place)),
            (Set::Hairpin, Value::Present),
        ];
        for (set, value) in cases {
            let key = Key::new(set, Family::V4, &[&[10, 43, 0, 1], &[6], &[0, 80]]);
            let element = key.element(&value);
            assert_eq!(element.key, [10, 43, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0]);
            assert_eq!((Key::of(set, Family::V4, &element), key.value_of(&element)), (key, value));
        }
        let key = Key::ranged(Set::Allowed, Family::V4, &[&[1, 1, 1, 1], &[6]], &[&[2, 2, 2, 2], &[6]]);
        let element = key.element(&Value::Present);
        assert_eq!(element.key_end.as_deref(), Some(&[2, 2, 2, 2, 6, 0, 0, 0][..]));
        assert_eq!(Key::of(Set::Allowed, Family::V4, &element), key);
        let strange = Element::key(&[&[0; 12]]).deciding(Verdict::Goto("elsewhere".into()));
        assert_eq!(Key::of(Set::Services, Family::V4, &strange).value_of(&strange), Value::Foreign);
    }

    #[test]
    fn sets_are_found_by_their_number() {
        for (at, set) in SETS.into_iter().enumerate() {
            assert_eq!(set as usize, at);
        }
    }
}
