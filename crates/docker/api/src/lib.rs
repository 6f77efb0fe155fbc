//! The Docker Engine HTTP API, a translation onto the engine and nothing else.
//!
//! A request travels down this list:
//! - [`listen`] accepts clients, `server` serves a connection with hyper; `upload` reads bodies to their end; `connection` makes old clients' attach look like an upgrade.
//! - `router` finds the row of the table in `routes`; image names with slashes are why it is our own.
//! - `routes` holds one file per kind of thing; each handler reads its parameters (`call`, `query`, `body`), calls the engine, and answers.
//! - `streams` carries what flows: framed output, logs, hijacked connections, progress.
//! - `translate` turns wire types into the engine's types and back. It is pure, so it is where most tests are.
//! - `error` is the only place where an error becomes a status.
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
mod streams;
mod translate;
mod upload;

use engine::Engine;

pub use error::ApiError;
pub use server::serve;

/// What every handler can reach.
pub struct App {
    engine: Engine,
    settings: Settings,
    server_header: http::HeaderValue,
}

/// What the daemon tells about itself that the engine does not know.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Version of the program.
    pub version: String,
    /// Whether it says more than usual.
    pub debug: bool,
    /// Whether containers live on when the daemon stops.
    pub live_restore: bool,
    /// Warnings for `docker info`, one per line, such as an address without TLS.
    pub warnings: Vec<String>,
}

impl App {
    /// The API of an engine.
    pub fn new(engine: Engine, settings: Settings) -> Self {
        let server = format!("Sampan/{} (linux)", settings.version);
        let server_header = server.parse().unwrap_or(http::HeaderValue::from_static("Sampan"));
        Self { engine, settings, server_header }
    }
}
