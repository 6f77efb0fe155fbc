//! Daemon sets: one pod on every node that takes it.
//!
//! - `eligible`: which nodes take a pod, and how a pod is bound to its node
//! - `plan`: which pods come and go, as a pure decision

mod eligible;
mod plan;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_client::informer::{Key, key};
use k8s_client::{Informer, Informers, Queue, Severity, Subscription};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, PostParams};

use crate::owned::{self, Owned, name, namespace, uid};
use crate::pods::{self, Hands};
use crate::revisions::{self, POD_LABEL, Revisions, Subject};
use plan::{Limits, Place, Plan, Seen};

const COMPONENT: &str = "daemonset-controller";
const WORKERS: usize = 4;
/// Pods that are made or deleted in one go.
const BURST: usize = 250;

struct Controller {
    hands: Hands,
    sets: Informer<DaemonSet>,
    nodes: Informer<Node>,
    pods: Owned<Pod>,
    revisions: Owned<ControllerRevision>,
    queue: Queue<Key>,
}

/// Runs until dropped.
pub async fn run(informers: Informers, pods: Owned<Pod>, revisions: Owned<ControllerRevision>) {
    let controller = Controller {
        hands: Hands::new(informers.client().clone(), COMPONENT),
        sets: informers.get(),
        nodes: informers.get(),
        pods,
        revisions,
        queue: Queue::default(),
    };
    let (queue, expectations) = (controller.queue.clone(), controller.hands.expectations.clone());
    let _sets = controller.sets.on(move |change| {
        if change.new.is_none() {
            expectations.forget(uid(&change.object().metadata));
        }
        queue.add(change.key());
    });
    let select = |set: &DaemonSet| owned::selector(&set.spec.selector);
    let expectations = &controller.hands.expectations;
    let _pods = owned::watch(&controller.pods, &controller.sets, select, &controller.queue, expectations);
    let _nodes = controller.watch_nodes();
    controller.sets.synced().await;
    controller.nodes.synced().await;
    controller.pods.all.synced().await;
    controller.revisions.all.synced().await;
    controller.queue.clone().work(COMPONENT, WORKERS, |key| controller.sync(key)).await;
}

impl Controller {
    /// Nodes tell every few seconds that they live; only what says who may be on them matters here.
    fn watch_nodes(&self) -> Subscription {
        let (sets, queue) = (self.sets.clone(), self.queue.clone());
        self.nodes.on(move |change| {
            let says = |node: &Arc<Node>| {
                let spec = node.spec.as_ref();
                let taints = spec.and_then(|spec| spec.taints.clone());
                (node.metadata.labels.clone(), taints, spec.and_then(|spec| spec.unschedulable))
            };
            if change.old.as_ref().map(says) != change.new.as_ref().map(says) {
                sets.list().iter().for_each(|set| queue.add(key(&set.metadata)));
            }
        })
    }

    async fn sync(&self, key: Key) -> kube::Result<()> {
        let Some(set) = self.sets.get(&key.0, &key.1) else { return Ok(()) };
        let selector = owned::selector(&set.spec.selector);
        if selector.is_everything() {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.hands.recorder.tell(&*set, Severity::Warning, "SelectingAll", message);
            return Ok(());
        }
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let subject = Subject {
            owner: &*set,
            selector: &selector,
            template: &set.spec.template,
            collisions: set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0),
            label: POD_LABEL,
        };
        let revisions = revisions::sync(&self.hands.client, subject, &self.revisions).await?;
        let hash = hash_of(&revisions);
        let settled = self.hands.expectations.fulfilled(uid(&set.metadata));
        let pods = owned::claim(&self.hands.client, &*set, &selector, &self.pods, |_| true).await?;
        let now = Timestamp::now();
        let places = self.places(&set, &pods, &hash, now);
        let done = match settled {
            true => self.act(&set, &hash, &places, &pods).await,
            false => Ok(()),
        };
        self.tell(&set, &revisions, plan::counts(&places)).await?;
        self.forget_revisions(&set, &revisions, &pods).await?;
        let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
        if let Some(wait) = pods::next_available(pods.iter().map(Arc::as_ref), min_ready, now) {
            self.queue.add_after(key, wait);
        }
        done
    }

    /// Every node, and every place where there is a pod.
    fn places(&self, set: &DaemonSet, pods: &[Arc<Pod>], hash: &str, now: Timestamp) -> Vec<Place> {
        let mut by_node: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
        for pod in pods {
            if let Some(node) = eligible::node_of(pod) {
                by_node.entry(node.to_owned()).or_default().push(seen(set, pod, hash, now));
            }
        }
        let spec = eligible::spec(&set.spec.template);
        let nodes = self.nodes.list();
        let mut places: Vec<Place> = Vec::new();
        for node in &nodes {
            let pods = by_node.remove(name(&node.metadata)).unwrap_or_default();
            places.push(Place { node: name(&node.metadata).to_owned(), fit: eligible::fit(&spec, node), pods });
        }
        // Nodes that are gone: the garbage collection of pods sees to those.
        places
    }

    async fn act(&self, set: &Arc<DaemonSet>, hash: &str, places: &[Place], pods: &[Arc<Pod>]) -> kube::Result<()> {
        let limits = Limits::of(set, places);
        let mut plan = plan::manage(&limits, places);
        if plan == Plan::default() {
            plan = plan::roll(&limits, places);
        }
        let wanted: HashSet<&str> = plan.delete.iter().map(String::as_str).collect();
        let going = pods.iter().map(Arc::as_ref).filter(|pod| wanted.contains(name(&pod.metadata)));
        let going: Vec<&Pod> = going.take(BURST).collect();
        for pod in going.iter().filter(|pod| pods::has_ended(pod)) {
            let (what, reason) = match pods::phase(pod) {
                "Failed" => ("failed", "FailedDaemonPod"),
                _ => ("succeeded", "SucceededDaemonPod"),
            };
            let node = eligible::node_of(pod).unwrap_or_default();
            let message =
                format!("Found {what} daemon pod {} on node {node}, will try to kill it", name(&pod.metadata));
            self.hands.recorder.tell(&**set, Severity::Warning, reason, message);
        }
        let made = plan.make.iter().take(BURST).map(|node| eligible::pod(set, node, hash));
        let made = self.hands.create(&**set, made.collect()).await;
        self.hands.delete(&**set, going).await?;
        made
    }

    async fn tell(&self, set: &Arc<DaemonSet>, revisions: &Revisions, counts: plan::Counts) -> kube::Result<()> {
        let told = set.status.clone().unwrap_or_default();
        let next = DaemonSetStatus {
            collision_count: Some(revisions.collisions).filter(|count| *count > 0),
            conditions: told.conditions.clone(),
            current_number_scheduled: counts.scheduled,
            desired_number_scheduled: counts.desired,
            number_available: Some(counts.available),
            number_misscheduled: counts.misscheduled,
            number_ready: counts.ready,
            number_unavailable: Some(counts.desired - counts.available),
            observed_generation: set.metadata.generation,
            updated_number_scheduled: Some(counts.updated),
        };
        let plain = |status: &DaemonSetStatus| DaemonSetStatus {
            // Nothing and zero are the same.
            number_available: Some(status.number_available.unwrap_or(0)),
            number_unavailable: Some(status.number_unavailable.unwrap_or(0)),
            updated_number_scheduled: Some(status.updated_number_scheduled.unwrap_or(0)),
            collision_count: status.collision_count.filter(|count| *count > 0),
            ..status.clone()
        };
        if set.status.is_some() && plain(&told) == plain(&next) {
            return Ok(());
        }
        let api = Api::<DaemonSet>::namespaced(self.hands.client.clone(), namespace(&set.metadata));
        let written = DaemonSet { status: Some(next), ..DaemonSet::clone(set) };
        owned::absent(api.replace_status(name(&set.metadata), &PostParams::default(), &written).await).map(drop)
    }

    async fn forget_revisions(&self, set: &DaemonSet, revisions: &Revisions, pods: &[Arc<Pod>]) -> kube::Result<()> {
        let hashes: HashSet<&str> = pods.iter().filter_map(|pod| label(&pod.metadata.labels)).collect();
        let live =
            revisions.all.iter().filter(|one| label(&one.metadata.labels).is_some_and(|one| hashes.contains(one)));
        let live: HashSet<&str> = live.chain([&revisions.newest]).map(|one| name(&one.metadata)).collect();
        let limit = set.spec.revision_history_limit.unwrap_or(10);
        revisions::truncate(&self.hands.client, namespace(&set.metadata), &revisions.all, limit, &live).await
    }
}

fn label(labels: &Option<BTreeMap<String, String>>) -> Option<&str> {
    labels.as_ref()?.get(POD_LABEL).map(String::as_str)
}

fn hash_of(revisions: &Revisions) -> String {
    label(&revisions.newest.metadata.labels).unwrap_or_default().to_owned()
}

fn seen(set: &DaemonSet, pod: &Pod, hash: &str, now: Timestamp) -> Seen {
    Seen {
        name: name(&pod.metadata).to_owned(),
        updated: label(&pod.metadata.labels) == Some(hash),
        ended: pods::has_ended(pod),
        terminating: pods::is_terminating(pod),
        assigned: pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()),
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        ready: pods::is_ready(pod),
        available: pods::is_available(pod, set.spec.min_ready_seconds.unwrap_or(0), now),
    }
}
