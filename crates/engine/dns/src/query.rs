//! A question as it is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{CLASS_IN, HEADER, OPERATION, OPT, RESPONSE, UDP_LIMIT, UDP_SIZE};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    A,
    Aaaa,
    Cname,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
    Any,
    Other(u16),
}

impl Kind {
    /// The number of the type.
    pub fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Ns => 2,
            Kind::Cname => 5,
            Kind::Soa => 6,
            Kind::Ptr => 12,
            Kind::Txt => 16,
            Kind::Aaaa => 28,
            Kind::Srv => 33,
            Kind::Any => 255,
            Kind::Other(number) => number,
        }
    }
}

impl From<u16> for Kind {
    fn from(number: u16) -> Self {
        let known = [Kind::A, Kind::Ns, Kind::Cname, Kind::Soa, Kind::Ptr, Kind::Txt, Kind::Aaaa, Kind::Srv, Kind::Any];
        known.into_iter().find(|kind| kind.number() == number).unwrap_or(Kind::Other(number))
    }
}

/// A question, and where it ends in its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// In lower case, without a closing dot.
    pub name: String,
    pub kind: Kind,
    /// How long an answer over UDP may be, of a client that speaks EDNS.
    pub udp_size: Option<u16>,
    pub(crate) end: usize,
}

impl Query {
    /// Reads a message with exactly one question of the Internet's class.
    pub fn read(message: &[u8]) -> Option<Query> {
        let head = message.first_chunk::<HEADER>()?;
        let is_query = head[2] & (RESPONSE | OPERATION) == 0;
        if !is_query || head[4..6] != [0, 1] {
            return None;
        }
        let mut query = Query::read_question(message)?;
        let nothing_between = head[6..10] == [0; 4];
        if nothing_between && head[10..12] != [0, 0] {
            query.udp_size = extension(message, query.end);
        }
        Some(query)
    }

    /// The first question of any message.
    pub(crate) fn read_question(message: &[u8]) -> Option<Query> {
        let mut at = HEADER;
        let mut name = String::new();
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            // pointers have no place in the first name of a message
            let label = message.get(at..at + length).filter(|_| length < 64)?;
            at += length;
            if at > HEADER + 255 {
                return None;
            }
            if !name.is_empty() {
                name.push('.');
            }
            for byte in label {
                match byte {
                    b'.' | b'\\' => name.extend(['\\', char::from(*byte)]),
                    _ => name.push(char::from(byte.to_ascii_lowercase())),
                }
            }
        }
        let rest = message.get(at..at + 4)?;
        if u16::from_be_bytes([rest[2], rest[3]]) != CLASS_IN {
            return None;
        }
        let kind = Kind::from(u16::from_be_bytes([rest[0], rest[1]]));
        Some(Query { name, kind, udp_size: None, end: at + 4 })
    }

    /// Longest answer over UDP.
    pub fn udp_limit(&self) -> usize {
        self.udp_size.map_or(UDP_LIMIT, |size| usize::from(size.clamp(UDP_LIMIT as u16, UDP_SIZE)))
    }

    /// The address that a reverse name stands for.
    pub fn reverse_address(&self) -> Option<IpAddr> {
        if let Some(four) = self.name.strip_suffix(".in-addr.arpa") {
            let mut bytes = [0; 4];
            let mut labels = four.split('.');
            for byte in bytes.iter_mut().rev() {
                *byte = labels.next()?.parse().ok()?;
            }
            return labels.next().is_none().then(|| Ipv4Addr::from(bytes).into());
        }
        let six = self.name.strip_suffix(".ip6.arpa")?;
        let mut bits = 0u128;
        let mut count = 0;
        for label in six.rsplit('.') {
            let digit = u8::from_str_radix(label, 16).ok().filter(|_| label.len() == 1)?;
            bits = bits << 4 | u128::from(digit);
            count += 1;
        }
        (count == 32).then(|| Ipv6Addr::from_bits(bits).into())
    }
}

/// The reverse name of an address.
pub fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let digits = (0..32).map(|at| format!("{:x}.", v6.to_bits() >> (at * 4) & 15));
            digits.collect::<String>() + "ip6.arpa"
        }
    }
}

/// The size that the extension record at `at` names.
fn extension(message: &[u8], at: usize) -> Option<u16> {
    let record = message.get(at..at + 11)?;
    let is_extension = record[0] == 0 && record[1..3] == OPT.to_be_bytes();
    is_extension.then(|| u16::from_be_bytes([record[3], record[4]]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message that asks.
    pub(crate) fn question(name: &str, kind: Kind) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.bytes());
        }
        message.push(0);
        message.extend(kind.number().to_be_bytes());
        message.extend([0, 1]);
        message
    }

    /// The same of a client that takes answers of some size.
    pub(crate) fn extended(name: &str, kind: Kind, size: u16) -> Vec<u8> {
        let mut message = question(name, kind);
        message[11] = 1;
        message.extend([0, 0, 41]);
        message.extend(size.to_be_bytes());
        message.extend([0; 6]);
        message
    }

    #[test]
    fn a_question_is_read() {
        let query = Query::read(&question("Db.Net", Kind::Srv)).unwrap();
        assert_eq!((query.name.as_str(), query.kind, query.udp_limit()), ("db.net", Kind::Srv, 512));
        let query = Query::read(&extended("db", Kind::Other(65), 4096)).unwrap();
        assert_eq!((query.kind, query.udp_limit()), (Kind::Other(65), 1232));
        assert_eq!(Query::read(&extended("db", Kind::A, 600)).unwrap().udp_limit(), 600);
        assert_eq!(Query::read(&extended("db", Kind::A, 6)).unwrap().udp_limit(), 512);
    }

    #[test]
    fn a_dot_inside_a_label_divides_no_name() {
        let mut message = question("a-b", Kind::A);
        message[14] = b'.';
        assert_eq!(Query::read(&message).unwrap().name, "a\\.b");
    }

    #[test]
    fn reverse_names_are_addresses() {
        for address in ["172.17.0.2", "fd00::2"] {
            let address: IpAddr = address.parse().unwrap();
            let message = question(&reverse_name(address), Kind::Ptr);
            assert_eq!(Query::read(&message).unwrap().reverse_address(), Some(address));
        }
        assert_eq!(reverse_name("172.17.0.2".parse().unwrap()), "2.0.17.172.in-addr.arpa");
        for not in ["x.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "1.ip6.arpa", "a.b"] {
            assert_eq!(Query::read(&question(not, Kind::Ptr)).unwrap().reverse_address(), None, "{not}");
        }
    }

    #[test]
    fn broken_messages_are_no_questions() {
        let good = question("db", Kind::A);
        for cut in 0..good.len() {
            assert_eq!(Query::read(&good[..cut]), None, "{cut} bytes");
        }
        let mut pointer = good.clone();
        pointer[12] = 0xc0;
        assert_eq!(Query::read(&pointer), None);
        let mut response = good.clone();
        response[2] = 0x80;
        assert_eq!(Query::read(&response), None);
        let mut update = good;
        update[2] = 5 << 3;
        assert_eq!(Query::read(&update), None);
        let long = question(&["x".repeat(63).as_str(); 5].join("."), Kind::A);
        assert_eq!(Query::read(&long), None);
    }
}
