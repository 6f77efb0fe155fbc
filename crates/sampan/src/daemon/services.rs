//! Services on this node: the proxy, and the API server at the address of its own service.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_apiserver::ApiServer;
use k8s_client::Informers;
use k8s_openapi::api::core::v1::Service;
use k8s_proxy::Proxy;
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Where pods find the API server, and the name server.
const API: (IpAddr, u16) = (IpAddr::V4(std::net::Ipv4Addr::new(10, 43, 0, 1)), 443);
pub const DNS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 43, 0, 10));

/// What runs.
pub struct Services {
    config: k8s_proxy::Config,
    proxy: Proxy,
    tasks: JoinSet<()>,
}

/// Starts the proxy of a node. The API is served at its service's address as well, wherever else it listens: pods reach it there although it may listen on
/// the loopback only, and a host has no other address.
pub async fn start(server: &ApiServer, informers: &Informers, node: &str, data_root: &Path) -> Result<Services> {
    let mut config = k8s_proxy::Config::new(node, data_root.to_string_lossy());
    config.served.push(API.into());
    config.dns = vec![DNS];
    let proxy = Proxy::start(config.clone(), informers).context("cannot balance services")?;
    let mut tasks = JoinSet::new();
    match TcpListener::bind(API).await {
        Ok(listener) => {
            let server = server.clone();
            tasks.spawn(async move {
                if let Err(error) = server.serve_also(listener).await {
                    tracing::error!(%error, "Kubernetes is not served to pods");
                }
            });
        }
        Err(error) => tracing::error!(%error, "Kubernetes is not served to pods"),
    }
    tasks.spawn(reserve(informers.client().clone()));
    Ok(Services { config, proxy, tasks })
}

impl Services {
    /// Ends it; the kernel goes on balancing until what is returned is given to [`k8s_proxy::remove`].
    pub async fn shutdown(mut self) -> k8s_proxy::Config {
        self.tasks.shutdown().await;
        self.proxy.shutdown().await;
        self.config
    }
}

/// Writes the service of the name server, so that no other one gets its address.
async fn reserve(client: kube::Client) {
    let service = json!({
        "metadata": { "name": "kube-dns", "namespace": "kube-system", "labels": {
            "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
        } },
        "spec": { "clusterIP": DNS.to_string(), "clusterIPs": [DNS.to_string()], "ports": [
            { "name": "dns", "port": 53, "protocol": "UDP" },
            { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
        ] },
    });
    let Ok(service) = serde_json::from_value::<Service>(service) else { return };
    let api: Api<Service> = Api::namespaced(client, "kube-system");
    if let Ok(Some(_)) = api.get_opt("kube-dns").await {
        return;
    }
    match api.create(&PostParams::default(), &service).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
        Err(error) => tracing::warn!(%error, "the name server's address is not kept from other services"),
    }
}
