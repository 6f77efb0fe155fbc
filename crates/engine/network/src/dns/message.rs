//! DNS messages as far as a resolver for containers needs them (RFC 1035): one question in, addresses or names out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
const TTL: u32 = 600;
const CLASS_IN: u16 = 1;
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;
/// Longest message over UDP without an extension that we do not speak.
pub(crate) const UDP_LIMIT: usize = 512;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Ptr,
    Other,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Address(IpAddr),
    Name(String),
}

/// Result codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Ok = 0,
    FormatError = 1,
    ServerFailure = 2,
    NoSuchName = 3,
}

/// A question, and where it ends in its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// In lower case, without a closing dot.
    pub name: String,
    pub kind: Kind,
    end: usize,
}

impl Query {
    /// Reads a message with exactly one question of the Internet's class.
    pub fn read(message: &[u8]) -> Option<Query> {
        let head = message.first_chunk::<HEADER>()?;
        let is_query = head[2] & 0xf8 == 0;
        if !is_query || head[4..6] != [0, 1] {
            return None;
        }
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
            if !name.is_empty() {
                name.push('.');
            }
            name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
            if name.len() > 255 {
                return None;
            }
        }
        let rest = message.get(at..at + 4)?;
        if u16::from_be_bytes([rest[2], rest[3]]) != CLASS_IN {
            return None;
        }
        let kind = match u16::from_be_bytes([rest[0], rest[1]]) {
            1 => Kind::A,
            28 => Kind::Aaaa,
            12 => Kind::Ptr,
            _ => Kind::Other,
        };
        Some(Query { name, kind, end: at + 4 })
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

    /// The response to this question, which is the beginning of `message`; cut at `limit` bytes with the mark for it.
    pub fn respond(&self, message: &[u8], code: Code, answers: &[Answer], limit: usize) -> Vec<u8> {
        let mut out = message[..self.end].to_vec();
        out[2] = RESPONSE | (message[2] & RECURSION_DESIRED);
        out[3] = RECURSION_AVAILABLE | code as u8;
        let mut count = 0u16;
        for answer in answers {
            let record = record(answer);
            if out.len() + record.len() > limit {
                out[2] |= TRUNCATED;
                break;
            }
            out.extend(record);
            count += 1;
        }
        out[4..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        out[6..8].copy_from_slice(&count.to_be_bytes());
        out
    }
}

/// A bare refusal of a message that has a header at least.
pub(crate) fn refuse(message: &[u8], code: Code) -> Option<Vec<u8>> {
    let mut out = message.get(..HEADER)?.to_vec();
    out[2] = RESPONSE | (message[2] & RECURSION_DESIRED);
    out[3] = RECURSION_AVAILABLE | code as u8;
    out[4..].fill(0);
    Some(out)
}

fn record(answer: &Answer) -> Vec<u8> {
    const QUESTION: [u8; 2] = [0xc0, HEADER as u8];
    let (kind, data): (u16, Vec<u8>) = match answer {
        Answer::Address(IpAddr::V4(addr)) => (1, addr.octets().to_vec()),
        Answer::Address(IpAddr::V6(addr)) => (28, addr.octets().to_vec()),
        Answer::Name(name) => {
            let labels = name.split('.').filter(|label| (1..64).contains(&label.len()));
            let mut data: Vec<u8> =
                labels.flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes())).collect();
            data.push(0);
            (12, data)
        }
    };
    let mut out = QUESTION.to_vec();
    out.extend(kind.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    out.extend(TTL.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn a_question_is_read_and_answered() {
        let message = question("Db.Net", 1);
        let query = Query::read(&message).unwrap();
        assert_eq!((query.name.as_str(), query.kind), ("db.net", Kind::A));
        let answers = [Answer::Address("10.0.0.2".parse().unwrap())];
        let response = query.respond(&message, Code::Ok, &answers, UDP_LIMIT);
        assert_eq!(response[..12], [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(response[message.len()..], [0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 10, 0, 0, 2]);
    }

    #[test]
    fn what_does_not_fit_is_marked() {
        let message = question("db", 1);
        let answers = vec![Answer::Address("10.0.0.2".parse().unwrap()); 100];
        let response = Query::read(&message).unwrap().respond(&message, Code::Ok, &answers, UDP_LIMIT);
        assert!(response.len() <= UDP_LIMIT);
        assert_eq!(response[2] & TRUNCATED, TRUNCATED);
    }

    #[test]
    fn reverse_names_are_addresses() {
        let four = Query::read(&question("2.0.17.172.in-addr.arpa", 12)).unwrap();
        assert_eq!(four.reverse_address(), Some("172.17.0.2".parse().unwrap()));
        let name = format!("{}d.f.ip6.arpa", "2.0.".to_owned() + &"0.".repeat(28));
        let six = Query::read(&question(&name, 12)).unwrap();
        assert_eq!(six.reverse_address(), Some("fd00::2".parse().unwrap()));
        assert_eq!(Query::read(&question("x.in-addr.arpa", 12)).unwrap().reverse_address(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_message_of_a_container_is_too_much(message in proptest::collection::vec(0u8.., 0..300)) {
            let mut message = message;
            // mostly questions, so that the reading gets past the header
            if message.len() > 12 && message[0] & 1 == 0 {
                message[2] = 1;
                message[4..6].copy_from_slice(&[0, 1]);
            }
            if let Some(query) = Query::read(&message) {
                query.reverse_address();
                let response = query.respond(&message, Code::Ok, &[Answer::Name("a.b".to_owned())], UDP_LIMIT);
                proptest::prop_assert!(response.len() <= message.len() + 30);
            }
            refuse(&message, Code::FormatError);
        }
    }

    #[test]
    fn broken_messages_are_no_questions() {
        let good = question("db", 1);
        for cut in 0..good.len() {
            assert_eq!(Query::read(&good[..cut]), None, "{cut} bytes");
        }
        let mut pointer = good.clone();
        pointer[12] = 0xc0;
        assert_eq!(Query::read(&pointer), None);
        let mut response = good;
        response[2] = 0x80;
        assert_eq!(Query::read(&response), None);
        assert_eq!(refuse(&[1, 2, 3], Code::FormatError), None);
    }
}
