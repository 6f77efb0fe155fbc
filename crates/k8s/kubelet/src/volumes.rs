//! Volumes of pods: mounted before their containers start, kept as the API says, gone with the pod.
//!
//! What comes from config maps, secrets, tokens and the pod itself is a *payload*: files that are computed and put into place all at once, again whenever a source changes
//! or a token has to be replaced. Everything else is a place on the node that is made or found once.

mod atomic;
pub mod beneath;
mod claims;
mod empty_dir;
mod error;
mod host_path;
mod ownership;
mod payload;
mod places;
mod refresh;
mod sub_path;
#[cfg(test)]
mod tests;
mod tokens;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use kube::Client;
use pods::runtime::{Device, Mount};
use tokio::sync::Notify;

use crate::config::Config;
use crate::environment::{Facts, allocatable};
use crate::security::resources;
use crate::sources::{Found, Sources, pod_name};
use places::Places;
use tokens::{Clock, Tokens};

pub use error::{Error, Fault, Files};

/// What no watch tells of is looked at again after so long, and then after ever longer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// All volumes of this node's pods; a cheap handle.
///
/// A pod's volumes are beneath its folder ([`Config::pod_folder`]), as `volumes/<kind>/<name>`; payloads are in memory, on one file system for all pods. Payloads are
/// followed from [`Volumes::mount`] to [`Volumes::unmount`] and replaced atomically when they change.
#[derive(Clone)]
pub struct Volumes {
    inner: Arc<Inner>,
    /// Ends with the last handle; the task has none.
    _refresher: Arc<Refresher>,
}

struct Refresher(tokio::task::AbortHandle);

impl Drop for Refresher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Inner {
    client: Client,
    node: String,
    places: Arc<Places>,
    sources: Sources,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
    /// By uid. One pod's volumes are worked on by one task at a time.
    pods: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Followed>>>>,
    /// When tokens of which pods have to be replaced.
    due: Mutex<BTreeMap<String, Timestamp>>,
    due_changed: Notify,
}

/// A pod whose volumes are wanted.
#[derive(Default)]
struct Followed {
    pod: Option<Arc<Pod>>,
    mounted: bool,
    /// Mounts that failed one after another.
    failures: u32,
}

/// A volume that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ready {
    path: PathBuf,
    read_only: bool,
    block: bool,
}

/// The volumes of one pod, ready to be given to its containers.
#[derive(Clone, Default)]
pub struct MountedVolumes {
    /// Where each is on the node, by its name in the pod.
    pub paths: BTreeMap<String, PathBuf>,
    ready: BTreeMap<String, Ready>,
    places: Option<Arc<Places>>,
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

impl Volumes {
    pub fn new(config: &Config, client: Client, sources: &Sources) -> Volumes {
        Self::with_clock(config, client, sources, Arc::new(tokens::System))
    }

    fn with_clock(config: &Config, client: Client, sources: &Sources, clock: Arc<dyn Clock>) -> Volumes {
        let inner = Arc::new(Inner {
            tokens: Tokens::new(client.clone(), clock.clone()),
            client,
            node: config.node_name.clone(),
            places: Arc::new(Places::new(&config.data)),
            sources: sources.clone(),
            clock,
            pods: Mutex::default(),
            due: Mutex::default(),
            due_changed: Notify::new(),
        });
        let task = tokio::spawn(refresh::run(inner.clone()));
        Volumes { inner, _refresher: Arc::new(Refresher(task.abort_handle())) }
    }

    /// Makes every volume of a pod ready. Called before the pod's sandbox starts, and again after the daemon restarted, when they are there already: then it only
    /// begins to follow. Returns when all are ready; what is not there yet (a configMap to come) is an error that says so, and the caller calls again: [`Volumes::ready`]
    /// says when.
    ///
    /// # Errors
    /// The first volume that is not ready; the others were made all the same.
    pub async fn mount(&self, pod: &Pod) -> Result<MountedVolumes, Error> {
        if volumes(pod).next().is_none() {
            return Ok(MountedVolumes::default());
        }
        let followed = self.inner.followed(&uid(pod));
        let mut followed = followed.lock().await;
        followed.pod = Some(Arc::new(pod.clone()));
        match self.inner.make(pod).await {
            Ok(mounted) => {
                followed.mounted = true;
                followed.failures = 0;
                Ok(mounted)
            }
            Err(error) => {
                followed.failures = followed.failures.saturating_add(1);
                Err(error)
            }
        }
    }

    /// Returns when it is worth to call [`Volumes::mount`] again for a pod whose mount failed because something is not there: it came, or a while has passed.
    pub async fn ready(&self, pod: &Pod) {
        let failures = self.inner.followed(&uid(pod)).lock().await.failures;
        let pause = (FIRST_PAUSE * 2u32.saturating_pow(failures.saturating_sub(1).min(10))).min(LONGEST_PAUSE);
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let (claims, name) = (claims::names(pod), pod_name(pod));
        let bound = async {
            if failures < 2 || claims.is_empty() {
                // Looked at once more first: it may be bound by now.
                return std::future::pending().await;
            }
            let all = claims.iter().map(|name| Box::pin(claims::bound(&self.inner.client, &namespace, name)));
            let (_, place, rest) = futures_util::future::select_all(all).await;
            drop((place, rest));
        };
        tokio::select! {
            () = self.inner.sources.changed(&name) => {}
            () = bound => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// The pod's labels or annotations changed: what tells of them (downward API) follows.
    pub async fn update(&self, pod: &Pod) {
        self.inner.sources.hold(pod);
        let known = self.inner.lock().get(&uid(pod)).cloned();
        let Some(followed) = known else { return };
        let mut followed = followed.lock().await;
        if followed.pod.is_some() {
            followed.pod = Some(Arc::new(pod.clone()));
            self.inner.refresh(&followed).await;
        }
    }

    /// Unmounts and removes all volumes of a pod, whether it was mounted by this process or by one before it; nothing happens where none are. After it, nothing of the pod is
    /// followed and its folder's `volumes` is gone.
    ///
    /// # Errors
    /// The first thing that stays.
    pub async fn unmount(&self, uid: &str) -> Result<(), Error> {
        let known = self.inner.lock().get(uid).cloned();
        if let Some(followed) = known {
            // A refresh that has the pod ends first; those that come later find nothing.
            let mut followed = followed.lock().await;
            followed.pod = None;
            followed.mounted = false;
            self.inner.lock().remove(uid);
        }
        self.inner.sources.release(uid);
        self.inner.tokens.forget(uid);
        self.inner.due().remove(uid);
        let (places, uid) = (self.inner.places.clone(), uid.to_owned());
        let removed = tokio::task::spawn_blocking(move || places.remove(&uid)).await;
        removed.unwrap_or(Ok(())).map_err(Error::Files)
    }

    /// Bytes that a pod's own volumes use on the node's disk and how much they may, by volume: for eviction and statistics.
    pub async fn usage(&self, uid: &str) -> Vec<VolumeUsage> {
        let known = self.inner.lock().get(uid).cloned();
        let Some(followed) = known else { return Vec::new() };
        let Some(pod) = followed.lock().await.pod.clone() else { return Vec::new() };
        let (places, uid) = (self.inner.places.clone(), uid.to_owned());
        let count = move || {
            let all = volumes(&pod).filter_map(|volume| Some((volume, volume.empty_dir.as_ref()?)));
            let one = |(volume, source): (&Volume, _)| {
                let path = places.empty_dir(&uid, &volume.name);
                usage::of(&volume.name, &path, empty_dir::limit(source), empty_dir::in_memory(source))
            };
            all.map(one).collect()
        };
        tokio::task::spawn_blocking(count).await.unwrap_or_default()
    }
}

impl MountedVolumes {
    /// Mounts of one container (init and ephemeral ones too): `volumeMounts` with `subPath` and `subPathExpr` expanded by the container's variables, propagation, read-only.
    ///
    /// # Errors
    /// When a path leads outside of its volume, or a volume is not there.
    pub async fn mounts(
        &self,
        pod: &Pod,
        container: &Container,
        env: &[(String, String)],
    ) -> Result<Vec<Mount>, Error> {
        let find = |name: &str| self.ready.get(name).filter(|ready| !ready.block).cloned();
        match (&self.places, container.volume_mounts.as_ref().and_then(|mounts| mounts.first())) {
            (_, None) => Ok(Vec::new()),
            (Some(places), Some(_)) => sub_path::mounts(places, &uid(pod), &find, container, env),
            (None, Some(first)) => {
                Err(Error::NoVolume { volume: first.name.clone(), container: container.name.clone() })
            }
        }
    }

    /// Devices of one container: `volumeDevices`.
    ///
    /// # Errors
    /// When a volume is not there, or is no device.
    pub fn devices(&self, container: &Container) -> Result<Vec<Device>, Error> {
        sub_path::devices(&|name: &str| self.ready.get(name).cloned(), container)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<Followed>>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn followed(&self, uid: &str) -> Arc<tokio::sync::Mutex<Followed>> {
        self.lock().entry(uid.to_owned()).or_default().clone()
    }

    /// Makes all volumes of a pod, or finds them.
    async fn make(&self, pod: &Pod) -> Result<MountedVolumes, Error> {
        let found = self.sources.found(pod).await?;
        let facts = self.facts(pod).await;
        let mut mounted = MountedVolumes { places: Some(self.places.clone()), ..MountedVolumes::default() };
        let mut first = None;
        for volume in volumes(pod) {
            match self.one(pod, volume, &found, &facts).await {
                Ok(ready) => {
                    mounted.paths.insert(volume.name.clone(), ready.path.clone());
                    mounted.ready.insert(volume.name.clone(), ready);
                }
                Err(fault) => {
                    first.get_or_insert(Error::SetUp { volume: volume.name.clone(), fault });
                }
            }
        }
        first.map_or(Ok(mounted), Err)
    }

    /// What the files of a pod tell of its node.
    async fn facts(&self, pod: &Pod) -> Facts {
        let mut facts = Facts::default();
        if volumes(pod).any(payload::asks_for_resources) {
            // A node that cannot be read shows limits that are not set as nothing.
            facts.allocatable = allocatable(&self.client, &self.node).await.unwrap_or_default();
        }
        facts
    }

    async fn one(&self, pod: &Pod, volume: &Volume, found: &Found, facts: &Facts) -> Result<Ready, Fault> {
        let uid = uid(pod);
        if payload::is_payload(volume) {
            let (path, _) = self.put_payload(pod, volume, found, facts).await?;
            return Ok(Ready { path, read_only: true, block: false });
        }
        if let Some(source) = &volume.empty_dir {
            let path = self.places.empty_dir(&uid, &volume.name);
            let limits = resources::of_pod(pod).memory.and_then(|bytes| u64::try_from(bytes).ok());
            let fresh = empty_dir::make(&path, source, limits)?;
            if let Some(group) = payload::fs_group(pod).filter(|_| fresh) {
                ownership::give(&path, group, ownership::Policy::Always)?;
            }
            return Ok(Ready { path, ..Ready::default() });
        }
        if let Some(source) = &volume.host_path {
            let path = host_path::check(&source.path, source.type_.as_deref().unwrap_or_default())?;
            return Ok(Ready { path, ..Ready::default() });
        }
        if let Some(source) = &volume.persistent_volume_claim {
            let read_only = source.read_only == Some(true);
            return self.claim(pod, &source.claim_name, false, read_only).await;
        }
        if volume.ephemeral.is_some() {
            return self.claim(pod, &claims::ephemeral_name(pod, &volume.name), true, false).await;
        }
        Err(Fault::Unsupported(unsupported(volume)))
    }

    async fn claim(&self, pod: &Pod, name: &str, ephemeral: bool, read_only: bool) -> Result<Ready, Fault> {
        let claimed = claims::resolve(&self.client, pod, name, ephemeral, &self.node).await?;
        let path = match claimed.backing {
            claims::Backing::HostPath { path, kind } => host_path::check(&path, &kind)?,
            claims::Backing::Local { path } if claimed.block => host_path::check(&path, "BlockDevice")?,
            claims::Backing::Local { path } => {
                let path = host_path::check(&path, "Directory")?;
                if let Some(group) = payload::fs_group(pod).filter(|_| !read_only) {
                    let (root, policy) = (path.clone(), change_policy(pod));
                    let given = tokio::task::spawn_blocking(move || ownership::give(&root, group, policy)).await;
                    given.unwrap_or(Ok(()))?;
                }
                path
            }
        };
        Ok(Ready { path, read_only, block: claimed.block })
    }

    /// Puts the files of a volume into place; says whether any changed.
    async fn put_payload(
        &self,
        pod: &Pod,
        volume: &Volume,
        found: &Found,
        facts: &Facts,
    ) -> Result<(PathBuf, bool), Fault> {
        let mut tokens = BTreeMap::new();
        let mut renew: Option<Timestamp> = None;
        for wish in payload::tokens(volume) {
            let (token, due) = self.tokens.get(pod, &wish).await?;
            renew = Some(renew.map_or(due, |other| other.min(due)));
            tokens.insert(wish, token);
        }
        if let Some(renew) = renew {
            self.renew_at(&uid(pod), renew);
        }
        let files = payload::payload(volume, &payload::Inputs { pod, found, facts, tokens: &tokens })?;
        let path = self.places.in_memory(&uid(pod), &volume.name)?;
        let changed = atomic::write(&path, &files, payload::fs_group(pod))?;
        Ok((path, changed))
    }

    fn renew_at(&self, uid: &str, time: Timestamp) {
        let mut due = self.due();
        let sooner = due.get(uid).is_none_or(|known| time < *known || *known <= self.clock.now());
        if sooner {
            due.insert(uid.to_owned(), time);
            self.due_changed.notify_one();
        }
    }

    /// Puts all payloads of a mounted pod into place once more.
    async fn refresh(&self, followed: &Followed) {
        let Some(pod) = followed.pod.as_ref().filter(|_| followed.mounted) else { return };
        let Ok(found) = self.sources.found(pod).await else { return };
        let facts = self.facts(pod).await;
        for volume in volumes(pod).filter(|volume| payload::is_payload(volume)) {
            match self.put_payload(pod, volume, &found, &facts).await {
                Ok((_, changed)) => {
                    if changed {
                        tracing::debug!(pod = %pod_name(pod).name, volume = %volume.name, "a volume was updated");
                    }
                }
                // What a container has is kept when its source is gone.
                Err(error) => {
                    tracing::debug!(pod = %pod_name(pod).name, volume = %volume.name, %error, "a volume is not updated");
                }
            }
        }
    }
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten())
}

fn change_policy(pod: &Pod) -> ownership::Policy {
    let context = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    match context.and_then(|context| context.fs_group_change_policy.as_deref()) {
        Some("OnRootMismatch") => ownership::Policy::OnRootMismatch,
        _ => ownership::Policy::Always,
    }
}

/// What a volume is that this node does not have.
fn unsupported(volume: &Volume) -> &'static str {
    let kinds = [
        ("image", volume.image.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("csi", volume.csi.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("fc", volume.fc.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
    ];
    kinds.iter().find(|(_, there)| *there).map_or("such", |(name, _)| name)
}

/// Where an `emptyDir` of a pod is, beneath the pod's folder.
pub fn empty_dir(pod_folder: &Path, volume: &str) -> PathBuf {
    pod_folder.join("volumes/kubernetes.io~empty-dir").join(volume)
}
