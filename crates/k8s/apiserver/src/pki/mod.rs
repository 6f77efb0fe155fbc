//! The cluster's keys and certificates: made at the first start, renewed while running, healed at every start.
//!
//! In `<data-root>/kubernetes/pki` (mode 0700, keys 0600):
//!
//! | file | what | when it is missing or wrong |
//! |---|---|---|
//! | `ca.key`, `front-proxy-ca.key` | keys of the authorities | made at the first start; an error when the certificate stands alone or the key cannot be read |
//! | `ca.crt`, `front-proxy-ca.crt` | their certificates | made again from the key, so that what was issued stays good |
//! | `apiserver.*`, `admin.*`, `front-proxy-client.*` | certificates of our own | issued again |
//! | `sa.key` | signs service-account tokens | made when missing; an error when it cannot be read |
//! | `sa.pub` | keys that tokens are checked with, the present one first | made again |
//!
//! An authority of one's own is put there as `ca.crt` and `ca.key` (PKCS#8) before the first start.
//! Certificates are renewed when a third of their time is left (authorities: a fifth), when the clock is outside of it,
//! and when the machine has a name or address that they lack.

mod authority;
mod der;
mod error;
mod files;
mod host;
mod kubeconfig;
mod leaf;
mod node;
mod peer;
mod request;
#[cfg(test)]
mod tests;
mod tls;
mod token_key;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::X509Certificate;

pub use error::PkiError;
pub use host::addresses as host_addresses;
pub use peer::{Peer, PeerError, PeerVerifier};
pub use request::CertificateRequest;
pub use token_key::TokenKey;

use crate::{Config, OpenError};
use authority::Authority;
use leaf::{Leaf, Purpose, Wanted};

/// How often files are looked after while running. Handshakes look after the serving certificate themselves.
const INTERVAL: Duration = Duration::from_secs(600);
/// How often the machine's addresses are looked at.
const ADDRESSES: Duration = Duration::from_secs(10);

/// Tells the time; tests move it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What the certificates are to say and where they are.
#[derive(Clone)]
pub struct PkiConfig {
    /// `<data-root>/kubernetes`: holds `pki/` and `admin.kubeconfig`.
    pub folder: PathBuf,
    /// Names beside the usual ones.
    pub names: Vec<String>,
    /// Addresses beside the machine's own and the loopback ones: the first service address of each family.
    pub addresses: Vec<IpAddr>,
    /// The time.
    pub clock: Clock,
}

impl PkiConfig {
    /// The usual configuration with the first service address.
    pub fn new(folder: impl Into<PathBuf>, service: &[IpAddr]) -> PkiConfig {
        let clock: Clock = Arc::new(SystemTime::now);
        PkiConfig { folder: folder.into(), names: Vec::new(), addresses: service.to_vec(), clock }
    }
}

/// The time a certificate is valid for, seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: i64,
    /// Last second.
    pub not_after: i64,
}

impl Validity {
    pub(crate) const NEVER: Validity = Validity { not_before: 0, not_after: -1 };

    fn of(certificate: &X509Certificate<'_>) -> Validity {
        let validity = certificate.validity();
        Validity { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() }
    }

    /// Whether it holds at `now`.
    pub fn contains(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whether less than one `part`-th of it is left at `now`, or it does not hold.
    fn due(&self, now: i64, part: i64) -> bool {
        !self.contains(now) || self.not_after - now < (self.not_after - self.not_before) / part
    }
}

/// The handle; clones share the same keys.
#[derive(Clone)]
pub struct Pki {
    inner: Arc<Inner>,
}

struct Inner {
    config: PkiConfig,
    /// Taken for every renewal and for signing; never across waiting.
    state: Mutex<State>,
    /// What handshakes show; apart from `state`, so that they do not wait for a renewal's files.
    serving: RwLock<(Arc<CertifiedKey>, Validity)>,
    token_key: TokenKey,
    peers: PeerVerifier,
    proxies: PeerVerifier,
    /// What connections to kubelets are made with, once there was one.
    node_client: Mutex<node::NodeClient>,
}

struct State {
    authority: Authority,
    proxy_authority: Authority,
    apiserver: Leaf,
    admin: Leaf,
    proxy_client: Leaf,
    /// The address in the kubeconfig, once it is known.
    server: Option<String>,
}

impl Pki {
    /// Reads, makes and heals everything for a server's configuration.
    pub fn open(config: &Config) -> Result<Pki, OpenError> {
        let service: Vec<_> = config.service_cidrs.iter().filter_map(|cidr| first_address(cidr)).collect();
        let mut own = PkiConfig::new(&config.dir, &service);
        for name in &config.names {
            match name.parse() {
                Ok(address) => own.addresses.push(address),
                Err(_) => own.names.push(name.clone()),
            }
        }
        if config.cluster_domain != "cluster.local" {
            own.names.push(format!("kubernetes.default.svc.{}", config.cluster_domain));
        }
        Ok(Pki::open_with(own)?)
    }

    /// The same for a configuration of its own.
    pub fn open_with(config: PkiConfig) -> Result<Pki, PkiError> {
        let folder = config.folder.join("pki");
        files::private_folder(&folder)?;
        let now = seconds(&config.clock);
        let authority = Authority::open(&folder, "ca", "kubernetes", now)?;
        let proxy_authority = Authority::open(&folder, "front-proxy-ca", "front-proxy-ca", now)?;
        let apiserver = Leaf::open(&folder, &apiserver(&config), &authority, now)?;
        let admin = Leaf::open(&folder, &admin(), &authority, now)?;
        let proxy_client = Leaf::open(&folder, &proxy_client(), &proxy_authority, now)?;
        let serving = RwLock::new((tls::certified(&apiserver)?, apiserver.validity));
        let peers = PeerVerifier::new(authority.chain())?;
        let proxies = PeerVerifier::new(proxy_authority.chain())?;
        let token_key = TokenKey::open(&folder)?;
        let state = State { authority, proxy_authority, apiserver, admin, proxy_client, server: None };
        let inner = Inner {
            config,
            state: Mutex::new(state),
            serving,
            token_key,
            peers,
            proxies,
            node_client: Mutex::default(),
        };
        Ok(Pki { inner: Arc::new(inner) })
    }

    /// The listener's configuration. It follows every renewal by itself.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, PkiError> {
        tls::server_config(self).map(Arc::new)
    }

    /// Judges client certificates of the cluster's authority.
    pub fn peers(&self) -> &PeerVerifier {
        &self.inner.peers
    }

    /// Judges client certificates of front proxies.
    pub fn front_proxies(&self) -> &PeerVerifier {
        &self.inner.proxies
    }

    /// Signs and checks service-account tokens.
    pub fn token_key(&self) -> &TokenKey {
        &self.inner.token_key
    }

    /// The cluster's authority as PEM, for `kube-root-ca.crt`.
    pub fn authority_pem(&self) -> String {
        self.state().authority.pem().to_owned()
    }

    /// The authority of front proxies as PEM.
    pub fn front_proxy_authority_pem(&self) -> String {
        self.state().proxy_authority.pem().to_owned()
    }

    /// The certificate and key (PEM) that this server shows to aggregated API servers.
    pub fn front_proxy_client(&self) -> (String, String) {
        let state = self.state();
        (state.proxy_client.pem.clone(), state.proxy_client.key.serialize_pem())
    }

    /// Writes `admin.kubeconfig` for a server at 127.0.0.1:`port`, and keeps it up to date from now on.
    pub fn write_kubeconfig(&self, port: u16) -> Result<PathBuf, PkiError> {
        let mut state = self.state();
        state.server = Some(format!("https://127.0.0.1:{port}"));
        state.write_kubeconfig(&self.inner.config.folder)
    }

    /// Seconds since 1970 by the configured clock.
    pub fn now(&self) -> i64 {
        seconds(&self.inner.config.clock)
    }

    /// Renews what is due. Called by [`run`](Pki::run) and by handshakes; cheap when nothing is due.
    pub fn renew(&self) -> Result<(), PkiError> {
        let Inner { config, .. } = &*self.inner;
        let (folder, now) = (config.folder.join("pki"), self.now());
        let mut state = self.state();
        state.authority.renew_when_due(now)?;
        state.proxy_authority.renew_when_due(now)?;
        let wanted = apiserver(config);
        if state.apiserver.due(&wanted, &state.authority, now).is_some() {
            state.apiserver = Leaf::open(&folder, &wanted, &state.authority, now)?;
            let serving = (tls::certified(&state.apiserver)?, state.apiserver.validity);
            *self.inner.serving.write().unwrap_or_else(PoisonError::into_inner) = serving;
        }
        if state.proxy_client.due(&proxy_client(), &state.proxy_authority, now).is_some() {
            state.proxy_client = Leaf::open(&folder, &proxy_client(), &state.proxy_authority, now)?;
        }
        if state.admin.due(&admin(), &state.authority, now).is_some() {
            state.admin = Leaf::open(&folder, &admin(), &state.authority, now)?;
        }
        if state.server.is_some() {
            state.write_kubeconfig(&config.folder)?;
        }
        Ok(())
    }

    /// Looks after everything until dropped. A renewal that fails is told and tried again. An address that the machine has got is soon in the certificate.
    pub async fn run(self) {
        let (mut known, mut looked) = (host::addresses(), Instant::now());
        loop {
            tokio::time::sleep(ADDRESSES).await;
            let addresses = host::addresses();
            let all_known = addresses.iter().all(|address| known.contains(address));
            known = addresses;
            if all_known && looked.elapsed() < INTERVAL {
                continue;
            }
            looked = Instant::now();
            let pki = self.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || pki.renew()).await {
                tracing::error!(%error, "certificates cannot be renewed");
            }
        }
    }

    /// What a handshake shows now.
    fn serving(&self) -> Arc<CertifiedKey> {
        let (key, validity) = self.inner.serving.read().unwrap_or_else(PoisonError::into_inner).clone();
        if validity.contains(self.now()) {
            return key;
        }
        if let Err(error) = self.renew() {
            tracing::error!(%error, "the serving certificate is out of its time and cannot be renewed");
        }
        self.inner.serving.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn client_authorities(&self) -> Vec<CertificateDer<'static>> {
        let state = self.state();
        state.authority.chain().iter().chain(state.proxy_authority.chain()).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write_kubeconfig(&self, folder: &Path) -> Result<PathBuf, PkiError> {
        let path = folder.join("admin.kubeconfig");
        let key = self.admin.key.serialize_pem();
        let entry = kubeconfig::Entry {
            server: self.server.as_deref().unwrap_or_default(),
            authority: self.authority.pem(),
            certificate: &self.admin.pem,
            key: &key,
        };
        kubeconfig::write(&path, &entry)?;
        Ok(path)
    }
}

/// The first usable address of a range, which is that of the `kubernetes` service.
pub(crate) fn first_address(cidr: &str) -> Option<IpAddr> {
    match cidr.split_once('/')?.0.parse().ok()? {
        IpAddr::V4(base) => Some(IpAddr::V4(base.to_bits().checked_add(1)?.into())),
        IpAddr::V6(base) => Some(IpAddr::V6(base.to_bits().checked_add(1)?.into())),
    }
}

/// Whether an address is in a range.
pub(crate) fn is_in(cidr: &str, address: IpAddr) -> bool {
    let Some((base, prefix)) = cidr.split_once('/') else { return false };
    let (Ok(base), Ok(prefix)) = (base.parse::<IpAddr>(), prefix.parse::<u32>()) else { return false };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            ((base.to_bits() ^ address.to_bits()) as u64) >> (32 - prefix.min(32)) == 0
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let differ = base.to_bits() ^ address.to_bits();
            differ.checked_shr(128 - prefix.min(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn seconds(clock: &Clock) -> i64 {
    match clock().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    }
}

fn apiserver(config: &PkiConfig) -> Wanted {
    let fixed = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut names: Vec<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
    let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
    let more = host::names().into_iter().chain(config.names.iter().cloned());
    names.extend(more);
    addresses.extend(config.addresses.iter().copied().chain(host::addresses()));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    Wanted {
        stem: "apiserver",
        common_name: "kube-apiserver",
        organizations: &[],
        purpose: Purpose::Server,
        names,
        addresses,
    }
}

fn admin() -> Wanted {
    Wanted {
        stem: "admin",
        common_name: "kubernetes-admin",
        organizations: &["system:masters"],
        purpose: Purpose::Client,
        names: Vec::new(),
        addresses: Vec::new(),
    }
}

fn proxy_client() -> Wanted {
    Wanted {
        stem: "front-proxy-client",
        common_name: "front-proxy-client",
        organizations: &[],
        purpose: Purpose::Client,
        names: Vec::new(),
        addresses: Vec::new(),
    }
}
