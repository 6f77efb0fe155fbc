//! Sets and maps: their description, and elements written and read.

use crate::attr::{Writer, attributes};
use crate::nft::expr::{Verdict, value};

const F_INTERVAL: u32 = 0x4;
const F_MAP: u32 = 0x8;
const F_TIMEOUT: u32 = 0x10;
const F_EVALUATED: u32 = 0x20;
const F_CONCAT: u32 = 0x80;
const ELEMENT_END: u32 = 1;

/// Types of a key's or datum's fields; what the kernel needs is their length, the number is for people's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataType {
    Ipv4Addr,
    Ipv6Addr,
    /// Transport protocol, one byte.
    InetProto,
    /// Port, two bytes in network order.
    InetService,
    /// A number, four bytes in host order.
    Mark,
    /// Name of a device, 16 bytes.
    IfName,
    /// What happens to a packet; only as the data of a map, and alone.
    Verdict,
}

impl DataType {
    fn number(self) -> u32 {
        match self {
            DataType::Ipv4Addr => 7,
            DataType::Ipv6Addr => 8,
            DataType::InetProto => 12,
            DataType::InetService => 13,
            DataType::Mark => 19,
            DataType::IfName => 41,
            DataType::Verdict => 0xffff_ff00,
        }
    }

    fn len(self) -> u32 {
        match self {
            DataType::Ipv4Addr | DataType::Mark => 4,
            DataType::Ipv6Addr | DataType::IfName | DataType::Verdict => 16,
            DataType::InetProto => 1,
            DataType::InetService => 2,
        }
    }
}

/// A set or a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetSpec {
    pub name: &'static str,
    /// Fields of a key; several make a concatenation.
    pub key: &'static [DataType],
    /// Fields of the data, for a map.
    pub data: Option<&'static [DataType]>,
    /// Whether elements are ranges.
    pub interval: bool,
    /// Rules write it: it holds so many elements at most, each for a time.
    pub dynamic: Option<u32>,
}

impl SetSpec {
    /// A set of single keys.
    pub const fn new(name: &'static str, key: &'static [DataType]) -> Self {
        SetSpec { name, key, data: None, interval: false, dynamic: None }
    }

    /// A map of single keys.
    pub const fn map(name: &'static str, key: &'static [DataType], data: &'static [DataType]) -> Self {
        SetSpec { data: Some(data), ..SetSpec::new(name, key) }
    }

    /// A set of ranges.
    pub const fn ranges(name: &'static str, key: &'static [DataType]) -> Self {
        SetSpec { interval: true, ..SetSpec::new(name, key) }
    }

    pub(crate) fn write(&self, body: &mut Writer) {
        let concatenated = self.key.len() > 1;
        let mut flags = 0;
        flags |= if self.interval { F_INTERVAL } else { 0 };
        flags |= if self.data.is_some() { F_MAP } else { 0 };
        flags |= if self.interval && concatenated { F_CONCAT } else { 0 };
        flags |= if self.dynamic.is_some() { F_TIMEOUT | F_EVALUATED } else { 0 };
        body.text(2, self.name).be32(3, flags);
        body.be32(4, type_number(self.key)).be32(5, length(self.key));
        if let Some(data) = self.data {
            body.be32(6, type_number(data)).be32(7, length(data));
        }
        if self.interval && concatenated || self.dynamic.is_some() {
            body.nest(9, |description| {
                if let Some(most) = self.dynamic {
                    description.be32(1, most);
                }
                if self.interval && concatenated {
                    description.nest(2, |fields| {
                        for field in self.key {
                            fields.nest(1, |one| {
                                one.be32(1, field.len());
                            });
                        }
                    });
                }
            });
        }
        // the kernel wants a number for the set inside its transaction; names are what we refer to
        body.be32(10, 0);
        if self.key == [DataType::IfName] {
            // for people's tools: the key is in host order, which is how they know a text from a number
            body.bytes(13, &[0, 4, 1, 0, 0, 0]);
        }
    }
}

/// One element: a key, the end of its range where it is one, and data or a verdict in a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Element {
    pub key: Vec<u8>,
    /// Last key of the range, in a concatenation of ranges.
    pub key_end: Option<Vec<u8>>,
    pub data: Option<Vec<u8>>,
    pub verdict: Option<Verdict>,
    /// Marks the first key after a range, in a set of plain ranges.
    pub end: bool,
}

impl Element {
    /// A key of several fields, each padded to four bytes.
    pub fn key(fields: &[&[u8]]) -> Self {
        Element { key: concatenate(fields), key_end: None, data: None, verdict: None, end: false }
    }

    /// With data of several fields.
    pub fn with_data(mut self, fields: &[&[u8]]) -> Self {
        self.data = Some(concatenate(fields));
        self
    }

    /// With a verdict.
    pub fn deciding(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// With the last key of a range.
    pub fn to(mut self, fields: &[&[u8]]) -> Self {
        self.key_end = Some(concatenate(fields));
        self
    }

    /// The first key after a range.
    pub fn end_before(fields: &[&[u8]]) -> Self {
        Element { end: true, ..Element::key(fields) }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        value(out, 1, &self.key);
        if let Some(end) = &self.key_end {
            value(out, 10, end);
        }
        if let Some(data) = &self.data {
            value(out, 2, data);
        }
        if let Some(verdict) = &self.verdict {
            out.nest(2, |data| verdict.write(data));
        }
        if self.end {
            out.be32(3, ELEMENT_END);
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let inner = |kind| attributes(bytes).find(kind).and_then(|data| attributes(data).find(1)).map(<[u8]>::to_vec);
        let flags = attributes(bytes).find(3).and_then(|flags| flags.first_chunk::<4>());
        Some(Element {
            key: inner(1)?,
            key_end: inner(10),
            data: inner(2),
            verdict: attributes(bytes).find(2).and_then(|data| attributes(data).find(2)).and_then(Verdict::read),
            end: flags.is_some_and(|flags| u32::from_be_bytes(*flags) & ELEMENT_END != 0),
        })
    }
}

fn concatenate(fields: &[&[u8]]) -> Vec<u8> {
    if let [only] = fields {
        return only.to_vec();
    }
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(field);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn type_number(fields: &[DataType]) -> u32 {
    fields.iter().fold(0, |number, field| number << 6 | field.number())
}

fn length(fields: &[DataType]) -> u32 {
    match fields {
        [only] => only.len(),
        several => several.iter().map(|field| field.len().next_multiple_of(4)).sum(),
    }
}
