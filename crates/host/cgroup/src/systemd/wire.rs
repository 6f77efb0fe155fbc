//! D-Bus messages as far as they are needed (D-Bus specification, "Marshaling" and "Message Format"): little-endian only.

use std::io;

/// Writes values with the alignment that each of them has.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    /// Object paths look the same.
    pub(super) fn string(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    pub(super) fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array whose elements have that alignment.
    pub(super) fn array(&mut self, align: usize, elements: impl FnOnce(&mut Writer)) {
        self.u32(0);
        let length_at = self.0.len() - 4;
        self.align(align);
        let start = self.0.len();
        elements(self);
        let length = (self.0.len() - start) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// A method call.
pub(super) struct Call<'a> {
    pub(super) serial: u32,
    pub(super) destination: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) signature: &'a str,
}

impl Call<'_> {
    /// The whole message.
    pub(super) fn message(&self, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut content = Writer::default();
        body(&mut content);
        let mut message = Writer(vec![b'l', 1, 0, 1]);
        message.u32(content.0.len() as u32);
        message.u32(self.serial);
        message.array(8, |fields| {
            let mut field = |code: u8, kind: &str, text: &str| {
                fields.align(8);
                fields.byte(code);
                fields.signature(kind);
                match kind {
                    "g" => fields.signature(text),
                    _ => fields.string(text),
                }
            };
            field(1, "o", self.path);
            field(2, "s", self.interface);
            field(3, "s", self.member);
            if let Some(destination) = self.destination {
                field(6, "s", destination);
            }
            if !self.signature.is_empty() {
                field(8, "g", self.signature);
            }
        });
        message.align(8);
        message.0.extend(content.0);
        message.0
    }
}

/// The fixed beginning of every message.
pub(super) const HEAD: usize = 16;
/// The specification's own limit is 128 MiB; what is heard here is short.
const LONGEST: usize = 1 << 20;

/// How many bytes follow a message's fixed beginning.
pub(super) fn rest(head: &[u8; HEAD]) -> io::Result<usize> {
    let [body, fields] =
        [4, 12].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize);
    if head[0] != b'l' || body > LONGEST || fields > LONGEST {
        return Err(unreadable());
    }
    Ok(fields.next_multiple_of(8) + body)
}

/// Kinds of messages that are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Answer,
    Failure,
    Signal,
    Other,
}

/// A message that was heard.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) kind: Kind,
    /// The call that it answers, or 0.
    pub(super) answers: u32,
    pub(super) member: String,
    pub(super) error: String,
    body: Vec<u8>,
}

impl Heard {
    /// Takes a message apart.
    pub(super) fn parse(head: &[u8; HEAD], rest: &[u8]) -> io::Result<Heard> {
        let length = u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize;
        let fields = rest.get(..length).ok_or_else(unreadable)?;
        let body = rest.get(length.next_multiple_of(8)..).ok_or_else(unreadable)?.to_vec();
        let kind = match head[1] {
            2 => Kind::Answer,
            3 => Kind::Failure,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let mut heard = Heard { kind, answers: 0, member: String::new(), error: String::new(), body };
        let mut reader = Reader { bytes: fields, at: 0 };
        while reader.at < fields.len() {
            reader.align(8);
            let code = reader.byte()?;
            match (code, reader.signature()?.as_str()) {
                (3, "s") => heard.member = reader.string()?,
                (4, "s") => heard.error = reader.string()?,
                (5, "u") => heard.answers = reader.u32()?,
                (_, "s" | "o") => drop(reader.string()?),
                (_, "g") => drop(reader.signature()?),
                (_, "u") => drop(reader.u32()?),
                _ => return Err(unreadable()),
            }
        }
        Ok(heard)
    }

    /// The first value, a text or an object path.
    pub(super) fn object_path(&self) -> io::Result<String> {
        self.reader().string()
    }

    /// The values.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0 }
    }
}

/// Reads values.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> io::Result<&[u8]> {
        let end = self.at.checked_add(length).ok_or_else(unreadable)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(unreadable)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u32(&mut self) -> io::Result<u32> {
        self.align(4);
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn string(&mut self) -> io::Result<String> {
        let length = self.u32()? as usize;
        self.text(length)
    }

    fn signature(&mut self) -> io::Result<String> {
        let length = usize::from(self.byte()?);
        self.text(length)
    }

    fn text(&mut self, length: usize) -> io::Result<String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(text)
    }
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an unreadable D-Bus message")
}

#[cfg(test)]
mod tests;
