//! This host as a node of the cluster: its kubelet, over the engine's pods.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use engine::Engine;
use k8s_apiserver::{ApiServer, Identity};
use k8s_kubelet::Kubelet;
use k8s_kubelet::config::Addressing;
use k8s_kubelet::server::Settings;

/// Where nodes serve logs, exec and statistics.
const PORT: u16 = 10250;

/// Name of this host's node where none is given: the host's own, as names of objects are written.
pub fn default_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Starts the kubelet; it speaks to the API as the node does, whichever process serves it.
pub async fn start(server: &ApiServer, engine: Engine, name: &str, data_root: &Path, dns: IpAddr) -> Result<Kubelet> {
    let runtime = pods::open(engine, pods::Config::default()).await.context("cannot open the runtime of pods")?;
    let node = Identity::new(format!("system:node:{name}"), &["system:nodes", "system:authenticated"]);
    let mut config = k8s_kubelet::Config::new(name, data_root.join("kubernetes/kubelet"));
    config.addressing = Addressing::Cluster;
    config.cluster_dns = vec![dns];
    config.server = Some(Settings {
        listen: ([0, 0, 0, 0], PORT).into(),
        client_authorities: server.pki().authority_pem(),
        identity: Some(server.pki().node_identity(name)?),
        reviews: Some(kube::Client::new(server.service(Identity::loopback()), "default")),
    });
    let client = kube::Client::new(server.service(node), "default");
    Kubelet::start(config, client, runtime).await.context("cannot start the kubelet")
}
