//! Claims: from the name in a pod to a place on this node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, Pod};
use kube::api::ObjectMeta;
use kube::{Api, Client};
use tokio::sync::Notify;

use super::error::Fault;

/// What a claim is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    HostPath { path: String, kind: String },
    Local { path: String },
}

/// A claim's volume as it is on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub backing: Backing,
    /// It is wanted as a device.
    pub block: bool,
    pub read_only: bool,
}

/// Finds what a claim of a pod is bound to. `ephemeral`: the claim must be the pod's own.
///
/// # Errors
/// When it is not bound yet, or to something that this node cannot give.
pub async fn resolve(
    client: &Client,
    pod: &Pod,
    name: &str,
    ephemeral: bool,
    node_name: &str,
) -> Result<Claimed, Fault> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let fail = |why: String| Fault::Claim { claim: format!("{namespace}/{name}"), why };
    let claim = get(Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace), name).await?;
    let claim = claim.ok_or_else(|| {
        fail(format!("failed to fetch PVC from API server: persistentvolumeclaims \"{name}\" not found"))
    })?;
    if ephemeral && !owned(&claim, pod) {
        let pod = pod.metadata.name.as_deref().unwrap_or_default();
        return Err(fail(format!("PVC {name} was not created for pod {pod} (pod is not owner)")));
    }
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(fail("PVC is being deleted".to_owned()));
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let spec = claim.spec.unwrap_or_default();
    let volume = spec.volume_name.filter(|volume| !volume.is_empty() && phase == Some("Bound"));
    let volume = volume.ok_or_else(|| fail("PVC is not bound".to_owned()))?;
    let found = get(Api::<PersistentVolume>::all(client.clone()), &volume).await?;
    let found = found.ok_or_else(|| fail(format!("failed to fetch PV {volume} from API server: not found")))?;
    let bound = found.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    if bound.and_then(|bound| bound.uid.as_ref()) != claim.metadata.uid.as_ref() {
        return Err(fail(format!("PV {volume} has no or another claim in its claimRef")));
    }
    let of_volume = found.spec.unwrap_or_default();
    reachable(client, &of_volume, &volume, node_name).await?;
    let backing = backing(&of_volume)?;
    Ok(Claimed { backing, block: of_volume.volume_mode.as_deref() == Some("Block"), read_only: false })
}

async fn get<K>(api: Api<K>, name: &str) -> Result<Option<K>, Fault>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.get_opt(name).await.map_err(|error| Fault::Api(error.to_string()))
}

fn owned(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let mut owners = claim.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && Some(&owner.uid) == pod.metadata.uid.as_ref())
}

async fn reachable(client: &Client, volume: &PersistentVolumeSpec, name: &str, node: &str) -> Result<(), Fault> {
    let Some(required) = volume.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref()) else {
        return Ok(());
    };
    // One that is not registered yet has its name all the same.
    let unknown =
        || Node { metadata: ObjectMeta { name: Some(node.to_owned()), ..ObjectMeta::default() }, ..Node::default() };
    let found = get(Api::<Node>::all(client.clone()), node).await?.unwrap_or_else(unknown);
    if k8s_client::placement::matches(required, &found) {
        return Ok(());
    }
    let why = format!("MountVolume.NodeAffinity check failed: no matching NodeSelectorTerms on node {node}");
    Err(Fault::Persistent { volume: name.to_owned(), why })
}

fn backing(volume: &PersistentVolumeSpec) -> Result<Backing, Fault> {
    if let Some(source) = &volume.host_path {
        let kind = source.type_.clone().unwrap_or_default();
        return Ok(Backing::HostPath { path: source.path.clone(), kind });
    }
    if let Some(source) = &volume.local {
        return Ok(Backing::Local { path: source.path.clone() });
    }
    // The name of its only field besides those that every volume has.
    let others = [
        ("csi", volume.csi.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("fc", volume.fc.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
    ];
    Err(Fault::Unsupported(
        others.iter().find(|(_, there)| *there).map_or("persistent volumes of this kind of", |(name, _)| name),
    ))
}

/// The claim of an ephemeral volume.
pub fn ephemeral_name(pod: &Pod, volume: &str) -> String {
    format!("{}-{volume}", pod.metadata.name.as_deref().unwrap_or_default())
}

/// The claims that a pod names.
pub fn names(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let name = |volume: &k8s_openapi::api::core::v1::Volume| match &volume.persistent_volume_claim {
        Some(source) => Some(source.claim_name.clone()),
        None => volume.ephemeral.as_ref().map(|_| ephemeral_name(pod, &volume.name)),
    };
    volumes.filter_map(name).collect()
}

/// Returns when a claim is bound.
pub async fn bound(client: &Client, namespace: &str, name: &str) {
    let api = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
    let config = k8s_client::follow::config().fields(&format!("metadata.name={name}"));
    let informer = k8s_client::Informer::start(api, config);
    let told = Arc::new(Notify::new());
    let teller = told.clone();
    let _watching = informer.on(move |change| {
        let status = change.new.as_ref().and_then(|claim| claim.status.as_ref());
        if status.and_then(|status| status.phase.as_deref()) == Some("Bound") {
            teller.notify_one();
        }
    });
    told.notified().await;
}
