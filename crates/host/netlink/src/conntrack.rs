//! Requests about tracked connections.

use std::borrow::Cow;

use rustix::io::Errno;

use crate::attr::{Writer, attributes};
use crate::error::Error;
use crate::socket::{F_DUMP, Request, Socket};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = 1;
const DELETE: u16 = 2;
const TUPLE_ORIGINAL: u16 = 1;
const ZONE: u16 = 18;
const UDP: u8 = 17;

/// Forgets UDP "connections" to any of these ports, in the direction they began in: what a client goes on sending is
/// then looked at anew by translation rules. Takes a socket of [`crate::Protocol::Conntrack`]. Returns how many went.
pub fn forget_udp_to(socket: &mut Socket, ports: &[u16]) -> Result<usize, Error> {
    let list = request("list connections", GET, F_DUMP, Writer::with_header(&[0; 4]));
    let found = socket.dump(&list, |body| forget(body, ports))?;
    let count = found.len();
    socket.run(&found.into_iter().collect())?;
    Ok(count)
}

/// The request to delete a connection, if it is one to forget.
fn forget(body: &[u8], ports: &[u16]) -> Option<Request> {
    let (header, rest) = body.split_first_chunk::<4>()?;
    let tuple = attributes(rest).find(TUPLE_ORIGINAL)?;
    let (protocol, port) = destination(tuple)?;
    if protocol != UDP || !ports.contains(&port) {
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

/// Protocol and destination port of a tuple.
fn destination(tuple: &[u8]) -> Option<(u8, u16)> {
    const TUPLE_PROTOCOL: u16 = 2;
    const NUMBER: u16 = 1;
    const DESTINATION_PORT: u16 = 3;
    let protocol = attributes(tuple).find(TUPLE_PROTOCOL)?;
    let number = *attributes(protocol).find(NUMBER)?.first()?;
    let port = attributes(protocol).find(DESTINATION_PORT)?.first_chunk::<2>()?;
    Some((number, u16::from_be_bytes(*port)))
}

fn request(what: &'static str, kind: u16, flags: u16, body: Writer) -> Request {
    Request { what: Cow::Borrowed(what), kind: SUBSYSTEM | kind, flags, body: body.0, tolerated: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(protocol: u8, port: u16) -> Vec<u8> {
        let mut body = Writer::with_header(&[2, 0, 0, 0]);
        body.nest(TUPLE_ORIGINAL, |tuple| {
            tuple.nest(1, |addresses| {
                addresses.bytes(1, &[192, 0, 2, 2]).bytes(2, &[192, 0, 2, 1]);
            });
            tuple.nest(2, |ports| {
                ports.bytes(1, &[protocol]).bytes(2, &[4, 0]).bytes(3, &port.to_be_bytes());
            });
        });
        body.bytes(5, &[1, 2, 3, 4]);
        body.0
    }

    #[test]
    fn only_udp_to_the_ports_is_forgotten_and_named_by_its_tuple() {
        assert!(forget(&connection(6, 53), &[53]).is_none());
        assert!(forget(&connection(UDP, 54), &[53]).is_none());
        let request = forget(&connection(UDP, 53), &[7, 53]).unwrap();
        assert_eq!(request.kind, 0x0102);
        let whole = connection(UDP, 53);
        assert_eq!(request.body, whole[..whole.len() - 8], "the header and the tuple, without what follows");
        assert!(forget(&[2, 0, 0, 0, 9], &[53]).is_none());
    }
}
