//! The replica sets of a deployment are made, scaled and cleaned up.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_client::Severity;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::sets::{self, DESIRED, HASH, MOST, View, wanted};
use super::status::{self, Made};
use super::{Controller, plan};
use crate::owned::{self, name, namespace};
use crate::{hash, pods};

impl Controller {
    fn api(&self, view: &View) -> Api<ReplicaSet> {
        Api::namespaced(self.client.clone(), namespace(&view.deployment.metadata))
    }

    /// The new set, if there is one, gets the revision after all others, and the deployment says which that is.
    pub(super) async fn sync_revision(&self, view: &mut View) -> kube::Result<()> {
        let Some(new) = view.new.clone() else { return Ok(()) };
        let annotations = sets::annotations(&view.deployment, Some(&new), view.next_revision());
        let min_ready = view.deployment.spec.min_ready_seconds.unwrap_or(0);
        if !annotations.is_empty() || new.spec.min_ready_seconds.unwrap_or(0) != min_ready {
            let patch = json!({
                "metadata": {"resourceVersion": new.metadata.resource_version, "annotations": sets::as_patch(annotations)},
                "spec": {"minReadySeconds": min_ready},
            });
            let set = self.api(view).patch(name(&new.metadata), &PatchParams::default(), &Patch::Merge(patch)).await?;
            view.put(Arc::new(set));
        }
        self.tell_revision(view).await?;
        let found = status::made(&view.deployment, &Made::Found(name(&new.metadata)), Timestamp::now());
        match found {
            Some(next) => self.write(view, next).await,
            None => Ok(()),
        }
    }

    async fn tell_revision(&self, view: &mut View) -> kube::Result<()> {
        let revision = view.new.as_ref().map_or(0, |set| sets::revision(&set.metadata));
        if sets::revision(&view.deployment.metadata) == revision {
            return Ok(());
        }
        let api = Api::<Deployment>::namespaced(self.client.clone(), namespace(&view.deployment.metadata));
        let patch = json!({"metadata": {"annotations": {sets::REVISION: revision.to_string()}}});
        let name = name(&view.deployment.metadata);
        if let Some(told) = owned::absent(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await)? {
            view.deployment.metadata = told.metadata;
        }
        Ok(())
    }

    /// The set of the deployment's template, made if need be. Nothing, if the deployment is looked at again anyway.
    pub(super) async fn new_set(&self, view: &mut View) -> kube::Result<Option<Arc<ReplicaSet>>> {
        if let Some(new) = &view.new {
            return Ok(Some(new.clone()));
        }
        let set = self.compose(view);
        let set_name = name(&set.metadata).to_owned();
        let found = match self.api(view).create(&PostParams::default(), &set).await {
            Ok(made) => {
                self.tell_created(view, &made);
                made
            }
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                let Some(there) = self.api(view).get_opt(&set_name).await? else { return self.collided(view).await };
                let ours =
                    owned::controller(&there.metadata).map(|by| &by.uid) == view.deployment.metadata.uid.as_ref();
                if !ours || !sets::is_of(&there, &view.deployment.spec.template) {
                    return self.collided(view).await;
                }
                there
            }
            Err(error) if pods::namespace_ends(&error) => return Ok(None),
            Err(error) => {
                let failed = Made::Failed(&set_name, pods::reason(&error));
                if let Some(next) = status::made(&view.deployment, &failed, Timestamp::now()) {
                    self.write(view, next).await?;
                }
                return Err(error);
            }
        };
        let found = Arc::new(found);
        view.new = Some(found.clone());
        self.tell_revision(view).await?;
        if let Some(next) = status::made(&view.deployment, &Made::Created(&set_name), Timestamp::now()) {
            self.write(view, next).await?;
        }
        Ok(Some(found))
    }

    fn compose(&self, view: &View) -> ReplicaSet {
        let (deployment, limits) = (&view.deployment, view.limits());
        let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
        let hash = hash::of(&deployment.spec.template, collisions);
        let mut template = deployment.spec.template.clone();
        let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        labels.insert(HASH.to_owned(), hash.clone());
        let labels = labels.clone();
        let mut selector = deployment.spec.selector.clone();
        selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
        let nothing = plan::Size { wanted: 0, available: 0, most_before: None, age: Default::default() };
        let mut annotations = sets::annotations(deployment, None, view.next_revision());
        annotations.insert(DESIRED.to_owned(), limits.replicas.to_string());
        annotations.insert(MOST.to_owned(), limits.most().to_string());
        ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", name(&deployment.metadata))),
                namespace: deployment.metadata.namespace.clone(),
                labels: Some(labels),
                annotations: Some(annotations),
                owner_references: Some(vec![owned::reference(deployment)]),
                ..ObjectMeta::default()
            },
            spec: ReplicaSetSpec {
                replicas: Some(plan::grow(limits, &nothing, view.total())),
                min_ready_seconds: deployment.spec.min_ready_seconds,
                selector,
                template: Some(template),
            },
            status: None,
        }
    }

    fn tell_created(&self, view: &View, set: &ReplicaSet) {
        if wanted(set) > 0 {
            let message = format!("Scaled up replica set {} from 0 to {}", name(&set.metadata), wanted(set));
            self.recorder.tell(&view.deployment, Severity::Normal, "ScalingReplicaSet", message);
        }
    }

    /// Another set has the name that the new one should have: it gets another.
    async fn collided(&self, view: &mut View) -> kube::Result<Option<Arc<ReplicaSet>>> {
        let mut next = view.deployment.status.clone().unwrap_or_default();
        next.collision_count = Some(next.collision_count.unwrap_or(0) + 1);
        self.write(view, next).await?;
        Ok(None)
    }

    /// Scales a set and writes down for how many it was done; tells whether its size changed.
    pub(super) async fn resize(&self, view: &mut View, set: &Arc<ReplicaSet>, size: i32) -> kube::Result<bool> {
        let (limits, before) = (view.limits(), wanted(set));
        let noted =
            sets::number(set, DESIRED) == Some(limits.replicas) && sets::number(set, MOST) == Some(limits.most());
        if before == size && (noted || size == 0) {
            return Ok(false);
        }
        let annotations = json!({DESIRED: limits.replicas.to_string(), MOST: limits.most().to_string()});
        let patch = json!({
            "metadata": {"resourceVersion": set.metadata.resource_version, "annotations": annotations},
            "spec": {"replicas": size},
        });
        let scaled = self.api(view).patch(name(&set.metadata), &PatchParams::default(), &Patch::Merge(patch)).await?;
        view.put(Arc::new(scaled));
        if before != size {
            let way = if before < size { "up" } else { "down" };
            let message = format!("Scaled {way} replica set {} from {before} to {size}", name(&set.metadata));
            self.recorder.tell(&view.deployment, Severity::Normal, "ScalingReplicaSet", message);
        }
        Ok(before != size)
    }

    /// A deployment that was scaled, or is paused: no set is made, those that are there grow or shrink.
    pub(super) async fn scale(&self, view: &mut View) -> kube::Result<()> {
        let limits = view.limits();
        let active: Vec<Arc<ReplicaSet>> = view.all().filter(|set| wanted(set) > 0).cloned().collect();
        if active.len() <= 1 {
            let latest = || view.new.clone().or_else(|| view.old.last().cloned());
            if let Some(only) = active.into_iter().next().or_else(latest) {
                self.resize(view, &only, limits.replicas).await?;
            }
            return Ok(());
        }
        if status::is_saturated(view) {
            for set in view.old.clone().iter().filter(|set| wanted(set) > 0) {
                self.resize(view, set, 0).await?;
            }
            return Ok(());
        }
        if sets::is_recreated(&view.deployment) {
            return Ok(());
        }
        let sizes: Vec<_> = active.iter().map(|set| sets::size(set)).collect();
        let told = view.deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        for (set, size) in active.iter().zip(plan::proportion(limits, &sizes, told)) {
            self.resize(view, set, size).await?;
        }
        Ok(())
    }

    /// Deletes old sets beyond the history that is to be kept.
    pub(super) async fn clean_up(&self, view: &View) -> kube::Result<()> {
        let Some(limit) = view.deployment.spec.revision_history_limit.filter(|limit| *limit != i32::MAX) else {
            return Ok(());
        };
        let mut old: Vec<_> = view.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
        old.sort_by_key(|set| sets::revision(&set.metadata));
        let many = old.len().saturating_sub(limit.max(0) as usize);
        for set in old.into_iter().take(many).filter(|set| is_idle(set)) {
            let only = Preconditions { uid: set.metadata.uid.clone(), resource_version: None };
            let deletion = DeleteParams::background().preconditions(only);
            owned::absent(self.api(view).delete(name(&set.metadata), &deletion).await)?;
        }
        Ok(())
    }
}

fn is_idle(set: &ReplicaSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    wanted(set) == 0 && status.replicas == 0 && set.metadata.generation <= status.observed_generation
}
