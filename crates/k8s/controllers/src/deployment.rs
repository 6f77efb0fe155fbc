//! Deployments: pods are replaced step by step when their template changes, and what was is kept to go back to.
//!
//! - `sets`: the replica sets of a deployment: which one is new, what they have written down
//! - `plan`: how many pods each set should have, as pure arithmetic
//! - `status`: what is told, and the conditions
//! - `apply`: sets are made, scaled and cleaned up

mod apply;
pub(crate) mod plan;
mod sets;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_client::informer::{Key, key};
use k8s_client::{Expectations, Informer, Informers, Queue, Recorder, Severity, Subscription};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, PostParams};

use crate::owned::{self, Owned, name, namespace, uid};
use crate::pods;
use sets::{View, is_recreated, wanted};

const COMPONENT: &str = "deployment-controller";
const WORKERS: usize = 8;

struct Controller {
    client: Client,
    recorder: Recorder,
    deployments: Informer<Deployment>,
    sets: Owned<ReplicaSet>,
    pods: Owned<Pod>,
    queue: Queue<Key>,
}

/// Runs until dropped.
pub async fn run(informers: Informers, sets: Owned<ReplicaSet>, pods: Owned<Pod>) {
    let client = informers.client().clone();
    let recorder = Recorder::new(client.clone(), COMPONENT, "");
    let deployments = informers.get::<Deployment>();
    let controller = Controller { client, recorder, deployments, sets, pods, queue: Queue::default() };
    let queue = controller.queue.clone();
    let _deployments = controller.deployments.on(move |change| queue.add(change.key()));
    let select = |deployment: &Deployment| owned::selector(&deployment.spec.selector);
    let nothing = Expectations::default();
    let _sets = owned::watch(&controller.sets, &controller.deployments, select, &controller.queue, &nothing);
    let _pods = controller.watch_pods();
    controller.deployments.synced().await;
    controller.sets.all.synced().await;
    controller.pods.all.synced().await;
    controller.queue.clone().work(COMPONENT, WORKERS, |key| controller.sync(key)).await;
}

impl Controller {
    /// A deployment that recreates its pods waits until the old ones are gone.
    fn watch_pods(&self) -> Subscription {
        let (sets, deployments, queue) = (self.sets.all.clone(), self.deployments.clone(), self.queue.clone());
        self.pods.all.on(move |change| {
            let pod = change.object();
            let ended = change.new.as_deref().is_none_or(pods::has_ended);
            let Some(by) = owned::controller(&pod.metadata).filter(|by| ended && owned::is::<ReplicaSet>(by)) else {
                return;
            };
            let space = namespace(&pod.metadata);
            let set = sets.get(space, &by.name);
            let owner = set.as_deref().and_then(|set| owned::controller(&set.metadata));
            let deployment = owner.and_then(|owner| deployments.get(space, &owner.name));
            if let Some(deployment) = deployment.filter(|deployment| is_recreated(deployment)) {
                queue.add(key(&deployment.metadata));
            }
        })
    }

    async fn sync(&self, key: Key) -> kube::Result<()> {
        let Some(deployment) = self.deployments.get(&key.0, &key.1) else { return Ok(()) };
        let selector = owned::selector(&deployment.spec.selector);
        if selector.is_everything() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.tell(&*deployment, Severity::Warning, "SelectingAll", message);
            return Ok(());
        }
        let sets = owned::claim(&self.client, &*deployment, &selector, &self.sets, |_| true).await?;
        let mut view = View::new(Deployment::clone(&deployment), sets);
        if deployment.metadata.deletion_timestamp.is_some() {
            return self.tell(&mut view, false).await;
        }
        self.tell_pause(&mut view).await?;
        if view.deployment.spec.paused == Some(true) {
            self.sync_revision(&mut view).await?;
            self.scale(&mut view).await?;
            self.clean_up(&view).await?;
            return self.tell(&mut view, false).await;
        }
        if view.is_scaled() {
            self.sync_revision(&mut view).await?;
            self.scale(&mut view).await?;
            return self.tell(&mut view, false).await;
        }
        match is_recreated(&view.deployment) {
            true => self.recreate(&mut view).await?,
            false => self.roll(&mut view).await?,
        }
        self.tell(&mut view, true).await
    }

    async fn roll(&self, view: &mut View) -> kube::Result<()> {
        self.sync_revision(view).await?;
        let Some(new) = self.new_set(view).await? else { return Ok(()) };
        let limits = view.limits();
        let grown = plan::grow(limits, &sets::size(&new), view.total());
        if self.resize(view, &new, grown).await? {
            return Ok(());
        }
        let old: Vec<Arc<ReplicaSet>> = view.old.iter().filter(|set| wanted(set) > 0).cloned().collect();
        let sizes: Vec<_> = old.iter().map(|set| sets::size(set)).collect();
        let mut changed = false;
        for (set, size) in old.iter().zip(plan::shrink(limits, &sets::size(&new), &sizes)) {
            changed |= self.resize(view, set, size).await?;
        }
        if !changed && status::is_complete(&view.deployment, &view.deployment.status.clone().unwrap_or_default()) {
            self.clean_up(view).await?;
        }
        Ok(())
    }

    async fn recreate(&self, view: &mut View) -> kube::Result<()> {
        self.sync_revision(view).await?;
        let mut changed = false;
        for set in view.old.clone().iter().filter(|set| wanted(set) > 0) {
            changed |= self.resize(view, set, 0).await?;
        }
        if changed || self.old_pods_run(view) {
            return Ok(());
        }
        let Some(new) = self.new_set(view).await? else { return Ok(()) };
        let replicas = view.limits().replicas;
        self.resize(view, &new, replicas).await?;
        if status::is_complete(&view.deployment, &view.deployment.status.clone().unwrap_or_default()) {
            self.clean_up(view).await?;
        }
        Ok(())
    }

    fn old_pods_run(&self, view: &View) -> bool {
        view.old.iter().any(|set| {
            let counted = set.status.as_ref().is_some_and(|status| status.replicas > 0);
            counted || self.pods.of(uid(&set.metadata)).iter().any(|pod| !pods::has_ended(pod))
        })
    }

    /// Writes the status, and comes back when the rollout may be stuck. `rollout`: whether it may be said to have progressed.
    async fn tell(&self, view: &mut View, rollout: bool) -> kube::Result<()> {
        let now = Timestamp::now();
        let next = status::of(view, rollout, now);
        if let Some(wait) = status::deadline_in(&view.deployment, &next, now).filter(|_| rollout) {
            self.queue.add_after(key(&view.deployment.metadata), wait);
        }
        self.write(view, next).await
    }

    async fn write(&self, view: &mut View, next: status::Status) -> kube::Result<()> {
        if view.deployment.status.as_ref() == Some(&next) {
            return Ok(());
        }
        let api = Api::<Deployment>::namespaced(self.client.clone(), namespace(&view.deployment.metadata));
        let told = Deployment { status: Some(next), ..view.deployment.clone() };
        let written = api.replace_status(name(&told.metadata), &PostParams::default(), &told).await;
        if let Some(deployment) = owned::absent(written)? {
            view.deployment = deployment;
        }
        Ok(())
    }

    async fn tell_pause(&self, view: &mut View) -> kube::Result<()> {
        match status::pause(&view.deployment, Timestamp::now()) {
            Some(next) => self.write(view, next).await,
            None => Ok(()),
        }
    }
}
