//! What the server is told at its start, and why it may fail to open.

use std::path::PathBuf;
use std::time::Duration;

/// What the server is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of everything that is kept: store, keys, admin kubeconfig.
    pub dir: PathBuf,
    /// `etcd=https://...`; none is the embedded store.
    pub datastore: Option<String>,
    /// Where services get their addresses, the first family first.
    pub service_cidrs: Vec<String>,
    /// Ports of services of type NodePort, first and last.
    pub node_ports: (u16, u16),
    /// Domain of the cluster.
    pub cluster_domain: String,
    /// Further names and addresses for the serving certificate.
    pub names: Vec<String>,
    /// How long events are kept after they were last written.
    pub event_ttl: Duration,
    /// What `/version` says after the `+` of gitVersion.
    pub build: String,
}

impl Config {
    /// Defaults over a folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            datastore: None,
            service_cidrs: vec!["10.43.0.0/16".to_owned()],
            node_ports: (30000, 32767),
            cluster_domain: "cluster.local".to_owned(),
            names: Vec::new(),
            event_ttl: Duration::from_secs(3600),
            build: "sampan".to_owned(),
        }
    }
}

/// Why the server did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or read.
    #[error("cannot use {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A range of service addresses is none.
    #[error("{0:?} is no range of addresses for services")]
    ServiceRange(String),
    /// The store does not open.
    #[error("cannot open the store: {0}")]
    Store(String),
    /// Keys and certificates cannot be made or read.
    #[error("cannot prepare certificates: {0}")]
    Pki(String),
    /// The first objects cannot be written.
    #[error("cannot create what every cluster has: {0}")]
    Bootstrap(String),
}
