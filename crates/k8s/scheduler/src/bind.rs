//! Writing a decision: what volumes need first, then the binding.

use std::sync::Arc;
use std::time::Duration;

use k8s_client::Informer;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::Notify;

use crate::plugins::volume_binding::Step;

/// A volume that is not there after this long is not waited for.
const PATIENCE: Duration = Duration::from_secs(600);
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Why a pod was not bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("the claims {0} were not bound in time")]
    Volumes(String),
}

/// Binds a pod to a node.
pub async fn bind(
    client: Client,
    claims: Informer<PersistentVolumeClaim>,
    pod: Arc<Pod>,
    node: Arc<str>,
    steps: Vec<Step>,
) -> Result<(), BindError> {
    if !steps.is_empty() {
        prepare(&client, &claims, &node, &steps).await?;
    }
    let namespace = pod.namespace().unwrap_or_default();
    let binding = Binding {
        metadata: ObjectMeta { name: pod.metadata.name.clone(), uid: pod.uid(), ..ObjectMeta::default() },
        target: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_string()),
            ..ObjectReference::default()
        },
    };
    let api = Api::<Pod>::namespaced(client, &namespace);
    api.create_subresource::<_, serde_json::Value>("binding", &pod.name_any(), &PostParams::default(), &binding)
        .await?;
    Ok(())
}

async fn prepare(
    client: &Client,
    claims: &Informer<PersistentVolumeClaim>,
    node: &str,
    steps: &[Step],
) -> Result<(), BindError> {
    let mut waited: Vec<(String, String)> = Vec::new();
    for step in steps {
        match step {
            Step::Promise { volume, claim } => {
                let Some(object) = claims.get(&claim.0, &claim.1) else { continue };
                let api = Api::<PersistentVolume>::all(client.clone());
                let reference = json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.0, "name": claim.1,
                    "uid": object.uid(), "resourceVersion": object.resource_version(),
                });
                let patch = json!({
                    "metadata": { "annotations": { "pv.kubernetes.io/bound-by-controller": "yes" } },
                    "spec": { "claimRef": reference },
                });
                api.patch(volume, &PatchParams::default(), &Patch::Merge(patch)).await?;
                waited.push(claim.clone());
            }
            Step::Provision { claim } => {
                let api = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &claim.0);
                let patch = json!({ "metadata": { "annotations": { SELECTED_NODE: node } } });
                api.patch(&claim.1, &PatchParams::default(), &Patch::Merge(patch)).await?;
                waited.push(claim.clone());
            }
        }
    }
    let changed = Arc::new(Notify::new());
    let telling = changed.clone();
    let _watching = claims.on(move |_| telling.notify_one());
    let bound = async {
        while !waited.iter().all(|claim| is_bound(claims, claim)) {
            changed.notified().await;
        }
    };
    let names = || waited.iter().map(|claim| claim.1.as_str()).collect::<Vec<_>>().join(", ");
    tokio::time::timeout(PATIENCE, bound).await.map_err(|_| BindError::Volumes(names()))
}

fn is_bound(claims: &Informer<PersistentVolumeClaim>, claim: &(String, String)) -> bool {
    let claim = claims.get(&claim.0, &claim.1);
    claim.is_none_or(|claim| claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound"))
}
