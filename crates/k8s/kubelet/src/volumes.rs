//! Volumes of pods: mounted before their containers start, kept as the API says, gone with the pod.

pub mod beneath;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::Client;
use pods::runtime::Mount;

use crate::config::Config;
use crate::sources::Sources;

/// Why a pod's volumes cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("volumes are not implemented")]
    Unimplemented,
}

/// All volumes of this node's pods; a cheap handle.
///
/// A pod's volumes are beneath its folder ([`Config::pod_folder`]), as `volumes/<kind>/<name>`. What comes from configMaps, secrets, tokens and the pod itself is followed
/// from [`Volumes::mount`] to [`Volumes::unmount`] and replaced atomically when it changes.
#[derive(Clone)]
pub struct Volumes {}

/// The volumes of one pod, ready to be given to its containers.
#[derive(Debug, Clone, Default)]
pub struct MountedVolumes {
    /// Where each is on the node, by its name in the pod.
    pub paths: BTreeMap<String, PathBuf>,
}

impl Volumes {
    pub fn new(_config: &Config, _client: Client, _sources: &Sources) -> Volumes {
        Volumes {}
    }

    /// Makes every volume of a pod ready. Called before the pod's sandbox starts, and again after the daemon restarted, when they are there already: then it only
    /// begins to follow. Returns when all are ready; what is not there yet (a configMap to come) is an error that says so, and the caller calls again: [`Volumes::ready`] says when.
    pub async fn mount(&self, pod: &Pod) -> Result<MountedVolumes, Error> {
        if pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref()).is_none_or(Vec::is_empty) {
            return Ok(MountedVolumes::default());
        }
        Err(Error::Unimplemented)
    }

    /// Returns when it is worth to call [`Volumes::mount`] again for a pod whose mount failed because something is not there: it came, or a while has passed.
    pub async fn ready(&self, _pod: &Pod) {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }

    /// The pod's labels or annotations changed: what tells of them (downward API) follows.
    pub async fn update(&self, _pod: &Pod) {}

    /// Unmounts and removes all volumes of a pod, whether it was mounted by this process or by one before it; nothing happens where none are. After it, nothing of the pod is
    /// followed and its folder's `volumes` is gone.
    pub async fn unmount(&self, _uid: &str) -> Result<(), Error> {
        Ok(())
    }

    /// Bytes that a pod's own volumes use on the node's disk and how much they may, by volume: for eviction and statistics.
    pub async fn usage(&self, _uid: &str) -> Vec<VolumeUsage> {
        Vec::new()
    }
}

/// Where an `emptyDir` of a pod is, beneath the pod's folder.
pub fn empty_dir(pod_folder: &Path, volume: &str) -> PathBuf {
    pod_folder.join("volumes/kubernetes.io~empty-dir").join(volume)
}

/// What one volume uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUsage {
    pub name: String,
    pub used: u64,
    pub inodes: u64,
    pub capacity: u64,
    pub available: u64,
    /// `sizeLimit` of an emptyDir.
    pub limit: Option<u64>,
    /// Whether it is memory rather than disk.
    pub memory: bool,
}

impl MountedVolumes {
    /// Mounts of one container (init and ephemeral ones too): `volumeMounts` with `subPath` and `subPathExpr` expanded by the container's variables, propagation, read-only.
    pub async fn mounts(
        &self,
        _pod: &Pod,
        container: &Container,
        _env: &[(String, String)],
    ) -> Result<Vec<Mount>, Error> {
        if container.volume_mounts.as_ref().is_none_or(Vec::is_empty) {
            Ok(Vec::new())
        } else {
            Err(Error::Unimplemented)
        }
    }
}
