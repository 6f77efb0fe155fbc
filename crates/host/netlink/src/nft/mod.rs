//! Requests about nf_tables: tables, chains, rules, sets and maps, their elements.
//!
//! Names and numbers are those of `linux/netfilter/nf_tables.h`. A [`Table`] makes the requests; [`Expr`] is what a
//! rule is made of; [`SetSpec`] describes a set or map.

mod expr;
mod set;

use std::borrow::Cow;

pub use expr::{CtKey, Expr, MetaKey, Original, PayloadBase, Refusal, Verdict, reg};
pub use set::{DataType, Element, SetSpec};

use crate::attr::{Writer, attributes};
use crate::error::Error;
use crate::socket::{F_APPEND, F_CREATE, F_DUMP, Request, Socket};

const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;

/// Elements that go into one message: its attribute lengths have 16 bits.
const ELEMENTS_PER_MESSAGE: usize = 256;

/// Family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6 together.
    Inet,
    Ipv4,
    Ipv6,
}

impl Family {
    /// The kernel's number.
    pub fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Ipv4 => 2,
            Family::Ipv6 => 10,
        }
    }
}

/// Where packets enter a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainType {
    Filter,
    Nat,
}

/// A base chain's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    pub kind: ChainType,
    pub hook: Hook,
    /// Lower goes first: -300 before connection tracking, -100 destination, 100 source translation, 0 filter.
    pub priority: i32,
}

/// Makes requests about one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    family: Family,
    name: String,
}

impl Table {
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Table { family, name: name.into() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the table; success if it is there.
    pub fn add(&self) -> Request {
        self.request(format!("add table {}", self.name), NEWTABLE, F_CREATE, |body| {
            body.text(1, &self.name).be32(2, 0);
        })
    }

    /// Deletes the table and everything in it.
    pub fn delete(&self) -> Request {
        self.request(format!("delete table {}", self.name), DELTABLE, 0, |body| {
            body.text(1, &self.name);
        })
    }

    /// Whether the table exists.
    pub fn exists(&self, socket: &mut Socket) -> Result<bool, Error> {
        let get = self.request(format!("look for table {}", self.name), GETTABLE, 0, |body| {
            body.text(1, &self.name);
        });
        match socket.dump(&get, |_| Some(())) {
            Ok(found) => Ok(!found.is_empty()),
            Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a chain; success if it is there as described. Packets that reach the end of a base chain go on.
    pub fn add_chain(&self, chain: &str, base: Option<Base>) -> Request {
        self.request(format!("add chain {chain}"), NEWCHAIN, F_CREATE, |body| {
            body.text(1, &self.name).text(3, chain);
            if let Some(base) = base {
                const ACCEPT: u32 = 1;
                body.nest(4, |hook| {
                    hook.be32(1, base.hook as u32).be32(2, base.priority as u32);
                });
                body.be32(5, ACCEPT);
                body.text(
                    7,
                    match base.kind {
                        ChainType::Filter => "filter",
                        ChainType::Nat => "nat",
                    },
                );
            }
        })
    }

    /// Deletes every rule of a chain.
    pub fn flush_chain(&self, chain: &str) -> Request {
        self.request(format!("flush chain {chain}"), DELRULE, 0, |body| {
            body.text(1, &self.name).text(2, chain);
        })
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&self, chain: &str, rule: &[Expr]) -> Request {
        self.request(format!("add rule to chain {chain}"), NEWRULE, F_CREATE | F_APPEND, |body| {
            body.text(1, &self.name).text(2, chain).nest(4, |list| {
                for expr in rule {
                    list.nest(1, |element| expr.write(element));
                }
            });
        })
    }

    /// Makes a set or map; success if it is there as described.
    pub fn add_set(&self, set: &SetSpec) -> Request {
        self.request(format!("add set {}", set.name), NEWSET, F_CREATE, |body| {
            body.text(1, &self.name);
            set.write(body);
        })
    }

    /// Adds elements; success for one that is there with the same data, EEXIST for other data.
    pub fn add_elements(&self, set: &SetSpec, elements: &[Element]) -> Vec<Request> {
        self.elements("add elements to", NEWSETELEM, F_CREATE, set, elements)
    }

    /// Deletes elements; ENOENT for one that is not there.
    pub fn delete_elements(&self, set: &SetSpec, elements: &[Element]) -> Vec<Request> {
        self.elements("delete elements of", DELSETELEM, 0, set, elements)
    }

    /// Deletes all elements.
    pub fn flush_set(&self, set: &SetSpec) -> Request {
        self.request(format!("flush set {}", set.name), DELSETELEM, 0, |body| {
            body.text(1, &self.name).text(2, set.name);
        })
    }

    /// Elements of a set.
    pub fn dump_elements(&self, socket: &mut Socket, set: &SetSpec) -> Result<Vec<Element>, Error> {
        let get = self.request(format!("list elements of {}", set.name), GETSETELEM, F_DUMP, |body| {
            body.text(1, &self.name).text(2, set.name);
        });
        let messages = socket.dump(&get, |body| {
            let list = attributes(body.get(4..)?).find(3)?;
            Some(attributes(list).filter_map(|(_, element)| Element::read(element)).collect::<Vec<_>>())
        })?;
        Ok(messages.into_iter().flatten().collect())
    }

    fn elements(&self, verb: &'static str, kind: u16, flags: u16, set: &SetSpec, elements: &[Element]) -> Vec<Request> {
        let message = |part: &[Element]| {
            self.request(format!("{verb} {}", set.name), kind, flags, |body| {
                body.text(1, &self.name).text(2, set.name).nest(3, |list| {
                    for element in part {
                        list.nest(1, |one| element.write(one));
                    }
                });
            })
        };
        elements.chunks(ELEMENTS_PER_MESSAGE).map(message).collect()
    }

    fn request(
        &self,
        what: impl Into<Cow<'static, str>>,
        kind: u16,
        flags: u16,
        fill: impl FnOnce(&mut Writer),
    ) -> Request {
        let mut body = Writer::with_header(&[self.family.number(), 0, 0, 0]);
        fill(&mut body);
        Request { what: what.into(), kind: SUBSYSTEM | kind, flags, body: body.0, tolerated: None }
    }
}

pub(crate) fn batch_begin() -> Request {
    batch_mark("begin", BATCH_BEGIN)
}

pub(crate) fn batch_end() -> Request {
    batch_mark("end", BATCH_END)
}

fn batch_mark(what: &'static str, kind: u16) -> Request {
    // family unspecified, version 0, the subsystem in network order
    Request { what: Cow::Borrowed(what), kind, flags: 0, body: vec![0, 0, 0, 10], tolerated: None }
}

#[cfg(test)]
mod tests;
