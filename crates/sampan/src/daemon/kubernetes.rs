//! The Kubernetes side of the daemon, where it is wanted: the API server beside the Docker API in one process.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use engine::Engine;
use k8s_apiserver::{ApiServer, Config, Identity};
use k8s_kubelet::Kubelet;
use tokio::net::TcpListener;

use super::flags::KubernetesFlags;
use super::leading::{self, Leading};
use super::node;
use super::services::{self, Services};

/// What runs.
pub struct Kubernetes {
    server: ApiServer,
    leading: Leading,
    services: Option<Services>,
    kubelet: Kubelet,
    serving: tokio::task::JoinHandle<()>,
}

/// Starts it, with its data in a folder of the daemon's own.
pub async fn start(flags: &KubernetesFlags, data_root: PathBuf, engine: Engine) -> Result<Kubernetes> {
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
    let name = flags.node_name.clone().unwrap_or_else(node::default_name);
    let services = match services::start(&server, &informers, &name, &data_root).await {
        Ok(services) => Some(services),
        Err(error) => {
            tracing::error!("services are not balanced on this host: {error:#}");
            None
        }
    };
    let leading = Leading::start(informers, leading::identity(&dir)?);
    let kubelet = node::start(&server, engine, &name, &data_root, services::DNS).await?;
    Ok(Kubernetes { leading, services, kubelet, server, serving })
}

impl Kubernetes {
    /// Ends it; everything acknowledged is on disk.
    pub async fn shutdown(self) {
        self.kubelet.shutdown().await;
        self.leading.shutdown().await;
        if let Some(services) = self.services {
            services.shutdown().await;
        }
        self.server.shutdown().await;
        let _ = self.serving.await;
    }
}
