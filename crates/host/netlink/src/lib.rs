//! Links, addresses, routes and nf_tables over one batched netlink socket; encoders only, no policy.
//!
//! A [`Request`] is one message with a description for errors; a [`Batch`] of them goes to the kernel in one send, and
//! every answer is matched to its request by sequence number, so that an error names the request that failed and
//! carries the kernel's own words. [`route`] makes requests for links, addresses and routes; [`nft`] makes tables,
//! chains, rules, sets and their elements, which the kernel applies all or none; [`conntrack`] forgets connections.
//!
//! A socket belongs to the network namespace of the thread that opened it, for as long as it lives, wherever it is
//! used from; it also keeps that namespace alive.

mod attr;
pub mod conntrack;
mod error;
pub mod nft;
pub mod route;
mod socket;

pub use attr::{Attributes, Writer, attributes};
pub use error::Error;
pub use socket::{Batch, Protocol, Request, Socket};
