//! Answers as they are written.

use std::net::IpAddr;

use crate::query::{Kind, Query};
use crate::{AUTHORITATIVE, CLASS_IN, HEADER, OPERATION, OPT, RECURSION_AVAILABLE, RECURSION_DESIRED, RESPONSE};
use crate::{TRUNCATED, UDP_SIZE};

/// Result codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Ok = 0,
    FormatError = 1,
    ServerFailure = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Cname(String),
    Ns(String),
    Ptr(String),
    Txt(String),
    Srv { priority: u16, weight: u16, port: u16, target: String },
    Soa { server: String, mailbox: String, serial: u32, least: u32 },
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose; none is the name that was asked for.
    pub name: Option<String>,
    /// Seconds that it may be kept.
    pub ttl: u32,
    pub data: Data,
}

impl Record {
    /// A record of the name that was asked for.
    pub fn new(ttl: u32, data: Data) -> Record {
        Record { name: None, ttl, data }
    }

    /// A record of another name.
    pub fn of(name: impl Into<String>, ttl: u32, data: Data) -> Record {
        Record { name: Some(name.into()), ttl, data }
    }

    fn write(&self, out: &mut Vec<u8>) {
        const QUESTION: [u8; 2] = [0xc0, HEADER as u8];
        match &self.name {
            Some(name) => write_name(out, name),
            None => out.extend(QUESTION),
        }
        out.extend(self.data.kind().number().to_be_bytes());
        out.extend(CLASS_IN.to_be_bytes());
        out.extend(self.ttl.to_be_bytes());
        let start = out.len();
        out.extend([0, 0]);
        self.data.write(out);
        let length = (out.len() - start - 2) as u16;
        out[start..start + 2].copy_from_slice(&length.to_be_bytes());
    }
}

impl Data {
    fn kind(&self) -> Kind {
        match self {
            Data::Address(IpAddr::V4(_)) => Kind::A,
            Data::Address(IpAddr::V6(_)) => Kind::Aaaa,
            Data::Cname(_) => Kind::Cname,
            Data::Ns(_) => Kind::Ns,
            Data::Ptr(_) => Kind::Ptr,
            Data::Txt(_) => Kind::Txt,
            Data::Srv { .. } => Kind::Srv,
            Data::Soa { .. } => Kind::Soa,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Data::Address(IpAddr::V4(v4)) => out.extend(v4.octets()),
            Data::Address(IpAddr::V6(v6)) => out.extend(v6.octets()),
            Data::Cname(name) | Data::Ns(name) | Data::Ptr(name) => write_name(out, name),
            Data::Txt(text) => {
                let text = &text.as_bytes()[..text.len().min(255)];
                out.push(text.len() as u8);
                out.extend(text);
            }
            Data::Srv { priority, weight, port, target } => {
                for number in [priority, weight, port] {
                    out.extend(number.to_be_bytes());
                }
                write_name(out, target);
            }
            Data::Soa { server, mailbox, serial, least } => {
                write_name(out, server);
                write_name(out, mailbox);
                // refresh, retry and expire are for secondary servers, of which there are none
                for number in [*serial, 7200, 1800, 86400, *least] {
                    out.extend(number.to_be_bytes());
                }
            }
        }
    }
}

/// Labels that cannot be written are left out.
pub(crate) fn write_name(out: &mut Vec<u8>, name: &str) {
    for label in name.split('.').filter(|label| (1..64).contains(&label.len())) {
        out.push(label.len() as u8);
        out.extend(label.bytes());
    }
    out.push(0);
}

/// An answer in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: Code,
    /// Whether we are who decides about the name.
    pub authoritative: bool,
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    pub additional: Vec<Record>,
}

impl Reply {
    /// An answer without records.
    pub fn new(code: Code) -> Reply {
        Reply { code, authoritative: false, answers: vec![], authority: vec![], additional: vec![] }
    }

    /// An answer with records.
    pub fn with(answers: Vec<Record>) -> Reply {
        Reply { answers, ..Reply::new(Code::Ok) }
    }
}

impl Query {
    /// The response to this question, which is the beginning of `message`; cut at `limit` bytes with the mark for it. What is only additional is left
    /// out without a mark.
    pub fn respond(&self, message: &[u8], reply: &Reply, limit: usize) -> Vec<u8> {
        let mut out = message[..self.end].to_vec();
        let extension = self.udp_size.map(|_| extension()).unwrap_or_default();
        let room = limit.saturating_sub(extension.len());
        out[2] = RESPONSE | (message[2] & RECURSION_DESIRED) | if reply.authoritative { AUTHORITATIVE } else { 0 };
        out[3] = RECURSION_AVAILABLE | reply.code as u8;
        let mut counts = [0u16; 3];
        for (section, records) in [&reply.answers, &reply.authority, &reply.additional].into_iter().enumerate() {
            for record in records {
                let before = out.len();
                record.write(&mut out);
                if out.len() > room {
                    out.truncate(before);
                    if section < 2 {
                        out[2] |= TRUNCATED;
                    }
                    break;
                }
                counts[section] += 1;
            }
            if out[2] & TRUNCATED != 0 {
                break;
            }
        }
        counts[2] += u16::from(!extension.is_empty());
        out.extend(extension);
        out[4..6].copy_from_slice(&[0, 1]);
        for (section, count) in counts.into_iter().enumerate() {
            out[6 + 2 * section..8 + 2 * section].copy_from_slice(&count.to_be_bytes());
        }
        out
    }
}

/// The record that says how much we take over UDP.
pub(crate) fn extension() -> Vec<u8> {
    let mut out = vec![0];
    out.extend(OPT.to_be_bytes());
    out.extend(UDP_SIZE.to_be_bytes());
    out.extend([0; 6]);
    out
}

/// A bare refusal of what is no question that can be answered: of nothing shorter than a header, and never of an answer.
pub fn refuse(message: &[u8], code: Code) -> Option<Vec<u8>> {
    let mut out = message.get(..HEADER).filter(|head| head[2] & RESPONSE == 0)?.to_vec();
    let code = if message[2] & OPERATION != 0 { Code::NotImplemented } else { code };
    out[2] = RESPONSE | (message[2] & (OPERATION | RECURSION_DESIRED));
    out[3] = RECURSION_AVAILABLE | code as u8;
    out[4..].fill(0);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::tests::{extended, question};
    use crate::{TCP_LIMIT, UDP_LIMIT};

    fn address(text: &str) -> Record {
        Record::new(600, Data::Address(text.parse().unwrap()))
    }

    #[test]
    fn a_question_is_answered() {
        let message = question("db.net", Kind::A);
        let query = Query::read(&message).unwrap();
        let response = query.respond(&message, &Reply::with(vec![address("10.0.0.2")]), UDP_LIMIT);
        assert_eq!(response[..12], [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(response[message.len()..], [0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 10, 0, 0, 2]);
    }

    #[test]
    fn records_of_services_have_targets_and_addresses() {
        let message = extended("_p._tcp.a.b", Kind::Srv, 1232);
        let query = Query::read(&message).unwrap();
        let srv = Data::Srv { priority: 0, weight: 100, port: 80, target: "a.b".into() };
        let mut reply = Reply { authoritative: true, ..Reply::with(vec![Record::new(5, srv)]) };
        reply.additional.push(Record::of("a.b", 5, Data::Address("10.0.0.2".parse().unwrap())));
        let response = query.respond(&message, &reply, 1232);
        assert_eq!(response[2..4], [0x85, 0x80]);
        assert_eq!(response[6..12], [0, 1, 0, 0, 0, 2]);
        let records = &response[query.end..];
        assert_eq!(records[..23], [0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 5, 0, 11, 0, 0, 0, 100, 0, 80, 1, b'a', 1, b'b', 0]);
        assert_eq!(records[23..28], [1, b'a', 1, b'b', 0]);
        assert_eq!(records[records.len() - 11..records.len() - 6], [0, 0, 41, 4, 208]);
    }

    #[test]
    fn what_does_not_fit_is_marked() {
        let message = question("db", Kind::A);
        let reply = Reply::with(vec![address("10.0.0.2"); 100]);
        let query = Query::read(&message).unwrap();
        let response = query.respond(&message, &reply, UDP_LIMIT);
        assert!(response.len() <= UDP_LIMIT);
        assert_eq!(response[2] & TRUNCATED, TRUNCATED);
        let whole = query.respond(&message, &reply, TCP_LIMIT);
        assert_eq!((whole[2] & TRUNCATED, whole[7]), (0, 100));
        let spare = Reply { additional: vec![address("10.0.0.2"); 100], ..Reply::new(Code::Ok) };
        assert_eq!(query.respond(&message, &spare, UDP_LIMIT)[2] & TRUNCATED, 0);
    }

    #[test]
    fn an_answer_is_never_answered() {
        assert_eq!(refuse(&[1, 2, 3], Code::FormatError), None);
        let mut message = question("db", Kind::A);
        assert_eq!(refuse(&message, Code::FormatError).unwrap()[3] & 15, 1);
        message[2] = 5 << 3;
        assert_eq!(refuse(&message, Code::FormatError).unwrap()[3] & 15, 4);
        message[2] = RESPONSE;
        assert_eq!(refuse(&message, Code::FormatError), None);
    }

    proptest::proptest! {
        #[test]
        fn no_message_of_a_client_is_too_much(message in proptest::collection::vec(0u8.., 0..300)) {
            let mut message = message;
            // mostly questions, so that the reading gets past the header
            if message.len() > 12 && message[0] & 1 == 0 {
                message[2] = 1;
                message[4..6].copy_from_slice(&[0, 1]);
            }
            if let Some(query) = Query::read(&message) {
                query.reverse_address();
                let reply = Reply::with(vec![Record::new(5, Data::Ptr("a.b".to_owned()))]);
                let response = query.respond(&message, &reply, query.udp_limit());
                proptest::prop_assert!(response.len() <= message.len() + 40);
            }
            refuse(&message, Code::FormatError);
        }
    }
}
