//! This host as a node of the cluster: its kubelet, over the engine's pods.

use std::path::Path;

use anyhow::{Context, Result};
use engine::Engine;
use k8s_apiserver::{ApiServer, Identity};
use k8s_kubelet::config::{Addressing, LogLimits};
use k8s_kubelet::{Kubelet, server};

use super::flags::KubeletFlags;
use super::services;

/// Where nodes serve logs, exec and statistics.
const PORT: u16 = 10250;

/// Name of this host's node where none is given: the host's own, as names of objects are written.
pub fn default_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// What a node is told on the command line.
pub struct Settings<'a> {
    pub name: &'a str,
    pub data_root: &'a Path,
    pub flags: &'a KubeletFlags,
}

/// Starts the kubelet; it speaks to the API as the node does, whichever process serves it.
pub async fn start(api: &ApiServer, engine: Engine, settings: Settings<'_>) -> Result<Kubelet> {
    let Settings { name, data_root, flags } = settings;
    let runtime = pods::open(engine, pods::Config::default()).await.context("cannot open the runtime of pods")?;
    let node = Identity::new(format!("system:node:{name}"), &["system:nodes", "system:authenticated"]);
    let mut config = k8s_kubelet::Config::new(name, data_root.join("kubernetes/kubelet"));
    config.addressing = Addressing::Cluster;
    config.cluster_dns = vec![services::DNS];
    config.max_pods = flags.max_pods;
    config.log_limits =
        LogLimits { bytes: flags.container_log_max_size, files: flags.container_log_max_files as usize };
    config.eviction = config.eviction.with(&flags.eviction_hard).context("--eviction-hard")?;
    config.eviction.images_high = flags.image_gc_high_threshold;
    config.eviction.images_low = flags.image_gc_low_threshold;
    let manifests = flags.pod_manifest_path.clone();
    config.manifests = Some(manifests.unwrap_or_else(|| data_root.join("kubernetes/manifests")));
    config.server = Some(server::Settings {
        listen: ([0, 0, 0, 0], PORT).into(),
        client_authorities: api.pki().authority_pem(),
        identity: Some(api.pki().node_identity(name)?),
        reviews: Some(kube::Client::new(api.service(Identity::loopback()), "default")),
    });
    let client = kube::Client::new(api.service(node), "default");
    Kubelet::start(config, client, runtime).await.context("cannot start the kubelet")
}
