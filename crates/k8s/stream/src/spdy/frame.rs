//! Frames of SPDY/3.1 (draft 3.1, section 2).

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// How much of a data frame is handed on at once.
const PIECE: usize = 64 * 1024;
/// How long a control frame may be.
const CONTROL: usize = 256 * 1024;
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// Why a stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    ProtocolError = 1,
    InvalidStream = 2,
    RefusedStream = 3,
    Cancel = 5,
}

/// What a peer sent. Header blocks are still compressed: all of them have to be read in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A piece of a stream's data, and whether it is the last of all.
    Data {
        stream: u32,
        last: bool,
        payload: Bytes,
    },
    Open {
        stream: u32,
        last: bool,
        headers: Bytes,
    },
    Reply {
        stream: u32,
        last: bool,
        headers: Bytes,
    },
    Headers {
        stream: u32,
        last: bool,
        headers: Bytes,
    },
    Reset {
        stream: u32,
        status: u32,
    },
    Ping(u32),
    GoAway,
    /// Settings and windows, which nobody obeys.
    Ignored,
}

/// A peer that does not speak SPDY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("a frame of version {0}, not 3")]
    Version(u16),
    #[error("a frame of unknown kind {0}")]
    Kind(u16),
    #[error("a control frame of {0} bytes")]
    Length(usize),
    #[error("a frame of stream 0")]
    Stream,
    #[error("a header block that cannot be read")]
    HeaderBlock,
}

/// Data of a stream.
pub fn data(stream: u32, last: bool, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + payload.len());
    out.put_u32(stream & 0x7fff_ffff);
    out.put_u32(u32::from(last) << 24 | payload.len() as u32 & 0xff_ffff);
    out.put_slice(payload);
    out.freeze()
}

/// A new stream, with its compressed headers.
pub fn open(stream: u32, last: bool, headers: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(10 + headers.len());
    body.put_u32(stream);
    body.put_slice(&[0; 6]);
    body.put_slice(headers);
    control(SYN_STREAM, last, &body)
}

/// Accepts a stream.
pub fn reply(stream: u32, headers: &[u8]) -> Bytes {
    control(SYN_REPLY, false, &[&stream.to_be_bytes(), headers].concat())
}

/// Ends a stream in both directions.
pub fn reset(stream: u32, why: Reset) -> Bytes {
    control(RST_STREAM, false, &[stream.to_be_bytes(), (why as u32).to_be_bytes()].concat())
}

/// A sign of life, or the answer to one.
pub fn ping(id: u32) -> Bytes {
    control(PING, false, &id.to_be_bytes())
}

/// The connection ends after the streams that are open.
pub fn go_away(last_stream: u32) -> Bytes {
    control(GOAWAY, false, &[last_stream.to_be_bytes(), [0; 4]].concat())
}

fn control(kind: u16, last: bool, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + body.len());
    out.put_u16(0x8003);
    out.put_u16(kind);
    out.put_u32(u32::from(last) << 24 | body.len() as u32);
    out.put_slice(body);
    out.freeze()
}

/// Takes bytes apart into events.
#[derive(Default)]
pub struct Decoder {
    buffer: BytesMut,
    open: Option<Open>,
}

/// A data frame whose payload is being read.
struct Open {
    stream: u32,
    last: bool,
    left: usize,
}

impl Decoder {
    /// Where bytes are put that were received.
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.buffer.reserve(8 * 1024);
        &mut self.buffer
    }

    /// The next event; `None` when more bytes are needed.
    pub fn event(&mut self) -> Result<Option<Event>, ProtocolError> {
        if self.open.is_some() {
            return Ok(self.piece());
        }
        let Some((header, _)) = self.buffer.split_first_chunk::<8>() else { return Ok(None) };
        let [a, b, c, d, flags, length @ ..] = *header;
        let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
        let last = flags & FIN != 0;
        if a & 0x80 == 0 {
            let stream = u32::from_be_bytes([a, b, c, d]);
            if stream == 0 {
                return Err(ProtocolError::Stream);
            }
            self.buffer.advance(8);
            self.open = Some(Open { stream, last, left: length });
            return Ok(self.piece());
        }
        let version = u16::from_be_bytes([a & 0x7f, b]);
        if version != 3 {
            return Err(ProtocolError::Version(version));
        }
        if length > CONTROL {
            return Err(ProtocolError::Length(length));
        }
        if self.buffer.len() < 8 + length {
            return Ok(None);
        }
        self.buffer.advance(8);
        let body = self.buffer.split_to(length).freeze();
        read(u16::from_be_bytes([c, d]), last, body).map(Some)
    }

    fn piece(&mut self) -> Option<Event> {
        let open = self.open.as_mut()?;
        if open.left > 0 && self.buffer.is_empty() {
            return None;
        }
        let length = open.left.min(self.buffer.len()).min(PIECE);
        let payload = self.buffer.split_to(length).freeze();
        open.left -= length;
        let (stream, last) = (open.stream, open.last && open.left == 0);
        if open.left == 0 {
            self.open = None;
        }
        Some(Event::Data { stream, last, payload })
    }
}

fn read(kind: u16, last: bool, mut body: Bytes) -> Result<Event, ProtocolError> {
    let length = body.len();
    let mut number = || body.try_get_u32().map_err(|_| ProtocolError::Length(length));
    Ok(match kind {
        SYN_STREAM => {
            let stream = id(number()?)?;
            number()?;
            body.try_get_u16().map_err(|_| ProtocolError::Length(length))?;
            Event::Open { stream, last, headers: body }
        }
        SYN_REPLY => Event::Reply { stream: id(number()?)?, last, headers: body },
        HEADERS => Event::Headers { stream: id(number()?)?, last, headers: body },
        RST_STREAM => Event::Reset { stream: id(number()?)?, status: number()? },
        PING => Event::Ping(number()?),
        GOAWAY => Event::GoAway,
        SETTINGS | WINDOW_UPDATE => Event::Ignored,
        other => return Err(ProtocolError::Kind(other)),
    })
}

fn id(number: u32) -> Result<u32, ProtocolError> {
    match number & 0x7fff_ffff {
        0 => Err(ProtocolError::Stream),
        id => Ok(id),
    }
}
