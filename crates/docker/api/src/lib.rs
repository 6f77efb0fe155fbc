//! The Docker Engine HTTP API, a translation onto the engine and nothing else.
//!
//! A request travels down this list:
//! - [`listen`] accepts clients, [`server`] serves a connection with hyper; `connection` makes old clients' attach look like an upgrade.
//! - `router` finds the row of the table in `routes`; image names with slashes are why it is our own.
//! - `routes` holds one file per kind of thing; each handler reads its parameters ([`call`], `query`, `body`), calls the engine, and answers.
//! - `translate` turns wire types into the engine's types and back. It is pure, so it is where most tests are.
//! - [`error`] is the only place where an error becomes a status.
//!
//! Invariants: no state is kept here beside the handle of the engine; no handler decides anything about containers; streams are passed on as they come,
//! with back-pressure from the client to the source.

mod body;
mod call;
mod connection;
mod error;
mod frames;
pub mod listen;
mod query;
mod router;
mod routes;
mod server;

pub use error::ApiError;
pub use server::serve;

/// What every handler can reach.
pub struct App {
    server_header: http::HeaderValue,
}

impl App {
    /// The API of an engine; `version` is the program's.
    pub fn new(version: &str) -> Self {
        let server = format!("Sampan/{version} (linux)");
        let server_header = server
            .parse()
            .unwrap_or(http::HeaderValue::from_static("Sampan"));
        Self { server_header }
    }
}
