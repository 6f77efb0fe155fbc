//! Stateful sets: pods with names, claims and an order.
//!
//! - `plan`: which pods are made and deleted next, as a pure decision
//! - `identity`: what a pod and its claims are called
//! - `claims`: the volume claims, and whose they are
//! - `status`: what is told

mod claims;
mod identity;
mod plan;
mod status;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_client::informer::Key;
use k8s_client::{Expectations, Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};

use crate::owned::{self, Owned, name, namespace, uid};
use crate::pods;
use crate::revisions::{self, Revisions, Subject};
use plan::{Seen, Step, Wish};

const COMPONENT: &str = "statefulset-controller";
const WORKERS: usize = 8;

struct Controller {
    client: Client,
    recorder: Recorder,
    sets: Informer<StatefulSet>,
    pods: Owned<Pod>,
    claims: Informer<PersistentVolumeClaim>,
    revisions: Owned<ControllerRevision>,
    queue: Queue<Key>,
}

/// Runs until dropped.
pub async fn run(informers: Informers, pods: Owned<Pod>, revisions: Owned<ControllerRevision>) {
    let client = informers.client().clone();
    let controller = Controller {
        recorder: Recorder::new(client.clone(), COMPONENT, ""),
        client,
        sets: informers.get(),
        pods,
        claims: informers.get(),
        revisions,
        queue: Queue::default(),
    };
    let queue = controller.queue.clone();
    let _sets = controller.sets.on(move |change| queue.add(change.key()));
    let select = |set: &StatefulSet| owned::selector(&set.spec.selector);
    // Names are expectation enough: nothing can be made twice.
    let _pods = owned::watch(&controller.pods, &controller.sets, select, &controller.queue, &Expectations::default());
    controller.sets.synced().await;
    controller.pods.all.synced().await;
    controller.claims.synced().await;
    controller.revisions.all.synced().await;
    controller.queue.clone().work(COMPONENT, WORKERS, |key| controller.sync(key)).await;
}

/// One look at a set.
struct Look {
    set: Arc<StatefulSet>,
    revisions: Revisions,
    /// The revision that pods have which are not updated yet.
    current: Arc<ControllerRevision>,
    wish: Wish,
    pods: Vec<Arc<Pod>>,
}

impl Look {
    fn pod(&self, ordinal: i32) -> Option<&Arc<Pod>> {
        self.pods.iter().find(|pod| identity::ordinal(&self.set, pod) == Some(ordinal))
    }
}

impl Controller {
    async fn sync(&self, key: Key) -> kube::Result<()> {
        let Some(set) = self.sets.get(&key.0, &key.1) else { return Ok(()) };
        let selector = owned::selector(&set.spec.selector);
        let member = |pod: &Pod| identity::ordinal(&set, pod).is_some();
        let pods = owned::claim(&self.client, &*set, &selector, &self.pods, member).await?;
        let told = set.status.clone().unwrap_or_default();
        let subject = Subject {
            owner: &*set,
            selector: &selector,
            template: &set.spec.template,
            collisions: told.collision_count.unwrap_or(0),
            label: "controller.kubernetes.io/hash",
        };
        let revisions = revisions::sync(&self.client, subject, &self.revisions).await?;
        let current = told.current_revision.as_deref().and_then(|current| revisions.named(current));
        let current = current.unwrap_or(&revisions.newest).clone();
        let wish = Wish::of(&set, name(&current.metadata), name(&revisions.newest.metadata));
        let look = Look { set: set.clone(), revisions, current, wish, pods };
        let now = Timestamp::now();
        let done = match set.metadata.deletion_timestamp {
            None => self.act(&look, now).await,
            Some(_) => self.keep_claims(&look).await,
        };
        self.tell(&look, now).await?;
        self.forget_revisions(&look).await?;
        let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
        if let Some(wait) = pods::next_available(look.pods.iter().map(Arc::as_ref), min_ready, now) {
            self.queue.add_after(key, wait);
        }
        done
    }

    async fn act(&self, look: &Look, now: Timestamp) -> kube::Result<()> {
        self.keep_claims(look).await?;
        let min_ready = look.set.spec.min_ready_seconds.unwrap_or(0);
        let seen: Vec<Seen> = look.pods.iter().filter_map(|pod| seen(&look.set, pod, min_ready, now)).collect();
        let steps = plan::steps(&look.wish, &seen);
        let done = join_all(steps.iter().map(|step| self.step(look, step))).await;
        done.into_iter().collect()
    }

    async fn step(&self, look: &Look, step: &Step) -> kube::Result<()> {
        match step {
            Step::Make { ordinal, revision } => self.make(look, *ordinal, revision).await,
            Step::Delete { ordinal } => self.delete(look, *ordinal).await,
        }
    }

    async fn make(&self, look: &Look, ordinal: i32, revision: &str) -> kube::Result<()> {
        let set = &look.set;
        let kept = look.revisions.named(revision).and_then(|revision| revisions::template(revision));
        let template: PodTemplateSpec = kept.unwrap_or_else(|| set.spec.template.clone());
        let pod = identity::pod(set, &template, ordinal, revision);
        let (pod_name, set_name) = (name(&pod.metadata).to_owned(), name(&set.metadata));
        self.make_claims(look, ordinal).await?;
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace(&set.metadata));
        match api.create(&PostParams::default(), &pod).await {
            Ok(_) => {
                let message = format!("create Pod {pod_name} in StatefulSet {set_name} successful");
                self.recorder.tell(&**set, Severity::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            // The cache does not show it yet, or not yet that the one before is gone.
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
            Err(error) if pods::namespace_ends(&error) => Ok(()),
            Err(error) => {
                let why = pods::reason(&error);
                let message = format!("create Pod {pod_name} in StatefulSet {set_name} failed error: {why}");
                self.recorder.tell(&**set, Severity::Warning, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn delete(&self, look: &Look, ordinal: i32) -> kube::Result<()> {
        let Some(pod) = look.pod(ordinal) else { return Ok(()) };
        let (pod_name, set) = (name(&pod.metadata), &look.set);
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace(&set.metadata));
        let only = Preconditions { uid: Some(uid(&pod.metadata).to_owned()), resource_version: None };
        match api.delete(pod_name, &DeleteParams::default().preconditions(only)).await {
            Ok(_) => {
                let message = format!("delete Pod {pod_name} in StatefulSet {} successful", name(&set.metadata));
                self.recorder.tell(&**set, Severity::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => {
                let (why, set_name) = (pods::reason(&error), name(&set.metadata));
                let message = format!("delete Pod {pod_name} in StatefulSet {set_name} failed error: {why}");
                self.recorder.tell(&**set, Severity::Warning, "FailedDelete", message);
                Err(error)
            }
        }
    }

    /// Pods that were adopted get the labels of their place.
    async fn label(&self, look: &Look, pod: &Pod, ordinal: i32) -> kube::Result<()> {
        let Some(patch) = identity::missing(pod, ordinal) else { return Ok(()) };
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace(&look.set.metadata));
        owned::absent(api.patch(name(&pod.metadata), &PatchParams::default(), &Patch::Merge(patch)).await).map(drop)
    }

    async fn tell(&self, look: &Look, now: Timestamp) -> kube::Result<()> {
        let next = status::of(look, now);
        if look.set.status.as_ref() == Some(&next) {
            return Ok(());
        }
        let api = Api::<StatefulSet>::namespaced(self.client.clone(), namespace(&look.set.metadata));
        let told = StatefulSet { status: Some(next), ..StatefulSet::clone(&look.set) };
        owned::absent(api.replace_status(name(&told.metadata), &PostParams::default(), &told).await).map(drop)
    }

    async fn forget_revisions(&self, look: &Look) -> kube::Result<()> {
        let pods = look.pods.iter().filter_map(|pod| identity::revision(pod));
        let ends = [&look.current, &look.revisions.newest].map(|revision| name(&revision.metadata));
        let live: HashSet<&str> = pods.chain(ends).collect();
        let limit = look.set.spec.revision_history_limit.unwrap_or(10);
        revisions::truncate(&self.client, namespace(&look.set.metadata), &look.revisions.all, limit, &live).await
    }
}

fn seen(set: &StatefulSet, pod: &Pod, min_ready: i32, now: Timestamp) -> Option<Seen> {
    Some(Seen {
        ordinal: identity::ordinal(set, pod)?,
        revision: identity::revision(pod).unwrap_or_default().to_owned(),
        ended: pods::has_ended(pod),
        terminating: pods::is_terminating(pod),
        available: pods::phase(pod) == "Running" && pods::is_available(pod, min_ready, now),
    })
}
