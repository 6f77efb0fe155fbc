//! Logs, exec, attach, ports and statistics over HTTPS, as the API server and `metrics.k8s.io` ask for them.
//!
//! Paths are those of Kubernetes' kubelet, so that either end may be somebody else's. Every request is authenticated (a certificate of the cluster's authority,
//! or a token that the API knows) and authorized (the API is asked about the node's subresources); answers of the API are kept for a short while.
//!
//! - [`access`]: who asks, and may they; [`tls`]: certificates
//! - [`route`]: which path is what; [`answer`]: bodies
//! - [`process`], [`ports`]: streams of exec and attach, and of forwarded ports
//! - [`log`]: logs of containers; [`stats`]: what pods use

mod access;
mod answer;
mod log;
mod ports;
mod process;
mod route;
mod stats;
mod tls;

pub(crate) use log::Watcher;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::lookup::Lookup;

/// How long TLS may take to agree.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(30);
/// How long connections get to end when the server ends.
const LEAVE: Duration = Duration::from_secs(2);

/// Why it cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("certificates of the node's server: {0}")]
    Tls(String),
}

/// How it is served.
#[derive(Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    /// PEM: the certificates of the authorities whose clients may ask.
    pub client_authorities: String,
    /// PEM: its own certificate and key; made by itself where there are none.
    pub identity: Option<(String, String)>,
    /// Who is asked about tokens and permissions; without it members of `system:masters` may ask and nobody else.
    pub reviews: Option<kube::Client>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// A running server; it ends when this is dropped.
pub struct Server {
    /// Where it listens, for the node's `daemonEndpoints`.
    pub address: SocketAddr,
    ending: Arc<watch::Sender<bool>>,
    serving: JoinHandle<()>,
}

/// What every request is answered with.
pub(crate) struct State {
    node: String,
    lookup: Lookup,
    access: access::Access,
    logs: log::Watcher,
    started: jiff::Timestamp,
    ending: watch::Receiver<bool>,
}

/// Begins to serve.
pub async fn start(config: &Config, settings: Settings, lookup: Lookup) -> Result<Server, Error> {
    let tls = TlsAcceptor::from(Arc::new(tls::config(&config.node_name, &settings)?));
    let listen_error = |source| Error::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    let ending = Arc::new(watch::Sender::new(false));
    let state = Arc::new(State {
        node: config.node_name.clone(),
        lookup,
        access: access::Access::new(config.node_name.clone(), settings.reviews.clone()),
        logs: log::Watcher::default(),
        started: jiff::Timestamp::now(),
        ending: ending.subscribe(),
    });
    let serving = tokio::spawn(listen(listener, tls, state));
    Ok(Server { address, ending, serving })
}

impl Server {
    /// Ends it; streams that are open end too.
    pub async fn shutdown(mut self) {
        self.ending.send_replace(true);
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.send_replace(true);
    }
}

impl State {
    /// Returns when the server ends.
    fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut ending = self.ending.clone();
        async move {
            let _ = ending.wait_for(|ending| *ending).await;
        }
    }
}

async fn listen(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    let mut connections = JoinSet::new();
    let ended = state.ended();
    tokio::pin!(ended);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut ended => break,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, tls.clone(), state.clone()));
            }
            Err(error) => {
                // too many open files, or the peer is gone already
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LEAVE, all).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS failed"),
        Err(_) => return tracing::debug!("TLS took too long"),
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(access::Peer::of);
    let (peer, ended) = (Arc::new(peer), state.ended());
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (state, peer) = (state.clone(), peer.clone());
        async move { Ok::<_, Infallible>(route::answer(state, (*peer).as_ref(), request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let serving = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = ended => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}
