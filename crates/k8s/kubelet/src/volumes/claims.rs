//! Claims: from the name in a pod to a place on this node.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, Pod,
};
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
    let found = get(Api::<Node>::all(client.clone()), node).await?;
    let labels = found.and_then(|node| node.metadata.labels).unwrap_or_default();
    if required.node_selector_terms.iter().any(|term| matches(term, &labels, node)) {
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

/// Whether a node is what a term wants; an empty term wants nothing that there is.
fn matches(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, node: &str) -> bool {
    let (labelled, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    let (labelled, fields) = (labelled.unwrap_or_default(), fields.unwrap_or_default());
    if labelled.is_empty() && fields.is_empty() {
        return false;
    }
    let field = |wanted: &NodeSelectorRequirement| wanted.key == "metadata.name" && holds(wanted, Some(node));
    labelled.iter().all(|wanted| holds(wanted, labels.get(&wanted.key).map(String::as_str))) && fields.iter().all(field)
}

fn holds(wanted: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let listed = |value: &str| values.iter().any(|one| one == value);
    let compared = |greater: bool| {
        let number = |text: &str| text.parse::<i64>().ok();
        match (value.and_then(number), values.first().and_then(|one| number(one))) {
            (Some(value), Some(bound)) => {
                if greater {
                    value > bound
                } else {
                    value < bound
                }
            }
            _ => false,
        }
    };
    match wanted.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared(true),
        "Lt" => compared(false),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_select_nodes() {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned()), ("size".to_owned(), "5".to_owned())]);
        let term = |key: &str, operator: &str, values: &[&str]| -> bool {
            let term = serde_json::json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
            matches(&serde_json::from_value(term).unwrap(), &labels, "n1")
        };
        assert!(term("zone", "In", &["a", "b"]) && !term("zone", "In", &["b"]) && !term("none", "In", &["a"]));
        assert!(term("zone", "NotIn", &["b"]) && term("none", "NotIn", &["b"]) && !term("zone", "NotIn", &["a"]));
        assert!(term("zone", "Exists", &[]) && !term("none", "Exists", &[]) && term("none", "DoesNotExist", &[]));
        assert!(term("size", "Gt", &["4"]) && !term("size", "Gt", &["5"]) && term("size", "Lt", &["6"]));
        assert!(!matches(&NodeSelectorTerm::default(), &labels, "n1"));
        let field = serde_json::json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]});
        assert!(matches(&serde_json::from_value(field).unwrap(), &labels, "n1"));
    }
}
