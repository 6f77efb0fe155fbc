//! The Kubernetes side of the daemon, where it is wanted: the API server beside the Docker API in one process.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use engine::Engine;
use k8s_apiserver::{ApiServer, Build, Config, Identity};
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
    /// Makes this node's volumes.
    volumes: tokio::task::JoinHandle<()>,
    serving: tokio::task::JoinHandle<()>,
}

/// Starts it, with its data in a folder of the daemon's own.
pub async fn start(flags: &KubernetesFlags, data_root: PathBuf, engine: Engine) -> Result<Kubernetes> {
    let mut config = Config::new(data_root.join("kubernetes"));
    config.datastore.clone_from(&flags.datastore);
    config.event_ttl = flags.event_ttl;
    config.admission.clone_from(&flags.admission_control_config_file);
    config.build = build();
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
    let volumes = k8s_controllers::local_volumes::run(informers.clone(), name.clone(), dir.join("volumes"));
    let volumes = tokio::spawn(volumes);
    let leading = Leading::start(informers, leading::identity(&dir)?);
    let kubelet =
        node::start(&server, engine, node::Settings { name: &name, data_root: &data_root, flags: &flags.kubelet });
    let kubelet = kubelet.await?;
    Ok(Kubernetes { leading, services, kubelet, volumes, server, serving })
}

/// What this program is. One that was not made for distribution tells when its file was written.
fn build() -> Build {
    let written = || {
        let time = std::fs::metadata("/proc/self/exe").and_then(|file| file.modified()).ok()?;
        let time = k8s_openapi::jiff::Timestamp::try_from(time).ok()?;
        Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    };
    Build {
        commit: option_env!("SAMPAN_COMMIT").unwrap_or_default().to_owned(),
        date: option_env!("SAMPAN_BUILD_DATE").map(str::to_owned).or_else(written).unwrap_or_default(),
        compiler: env!("SAMPAN_COMPILER").to_owned(),
        ..Build::default()
    }
}

impl Kubernetes {
    /// Ends it; everything acknowledged is on disk. Returns what is left in the kernel, for [`k8s_proxy::remove`].
    pub async fn shutdown(self) -> Option<k8s_proxy::Config> {
        self.kubelet.shutdown().await;
        self.volumes.abort();
        self.leading.shutdown().await;
        let left = match self.services {
            Some(services) => Some(services.shutdown().await),
            None => None,
        };
        self.server.shutdown().await;
        let _ = self.serving.await;
        left
    }
}
