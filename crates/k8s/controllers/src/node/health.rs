//! Whether nodes are heard of: a node whose lease and status stand still for 40 s is lost. Its conditions become Unknown, its pods are not ready, and taints
//! follow the conditions.
//!
//! Times on other machines are not believed: what counts is when a change was seen here, on a clock that does not jump.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_client::{Change, Index, Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::conditions::{lost, status};
use super::taints::{self, Leaving};

const GRACE: Duration = Duration::from_secs(40);
const LEASES: &str = "kube-node-lease";

/// Runs until dropped.
pub async fn run(informers: &Informers) {
    let nodes = informers.get::<Node>();
    let leases = informers.get::<Lease>();
    let pods = informers.get::<Pod>();
    nodes.synced().await;
    leases.synced().await;
    let queue: Queue<String> = Queue::default();
    let heard = Arc::new(Heard::default());
    let handler = Handler { heard: heard.clone(), queue: queue.clone(), nodes: nodes.clone() };
    let _nodes = nodes.on(move |change| handler.node(change));
    let listening = heard.clone();
    let _leases = leases.on(move |change| {
        let of_node = change.object().metadata.namespace.as_deref() == Some(LEASES);
        let renewed = |lease: &Arc<Lease>| lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
        if of_node && change.new.is_some() && change.old.as_ref().map(renewed) != change.new.as_ref().map(renewed) {
            listening.hear(&change.object().name_any());
        }
    });
    let keeper = Keeper {
        by_node: pods.index(|pod| pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect()),
        recorder: Recorder::new(informers.client().clone(), "node-controller", ""),
        client: informers.client().clone(),
        heard: heard.clone(),
        nodes,
    };
    tokio::join!(heard.watch(&queue), queue.clone().work("node health", 4, |name| keeper.sync(name)));
}

/// When each node was last heard of.
#[derive(Default)]
struct Heard {
    last: Mutex<HashMap<String, Last>>,
    more: Notify,
}

struct Last {
    at: Instant,
    lost: bool,
}

impl Heard {
    fn last(&self) -> MutexGuard<'_, HashMap<String, Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, node: &str) {
        self.last().insert(node.to_owned(), Last { at: Instant::now(), lost: false });
        self.more.notify_one();
    }

    fn is_lost(&self, node: &str) -> bool {
        self.last().get(node).is_some_and(|last| last.lost)
    }

    /// Sleeps until the time of the node that was quiet for longest is over; wakes once for many signs of life.
    async fn watch(&self, queue: &Queue<String>) {
        loop {
            let next = self.last().values().filter(|last| !last.lost).map(|last| last.at + GRACE).min();
            match next {
                None => self.more.notified().await,
                Some(next) => tokio::time::sleep_until(next).await,
            }
            let now = Instant::now();
            for (node, last) in self.last().iter_mut().filter(|(_, last)| !last.lost && last.at + GRACE <= now) {
                last.lost = true;
                queue.add(node.clone());
            }
        }
    }
}

struct Handler {
    heard: Arc<Heard>,
    queue: Queue<String>,
    nodes: Informer<Node>,
}

impl Handler {
    fn node(&self, change: &Change<Node>) {
        let name = change.object().name_any();
        let beat = |node: &Arc<Node>| {
            super::conditions::condition(node, "Ready")
                .map(|ready| (ready.status.clone(), ready.last_heartbeat_time.clone()))
        };
        let (old, new) = (change.old.as_ref().and_then(beat), change.new.as_ref().and_then(beat));
        if change.new.is_none() {
            self.heard.last().remove(&name);
        } else if change.old.is_none() || old.as_ref().map(|old| &old.1) != new.as_ref().map(|new| &new.1) {
            self.heard.hear(&name);
        }
        self.queue.add(name);
        // Whether pods may leave depends on there being a node that is ready.
        let ready = |beat: Option<(String, _)>| beat.is_some_and(|(status, _)| status == "True");
        if ready(old) != ready(new)
            && self.nodes.list().iter().filter(|node| status(node, "Ready") == "True").count() <= 1
        {
            self.nodes.list().iter().for_each(|node| self.queue.add(node.name_any()));
        }
    }
}

struct Keeper {
    nodes: Informer<Node>,
    by_node: Index<Pod>,
    heard: Arc<Heard>,
    client: Client,
    recorder: Recorder,
}

impl Keeper {
    async fn sync(&self, name: String) -> kube::Result<()> {
        let Some(node) = self.nodes.get("", &name) else { return Ok(()) };
        if self.heard.is_lost(&name) {
            let conditions = lost(&node, Timestamp::now());
            if !conditions.is_empty() {
                return self.lose(&node, &conditions).await;
            }
            self.pods_are_not_ready(&name).await?;
        }
        let leaving = match self.nodes.list().iter().any(|node| status(node, "Ready") == "True") {
            true => Leaving::Allowed,
            false => Leaving::Stopped,
        };
        let Some(taints) = taints::wanted(&node, leaving, Timestamp::now()) else { return Ok(()) };
        let api = Api::<Node>::all(self.client.clone());
        let patch = json!({ "metadata": { "resourceVersion": node.resource_version() }, "spec": { "taints": taints } });
        crate::ignore_absent(api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await)
    }

    /// Writes that nothing is known any more; the change of the node brings it here again for its taints.
    async fn lose(&self, node: &Node, conditions: &[NodeCondition]) -> kube::Result<()> {
        let name = node.name_any();
        let api = Api::<Node>::all(self.client.clone());
        let patch = json!({
            "metadata": { "resourceVersion": node.resource_version() },
            "status": { "conditions": conditions },
        });
        crate::ignore_absent(api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch)).await)?;
        if status(node, "Ready") == "True" {
            let message = format!("Node {name} status is now: NodeNotReady");
            self.recorder.tell(node, Severity::Normal, "NodeNotReady", message);
        }
        Ok(())
    }

    /// Nothing is sent to pods on a node that is not heard of.
    async fn pods_are_not_ready(&self, name: &str) -> kube::Result<()> {
        for pod in self.by_node.get(name) {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            if !conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True") {
                continue;
            }
            let ready = json!({
                "type": "Ready", "status": "False", "reason": "NodeNotReady", "message": "Node is not ready",
                "lastTransitionTime": Timestamp::now(),
            });
            let patch = json!({ "metadata": { "uid": pod.uid() }, "status": { "conditions": [ready] } });
            let api = Api::<Pod>::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
            let result = api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await;
            crate::ignore_absent(result)?;
            self.recorder.tell(&*pod, Severity::Warning, "NodeNotReady", "Node is not ready");
        }
        Ok(())
    }
}
