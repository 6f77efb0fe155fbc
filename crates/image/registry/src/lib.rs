//! Pull from and push to registries of the OCI distribution specification.
//!
//! A [`Client`] is what a daemon has one of: settings, connections, and which way a registry was last reached. Every
//! [`pull`](Client::pull) and [`push`](Client::push) opens a session with one repository, and brings layers straight
//! into or out of the [`store::Store`]:
//!
//! ```text
//! pull: manifest ─▶ choice of platform ─▶ configuration ─▶ layers, several at a time ─▶ one commit to the store
//!                                            └─ a cut connection goes on where it stopped (Range)
//! push: layers: known there? mounted from a sister repository? else compressed and sent in one pass ─▶ configuration ─▶ manifest
//! ```
//!
//! - [`connect`]: names to addresses, TCP and TLS; [`trust`]: whom to believe; [`transport`]: HTTP/1.1 requests, idle connections, redirects
//! - [`endpoint`]: under which addresses a registry is to be had; [`auth`]: challenges and tokens
//! - [`session`]: the requests of the distribution specification for one repository
//! - [`fetch`]: a blob as a stream that survives cuts; [`upload`]: a blob sent as it is made; [`compress`]: gzip on all cores
//!
//! Invariants: credentials go only to the registry they were given for and to the token server that it names; manifests
//! are stored and sent on byte for byte; nothing that arrives is believed before its digest is checked; a layer that
//! the store has is not asked for; a future that is dropped leaves nothing behind.

pub mod auth;
mod client;
mod compress;
mod connect;
mod endpoint;
mod error;
mod fetch;
mod login;
mod progress;
mod pull;
mod push;
mod session;
mod transport;
mod trust;
mod upload;
mod url;

pub use auth::Credentials;
pub use client::{Client, ClientConfig, Timeouts};
pub use error::{Error, Kind, RegistryError, Result};
pub use login::Login;
pub use progress::{Event, LayerStep, Progress};
pub use pull::PullRequest;
pub use push::{PushRequest, Pushed};
