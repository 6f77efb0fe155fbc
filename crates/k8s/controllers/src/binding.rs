//! Claims and persistent volumes: which belong to each other, and what that means for both.
//!
//! Volumes are made by hand or by a provisioner ([`crate::local_volumes`], or one outside); here they are only found. What the scheduler promised to a claim (`claimRef`), or somebody by hand, goes before
//! what would fit. A volume is taken by writing the claim into it at the revision that was looked at, so that two claims never take the same one.

use std::collections::BTreeMap;

use k8s_client::{Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeSpec,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_types::quantity::Quantity;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::local_volumes::{PROVISIONED_BY, SELECTED_NODE};
use crate::owned::{selector, selects};

const BY_US: &str = "pv.kubernetes.io/bound-by-controller";
const COMPLETED: &str = "pv.kubernetes.io/bind-completed";

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Namespace and name.
    Claim(String, String),
    Volume(String),
}

struct Binder {
    client: Client,
    recorder: Recorder,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
}

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let binder = Binder {
        client: informers.client().clone(),
        recorder: Recorder::new(informers.client().clone(), "persistentvolume-controller", ""),
        claims: informers.get(),
        volumes: informers.get(),
        classes: informers.get(),
    };
    tokio::join!(binder.claims.synced(), binder.volumes.synced(), binder.classes.synced());
    let queue: Queue<Key> = Queue::default();
    let (add, waiting) = (queue.clone(), binder.claims.clone());
    let _claims = binder.claims.on(move |change| {
        let claim = change.object();
        add.add(Key::Claim(claim.namespace().unwrap_or_default(), claim.name_any()));
        if let Some(volume) = volume_name(claim) {
            add.add(Key::Volume(volume.to_owned()));
        }
    });
    let add = queue.clone();
    let _volumes = binder.volumes.on(move |change| {
        let volume = change.object();
        add.add(Key::Volume(volume.name_any()));
        match volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) {
            Some(claim) => {
                let part = |text: &Option<String>| text.clone().unwrap_or_default();
                add.add(Key::Claim(part(&claim.namespace), part(&claim.name)));
            }
            // Free for whoever waits.
            None => {
                for claim in waiting.list().iter().filter(|claim| volume_name(claim).is_none()) {
                    add.add(Key::Claim(claim.namespace().unwrap_or_default(), claim.name_any()));
                }
            }
        }
    });
    let binder = &binder;
    queue
        .work("persistent-volume-binder", 1, |key| async move {
            match &key {
                Key::Claim(namespace, name) => binder.claim(namespace, name).await,
                Key::Volume(name) => binder.volume(name).await,
            }
        })
        .await;
}

impl Binder {
    async fn claim(&self, namespace: &str, name: &str) -> kube::Result<()> {
        let Some(claim) = self.claims.get(namespace, name) else { return Ok(()) };
        if claim.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        if let Some(bound) = volume_name(&claim).filter(|_| completed(&claim)) {
            return match self.volumes.get("", bound) {
                None => self.claim_phase(&claim, "Lost").await,
                Some(volume) if refers(&volume, &claim) => self.complete(&claim, &volume).await,
                // Somebody else has it.
                Some(_) => self.claim_phase(&claim, "Lost").await,
            };
        }
        match self.choose(&claim) {
            Some(volume) => {
                let volume = self.take(&claim, (*volume).clone()).await?;
                self.complete(&claim, &volume).await
            }
            None => {
                let (reason, message) = if selected(&claim) {
                    (
                        "ExternalProvisioning",
                        "Waiting for a volume to be created by the provisioner of the storage class or manually by the system administrator",
                    )
                } else if self.waits(&claim) {
                    ("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
                } else {
                    ("FailedBinding", "no persistent volumes available for this claim and no storage class is set")
                };
                self.recorder.tell(&*claim, Severity::Normal, reason, message);
                self.claim_phase(&claim, "Pending").await
            }
        }
    }

    /// The volume that a claim is given: the one that it names, one that is kept for it, or the smallest that fits.
    fn choose(&self, claim: &PersistentVolumeClaim) -> Option<std::sync::Arc<PersistentVolume>> {
        if let Some(name) = volume_name(claim) {
            let volume = self.volumes.get("", name)?;
            return (claim_of(&volume).is_none() || kept_for(&volume, claim)).then_some(volume);
        }
        let all = self.volumes.list();
        if let Some(kept) = all.iter().find(|volume| kept_for(volume, claim) && suits(volume, claim)) {
            return Some(kept.clone());
        }
        if self.waits(claim) {
            return None;
        }
        let free = all.into_iter().filter(|volume| claim_of(volume).is_none() && suits(volume, claim));
        free.min_by_key(|volume| volume.spec.as_ref().map_or(0, |spec| storage(spec.capacity.as_ref())))
    }

    /// Whether the scheduler chooses, when a pod comes that wants it.
    fn waits(&self, claim: &PersistentVolumeClaim) -> bool {
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
        let class = self.classes.get("", class);
        class.is_some_and(|class| class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
    }

    /// Writes the claim into the volume; a conflict if anybody else was faster.
    async fn take(
        &self,
        claim: &PersistentVolumeClaim,
        mut volume: PersistentVolume,
    ) -> kube::Result<PersistentVolume> {
        if refers(&volume, claim) {
            return Ok(volume);
        }
        let ours = claim_of(&volume).is_none();
        if ours {
            volume.metadata.annotations.get_or_insert_default().insert(BY_US.to_owned(), "yes".to_owned());
        }
        volume.spec.get_or_insert_default().claim_ref = Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("PersistentVolumeClaim".to_owned()),
            namespace: claim.namespace(),
            name: claim.metadata.name.clone(),
            uid: claim.metadata.uid.clone(),
            resource_version: claim.metadata.resource_version.clone(),
            ..ObjectReference::default()
        });
        let api = Api::<PersistentVolume>::all(self.client.clone());
        api.replace(&volume.name_any(), &PostParams::default(), &volume).await
    }

    /// Writes the volume into the claim, and the phases of both.
    async fn complete(&self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> kube::Result<()> {
        self.volume_phase(volume, "Bound", "").await?;
        let api = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &claim.namespace().unwrap_or_default());
        let name = claim.name_any();
        if !completed(claim) || volume_name(claim) != volume.metadata.name.as_deref() {
            let mut annotations = BTreeMap::from([(COMPLETED, "yes")]);
            if volume_name(claim).is_none() {
                annotations.insert(BY_US, "yes");
            }
            let patch = json!({
                "metadata": { "annotations": annotations, "resourceVersion": claim.metadata.resource_version },
                "spec": { "volumeName": volume.metadata.name },
            });
            api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
        let spec = volume.spec.as_ref();
        let status = claim.status.as_ref();
        let capacity = spec.and_then(|spec| spec.capacity.as_ref());
        let same = status.is_some_and(|status| {
            status.phase.as_deref() == Some("Bound") && storage(status.capacity.as_ref()) == storage(capacity)
        });
        if same {
            return Ok(());
        }
        let patch = json!({ "status": {
            "phase": "Bound", "accessModes": spec.and_then(|spec| spec.access_modes.as_ref()), "capacity": capacity,
        } });
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }

    async fn claim_phase(&self, claim: &PersistentVolumeClaim, phase: &str) -> kube::Result<()> {
        if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase) {
            return Ok(());
        }
        let api = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &claim.namespace().unwrap_or_default());
        let patch = Patch::Merge(json!({ "status": { "phase": phase } }));
        api.patch_status(&claim.name_any(), &PatchParams::default(), &patch).await.map(drop)
    }

    async fn volume(&self, name: &str) -> kube::Result<()> {
        let Some(volume) = self.volumes.get("", name) else { return Ok(()) };
        let Some(reference) = claim_of(&volume) else { return self.volume_phase(&volume, "Available", "").await };
        let Some(uid) = reference.uid.as_deref().filter(|uid| !uid.is_empty()) else {
            return self.volume_phase(&volume, "Available", "").await;
        };
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        let (namespace, name) = (part(&reference.namespace), part(&reference.name));
        // Asked, not looked up: a volume is not given up because a cache is behind.
        let claim = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &namespace).get_opt(&name).await?;
        match claim.filter(|claim| claim.metadata.uid.as_deref() == Some(uid)) {
            Some(claim) if volume_name(&claim) == volume.metadata.name.as_deref() => {
                self.volume_phase(&volume, "Bound", "").await
            }
            // The claim's own turn comes.
            Some(_) => Ok(()),
            None => self.released(&volume).await,
        }
    }

    /// Its claim is gone.
    async fn released(&self, volume: &PersistentVolume) -> kube::Result<()> {
        let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        if policy.is_none_or(|policy| policy == "Retain") {
            return self.volume_phase(volume, "Released", "").await;
        }
        // Who made it deletes it.
        if volume.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(PROVISIONED_BY)) {
            return self.volume_phase(volume, "Released", "").await;
        }
        let message = "volumes are neither deleted nor recycled here: remove what is on it, and the object";
        self.recorder.tell(volume, Severity::Warning, "VolumeFailedDelete", message);
        self.volume_phase(volume, "Failed", message).await
    }

    async fn volume_phase(&self, volume: &PersistentVolume, phase: &str, message: &str) -> kube::Result<()> {
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase) {
            return Ok(());
        }
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let message = Some(message).filter(|message| !message.is_empty());
        let patch = Patch::Merge(json!({ "status": { "phase": phase, "message": message } }));
        api.patch_status(&volume.name_any(), &PatchParams::default(), &patch).await.map(drop)
    }
}

fn volume_name(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.volume_name.as_deref().filter(|name| !name.is_empty())
}

/// Whether the scheduler has chosen a node for which a volume is to be made.
fn selected(claim: &PersistentVolumeClaim) -> bool {
    let annotations = claim.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(SELECTED_NODE))
}

fn completed(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(COMPLETED))
}

fn claim_of(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

/// Whether a volume is this claim's and no other's of the same name.
fn refers(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim_of(volume).is_some_and(|reference| reference.uid.is_some() && reference.uid == claim.metadata.uid)
}

/// Whether a volume is kept for a claim of this name.
fn kept_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    claim_of(volume).is_some_and(|reference| {
        let unbound = reference.uid.as_deref().is_none_or(str::is_empty);
        reference.namespace == claim.metadata.namespace
            && reference.name == claim.metadata.name
            && (unbound || reference.uid == claim.metadata.uid)
    })
}

/// Whether a volume is what a claim asks for.
fn suits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let none = (PersistentVolumeSpec::default(), PersistentVolumeClaimSpec::default());
    let has = volume.spec.as_ref().unwrap_or(&none.0);
    let wants = claim.spec.as_ref().unwrap_or(&none.1);
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let requests = wants.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let modes = has.access_modes.as_deref().unwrap_or_default();
    volume.metadata.deletion_timestamp.is_none()
        && mode(&has.volume_mode) == mode(&wants.volume_mode)
        && text(&has.storage_class_name) == text(&wants.storage_class_name)
        && wants.access_modes.iter().flatten().all(|wanted| modes.contains(wanted))
        && storage(has.capacity.as_ref()) >= storage(requests)
        && wants.selector.as_ref().is_none_or(|wanted| selects(&selector(wanted), &volume.metadata))
}

fn storage(amounts: Option<&BTreeMap<String, Text>>) -> i64 {
    let amount = amounts.and_then(|amounts| amounts.get("storage"));
    amount.and_then(|amount| Quantity::parse(&amount.0).ok()).map_or(0, |amount| amount.value())
}
