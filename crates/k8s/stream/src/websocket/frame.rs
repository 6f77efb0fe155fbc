//! Frames of WebSocket (RFC 6455, section 5): encoded whole, decoded piece by piece.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// How much of a message is handed on at once.
const PIECE: usize = 64 * 1024;
/// How long a control frame's payload may be (section 5.5).
const CONTROL: u64 = 125;

/// Whose side we are on: clients mask what they send, servers do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// What a frame's payload is masked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    None,
    Key([u8; 4]),
}

/// What a peer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A piece of a message: whether it is the first of it, and the last.
    Data {
        text: bool,
        first: bool,
        last: bool,
        payload: Bytes,
    },
    Ping(Bytes),
    Pong(Bytes),
    /// The code, where one was given.
    Close(Option<u16>),
}

/// A peer that does not speak WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("a frame has reserved bits")]
    Reserved,
    #[error("a frame of unknown kind {0}")]
    Opcode(u8),
    #[error("a frame is masked that must not be, or is not that must be")]
    Masking,
    #[error("a control frame in parts, or longer than 125 bytes")]
    Control,
    #[error("a length that is not written in its shortest form")]
    Length,
    #[error("a message begins within another, or goes on without one")]
    Order,
    #[error("a close frame without a proper code and reason")]
    Close,
}

impl ProtocolError {
    /// The code to close with (section 7.4.1): the peer broke the protocol.
    pub const CODE: u16 = 1002;
}

/// A whole message or control frame; `parts` follow each other.
pub fn encode(opcode: Opcode, parts: &[&[u8]], mask: Mask) -> Bytes {
    encode_part(opcode, true, parts, mask)
}

/// A frame that is the last one of its message, or not.
pub fn encode_part(opcode: Opcode, last: bool, parts: &[&[u8]], mask: Mask) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = BytesMut::with_capacity(length + 14);
    out.put_u8(u8::from(last) << 7 | opcode as u8);
    let masked = match mask {
        Mask::None => 0,
        Mask::Key(_) => 0x80,
    };
    match length {
        0..=125 => out.put_u8(masked | length as u8),
        126..=0xffff => {
            out.put_u8(masked | 126);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(masked | 127);
            out.put_u64(length as u64);
        }
    }
    if let Mask::Key(key) = mask {
        out.put_slice(&key);
    }
    let begin = out.len();
    parts.iter().for_each(|part| out.put_slice(part));
    if let Mask::Key(key) = mask {
        apply(&mut out[begin..], key, 0);
    }
    out.freeze()
}

/// A close frame.
pub fn encode_close(code: u16, reason: &str, mask: Mask) -> Bytes {
    encode(Opcode::Close, &[&code.to_be_bytes(), reason.as_bytes()], mask)
}

fn apply(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[(at + offset) % 4];
    }
}

/// Takes bytes apart into events.
pub struct Decoder {
    role: Role,
    buffer: BytesMut,
    /// The data frame whose payload is being read.
    open: Option<Open>,
    /// The message that more frames are to follow of: whether it is text.
    message: Option<bool>,
}

struct Open {
    text: bool,
    first: bool,
    /// Whether it is the last frame of its message.
    last: bool,
    left: u64,
    mask: Mask,
    /// How much of the payload was handed on, modulo 4.
    offset: usize,
}

struct Header {
    opcode: Opcode,
    last: bool,
    mask: Mask,
    length: u64,
    size: usize,
}

impl Decoder {
    /// Decodes what the peer of `role` sends.
    pub fn new(role: Role) -> Decoder {
        Decoder { role, buffer: BytesMut::with_capacity(8 * 1024), open: None, message: None }
    }

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
        let Some(header) = self.header()? else { return Ok(None) };
        match header.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control(header),
            opcode => {
                self.begin(opcode, header)?;
                Ok(self.piece())
            }
        }
    }

    fn header(&self) -> Result<Option<Header>, ProtocolError> {
        let [first, second, rest @ ..] = &self.buffer[..] else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(ProtocolError::Reserved);
        }
        let opcode = match first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            other => return Err(ProtocolError::Opcode(other)),
        };
        let masked = second & 0x80 != 0;
        if masked != (self.role == Role::Server) {
            return Err(ProtocolError::Masking);
        }
        let (length, extended) = match second & 0x7f {
            126 => match rest.first_chunk() {
                Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(bytes) => (u64::from_be_bytes(*bytes), 8),
                None => return Ok(None),
            },
            length => (u64::from(length), 0),
        };
        if (extended == 2 && length < 126) || (extended == 8 && (length <= 0xffff || length >> 63 != 0)) {
            return Err(ProtocolError::Length);
        }
        let last = first & 0x80 != 0;
        if *first & 8 != 0 && (!last || length > CONTROL) {
            return Err(ProtocolError::Control);
        }
        let mask = match rest.get(extended..).and_then(<[u8]>::first_chunk) {
            _ if !masked => Mask::None,
            Some(key) => Mask::Key(*key),
            None => return Ok(None),
        };
        let size = 2 + extended + if masked { 4 } else { 0 };
        Ok(Some(Header { opcode, last, mask, length, size }))
    }

    fn control(&mut self, header: Header) -> Result<Option<Event>, ProtocolError> {
        let length = header.length as usize;
        if self.buffer.len() < header.size + length {
            return Ok(None);
        }
        self.buffer.advance(header.size);
        let mut payload = self.buffer.split_to(length);
        if let Mask::Key(key) = header.mask {
            apply(&mut payload, key, 0);
        }
        let payload = payload.freeze();
        Ok(Some(match header.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            _ => Event::Close(close_code(&payload)?),
        }))
    }

    fn begin(&mut self, opcode: Opcode, header: Header) -> Result<(), ProtocolError> {
        let (text, first) = match (opcode, self.message) {
            (Opcode::Continuation, Some(text)) => (text, false),
            (Opcode::Text, None) => (true, true),
            (Opcode::Binary, None) => (false, true),
            _ => return Err(ProtocolError::Order),
        };
        self.buffer.advance(header.size);
        self.message = (!header.last).then_some(text);
        self.open = Some(Open { text, first, last: header.last, left: header.length, mask: header.mask, offset: 0 });
        Ok(())
    }

    fn piece(&mut self) -> Option<Event> {
        let open = self.open.as_mut()?;
        if open.left > 0 && self.buffer.is_empty() {
            return None;
        }
        let length = open.left.min(self.buffer.len() as u64).min(PIECE as u64) as usize;
        let mut payload = self.buffer.split_to(length);
        if let Mask::Key(key) = open.mask {
            apply(&mut payload, key, open.offset);
        }
        open.offset = (open.offset + length) % 4;
        open.left -= length as u64;
        let (text, first, last) = (open.text, open.first, open.last && open.left == 0);
        open.first = false;
        if open.left == 0 {
            self.open = None;
        }
        Some(Event::Data { text, first, last, payload: payload.freeze() })
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, ProtocolError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(ProtocolError::Close) };
    };
    let code = u16::from_be_bytes(*code);
    let known = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !known || std::str::from_utf8(reason).is_err() {
        return Err(ProtocolError::Close);
    }
    Ok(Some(code))
}
