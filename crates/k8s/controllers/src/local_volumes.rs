//! Volumes made when somebody asks for them: folders of the node on which the first pod that uses the claim was placed.
//!
//! Every node runs this for its own folders, whoever leads. It writes the storage class `local-path`, which is the cluster's default unless the class is changed, makes a folder and
//! a persistent volume for each claim of such a class that was given to this node, and removes both when the claim is gone, no pod of it runs any more and the policy is `Delete`.
//! The size of a claim is told and not enforced.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_client::informer::Key;
use k8s_client::{Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::{ignore_absent, ignore_present};

/// Who makes volumes of a class.
pub const PROVISIONER: &str = "sampan.dev/local-path";
/// On volumes: who made them.
pub(crate) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On claims: the node that the scheduler has chosen.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const NODE: &str = "sampan.dev/node";
const CLASS: &str = "local-path";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Work {
    /// Namespace and name of a claim.
    Claim(String, String),
    Volume(String),
}

struct Maker {
    client: Client,
    recorder: Recorder,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
    node: String,
    folder: PathBuf,
}

/// Runs until dropped: the volumes of one node, in folders beneath one.
pub async fn run(informers: Informers, node: String, folder: PathBuf) {
    let maker = Maker {
        client: informers.client().clone(),
        recorder: Recorder::new(informers.client().clone(), PROVISIONER, &node),
        claims: informers.get(),
        volumes: informers.get(),
        classes: informers.get(),
        node,
        folder,
    };
    tokio::join!(maker.claims.synced(), maker.volumes.synced(), maker.classes.synced());
    let queue: Queue<Work> = Queue::default();
    let claim = |key: Key| Work::Claim(key.0, key.1);
    let add = queue.clone();
    let _claims = maker.claims.on(move |change| add.add(claim(change.key())));
    let add = queue.clone();
    let _volumes = maker.volumes.on(move |change| add.add(Work::Volume(change.object().name_any())));
    let (add, waiting) = (queue.clone(), maker.claims.clone());
    let _classes = maker.classes.on(move |_| {
        for one in waiting.list() {
            add.add(claim(k8s_client::informer::key(&one.metadata)));
        }
    });
    // A volume that a pod still had may go with the pod.
    let (add, volumes) = (queue.clone(), maker.volumes.clone());
    let _pods = informers.get::<Pod>().on(move |change| {
        if change.new.is_none() {
            volumes.list().iter().filter(|one| is_released(one)).for_each(|one| add.add(Work::Volume(one.name_any())));
        }
    });
    let maker = &maker;
    let class = async {
        while let Err(error) = maker.class().await {
            tracing::debug!(%error, "the storage class {CLASS} is not written yet");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let work = queue.work("local-volumes", 1, |work| async move {
        match &work {
            Work::Claim(namespace, name) => maker.claim(namespace, name).await,
            Work::Volume(name) => maker.volume(name).await,
        }
    });
    tokio::select! {
        () = class => {}
        _ = work => {}
    }
}

impl Maker {
    /// The class, unless there is one of that name: then it stays as somebody changed it.
    async fn class(&self) -> kube::Result<()> {
        let class = json!({
            "metadata": { "name": CLASS, "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
            "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
        });
        let Ok(class) = serde_json::from_value::<StorageClass>(class) else { return Ok(()) };
        let api = Api::<StorageClass>::all(self.client.clone());
        if api.get_opt(CLASS).await?.is_some() {
            return Ok(());
        }
        ignore_present(api.create(&PostParams::default(), &class).await)
    }

    async fn claim(&self, namespace: &str, name: &str) -> kube::Result<()> {
        let Some(claim) = self.claims.get(namespace, name) else { return Ok(()) };
        let Some(class) = self.asks(&claim) else { return Ok(()) };
        let Some(uid) = claim.uid() else { return Ok(()) };
        let volume = format!("pvc-{uid}");
        if self.volumes.get("", &volume).is_some() {
            return Ok(());
        }
        if claim.spec.as_ref().and_then(|spec| spec.volume_mode.as_deref()) == Some("Block") {
            let message = format!(
                "failed to provision volume with StorageClass \"{}\": block volumes cannot be made of folders",
                class.name_any()
            );
            self.recorder.tell(&*claim, Severity::Warning, "ProvisioningFailed", message);
            return Ok(());
        }
        let path = self.folder.join(format!("{volume}_{namespace}_{name}"));
        if let Err(error) = make(&path) {
            let message = format!(
                "failed to provision volume with StorageClass \"{}\": make {}: {error}",
                class.name_any(),
                path.display()
            );
            self.recorder.tell(&*claim, Severity::Warning, "ProvisioningFailed", message);
            return Err(kube::Error::Service(error.into()));
        }
        let object = self.object(&claim, &class, &volume, &path);
        let Ok(object) = serde_json::from_value::<PersistentVolume>(object) else { return Ok(()) };
        ignore_present(Api::all(self.client.clone()).create(&PostParams::default(), &object).await)?;
        let message = format!("Successfully provisioned volume {volume}");
        self.recorder.tell(&*claim, Severity::Normal, "ProvisioningSucceeded", message);
        Ok(())
    }

    /// The class of a claim that wants a volume of this node.
    fn asks(&self, claim: &PersistentVolumeClaim) -> Option<Arc<StorageClass>> {
        let spec = claim.spec.as_ref()?;
        let bound = spec.volume_name.as_deref().is_some_and(|name| !name.is_empty());
        if bound || claim.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let class = self.classes.get("", spec.storage_class_name.as_deref()?)?;
        if class.provisioner != PROVISIONER {
            return None;
        }
        let selected = claim.metadata.annotations.as_ref().and_then(|all| all.get(SELECTED_NODE));
        let waits = class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer");
        // Where nobody chooses, the first node that looks has it: the volume's name is the same everywhere.
        let ours = if waits { selected == Some(&self.node) } else { true };
        ours.then_some(class)
    }

    fn object(
        &self,
        claim: &PersistentVolumeClaim,
        class: &StorageClass,
        name: &str,
        path: &Path,
    ) -> serde_json::Value {
        let spec = claim.spec.clone().unwrap_or_default();
        let requests = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
        let this = json!([{ "key": "kubernetes.io/hostname", "operator": "In", "values": [self.node] }]);
        json!({
            "metadata": { "name": name, "annotations": { PROVISIONED_BY: PROVISIONER, NODE: self.node } },
            "spec": {
                "accessModes": spec.access_modes,
                "capacity": { "storage": requests.get("storage") },
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(), "name": claim.name_any(),
                    "uid": claim.uid(), "resourceVersion": claim.resource_version(),
                },
                "local": { "path": path },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": this }] } },
                "persistentVolumeReclaimPolicy": class.reclaim_policy.as_deref().unwrap_or("Delete"),
                "storageClassName": class.name_any(),
                "volumeMode": "Filesystem",
            },
        })
    }

    /// A volume of this node whose claim is gone goes with its folder.
    async fn volume(&self, name: &str) -> kube::Result<()> {
        let Some(volume) = self.volumes.get("", name) else { return Ok(()) };
        let annotations = volume.annotations();
        let ours = annotations.get(PROVISIONED_BY).is_some_and(|by| by == PROVISIONER)
            && annotations.get(NODE) == Some(&self.node);
        let spec = volume.spec.clone().unwrap_or_default();
        if !ours || !is_released(&volume) || spec.persistent_volume_reclaim_policy.as_deref() != Some("Delete") {
            return Ok(());
        }
        let claim = spec.claim_ref.unwrap_or_default();
        let (namespace, claim) = (claim.namespace.unwrap_or_default(), claim.name.unwrap_or_default());
        if self.used(&namespace, &claim).await? {
            let still = std::io::Error::other(format!("a pod still uses {namespace}/{claim}"));
            return Err(kube::Error::Service(still.into()));
        }
        let path = PathBuf::from(spec.local.map(|local| local.path).unwrap_or_default());
        if path.parent() == Some(&self.folder) {
            let gone = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
            match gone {
                Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                    self.recorder.tell(&*volume, Severity::Warning, "VolumeFailedDelete", error.to_string());
                    return Err(kube::Error::Service(error.into()));
                }
                _ => {}
            }
        }
        let preconditions = Preconditions { uid: volume.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        ignore_absent(Api::<PersistentVolume>::all(self.client.clone()).delete(name, &params).await)
    }

    /// Whether a pod of this node has the claim and has not ended.
    async fn used(&self, namespace: &str, claim: &str) -> kube::Result<bool> {
        let here = ListParams::default().fields(&format!("spec.nodeName={}", self.node));
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace).list(&here).await?;
        Ok(pods.items.iter().any(|pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
            let names = volumes.filter_map(|volume| match &volume.persistent_volume_claim {
                Some(source) => Some(source.claim_name.clone()),
                None => volume.ephemeral.as_ref().map(|_| format!("{}-{}", pod.name_any(), volume.name)),
            });
            !matches!(phase, Some("Succeeded" | "Failed")) && names.into_iter().any(|name| name == claim)
        }))
    }
}

fn is_released(volume: &PersistentVolume) -> bool {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released")
}

/// Whoever the pod's processes are, they may write.
fn make(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}
