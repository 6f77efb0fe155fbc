//! The Kubernetes side of the daemon, where it is wanted: the API server beside the Docker API in one process.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_apiserver::{ApiServer, Config, Identity};
use tokio::net::TcpListener;

use super::flags::KubernetesFlags;
use super::leading::{self, Leading};
use super::services::{self, Services};

/// What runs.
pub struct Kubernetes {
    server: ApiServer,
    leading: Leading,
    services: Option<Services>,
    serving: tokio::task::JoinHandle<()>,
}

/// Starts it, with its data in a folder of the daemon's own.
pub async fn start(flags: &KubernetesFlags, data_root: PathBuf) -> Result<Kubernetes> {
    let mut config = Config::new(data_root.join("kubernetes"));
    config.datastore.clone_from(&flags.datastore);
    config.event_ttl = flags.event_ttl;
    let dir = config.dir.clone();
    let address: SocketAddr = flags
        .kubernetes_listen
        .parse()
        .with_context(|| format!("invalid --kubernetes-listen {:?}: want ADDRESS:PORT", flags.kubernetes_listen))?;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} for Kubernetes"))?;
    let bound = listener.local_addr().context("cannot tell where Kubernetes listens")?;
    let server = ApiServer::open(config).await.context("cannot open the Kubernetes API server")?;
    let serving = server.clone();
    let serving = tokio::spawn(async move {
        if let Err(error) = serving.serve(listener).await {
            tracing::error!(%error, "Kubernetes is not served");
        }
    });
    tracing::info!(address = %bound, "Kubernetes API listens");
    let client = kube::Client::new(server.service(Identity::loopback()), "default");
    let informers = k8s_client::Informers::new(client);
    let services = match services::start(&server, &informers, &node_name(), &data_root).await {
        Ok(services) => Some(services),
        Err(error) => {
            tracing::error!("services are not balanced on this host: {error:#}");
            None
        }
    };
    let leading = Leading::start(informers, leading::identity(&dir)?);
    Ok(Kubernetes { leading, services, server, serving })
}

/// Name of this host's node: the host's own, as names of objects are written.
fn node_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

impl Kubernetes {
    /// Ends it; everything acknowledged is on disk.
    pub async fn shutdown(self) {
        self.leading.shutdown().await;
        if let Some(services) = self.services {
            services.shutdown().await;
        }
        self.server.shutdown().await;
        let _ = self.serving.await;
    }
}
