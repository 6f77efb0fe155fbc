//! What a node is told about itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Taint;

use crate::server;

/// What a node is told about itself.
#[derive(Debug, Clone)]
pub struct Config {
    pub node_name: String,
    /// Everything that is kept beneath one folder: `pods/<uid>/…`.
    pub data: PathBuf,
    /// Logs of containers: `<namespace>_<pod>_<uid>/<container>/<attempt>.log`.
    pub logs: PathBuf,
    /// The node's addresses, the one it is known by first. Empty: found where the default route goes, and followed.
    pub addresses: Vec<IpAddr>,
    /// Set on the node when it is registered, beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Set on the node when it is made.
    pub taints: Vec<Taint>,
    pub max_pods: u32,
    pub addressing: Addressing,
    pub cluster_domain: String,
    /// Name servers of pods with the policy `ClusterFirst`.
    pub cluster_dns: Vec<IpAddr>,
    /// What pods cannot have, as amounts by resource (`cpu`, `memory`, `ephemeral-storage`).
    pub reserved: BTreeMap<String, String>,
    pub eviction: Eviction,
    pub log_limits: LogLimits,
    /// Where manifests of pods lie that this node runs whatever the scheduler says; none where that is not wanted.
    pub manifests: Option<PathBuf>,
    /// Sysctls that pods may set beside the safe ones (`net.core.somaxconn`, `kernel.msg*`).
    pub unsafe_sysctls: Vec<String>,
    /// Where logs, exec and statistics are served; none where nothing is.
    pub server: Option<server::Settings>,
}

/// Who says which addresses the node's pods have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// The cluster, by `spec.podCIDR` of the node; no pod gets a network before that is known.
    Cluster,
    /// The runtime has its own.
    Runtime,
}

/// When pods have to go for the node's sake.
#[derive(Debug, Clone, PartialEq)]
pub struct Eviction {
    /// Bytes of memory that must be available.
    pub memory_available: u64,
    /// Hundredths of the file system that must be free.
    pub disk_available: u8,
    /// Hundredths of its inodes that must be free.
    pub inodes_free: u8,
    /// Hundredths of the node's process ids that must be free.
    pub pids_available: u8,
    /// Images are collected from so many hundredths of use…
    pub images_high: u8,
    /// …down to so many.
    pub images_low: u8,
}

impl Default for Eviction {
    fn default() -> Eviction {
        Eviction {
            memory_available: 100 << 20,
            disk_available: 10,
            inodes_free: 5,
            pids_available: 5,
            images_high: 85,
            images_low: 80,
        }
    }
}

/// How much of the logs of a container is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// From so many bytes on a log is moved aside.
    pub bytes: u64,
    /// So many are kept, the present one among them.
    pub files: usize,
}

impl Default for LogLimits {
    fn default() -> LogLimits {
        LogLimits { bytes: 10 << 20, files: 5 }
    }
}

/// Bytes as Kubernetes writes them (`100Mi`).
pub fn bytes(text: &str) -> Option<u64> {
    k8s_types::quantity::Quantity::parse(text).ok()?.value().try_into().ok()
}

/// A threshold that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no threshold: want memory.available<BYTES, nodefs.available<N%, nodefs.inodesFree<N% or pid.available<N%"
)]
pub struct NoThreshold(String);

impl Eviction {
    /// These thresholds with others over them (`memory.available<100Mi,nodefs.available<10%`).
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn with(mut self, text: &str) -> Result<Eviction, NoThreshold> {
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let wrong = || NoThreshold(one.to_owned());
            let (signal, amount) = one.split_once('<').ok_or_else(wrong)?;
            let share = amount.strip_suffix('%').and_then(|share| share.parse().ok()).filter(|share| *share <= 100);
            match (signal, share) {
                ("memory.available", None) => self.memory_available = bytes(amount).ok_or_else(wrong)?,
                ("nodefs.available", Some(share)) => self.disk_available = share,
                ("nodefs.inodesFree", Some(share)) => self.inodes_free = share,
                ("pid.available", Some(share)) => self.pids_available = share,
                _ => return Err(wrong()),
            }
        }
        Ok(self)
    }
}

impl Config {
    /// The usual settings for a node of a name, with its data in a folder.
    pub fn new(node_name: &str, data: PathBuf) -> Config {
        Config {
            node_name: node_name.to_owned(),
            logs: data.join("logs"),
            data,
            addresses: Vec::new(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            max_pods: 110,
            addressing: Addressing::Runtime,
            cluster_domain: "cluster.local".to_owned(),
            cluster_dns: Vec::new(),
            reserved: BTreeMap::new(),
            eviction: Eviction::default(),
            log_limits: LogLimits::default(),
            manifests: None,
            unsafe_sysctls: Vec::new(),
            server: None,
        }
    }

    /// The folder of a pod.
    pub fn pod_folder(&self, uid: &str) -> PathBuf {
        self.data.join("pods").join(uid)
    }

    /// The folder of a pod's logs.
    pub fn log_folder(&self, pod: &pods::runtime::PodName) -> PathBuf {
        self.logs.join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_as_kubernetes_writes_them() {
        let read = |text: &str| Eviction::default().with(text);
        assert_eq!(read(""), Ok(Eviction::default()));
        let all = read("memory.available<1Gi, nodefs.available<20%,nodefs.inodesFree<1%,pid.available<2%").unwrap();
        assert_eq!((all.memory_available, all.disk_available), (1 << 30, 20));
        assert_eq!((all.inodes_free, all.pids_available), (1, 2));
        for wrong in ["memory.available", "memory.available<10%", "nodefs.available<110%", "x<1%", "pid.available<5"] {
            assert_eq!(read(wrong), Err(NoThreshold(wrong.to_owned())));
        }
    }
}
