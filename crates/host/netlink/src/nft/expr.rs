//! Expressions: what a rule computes, compares and decides, and how each is written.

use crate::attr::{Writer, attributes};

/// Registers: sixteen of four bytes.
pub mod reg {
    /// Where a verdict goes.
    pub const VERDICT: u32 = 0;

    /// The `n`th register of four bytes, 0 to 15.
    pub const fn at(n: u32) -> u32 {
        8 + n
    }
}

/// What `meta` loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaKey {
    /// Name of the device a packet came in by, 16 bytes.
    InName = 6,
    /// Name of the device it goes out by, 16 bytes.
    OutName = 7,
    /// Family, one byte: 2 for IPv4, 10 for IPv6.
    Family = 15,
    /// Transport protocol, one byte.
    Transport = 16,
}

/// Header that `payload` loads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadBase {
    Network = 1,
    Transport = 2,
}

/// What `ct` loads: four bytes of bits in host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtKey {
    State = 0,
    Status = 2,
}

/// What a connection was before any translation, as its first packet said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Original {
    /// Destination port, two bytes in network order.
    Port = 12,
    /// Destination, four bytes.
    Ipv4 = 20,
    /// Destination, 16 bytes.
    Ipv6 = 22,
}

/// How a packet is refused, so that its sender need not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    TcpReset,
    PortUnreachable,
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

/// One expression of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Loads a property of the packet.
    Meta { key: MetaKey, to: u32 },
    /// Loads bytes of a header.
    Payload { base: PayloadBase, offset: u32, len: u32, to: u32 },
    /// Goes on if a register is equal (or is not) to bytes.
    Cmp { from: u32, equal: bool, data: Vec<u8> },
    /// `to = from & mask`.
    Mask { from: u32, to: u32, mask: Vec<u8> },
    /// Goes on if a key is in a set (or is not).
    Lookup { set: String, from: u32, present: bool },
    /// Goes on if a key is in a map, with its data; with [`reg::VERDICT`] as the place, decides as the map says.
    Map { map: String, from: u32, to: u32 },
    /// Loads bytes.
    Load { to: u32, data: Vec<u8> },
    /// Decides.
    Verdict(Verdict),
    /// Destination translation to the address and port in registers.
    Dnat { family: u8, addr: u32, port: Option<u32> },
    /// Source translation to the address in a register.
    Snat { family: u8, addr: u32 },
    /// Source translation to the address of the device the packet leaves by.
    Masquerade,
    /// Loads a property of the connection.
    Ct { key: CtKey, to: u32 },
    /// Loads what the connection was meant for.
    CtOriginal { what: Original, to: u32 },
    /// Loads a random number below `below`, four bytes in host order.
    Random { below: u32, to: u32 },
    /// Writes a key with its data into a map whose elements end by themselves, or puts their end off.
    Remember { map: String, key: u32, data: u32, milliseconds: u64 },
    /// Refuses.
    Reject(Refusal),
    /// Loads the type of the destination address: 2 means local.
    FibDestinationType { to: u32 },
    /// Counts.
    Counter,
}

impl Expr {
    pub(crate) fn write(&self, element: &mut Writer) {
        element.text(1, self.name()).nest(2, |data| self.write_data(data));
    }

    fn name(&self) -> &'static str {
        match self {
            Expr::Meta { .. } => "meta",
            Expr::Payload { .. } => "payload",
            Expr::Cmp { .. } => "cmp",
            Expr::Mask { .. } => "bitwise",
            Expr::Lookup { .. } | Expr::Map { .. } => "lookup",
            Expr::Load { .. } | Expr::Verdict(_) => "immediate",
            Expr::Dnat { .. } | Expr::Snat { .. } => "nat",
            Expr::Masquerade => "masq",
            Expr::Ct { .. } | Expr::CtOriginal { .. } => "ct",
            Expr::Random { .. } => "numgen",
            Expr::Remember { .. } => "dynset",
            Expr::Reject(_) => "reject",
            Expr::FibDestinationType { .. } => "fib",
            Expr::Counter => "counter",
        }
    }

    fn write_data(&self, out: &mut Writer) {
        const INVERTED: u32 = 1;
        match self {
            Expr::Meta { key, to } => {
                out.be32(1, *to).be32(2, *key as u32);
            }
            Expr::Payload { base, offset, len, to } => {
                out.be32(1, *to).be32(2, *base as u32).be32(3, *offset).be32(4, *len);
            }
            Expr::Cmp { from, equal, data } => {
                out.be32(1, *from).be32(2, u32::from(!equal));
                value(out, 3, data);
            }
            Expr::Mask { from, to, mask } => {
                out.be32(1, *from).be32(2, *to).be32(3, mask.len() as u32);
                value(out, 4, mask);
                value(out, 5, &vec![0; mask.len()]);
            }
            Expr::Lookup { set, from, present } => {
                out.text(1, set).be32(2, *from);
                if !present {
                    out.be32(5, INVERTED);
                }
            }
            Expr::Map { map, from, to } => {
                out.text(1, map).be32(2, *from).be32(3, *to);
            }
            Expr::Load { to, data } => {
                out.be32(1, *to);
                value(out, 2, data);
            }
            Expr::Verdict(verdict) => {
                out.be32(1, reg::VERDICT).nest(2, |data| verdict.write(data));
            }
            Expr::Dnat { family, addr, port } => {
                out.be32(1, 1).be32(2, u32::from(*family)).be32(3, *addr).be32(4, *addr);
                if let Some(port) = port {
                    out.be32(5, *port).be32(6, *port);
                }
            }
            Expr::Snat { family, addr } => {
                out.be32(1, 0).be32(2, u32::from(*family)).be32(3, *addr).be32(4, *addr);
            }
            Expr::Masquerade => {}
            Expr::Ct { key, to } => {
                out.be32(1, *to).be32(2, *key as u32);
            }
            Expr::CtOriginal { what, to } => {
                const ORIGINAL: u8 = 0;
                out.be32(1, *to).be32(2, *what as u32).bytes(3, &[ORIGINAL]);
            }
            Expr::Random { below, to } => {
                const RANDOM: u32 = 1;
                out.be32(1, *to).be32(2, *below).be32(3, RANDOM).be32(4, 0);
            }
            Expr::Remember { map, key, data, milliseconds } => {
                const UPDATE: u32 = 1;
                out.text(1, map).be32(3, UPDATE).be32(4, *key).be32(5, *data).be64(6, *milliseconds);
            }
            Expr::Reject(refusal) => {
                const RESET: u32 = 1;
                const UNREACHABLE: u32 = 2;
                const PORT: u8 = 1;
                match refusal {
                    Refusal::TcpReset => out.be32(1, RESET),
                    Refusal::PortUnreachable => out.be32(1, UNREACHABLE).bytes(2, &[PORT]),
                };
            }
            Expr::FibDestinationType { to } => {
                const ADDRESS_TYPE: u32 = 3;
                const DESTINATION: u32 = 2;
                out.be32(1, *to).be32(2, ADDRESS_TYPE).be32(3, DESTINATION);
            }
            Expr::Counter => {
                out.be64(1, 0).be64(2, 0);
            }
        }
    }
}

impl Verdict {
    /// Writes the verdict as data: of an immediate expression, or of a map's element.
    pub(crate) fn write(&self, data: &mut Writer) {
        const DATA_VERDICT: u16 = 2;
        data.nest(DATA_VERDICT, |verdict| match self {
            Verdict::Drop => _ = verdict.be32(1, 0),
            Verdict::Accept => _ = verdict.be32(1, 1),
            Verdict::Jump(chain) => _ = verdict.be32(1, -3i32 as u32).text(2, chain),
            Verdict::Goto(chain) => _ = verdict.be32(1, -4i32 as u32).text(2, chain),
            Verdict::Return => _ = verdict.be32(1, -5i32 as u32),
        });
    }

    /// Reads what the kernel tells of a map's element.
    pub(crate) fn read(verdict: &[u8]) -> Option<Verdict> {
        let code = i32::from_be_bytes(*attributes(verdict).find(1)?.first_chunk::<4>()?);
        let chain = attributes(verdict)
            .find(2)
            .map(|name| String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned());
        match code {
            0 => Some(Verdict::Drop),
            1 => Some(Verdict::Accept),
            -3 => chain.map(Verdict::Jump),
            -4 => chain.map(Verdict::Goto),
            -5 => Some(Verdict::Return),
            _ => None,
        }
    }
}

/// Bytes as the kernel's generic data.
pub(crate) fn value(out: &mut Writer, kind: u16, bytes: &[u8]) {
    const DATA_VALUE: u16 = 1;
    out.nest(kind, |data| {
        data.bytes(DATA_VALUE, bytes);
    });
}
