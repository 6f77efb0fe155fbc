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
    /// A file that configures admission, as kube-apiserver takes it.
    pub admission: Option<PathBuf>,
    /// What `/version` says.
    pub build: Build,
}

/// What a server says of the program that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// What stands after the `+` of gitVersion.
    pub name: String,
    /// The commit it was built from; empty where nobody knows.
    pub commit: String,
    /// When, as RFC 3339; empty where nobody knows.
    pub date: String,
    /// What compiled it, such as `rustc 1.95.0`.
    pub compiler: String,
}

impl Default for Build {
    fn default() -> Self {
        let (commit, date, compiler) = (String::new(), String::new(), "rustc".to_owned());
        Build { name: "sampan".to_owned(), commit, date, compiler }
    }
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
            admission: None,
            build: Build::default(),
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
    /// The configuration of admission cannot be used.
    #[error("cannot configure admission: {0}")]
    Admission(#[from] crate::admission::pod_security::ConfigError),
    /// The first objects cannot be written.
    #[error("cannot create what every cluster has: {0}")]
    Bootstrap(String),
}
