//! DNS messages (RFC 1035, 2782, 6891): one question is read, its answer written; an answer of another server is read as far as passing it on needs.
//!
//! - [`Query`]: a question, and the [`Reply`] made of [`Record`]s
//! - [`Relay`]: what another server said: how long it holds, its addresses, and the same for another client
//!
//! No sockets, no zones. Names are texts in lower case without a closing dot; bytes that would make them ambiguous are escaped, so that such a name
//! equals none that anybody has.

mod query;
mod relay;
mod reply;

pub use query::{Kind, Query, reverse_name};
pub use relay::{Relay, ask};
pub use reply::{Code, Data, Record, Reply, refuse};

pub(crate) const HEADER: usize = 12;
pub(crate) const CLASS_IN: u16 = 1;
pub(crate) const OPT: u16 = 41;
// bits of the third and fourth byte of a message
pub(crate) const RESPONSE: u8 = 0x80;
pub(crate) const OPERATION: u8 = 0x78;
pub(crate) const AUTHORITATIVE: u8 = 0x04;
pub(crate) const TRUNCATED: u8 = 0x02;
pub(crate) const RECURSION_DESIRED: u8 = 0x01;
pub(crate) const RECURSION_AVAILABLE: u8 = 0x80;

/// Longest message over UDP to who says nothing about it.
pub const UDP_LIMIT: usize = 512;
/// What we take over UDP, and the most that we send: it passes every path without fragments.
pub const UDP_SIZE: u16 = 1232;
/// Longest message over TCP.
pub const TCP_LIMIT: usize = u16::MAX as usize;
