//! The other backend: a real etcd, which several servers may share.
//!
//! - [`feed`]: loads what is there, then follows etcd's watch and applies it to the index
//! - [`leases`]: etcd's, for what goes by itself
//! - [`transaction`]: a transaction in etcd's terms, and its answer in ours
//!
//! The index is a cache. A read of the latest state asks etcd for its revision, which etcd answers only with the assent
//! of its quorum, and waits until the cache is as new. Where others write to the same etcd, nothing tells the cache that
//! none of a revision's changes concern it (etcd 3.4 sends progress marks ahead of events), so then a key of our own,
//! the fence, is written: what comes before it in the watch is everything before it.

mod feed;
mod leases;
mod transaction;

use crate::entry::error::{ReadError, WriteError};
use crate::entry::{Committed, Write};
use crate::index::{Index, Limits};
use crate::log::{OpenError, Options};
use bytes::Bytes;
use feed::Feed;
use leases::Leases;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// etcd's messages and clients.
#[allow(clippy::all, missing_docs)]
pub(crate) mod api {
    tonic::include_proto!("etcdserverpb");
}

use api::kv_client::KvClient;

/// The key that is written to know that the watch has caught up; never part of the map.
const FENCE: &str = "!fence";
/// How long the watch may take to bring what etcd has already, before the fence is written.
const PROMPT: Duration = Duration::from_millis(20);
/// How long to wait for etcd and its watch.
const WAIT: Duration = Duration::from_secs(5);
/// etcd's history is cut this often, to what it was then.
const COMPACTION: Duration = Duration::from_secs(5 * 60);

/// Where etcd is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdOptions {
    /// URLs, `http` or `https`.
    pub endpoints: Vec<String>,
    /// PEM files: whom to trust, and who we are.
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// All keys are kept under it.
    pub prefix: String,
}

/// A flag for etcd that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}: expected URLs and ca=, cert=, key=, prefix=, with commas between them")]
pub struct BadEtcdOptions(String);

impl std::str::FromStr for EtcdOptions {
    type Err = BadEtcdOptions;

    /// `https://10.0.0.1:2379,https://10.0.0.2:2379,ca=/etc/ca.pem,cert=/etc/cert.pem,key=/etc/key.pem,prefix=/sampan/`
    fn from_str(text: &str) -> Result<EtcdOptions, BadEtcdOptions> {
        let mut options =
            EtcdOptions { endpoints: Vec::new(), ca: None, cert: None, key: None, prefix: "/sampan/".to_string() };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                _ if part.starts_with("http://") || part.starts_with("https://") => {
                    options.endpoints.push(part.to_string());
                }
                Some(("ca", path)) => options.ca = Some(path.into()),
                Some(("cert", path)) => options.cert = Some(path.into()),
                Some(("key", path)) => options.key = Some(path.into()),
                Some(("prefix", prefix)) => options.prefix = prefix.to_string(),
                _ => return Err(BadEtcdOptions(part.to_string())),
            }
        }
        if options.endpoints.is_empty() || options.cert.is_some() != options.key.is_some() {
            return Err(BadEtcdOptions(text.to_string()));
        }
        Ok(options)
    }
}

/// A connection to etcd and the task that follows it.
pub(crate) struct Etcd {
    index: Arc<Index>,
    client: Client,
    fence: tokio::sync::Mutex<()>,
    leases: Leases,
    failure: Arc<Mutex<Option<String>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What speaks to etcd; clones share the connection.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    prefix: Arc<str>,
}

impl Etcd {
    /// Connects and loads everything. Runs on the runtime it is called on.
    pub(crate) async fn connect(options: &EtcdOptions, store: &Options) -> Result<(Arc<Index>, Etcd), OpenError> {
        let client = Client { channel: channel(options)?, prefix: options.prefix.as_str().into() };
        let limits: Limits = store.limits();
        let (map, revision) = feed::load(&client)
            .await
            .map_err(|status| OpenError::Etcd { endpoints: options.endpoints.join(","), why: explain(&status) })?;
        let index = Arc::new(Index::new(map, revision, limits));
        let failure = Arc::new(Mutex::new(None));
        let feed = Feed { index: index.clone(), client: client.clone(), failure: failure.clone() };
        let tasks = vec![tokio::spawn(feed.run()), tokio::spawn(compact_often(index.clone(), client.clone()))];
        let fence = tokio::sync::Mutex::new(());
        let leases = Leases::default();
        Ok((index.clone(), Etcd { index, client, fence, leases, failure, tasks }))
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Committed, WriteError> {
        let (committed, changed) = self.run(writes).await?;
        if changed {
            // it is safe already; whoever reads here next should find it
            self.index.reaches(committed.revision, WAIT).await;
        }
        Ok(committed)
    }

    async fn run(&self, writes: Vec<Write>) -> Result<(Committed, bool), WriteError> {
        // As long as the longest: one transaction, one lease.
        let Some(lives) = writes.iter().filter_map(|write| write.lives).max() else {
            return transaction::run(&self.client, &self.index, writes, 0).await;
        };
        let lease = self.leases.of(&self.client, lives).await?;
        match transaction::run(&self.client, &self.index, writes.clone(), lease).await {
            Err(WriteError::Unavailable { why, .. }) if why.contains("requested lease not found") => {
                self.leases.forget().await;
                let lease = self.leases.of(&self.client, lives).await?;
                transaction::run(&self.client, &self.index, writes, lease).await
            }
            done => done,
        }
    }

    /// The latest revision of etcd, once the index is as new.
    pub(crate) async fn latest(&self) -> Result<u64, ReadError> {
        let revision =
            self.client.revision().await.map_err(|status| unavailable("for the latest revision", &status))?;
        if self.index.revision() >= revision || self.index.reaches(revision, PROMPT).await {
            return Ok(revision);
        }
        let _one = self.fence.lock().await;
        if self.index.revision() < revision {
            self.client.fence().await.map_err(|status| unavailable("to write a fence", &status))?;
        }
        if self.index.reaches(revision, WAIT).await {
            return Ok(revision);
        }
        let why = self.failure().unwrap_or_else(|| "its watch does not keep up".to_string());
        Err(ReadError::Unavailable { what: "etcd for changes", why })
    }

    pub(crate) async fn compact(&self, revision: u64) -> Result<(), WriteError> {
        let result = self.client.compact(revision).await;
        result.map_err(|status| WriteError::Unavailable { what: "to compact", why: explain(&status) })
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(crate) fn close(&self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.close();
    }
}

/// Cuts etcd's history to what it was one round ago. Where several servers do so, each cuts a little.
async fn compact_often(index: Arc<Index>, client: Client) {
    let mut old = 0;
    loop {
        tokio::time::sleep(COMPACTION).await;
        if old > 0
            && let Err(status) = client.compact(old).await
        {
            tracing::debug!(revision = old, why = explain(&status), "etcd was not compacted");
        }
        old = index.revision();
    }
}

impl Client {
    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX)
    }

    /// A key as etcd has it.
    fn key(&self, key: &str) -> Bytes {
        Bytes::from(format!("{}{key}", self.prefix))
    }

    /// Where the keys under our prefix end.
    fn end(&self) -> Bytes {
        let mut end = self.prefix.as_bytes().to_vec();
        while let Some(last) = end.pop() {
            if last < 0xff {
                end.push(last + 1);
                return end.into();
            }
        }
        Bytes::from_static(&[0])
    }

    /// A key as we have it; none for the fence, and for what is not ours.
    fn ours<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        let key = key.strip_prefix(self.prefix.as_bytes())?;
        std::str::from_utf8(key).ok().filter(|key| *key != FENCE)
    }

    /// etcd's revision, as its quorum knows it.
    async fn revision(&self) -> Result<u64, tonic::Status> {
        let request = api::RangeRequest { key: self.key(FENCE), count_only: true, ..Default::default() };
        let response = timely(self.kv().range(request)).await?;
        Ok(response.header.map_or(0, |header| header.revision as u64))
    }

    async fn fence(&self) -> Result<(), tonic::Status> {
        let request = api::PutRequest { key: self.key(FENCE), ..Default::default() };
        timely(self.kv().put(request)).await.map(|_| ())
    }

    async fn compact(&self, revision: u64) -> Result<(), tonic::Status> {
        let request = api::CompactionRequest { revision: revision as i64 };
        match timely(self.kv().compact(request)).await {
            // another one has already
            Err(status) if status.code() == tonic::Code::OutOfRange && status.message().contains("compacted") => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

/// Waits for an answer, but not for ever.
async fn timely<T>(call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>) -> Result<T, tonic::Status> {
    match tokio::time::timeout(2 * WAIT, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(tonic::Status::deadline_exceeded("no answer")),
    }
}

fn channel(options: &EtcdOptions) -> Result<Channel, OpenError> {
    let mut tls = ClientTlsConfig::new();
    if let Some(path) = &options.ca {
        tls = tls.ca_certificate(Certificate::from_pem(read(path)?));
    }
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    let mut endpoints = Vec::new();
    for url in &options.endpoints {
        let bad = |why: tonic::transport::Error| OpenError::Etcd { endpoints: url.clone(), why: chain(&why) };
        let mut endpoint = Endpoint::from_shared(url.clone()).map_err(bad)?;
        endpoint = endpoint
            .connect_timeout(WAIT)
            .tcp_nodelay(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(WAIT)
            .keep_alive_while_idle(true);
        if url.starts_with("https://") {
            endpoint = endpoint.tls_config(tls.clone()).map_err(bad)?;
        }
        endpoints.push(endpoint);
    }
    Ok(match &endpoints[..] {
        [one] => one.connect_lazy(),
        _ => Channel::balance_list(endpoints.into_iter()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|source| OpenError::Io { what: "read", path: path.to_path_buf(), source })
}

fn unavailable(what: &'static str, status: &tonic::Status) -> ReadError {
    ReadError::Unavailable { what, why: explain(status) }
}

/// A status with its causes.
fn explain(status: &tonic::Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => format!("{}: {}", status.message(), chain(source)),
        None => status.message().to_string(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
