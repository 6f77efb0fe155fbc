//! Pods leave nodes with `NoExecute` taints: at once where they tolerate one of them not at all, else when the shortest of their tolerations ends.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use k8s_client::informer::{self, Key};
use k8s_client::placement::tolerates;
use k8s_client::{Index, Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

/// Runs until dropped.
pub async fn run(informers: &Informers) {
    let (nodes, pods) = (informers.get::<Node>(), informers.get::<Pod>());
    nodes.synced().await;
    pods.synced().await;
    let queue: Queue<Key> = Queue::default();
    let by_node = pods.index(|pod| node_name(pod).map(str::to_owned).into_iter().collect());
    let (changed, found): (_, Index<Pod>) = (queue.clone(), by_node.clone());
    let _nodes = nodes.on(move |change| {
        let old = change.old.as_deref().map(leaves).unwrap_or_default();
        if let Some(new) = &change.new
            && leaves(new) != old
        {
            found.get(&new.name_any()).iter().for_each(|pod| changed.add(informer::key(&pod.metadata)));
        }
    });
    let (changed, on_node) = (queue.clone(), nodes.clone());
    let evictor = Evictor {
        recorder: Recorder::new(informers.client().clone(), "taint-eviction-controller", ""),
        client: informers.client().clone(),
        since: Mutex::default(),
        queue: queue.clone(),
        pods: pods.clone(),
        nodes,
    };
    let _pods = pods.on(move |change| {
        let node = node_name(change.object()).and_then(|name| on_node.get("", name));
        if node.is_some_and(|node| !leaves(&node).is_empty()) {
            changed.add(change.key());
        }
    });
    queue.work("taint eviction", 4, |key| evictor.sync(key)).await;
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

/// The taints for which pods leave.
fn leaves(node: &Node) -> Vec<Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

/// What the taints mean for a pod.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    Forever,
    For(Duration),
    Not,
}

fn stay(taints: &[Taint], tolerations: &[Toleration]) -> Stay {
    let mut shortest: Option<Duration> = None;
    for taint in taints {
        let mut about = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if about.peek().is_none() {
            return Stay::Not;
        }
        for seconds in about.filter_map(|toleration| toleration.toleration_seconds) {
            let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            shortest = Some(shortest.map_or(time, |shortest| shortest.min(time)));
        }
    }
    match shortest {
        None => Stay::Forever,
        Some(Duration::ZERO) => Stay::Not,
        Some(time) => Stay::For(time),
    }
}

struct Evictor {
    nodes: Informer<Node>,
    pods: Informer<Pod>,
    client: Client,
    recorder: Recorder,
    queue: Queue<Key>,
    /// Since when pods are on nodes that they leave later, by uid.
    since: Mutex<HashMap<Key, (String, Instant)>>,
}

impl Evictor {
    fn since(&self) -> std::sync::MutexGuard<'_, HashMap<Key, (String, Instant)>> {
        self.since.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn sync(&self, key: Key) -> kube::Result<()> {
        let pod = self.pods.get(&key.0, &key.1).filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let Some(pod) = pod else {
            self.since().remove(&key);
            return Ok(());
        };
        let taints = node_name(&pod).and_then(|name| self.nodes.get("", name)).map(|node| leaves(&node));
        let taints = taints.unwrap_or_default();
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.clone()).unwrap_or_default();
        match stay(&taints, &tolerations) {
            Stay::Forever => {
                if self.since().remove(&key).is_some() {
                    let message = format!("Cancelling deletion of Pod {}/{}", key.0, key.1);
                    self.recorder.tell(&*pod, Severity::Normal, "TaintManagerEviction", message);
                }
                Ok(())
            }
            Stay::For(time) => {
                let uid = pod.uid().unwrap_or_default();
                let now = Instant::now();
                let since = {
                    let mut all = self.since();
                    let entry = all.entry(key.clone()).or_insert_with(|| (uid.clone(), now));
                    if entry.0 != uid {
                        *entry = (uid, now);
                    }
                    entry.1
                };
                match (since + time).checked_duration_since(now).filter(|left| !left.is_zero()) {
                    Some(left) => {
                        self.queue.add_after(key, left);
                        Ok(())
                    }
                    None => self.evict(&pod).await,
                }
            }
            Stay::Not => self.evict(&pod).await,
        }
    }

    async fn evict(&self, pod: &Pod) -> kube::Result<()> {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let message = format!("Marking for deletion Pod {namespace}/{name}");
        self.recorder.tell(pod, Severity::Normal, "TaintManagerEviction", message);
        let api = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": Timestamp::now(),
        });
        let patch = json!({ "metadata": { "uid": pod.uid() }, "status": { "conditions": [condition] } });
        crate::ignore_absent(api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch)).await)?;
        let same = Preconditions { uid: pod.uid(), ..Preconditions::default() };
        let params = DeleteParams { preconditions: Some(same), ..DeleteParams::default() };
        crate::ignore_absent(api.delete(&name, &params).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value};

    #[test]
    fn the_shortest_toleration_counts_and_one_taint_is_enough() {
        let taints: Vec<Taint> =
            from_value(json!([{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"}])).unwrap();
        let check = |tolerations: Value| stay(&taints, &from_value::<Vec<Toleration>>(tolerations).unwrap());
        assert_eq!(check(json!([])), Stay::Not);
        assert_eq!(check(json!([{"key": "a", "operator": "Exists"}])), Stay::Not);
        assert_eq!(check(json!([{"operator": "Exists"}])), Stay::Forever);
        let both = json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300}, {"operator": "Exists", "tolerationSeconds": 5}]);
        assert_eq!(check(both), Stay::For(Duration::from_secs(5)));
        assert_eq!(check(json!([{"operator": "Exists", "tolerationSeconds": -1}])), Stay::Not);
        assert_eq!(stay(&[], &[]), Stay::Forever);
    }
}
