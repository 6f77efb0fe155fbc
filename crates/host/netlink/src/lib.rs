//! Links, addresses, routes and nf_tables over one batched netlink socket; encoders only, no policy.

mod error;

pub use error::Error;
