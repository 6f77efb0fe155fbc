//! Names of a pod: its host name, `/etc/hosts` and `/etc/resolv.conf`.

mod dns;
mod hosts;
mod names;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use pods::runtime::{Dns, Mount};

use crate::config::Config;
use crate::environment::Addresses;

pub use names::Names;

/// Why a pod's names cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Name(#[from] names::Fault),
}

/// A pod's host name (`hostname`, `setHostnameAsFQDN`, at most 63 characters); the node's on the node's network.
pub fn hostname(config: &Config, pod: &Pod) -> String {
    if on_node(pod) {
        return config.node_name.clone();
    }
    // What cannot be a name is told by `dns`, which is asked for together with this.
    let names = names::names(pod, &config.cluster_domain).map(|names| names.kernel);
    names.unwrap_or_else(|_| pod.metadata.name.clone().unwrap_or_default())
}

/// `/etc/resolv.conf` by the pod's policy and configuration; `None` means the node's own.
///
/// # Errors
/// When the pod's whole name is wanted as host name and too long for that.
pub fn dns(config: &Config, pod: &Pod) -> Result<Option<Dns>, Error> {
    names::names(pod, &config.cluster_domain)?;
    Ok(Some(resolved(config, pod).dns))
}

/// What had to be left out of it, each worth an event `DNSConfigForming`.
pub fn dns_warnings(config: &Config, pod: &Pod) -> Vec<String> {
    resolved(config, pod).warnings
}

fn resolved(config: &Config, pod: &Pod) -> dns::Resolved {
    let cluster = dns::Cluster { servers: config.cluster_dns.clone(), domain: config.cluster_domain.clone() };
    let node = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    dns::dns(pod, &cluster, &dns::node_dns(&node))
}

/// Writes the pod's `/etc/hosts` into its folder and returns the mount for its containers; a container that mounts its own there goes without.
///
/// # Errors
/// When it cannot be written.
pub fn hosts(config: &Config, pod: &Pod, addresses: &Addresses) -> Result<Option<Mount>, Error> {
    let names = names::names(pod, &config.cluster_domain)?;
    let node = on_node(pod).then(|| std::fs::read_to_string("/etc/hosts").unwrap_or_default());
    let text = hosts::text(pod, &names, &addresses.pod, node.as_deref());
    let folder = config.pod_folder(pod.metadata.uid.as_deref().unwrap_or_default());
    let path = folder.join("etc-hosts");
    let written = std::fs::create_dir_all(&folder).and_then(|()| hosts::write(&path, &text));
    written.map_err(|source| Error::Write { path: path.clone(), source })?;
    Ok(Some(Mount { host_path: path, container_path: hosts::PLACE.into(), ..Mount::default() }))
}

fn on_node(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true))
}
