//! Answers of other servers, passed on.

use std::net::IpAddr;

use crate::query::{Kind, Query};
use crate::reply::{extension, write_name};
use crate::{CLASS_IN, HEADER, OPT, RECURSION_AVAILABLE, RECURSION_DESIRED, RESPONSE, TRUNCATED};

/// A question for another server.
pub fn ask(id: u16, name: &str, kind: Kind) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    write_name(&mut out, name);
    out.extend(kind.number().to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    out.extend(extension());
    out
}

impl Query {
    /// This question, which is the beginning of `message`, for another server.
    pub fn pass_on(&self, id: u16, message: &[u8]) -> Vec<u8> {
        let mut out = id.to_be_bytes().to_vec();
        out.extend([RECURSION_DESIRED, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        out.extend(&message[HEADER..self.end]);
        out.extend(extension());
        out
    }
}

/// What another server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Without the record about the way to that server.
    message: Vec<u8>,
    end: usize,
    /// Where the times of the records stand.
    times: Vec<usize>,
    addresses: Vec<(IpAddr, u32)>,
}

impl Relay {
    /// Reads an answer to the question that was asked with that id; nothing if it is none.
    pub fn read(message: &[u8], id: u16, asked: &Query) -> Option<Relay> {
        let head = message.first_chunk::<HEADER>()?;
        if head[..2] != id.to_be_bytes() || head[2] & RESPONSE == 0 || head[4..6] != [0, 1] {
            return None;
        }
        let question = Query::read_question(message)?;
        if question.name != asked.name || question.kind != asked.kind {
            return None;
        }
        let count = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
        let (answers, total) = (count(6), count(6) + count(8) + count(10));
        let mut relay =
            Relay { message: message.to_vec(), end: question.end, times: Vec::new(), addresses: Vec::new() };
        let mut at = question.end;
        for number in 0..total {
            let start = at;
            at = skip_name(message, at)?;
            let fixed = message.get(at..at + 10)?;
            let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
            let data = message.get(at + 10..at + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
            if kind == OPT {
                // it comes last; what follows it could point anywhere
                relay.message.truncate(start);
                let additional = number.checked_sub(count(6) + count(8))? as u16;
                relay.message[10..12].copy_from_slice(&additional.to_be_bytes());
                return Some(relay);
            }
            let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            relay.times.push(at + 4);
            if number < answers {
                relay.addresses.extend(address(kind, data).map(|address| (address, ttl)));
            }
            at += 10 + data.len();
        }
        relay.message.truncate(at);
        Some(relay)
    }

    /// Addresses among its answers, with the seconds they hold.
    pub fn addresses(&self) -> &[(IpAddr, u32)] {
        &self.addresses
    }

    /// The result code.
    pub fn code(&self) -> u8 {
        self.message[3] & 15
    }

    /// Whether there was more.
    pub fn is_truncated(&self) -> bool {
        self.message[2] & TRUNCATED != 0
    }

    /// Seconds that everything in it holds; nothing if it says nothing that could be kept.
    pub fn ttl(&self) -> Option<u32> {
        let times = self.times.iter().filter_map(|at| self.message.get(*at..at + 4)?.first_chunk::<4>());
        times.map(|bytes| u32::from_be_bytes(*bytes)).min()
    }

    /// The same for who asked `query` with `message`, `age` seconds after it was said; no longer than `limit`.
    pub fn answer(&self, message: &[u8], query: &Query, age: u32, limit: usize) -> Vec<u8> {
        let extension = query.udp_size.map(|_| extension()).unwrap_or_default();
        let mut out = self.message.clone();
        for at in &self.times {
            if let Some(bytes) = out.get_mut(*at..at + 4).and_then(|bytes| bytes.first_chunk_mut::<4>()) {
                *bytes = u32::from_be_bytes(*bytes).saturating_sub(age).to_be_bytes();
            }
        }
        out[2] = out[2] & !RECURSION_DESIRED | message[2] & RECURSION_DESIRED;
        // not that it was checked: we do not
        out[3] = RECURSION_AVAILABLE | self.code();
        if out.len() + extension.len() > limit {
            out.truncate(self.end);
            out[2] |= TRUNCATED;
            out[6..HEADER].fill(0);
        }
        out[..2].copy_from_slice(&message[..2]);
        if self.end == query.end {
            // letters as the client wrote them
            out[HEADER..self.end].copy_from_slice(&message[HEADER..self.end]);
        }
        if !extension.is_empty() {
            let additional = u16::from_be_bytes([out[10], out[11]]).saturating_add(1);
            out[10..12].copy_from_slice(&additional.to_be_bytes());
            out.extend(extension);
        }
        out
    }
}

fn address(kind: u16, data: &[u8]) -> Option<IpAddr> {
    match Kind::from(kind) {
        Kind::A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        Kind::Aaaa => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Where a name ends.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            pointer if pointer >= 0xc0 => return Some(at + 2),
            length if length < 64 => at += 1 + length,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::tests::{extended, question};
    use crate::{Data, Record, Reply, TCP_LIMIT, UDP_LIMIT};

    fn said(asked: &[u8], count: u8) -> Vec<u8> {
        let query = Query::read(asked).unwrap();
        let record = |n| Record::new(30 + u32::from(n), Data::Address([192, 0, 2, n].into()));
        query.respond(asked, &Reply::with((0..count).map(record).collect()), TCP_LIMIT)
    }

    #[test]
    fn an_answer_is_passed_on_with_its_age_and_the_clients_letters() {
        let client = question("Example.ORG", Kind::A);
        let query = Query::read(&client).unwrap();
        let asked = query.pass_on(7, &client);
        assert_eq!(Query::read(&asked).unwrap().udp_size, Some(1232));
        let relay = Relay::read(&said(&asked, 2), 7, &query).unwrap();
        assert_eq!((relay.ttl(), relay.code(), relay.is_truncated()), (Some(30), 0, false));
        assert_eq!(relay.addresses(), [([192, 0, 2, 0].into(), 30), ([192, 0, 2, 1].into(), 31)]);
        let out = relay.answer(&client, &query, 10, UDP_LIMIT);
        assert_eq!(out[..2], client[..2]);
        assert_eq!(out[HEADER..client.len()], client[HEADER..]);
        assert_eq!(out[6..12], [0, 2, 0, 0, 0, 0], "without the record about the way");
        assert_eq!(out[client.len()..][..12], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 20, 0, 4]);
    }

    #[test]
    fn what_is_too_long_for_the_client_is_cut_and_marked() {
        let client = extended("a", Kind::A, 512);
        let query = Query::read(&client).unwrap();
        let relay = Relay::read(&said(&query.pass_on(7, &client), 200), 7, &query).unwrap();
        let out = relay.answer(&client, &query, 0, query.udp_limit());
        assert!(out.len() <= 512);
        assert_eq!((out[2] & TRUNCATED, &out[6..12]), (TRUNCATED, &[0, 0, 0, 0, 0, 1][..]));
        assert!(relay.answer(&client, &query, 0, TCP_LIMIT).len() > 3000);
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let asked = ask(7, "a.b", Kind::A);
        let query = Query::read(&asked).unwrap();
        let good = said(&asked, 1);
        assert!(Relay::read(&good, 7, &query).is_some());
        assert!(Relay::read(&good, 8, &query).is_none());
        assert!(Relay::read(&asked, 7, &query).is_none());
        assert!(Relay::read(&said(&ask(7, "a.c", Kind::A), 1), 7, &query).is_none());
        for cut in 0..good.len() - 11 {
            assert!(Relay::read(&good[..cut], 7, &query).is_none(), "{cut} bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_message_of_a_server_is_too_much(tail in proptest::collection::vec(0u8.., 0..200), counts in proptest::array::uniform6(0u8..4)) {
            let client = extended("a.b", Kind::A, 1232);
            let query = Query::read(&client).unwrap();
            let mut message = ask(7, "a.b", Kind::A);
            message.truncate(message.len() - 11);
            message[2] |= RESPONSE;
            for (at, count) in counts.into_iter().enumerate() {
                message[6 + at] = if at % 2 == 0 { 0 } else { count };
            }
            message.extend(tail);
            if let Some(relay) = Relay::read(&message, 7, &query) {
                relay.ttl();
                proptest::prop_assert!(relay.answer(&client, &query, 3, 512).len() <= 512);
            }
        }
    }
}
