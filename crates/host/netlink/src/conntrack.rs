//! Requests about tracked connections.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use crate::attr::{Writer, attributes};
use crate::error::Error;
use crate::socket::{F_DUMP, Request, Socket};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = 1;
const DELETE: u16 = 2;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ZONE: u16 = 18;
const UDP: u8 = 17;

/// A tracked connection, as it is looked at to decide whether it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// 6, 17, 132, ...
    pub protocol: u8,
    /// What it was meant for.
    pub to: SocketAddr,
    /// Who answers: the same, unless its destination is translated.
    pub answered_by: SocketAddr,
}

/// Forgets UDP "connections" to any of these ports, in the direction they began in: what a client goes on sending is
/// then looked at anew by translation rules. Takes a socket of [`crate::Protocol::Conntrack`]. Returns how many went.
pub fn forget_udp_to(socket: &mut Socket, ports: &[u16]) -> Result<usize, Error> {
    forget(socket, |flow| flow.protocol == UDP && ports.contains(&flow.to.port()))
}

/// Forgets the connections that are chosen, of both families and every protocol that has ports.
pub fn forget(socket: &mut Socket, chosen: impl Fn(&Flow) -> bool) -> Result<usize, Error> {
    let list = request("list connections", GET, F_DUMP, Writer::with_header(&[0; 4]));
    let found = socket.dump(&list, |body| deletion(body, &chosen))?;
    let count = found.len();
    // the answers to a few fit into the socket's buffer
    const TOGETHER: usize = 128;
    let mut found = found.into_iter().peekable();
    while found.peek().is_some() {
        socket.run(&found.by_ref().take(TOGETHER).collect())?;
    }
    Ok(count)
}

/// The request to delete a connection, if it is one to forget.
fn deletion(body: &[u8], chosen: impl Fn(&Flow) -> bool) -> Option<Request> {
    let (header, rest) = body.split_first_chunk::<4>()?;
    let tuple = attributes(rest).find(TUPLE_ORIGINAL)?;
    let (protocol, to) = end(tuple, End::Destination)?;
    let (_, answered_by) = end(attributes(rest).find(TUPLE_REPLY)?, End::Source)?;
    if !chosen(&Flow { protocol, to, answered_by }) {
        return None;
    }
    let mut delete = Writer::with_header(&[header[0], 0, 0, 0]);
    delete.nest(TUPLE_ORIGINAL, |inner| {
        for (kind, value) in attributes(tuple) {
            // both parts of a tuple hold attributes; those are copied as they are
            inner.nest(kind, |part| {
                for (kind, value) in attributes(value) {
                    part.bytes(kind, value);
                }
            });
        }
    });
    if let Some(zone) = attributes(rest).find(ZONE) {
        delete.bytes(ZONE, zone);
    }
    Some(request("forget a connection", DELETE, 0, delete).tolerate(Errno::NOENT))
}

/// An end of a tuple, by the offset of its attributes from the source's.
#[derive(Clone, Copy)]
enum End {
    Source = 0,
    Destination = 1,
}

/// Protocol, and address and port of one end of a tuple.
fn end(tuple: &[u8], which: End) -> Option<(u8, SocketAddr)> {
    const ADDRESSES: u16 = 1;
    const PROTOCOL: u16 = 2;
    const V4: u16 = 1;
    const V6: u16 = 3;
    const NUMBER: u16 = 1;
    const PORT: u16 = 2;
    let addresses = attributes(tuple).find(ADDRESSES)?;
    let v4 = attributes(addresses).find(V4 + which as u16).and_then(|bytes| bytes.first_chunk::<4>());
    let v6 = || attributes(addresses).find(V6 + which as u16).and_then(|bytes| bytes.first_chunk::<16>());
    let address: IpAddr = v4.map(|v4| (*v4).into()).or_else(|| v6().map(|v6| (*v6).into()))?;
    let protocol = attributes(tuple).find(PROTOCOL)?;
    let number = *attributes(protocol).find(NUMBER)?.first()?;
    let port = attributes(protocol).find(PORT + which as u16)?.first_chunk::<2>()?;
    Some((number, (address, u16::from_be_bytes(*port)).into()))
}

fn request(what: &'static str, kind: u16, flags: u16, body: Writer) -> Request {
    Request { what: Cow::Borrowed(what), kind: SUBSYSTEM | kind, flags, body: body.0, tolerated: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(body: &mut Writer, kind: u16, addresses: [[u8; 4]; 2], protocol: u8, ports: [u16; 2]) {
        body.nest(kind, |tuple| {
            tuple.nest(1, |out| {
                out.bytes(1, &addresses[0]).bytes(2, &addresses[1]);
            });
            tuple.nest(2, |out| {
                out.bytes(1, &[protocol]).bytes(2, &ports[0].to_be_bytes()).bytes(3, &ports[1].to_be_bytes());
            });
        });
    }

    /// From 192.0.2.2:1024 to a port of 192.0.2.1, which 10.0.0.7:99 answers.
    fn connection(protocol: u8, port: u16) -> Vec<u8> {
        let mut body = Writer::with_header(&[2, 0, 0, 0]);
        tuple(&mut body, TUPLE_ORIGINAL, [[192, 0, 2, 2], [192, 0, 2, 1]], protocol, [1024, port]);
        tuple(&mut body, TUPLE_REPLY, [[10, 0, 0, 7], [192, 0, 2, 2]], protocol, [99, 1024]);
        body.0
    }

    #[test]
    fn what_is_chosen_is_forgotten_and_named_by_its_tuple() {
        let udp_to = |ports: &'static [u16]| move |flow: &Flow| flow.protocol == UDP && ports.contains(&flow.to.port());
        assert!(deletion(&connection(6, 53), udp_to(&[53])).is_none());
        assert!(deletion(&connection(UDP, 54), udp_to(&[53])).is_none());
        let request = deletion(&connection(UDP, 53), udp_to(&[7, 53])).unwrap();
        assert_eq!(request.kind, 0x0102);
        let mut asked = Writer::with_header(&[2, 0, 0, 0]);
        tuple(&mut asked, TUPLE_ORIGINAL, [[192, 0, 2, 2], [192, 0, 2, 1]], UDP, [1024, 53]);
        assert_eq!(request.body, asked.0, "the header and the tuple, without what follows");
        assert!(deletion(&[2, 0, 0, 0, 9], |_| true).is_none());
    }

    #[test]
    fn a_connection_tells_who_answers() {
        let seen = |flow: &Flow| {
            assert_eq!((flow.to, flow.answered_by), ("192.0.2.1:53".parse().unwrap(), "10.0.0.7:99".parse().unwrap()));
            true
        };
        assert!(deletion(&connection(UDP, 53), seen).is_some());
    }
}
