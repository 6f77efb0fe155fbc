//! The client: a daemon's settings for registries, and its connections to them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use spec::digest::DiffId;

use crate::endpoint::{Endpoint, Insecure};
use crate::transport::Transport;
use crate::{Result, endpoint};

/// Settings, with dockerd's defaults.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Mirrors of Docker Hub, tried before it (`--registry-mirror`).
    pub mirrors: Vec<String>,
    /// Registries spoken to without certificates or without TLS: `host[:port]` or address ranges
    /// (`--insecure-registry`). Loopback addresses always are.
    pub insecure: Vec<String>,
    /// Folder with `<registry>/*.crt`, further certificate authorities per registry.
    pub certificates: PathBuf,
    /// Layers of one pull that arrive at the same time (`--max-concurrent-downloads`).
    pub downloads: usize,
    /// Layers of one push that leave at the same time (`--max-concurrent-uploads`).
    pub uploads: usize,
    /// How often a download that broke is taken up again without any progress (`--max-download-attempts`).
    pub attempts: u32,
    /// Patience.
    pub timeouts: Timeouts,
    /// How the client calls itself.
    pub user_agent: String,
}

/// How long to wait for the other side.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection, with its TLS.
    pub connect: Duration,
    /// For the head of an answer.
    pub answer: Duration,
    /// For the next bytes of a body.
    pub idle: Duration,
    /// Before the first new attempt; doubled for every further one.
    pub retry: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            certificates: PathBuf::from("/etc/docker/certs.d"),
            downloads: 3,
            uploads: 5,
            attempts: 5,
            timeouts: Timeouts {
                connect: Duration::from_secs(30),
                answer: Duration::from_secs(60),
                idle: Duration::from_secs(60),
                retry: Duration::from_secs(1),
            },
            user_agent: concat!("sampan/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Speaks to registries; cloning gives another handle on the same client.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: ClientConfig,
    pub(crate) transport: Arc<Transport>,
    insecure: Insecure,
    /// Which endpoint of a domain answered last; held only for a look.
    reached: Mutex<HashMap<String, Endpoint>>,
    /// Layers on their way in, so that two pulls do not fetch the same; held only for a look.
    arriving: Mutex<HashMap<DiffId, Weak<tokio::sync::Mutex<()>>>>,
}

impl Client {
    /// A client with these settings; connects to nothing yet.
    pub fn new(config: ClientConfig) -> Result<Client> {
        let insecure = Insecure::parse(&config.insecure)?;
        let transport = Arc::new(Transport::new(&config));
        let (reached, arriving) = (Mutex::default(), Mutex::default());
        Ok(Client { inner: Arc::new(Inner { config, transport, insecure, reached, arriving }) })
    }

    /// Where `domain` may be reached, best first.
    pub(crate) fn endpoints(&self, domain: &str, mirrors: endpoint::Mirrors) -> Result<Vec<Endpoint>> {
        let mut list = endpoint::candidates(domain, &self.inner.config, &self.inner.insecure, mirrors)?;
        if let Some(last) = self.reached().get(domain)
            && let Some(at) = list.iter().position(|endpoint| endpoint == last)
            && !list[..at].iter().any(|endpoint| endpoint.mirror)
        {
            list[..=at].rotate_right(1);
        }
        Ok(list)
    }

    /// Remembers that `domain` was reached at `endpoint`.
    pub(crate) fn reached_at(&self, domain: &str, endpoint: &Endpoint) {
        self.reached().insert(domain.to_owned(), endpoint.clone());
    }

    /// The lock under which a layer is brought in.
    pub(crate) fn arrival(&self, layer: &DiffId) -> Arc<tokio::sync::Mutex<()>> {
        let mut arriving = self.inner.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        arriving.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = arriving.get(layer).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        arriving.insert(layer.clone(), Arc::downgrade(&lock));
        lock
    }

    fn reached(&self) -> std::sync::MutexGuard<'_, HashMap<String, Endpoint>> {
        self.inner.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
