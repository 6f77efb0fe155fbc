//! Pods that nobody looks after any more: on nodes that are gone, deleted before they had a node, and finished ones when there are too many.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_client::informer::Key;
use k8s_client::{Index, Informer, Informers, Queue};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::json;

/// A node that is made again within this time takes its pods back.
const QUARANTINE: Duration = Duration::from_secs(40);
/// So many finished pods are kept.
const FINISHED: usize = 12_500;
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let (nodes, pods) = (informers.get::<Node>(), informers.get::<Pod>());
    nodes.synced().await;
    pods.synced().await;
    let queue: Queue<Option<Key>> = Queue::default();
    let by_node = pods.index(|pod| node_name(pod).map(str::to_owned).into_iter().collect());
    let (later, found): (_, Index<Pod>) = (queue.clone(), by_node.clone());
    let _nodes = nodes.on(move |change| {
        let pause = match &change.new {
            None => QUARANTINE,
            Some(node) if is_out_of_service(node) => Duration::ZERO,
            Some(_) => return,
        };
        for pod in found.get(&change.object().name_any()) {
            later.add_after(Some(k8s_client::informer::key(&pod.metadata)), pause);
        }
    });
    let collector = Collector { client: informers.client().clone(), pods: pods.clone(), nodes: nodes.clone() };
    let changed = queue.clone();
    let _pods = pods.on(move |change| {
        let Some(pod) = &change.new else { return };
        match node_name(pod) {
            None if pod.metadata.deletion_timestamp.is_some() => changed.add(Some(change.key())),
            Some(node) if nodes.get("", node).is_none() => changed.add_after(Some(change.key()), QUARANTINE),
            _ => {}
        }
        if is_finished(pod) && !change.old.as_deref().is_some_and(is_finished) {
            changed.add(None);
        }
    });
    queue.work("pod garbage", 2, |key| collector.sync(key)).await;
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

fn is_finished(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

fn is_out_of_service(node: &Node) -> bool {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).any(|taint| taint.key == OUT_OF_SERVICE)
}

struct Collector {
    client: Client,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
}

impl Collector {
    /// One pod, or the number of finished ones.
    async fn sync(&self, key: Option<Key>) -> kube::Result<()> {
        let Some((namespace, name)) = key else { return self.bound_finished().await };
        let Some(pod) = self.pods.get(&namespace, &name) else { return Ok(()) };
        let leaving = pod.metadata.deletion_timestamp.is_some();
        match node_name(&pod) {
            None if leaving => self.delete(&pod, None).await,
            None => Ok(()),
            Some(node) => match self.nodes.get("", node) {
                Some(node) if leaving && is_out_of_service(&node) => {
                    self.delete(&pod, Some("PodGC: node is out of service")).await
                }
                Some(_) => Ok(()),
                // The cache may be behind.
                None if Api::<Node>::all(self.client.clone()).get_opt(node).await?.is_some() => Ok(()),
                None => self.delete(&pod, Some("PodGC: node no longer exists")).await,
            },
        }
    }

    /// Deletes a pod at once; where nobody else can say so any more, it has failed.
    async fn delete(&self, pod: &Arc<Pod>, why: Option<&str>) -> kube::Result<()> {
        let api = Api::<Pod>::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let name = pod.name_any();
        if let Some(why) = why.filter(|_| !is_finished(pod)) {
            let condition = json!({
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": why,
                "lastTransitionTime": Timestamp::now(),
            });
            let status = json!({ "phase": "Failed", "conditions": [condition] });
            let patch = json!({ "metadata": { "uid": pod.uid() }, "status": status });
            crate::ignore_absent(api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch)).await)?;
        }
        let same = Preconditions { uid: pod.uid(), ..Preconditions::default() };
        let params =
            DeleteParams { grace_period_seconds: Some(0), preconditions: Some(same), ..DeleteParams::default() };
        crate::ignore_absent(api.delete(&name, &params).await)
    }

    async fn bound_finished(&self) -> kube::Result<()> {
        let mut finished: Vec<Arc<Pod>> = self.pods.list().into_iter().filter(|pod| is_finished(pod)).collect();
        let over = finished.len().saturating_sub(FINISHED);
        if over == 0 {
            return Ok(());
        }
        finished.sort_by_cached_key(|pod| pod.creation_timestamp().map(|time| time.0));
        for pod in finished.iter().take(over) {
            self.delete(pod, None).await?;
        }
        Ok(())
    }
}
