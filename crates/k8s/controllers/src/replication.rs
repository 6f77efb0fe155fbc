//! Keeps as many pods as replica sets and replication controllers want: one engine for both.
//!
//! - [`kinds`]: what the engine has to know of the two
//! - `rank`: which pods go first when there are too many
//! - `status`: what is told of the pods

pub mod kinds;
mod rank;
mod status;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_client::informer::Key;
use k8s_client::{Informer, Informers, Queue};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};

use crate::owned::{self, Owned, uid};
use crate::pods::{self, Hands};
use kinds::Replicated;
use status::Failure;

const WORKERS: usize = 8;
/// Pods that are made or deleted in one go.
const BURST: usize = 500;

struct Controller<K> {
    sets: Informer<K>,
    /// Whose pods spread over nodes together: those of the sets of one deployment.
    siblings: Owned<ReplicaSet>,
    pods: Owned<Pod>,
    queue: Queue<Key>,
    hands: Hands,
}

/// Runs until dropped.
pub async fn run<K: Replicated>(informers: Informers, pods: Owned<Pod>, siblings: Owned<ReplicaSet>) {
    let queue: Queue<Key> = Queue::default();
    let hands = Hands::new(informers.client().clone(), K::COMPONENT);
    let sets = informers.get::<K>();
    let _sets = sets.on({
        let (queue, expectations) = (queue.clone(), hands.expectations.clone());
        move |change| {
            if change.new.is_none() {
                expectations.forget(uid(change.object().meta()));
            }
            queue.add(change.key());
        }
    });
    let _pods = owned::watch(&pods, &sets, K::selector, &queue, &hands.expectations);
    sets.synced().await;
    pods.all.synced().await;
    siblings.all.synced().await;
    let controller = Controller { sets, siblings, pods, queue, hands };
    controller.queue.clone().work(K::COMPONENT, WORKERS, |key| controller.sync(key)).await;
}

impl<K: Replicated> Controller<K> {
    async fn sync(&self, key: Key) -> kube::Result<()> {
        let Some(set) = self.sets.get(&key.0, &key.1) else { return Ok(()) };
        let settled = self.hands.expectations.fulfilled(uid(set.meta()));
        let selector = K::selector(&set);
        let active = owned::claim(&self.hands.client, &*set, &selector, &self.pods, pods::is_active).await?;
        let managed = match settled && set.meta().deletion_timestamp.is_none() {
            true => self.manage(&set, &active).await,
            false => Ok(()),
        };
        let failure = managed.as_ref().err().map(|error| Failure {
            reason: if active.len() < set.wanted() { "FailedCreate" } else { "FailedDelete" },
            message: pods::reason(error),
        });
        let terminating = self.pods.of(uid(set.meta())).into_iter();
        let terminating = terminating.filter(|pod| pods::is_terminating(pod) && !pods::has_ended(pod)).count();
        let now = Timestamp::now();
        self.tell(&set, status::of(&*set, &active, terminating, failure, now)).await?;
        let active = active.iter().map(Arc::as_ref);
        if let Some(wait) = pods::next_available(active, set.min_ready(), now) {
            self.queue.add_after(key, wait);
        }
        managed
    }

    async fn manage(&self, set: &Arc<K>, active: &[Arc<Pod>]) -> kube::Result<()> {
        let (have, want) = (active.len(), set.wanted());
        if have < want {
            let Some(template) = set.template() else { return Ok(()) };
            let pod = pods::from_template(template, &owned::reference(&**set));
            return self.hands.create(&**set, vec![pod; (want - have).min(BURST)]).await;
        }
        let many = (have - want).min(BURST);
        if many == 0 {
            return Ok(());
        }
        let mut ranked: Vec<&Pod> = active.iter().map(Arc::as_ref).collect();
        if many < have {
            rank::sort(&mut ranked, &self.on_node(set, active), Timestamp::now());
        }
        self.hands.delete(&**set, ranked.into_iter().take(many)).await
    }

    /// How many pods that belong together are on each node.
    fn on_node(&self, set: &Arc<K>, active: &[Arc<Pod>]) -> HashMap<String, usize> {
        let mut nodes = HashMap::new();
        let mut count = |pod: &Pod| {
            if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) {
                *nodes.entry(node).or_insert(0) += 1;
            }
        };
        match owned::controller(set.meta()) {
            Some(owner) => {
                let sets = self.siblings.of(&owner.uid);
                let pods = sets.iter().flat_map(|set| self.pods.of(uid(&set.metadata)));
                pods.filter(|pod| pods::is_active(pod)).for_each(|pod| count(&pod));
            }
            None => active.iter().for_each(|pod| count(pod)),
        }
        nodes
    }

    async fn tell(&self, set: &Arc<K>, status: kinds::Status) -> kube::Result<()> {
        let old = set.status();
        if old == status {
            return Ok(());
        }
        let api = Api::<K>::namespaced(self.hands.client.clone(), owned::namespace(set.meta()));
        let mut told = K::clone(set);
        told.set_status(status);
        owned::absent(api.replace_status(owned::name(set.meta()), &PostParams::default(), &told).await).map(drop)
    }
}
