//! One netlink socket: batches of requests in one send, answers matched by sequence number, dumps.

use std::borrow::Cow;
use std::io;

use netlink_sys::SocketAddr;
use rustix::io::Errno;

use crate::attr::attributes;
use crate::error::Error;
use crate::nft;

pub(crate) const F_REQUEST: u16 = 0x001;
pub(crate) const F_ACK: u16 = 0x004;
pub(crate) const F_REPLACE: u16 = 0x100;
pub(crate) const F_EXCL: u16 = 0x200;
pub(crate) const F_CREATE: u16 = 0x400;
pub(crate) const F_APPEND: u16 = 0x800;
pub(crate) const F_DUMP: u16 = 0x300;
const F_CAPPED: u16 = 0x100;
const F_ACK_TLVS: u16 = 0x200;
const F_DUMP_INTR: u16 = 0x010;

const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;
/// Answers to one receive call; a dump's datagrams are no longer than this.
const RECEIVE: usize = 64 << 10;
/// Room for a batch that fills maps with thousands of elements.
const SEND_BUFFER: usize = 4 << 20;

/// What a socket talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Links, addresses, routes.
    Route,
    /// nf_tables.
    Netfilter,
    /// Tracked connections.
    Conntrack,
}

/// One message to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it does, for errors: `add address 172.17.0.1/16`.
    pub(crate) what: Cow<'static, str>,
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) tolerated: Option<Errno>,
}

impl Request {
    /// Takes this refusal of the kernel for success.
    pub fn tolerate(mut self, errno: Errno) -> Self {
        self.tolerated = Some(errno);
        self
    }

    /// The message's body: the family's header and the attributes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Requests that go out together, in order.
#[derive(Debug, Default)]
pub struct Batch(Vec<Request>);

impl Batch {
    pub fn new() -> Self {
        Batch::default()
    }

    pub fn push(&mut self, request: Request) -> &mut Self {
        self.0.push(request);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Request> for Batch {
    fn from_iter<I: IntoIterator<Item = Request>>(requests: I) -> Self {
        Batch(requests.into_iter().collect())
    }
}

impl Extend<Request> for Batch {
    fn extend<I: IntoIterator<Item = Request>>(&mut self, requests: I) {
        self.0.extend(requests);
    }
}

/// A netlink socket in the network namespace of the thread that opened it.
pub struct Socket {
    inner: netlink_sys::Socket,
    protocol: Protocol,
    sequence: u32,
    out: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        let number = match protocol {
            Protocol::Route => netlink_sys::protocols::NETLINK_ROUTE,
            Protocol::Netfilter | Protocol::Conntrack => netlink_sys::protocols::NETLINK_NETFILTER,
        };
        let mut inner = netlink_sys::Socket::new(number).map_err(failed("netlink socket"))?;
        inner.bind_auto().map_err(failed("bind netlink socket"))?;
        inner.connect(&SocketAddr::new(0, 0)).map_err(failed("connect netlink socket"))?;
        inner.set_ext_ack(true).map_err(failed("NETLINK_EXT_ACK"))?;
        inner.set_cap_ack(true).map_err(failed("NETLINK_CAP_ACK"))?;
        if protocol == Protocol::Netfilter {
            // without CAP_NET_ADMIN in the first user namespace the default size has to do
            let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&inner, SEND_BUFFER);
        }
        Ok(Socket { inner, protocol, sequence: 1, out: Vec::new() })
    }

    /// Sends every request in one call and waits for all answers; the first refusal is the error. Route requests after
    /// a refused one are carried out all the same; an nf_tables batch is carried out whole or not at all.
    pub fn run(&mut self, batch: &Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.protocol {
            Protocol::Route | Protocol::Conntrack => self.run_separately(batch),
            Protocol::Netfilter => self.run_transaction(batch),
        }
    }

    /// Sends one request.
    pub fn run_one(&mut self, request: Request) -> Result<(), Error> {
        self.run(&Batch(vec![request]))
    }

    /// Sends a request for objects and gives the body of each answer to `each`. Repeats what the kernel says was
    /// interrupted by a change, after `each` was called for a part: callers collect into something they can fill twice.
    pub fn dump<T>(&mut self, request: &Request, each: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, Error> {
        const TRIES: usize = 10;
        for _ in 0..TRIES {
            if let Some(found) = self.dump_once(request, &each)? {
                return Ok(found);
            }
        }
        Err(refused(request, Errno::INTR, None))
    }

    fn run_separately(&mut self, batch: &Batch) -> Result<(), Error> {
        let first = self.start(batch.0.len());
        for (at, request) in batch.0.iter().enumerate() {
            self.append(first.wrapping_add(at as u32), request, F_ACK);
        }
        self.flush()?;
        let mut outstanding = batch.0.len();
        let mut failure = None;
        self.receive(|answer| {
            let at = answer.sequence.wrapping_sub(first) as usize;
            if let (Some(request), Some((errno, message))) = (batch.0.get(at), answer.acknowledgement()) {
                outstanding -= 1;
                note(&mut failure, request, errno, message);
            }
            Ok(outstanding == 0)
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// Begin, requests, end. Only the last request asks for an answer: the kernel reports every refusal before it,
    /// and what concerns the batch as a whole under the number of its begin.
    fn run_transaction(&mut self, batch: &Batch) -> Result<(), Error> {
        let count = batch.0.len();
        let begin = self.start(count + 2);
        self.append(begin, &nft::batch_begin(), 0);
        for (at, request) in batch.0.iter().enumerate() {
            let ack = if at + 1 == count { F_ACK } else { 0 };
            self.append(begin.wrapping_add(1 + at as u32), request, ack);
        }
        self.append(begin.wrapping_add(1 + count as u32), &nft::batch_end(), 0);
        self.flush()?;
        let mut failure = None;
        self.receive(|answer| {
            let at = answer.sequence.wrapping_sub(begin) as usize;
            let Some((errno, message)) = answer.acknowledgement() else {
                return Ok(false);
            };
            if at == 0 && errno.is_some() {
                let whole = Request { what: Cow::Borrowed("commit nf_tables batch"), ..nft::batch_begin() };
                note(&mut failure, &whole, errno, message);
                return Ok(true);
            }
            let Some(request) = at.checked_sub(1).and_then(|at| batch.0.get(at)) else {
                return Ok(false);
            };
            note(&mut failure, request, errno, message);
            Ok(at == count)
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn dump_once<T>(&mut self, request: &Request, each: &impl Fn(&[u8]) -> Option<T>) -> Result<Option<Vec<T>>, Error> {
        let sequence = self.start(1);
        self.append(sequence, request, 0);
        self.flush()?;
        let mut found = Vec::new();
        let mut interrupted = false;
        self.receive(|answer| {
            if answer.sequence != sequence {
                return Ok(false);
            }
            interrupted |= answer.flags & F_DUMP_INTR != 0;
            match answer.kind {
                NOOP => Ok(false),
                DONE => Ok(true),
                ERROR => match answer.acknowledgement() {
                    Some((Some(errno), message)) => Err(refused(request, errno, message)),
                    _ => Ok(true),
                },
                _ => {
                    found.extend(each(answer.body));
                    Ok(request.flags & F_DUMP != F_DUMP)
                }
            }
        })?;
        Ok((!interrupted).then_some(found))
    }

    fn start(&mut self, count: usize) -> u32 {
        let first = self.sequence;
        self.sequence = self.sequence.wrapping_add(count as u32).max(1);
        self.out.clear();
        first
    }

    fn append(&mut self, sequence: u32, request: &Request, extra: u16) {
        let length = (HEADER + request.body.len()) as u32;
        self.out.extend_from_slice(&length.to_ne_bytes());
        self.out.extend_from_slice(&request.kind.to_ne_bytes());
        self.out.extend_from_slice(&(F_REQUEST | request.flags | extra).to_ne_bytes());
        self.out.extend_from_slice(&sequence.to_ne_bytes());
        self.out.extend_from_slice(&0u32.to_ne_bytes());
        self.out.extend_from_slice(&request.body);
        self.out.resize(self.out.len().next_multiple_of(4), 0);
    }

    fn flush(&mut self) -> Result<(), Error> {
        loop {
            match self.inner.send(&self.out, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("send to netlink")(error)),
            }
        }
    }

    /// Receives until `each` says that it has all it waits for.
    fn receive(&mut self, mut each: impl FnMut(Answer<'_>) -> Result<bool, Error>) -> Result<(), Error> {
        let mut buffer = Vec::with_capacity(RECEIVE);
        loop {
            buffer.clear();
            match self.inner.recv(&mut buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed("receive from netlink")(error)),
            }
            let mut rest = &buffer[..];
            while !rest.is_empty() {
                let (answer, after) = Answer::split(rest)?;
                if each(answer)? {
                    return Ok(());
                }
                rest = after;
            }
        }
    }
}

/// One message from the kernel.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let head = bytes.first_chunk::<HEADER>().ok_or(Error::Malformed("short header"))?;
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let body = bytes.get(HEADER..length).ok_or(Error::Malformed("length of message"))?;
        let answer = Answer {
            kind: u16::from_ne_bytes([head[4], head[5]]),
            flags: u16::from_ne_bytes([head[6], head[7]]),
            sequence: u32::from_ne_bytes([head[8], head[9], head[10], head[11]]),
            body,
        };
        Ok((answer, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
    }

    /// The error number (none for success) and the kernel's words, if this is an acknowledgement.
    fn acknowledgement(&self) -> Option<(Option<Errno>, Option<String>)> {
        const MESSAGE: u16 = 1;
        if self.kind != ERROR {
            return None;
        }
        let code = i32::from_ne_bytes(*self.body.first_chunk::<4>()?);
        let errno = (code != 0).then(|| Errno::from_raw_os_error(-code));
        // what was asked follows, whole unless capped; then the extended attributes
        let asked = self.body.get(4..8).map_or(0, |length| u32::from_ne_bytes(length.try_into().unwrap_or([0; 4])));
        let skip = if self.flags & F_CAPPED != 0 { HEADER } else { (asked as usize).max(HEADER).next_multiple_of(4) };
        let extended = if self.flags & F_ACK_TLVS != 0 { self.body.get(4 + skip..) } else { None };
        let message = extended
            .and_then(|bytes| attributes(bytes).find(MESSAGE))
            .map(|text| String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned());
        Some((errno, message))
    }
}

fn note(failure: &mut Option<Error>, request: &Request, errno: Option<Errno>, message: Option<String>) {
    if let Some(errno) = errno
        && request.tolerated != Some(errno)
        && failure.is_none()
    {
        *failure = Some(refused(request, errno, message));
    }
}

fn refused(request: &Request, errno: Errno, message: Option<String>) -> Error {
    Error::Refused { what: request.what.to_string(), errno, message }
}

fn failed(call: &'static str) -> impl Fn(io::Error) -> Error {
    move |error| Error::Socket { call, errno: error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn an_acknowledgement_gives_error_and_words() {
        let mut body = (-17i32).to_ne_bytes().to_vec();
        body.extend(message(16, 0, 9, &[]));
        body.extend([9, 0, 1, 0, b'o', b'o', b'p', b's', 0, 0, 0, 0]);
        let bytes = message(ERROR, F_CAPPED | F_ACK_TLVS, 9, &body);
        let (answer, rest) = Answer::split(&bytes).unwrap();
        assert!(rest.is_empty());
        assert_eq!(answer.acknowledgement(), Some((Some(Errno::EXIST), Some("oops".to_owned()))));
    }

    #[test]
    fn broken_messages_are_refused() {
        assert!(Answer::split(&[1, 2, 3]).is_err());
        assert!(Answer::split(&[0; 16]).is_err());
        let mut long = message(ERROR, 0, 1, &[0; 4]);
        long[0] = 200;
        assert!(Answer::split(&long).is_err());
        let short = message(ERROR, F_ACK_TLVS, 1, &[0; 2]);
        assert_eq!(Answer::split(&short).unwrap().0.acknowledgement(), None);
    }

    #[test]
    fn the_kernel_answers_each_request_by_its_own_name() {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let refusal = socket.run_one(crate::route::delete_link(u32::MAX / 2)).unwrap_err();
        assert!(refusal.to_string().starts_with("delete link"), "{refusal}");
    }
}
