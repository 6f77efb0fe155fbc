//! What disruption budgets allow: how many pods they cover, how many are healthy, how many may go. The API server takes evictions from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_client::informer::Key;
use k8s_client::{Change, Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_types::selector::label::LabelSelector;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};

use crate::scale::Target;

/// An eviction that was allowed is counted for so long if nothing is seen of it.
const PENDING: Duration = Duration::from_secs(120);

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let (budgets, pods) = (informers.get::<PodDisruptionBudget>(), informers.get::<Pod>());
    budgets.synced().await;
    pods.synced().await;
    let queue: Queue<Key> = Queue::default();
    let added = queue.clone();
    let _budgets = budgets.on(move |change| added.add(change.key()));
    let (all, touched) = (budgets.clone(), queue.clone());
    let _pods = pods.on(move |change| touch(&all, &touched, change));
    let keeper = Keeper {
        recorder: Recorder::new(informers.client().clone(), "controllermanager", ""),
        client: informers.client().clone(),
        deployments: informers.get(),
        sets: informers.get(),
        queue: queue.clone(),
        budgets,
        pods,
    };
    let (_scaled, _sets) = (keeper.follow::<Deployment>(&informers), keeper.follow::<ReplicaSet>(&informers));
    let (_stateful, _old) =
        (keeper.follow::<StatefulSet>(&informers), keeper.follow::<ReplicationController>(&informers));
    queue.work("disruption budgets", 4, |key| keeper.sync(key)).await;
}

/// The budgets that a pod is or was under.
fn touch(budgets: &Informer<PodDisruptionBudget>, queue: &Queue<Key>, change: &Change<Pod>) {
    let namespace = change.object().namespace().unwrap_or_default();
    for budget in budgets.namespace(&namespace) {
        let selector = selector(&budget);
        let selects = |pod: &Arc<Pod>| selector.matches(&pod.metadata.labels.clone().unwrap_or_default());
        if change.old.as_ref().is_some_and(selects) || change.new.as_ref().is_some_and(selects) {
            queue.add(k8s_client::informer::key(&budget.metadata));
        }
    }
}

fn selector(budget: &PodDisruptionBudget) -> LabelSelector {
    let object = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let value = serde_json::to_value(object).unwrap_or_default();
    LabelSelector::from_object(&value).unwrap_or(LabelSelector::Nothing)
}

/// The part of a whole that a number or a percentage is, rounded up.
fn part(of: &IntOrString, whole: i64) -> i64 {
    match of {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            (percent * whole + 99) / 100
        }
    }
}

/// How many pods a budget expects, and how many of them must be healthy. `scale` is what their controllers want.
fn wanted(budget: &PodDisruptionBudget, count: i64, scale: i64) -> (i64, i64) {
    let spec = budget.spec.clone().unwrap_or_default();
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => (scale, (scale - part(most, scale)).max(0)),
        (None, Some(IntOrString::Int(number))) => (count, i64::from(*number)),
        (None, Some(percent)) => (scale, part(percent, scale)),
        (None, None) => (count, 0),
    }
}

fn needs_scale(budget: &PodDisruptionBudget) -> bool {
    budget.spec.as_ref().is_some_and(|spec| {
        spec.max_unavailable.is_some() || matches!(spec.min_available, Some(IntOrString::String(_)))
    })
}

fn is_healthy(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

struct Keeper {
    client: Client,
    recorder: Recorder,
    budgets: Informer<PodDisruptionBudget>,
    pods: Informer<Pod>,
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    queue: Queue<Key>,
}

impl Keeper {
    /// Counts again when somebody is to have another number of pods.
    fn follow<K: k8s_client::informer::Object>(&self, informers: &Informers) -> k8s_client::Subscription {
        let (budgets, queue) = (self.budgets.clone(), self.queue.clone());
        informers.get::<K>().on(move |change| {
            let generation = |object: &Arc<K>| object.meta().generation;
            if change.old.as_ref().map(generation) == change.new.as_ref().map(generation) {
                return;
            }
            for budget in budgets.namespace(&change.key().0) {
                if needs_scale(&budget) {
                    queue.add(k8s_client::informer::key(&budget.metadata));
                }
            }
        })
    }

    async fn sync(&self, key: Key) -> kube::Result<()> {
        let Some(budget) = self.budgets.get(&key.0, &key.1) else { return Ok(()) };
        let selector = selector(&budget);
        let labels = |pod: &Pod| pod.metadata.labels.clone().unwrap_or_default();
        let pods: Vec<Arc<Pod>> = self
            .pods
            .namespace(&key.0)
            .into_iter()
            .filter(|pod| {
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                selector.matches(&labels(pod)) && !matches!(phase, Some("Succeeded" | "Failed"))
            })
            .collect();
        let scale = if needs_scale(&budget) { self.scale(&key.0, &pods).await } else { Ok(0) };
        let (scale, failure) = match scale {
            Ok(scale) => (scale, None),
            Err(error) => (0, Some(error.to_string())),
        };
        let (disrupted, next) = still_pending(&budget, &pods);
        if let Some(next) = next {
            self.queue.add_after(key.clone(), next);
        }
        let healthy = pods.iter().filter(|pod| {
            is_healthy(pod) && pod.metadata.deletion_timestamp.is_none() && !disrupted.contains_key(&pod.name_any())
        });
        let healthy = healthy.count() as i64;
        let (expected, desired) = wanted(&budget, pods.len() as i64, scale);
        let allowed = if expected > 0 && failure.is_none() { (healthy - desired).max(0) } else { 0 };
        if let Some(why) = &failure {
            self.recorder.tell(&*budget, Severity::Normal, "CalculateExpectedPodCountFailed", why.clone());
        }
        let status = PodDisruptionBudgetStatus {
            current_healthy: Some(healthy as i32),
            desired_healthy: Some(desired as i32),
            disruptions_allowed: Some(allowed as i32),
            expected_pods: Some(expected as i32),
            disrupted_pods: Some(disrupted).filter(|pods| !pods.is_empty()),
            observed_generation: budget.metadata.generation,
            conditions: Some(conditions(&budget, allowed, failure)),
        };
        self.write(&budget, status).await
    }

    async fn write(&self, budget: &PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> kube::Result<()> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut next = budget.clone();
        next.status = Some(status);
        let api = Api::<PodDisruptionBudget>::namespaced(self.client.clone(), &budget.namespace().unwrap_or_default());
        // With its version: an eviction meanwhile must not be lost.
        crate::ignore_absent(api.replace_status(&budget.name_any(), &PostParams::default(), &next).await)
    }

    /// How many pods the controllers of these pods want.
    async fn scale(&self, namespace: &str, pods: &[Arc<Pod>]) -> kube::Result<i64> {
        let mut counted: HashMap<String, i64> = HashMap::new();
        for pod in pods {
            let Some(owner) = pod.owner_references().iter().find(|owner| owner.controller == Some(true)) else {
                continue;
            };
            if counted.contains_key(&owner.uid) {
                continue;
            }
            let (uid, replicas) = self.replicas(namespace, owner).await?;
            counted.insert(owner.uid.clone(), 0);
            counted.insert(uid, replicas);
        }
        Ok(counted.values().sum())
    }

    /// What a controller wants; a replica set's deployment, where it has one, speaks for it.
    async fn replicas(&self, namespace: &str, owner: &OwnerReference) -> kube::Result<(String, i64)> {
        if owner.kind == "ReplicaSet"
            && let Some(set) = self.sets.get(namespace, &owner.name)
        {
            let above = set.owner_references().iter().find(|above| above.controller == Some(true)).cloned();
            let above = above.filter(|above| above.kind == "Deployment");
            if let Some(deployment) = above.and_then(|above| self.deployments.get(namespace, &above.name)) {
                let replicas = deployment.spec.replicas.unwrap_or(1);
                return Ok((deployment.uid().unwrap_or_default(), i64::from(replicas)));
            }
            return Ok((owner.uid.clone(), i64::from(set.spec.replicas.unwrap_or(1))));
        }
        let target = Target {
            namespace: namespace.to_owned(),
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
        };
        let scale = target.read(&self.client).await?;
        let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        Ok((owner.uid.clone(), i64::from(replicas)))
    }
}

/// Evictions that were allowed and of which nothing is seen yet, and when the first of them is not counted any more.
fn still_pending(budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> (BTreeMap<String, Time>, Option<Duration>) {
    let all = budget.status.as_ref().and_then(|status| status.disrupted_pods.clone()).unwrap_or_default();
    let (mut pending, mut next) = (BTreeMap::new(), None::<Duration>);
    for (name, since) in all {
        let stays = pods.iter().any(|pod| pod.name_any() == name && pod.metadata.deletion_timestamp.is_none());
        let passed = Duration::try_from(Timestamp::now().duration_since(since.0)).unwrap_or_default();
        if let Some(left) = PENDING.checked_sub(passed).filter(|_| stays) {
            next = Some(next.map_or(left, |next| next.min(left)));
            pending.insert(name, since);
        }
    }
    (pending, next)
}

fn conditions(budget: &PodDisruptionBudget, allowed: i64, failure: Option<String>) -> Vec<Condition> {
    let (status, reason) = match (&failure, allowed) {
        (Some(_), _) => ("False", "SyncFailed"),
        (None, 1..) => ("True", "SufficientPods"),
        (None, _) => ("False", "InsufficientPods"),
    };
    let kind = "DisruptionAllowed";
    let mut all = budget.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let old = all.iter().find(|condition| condition.type_ == kind);
    let since = old.filter(|old| old.status == status).map(|old| old.last_transition_time.clone());
    let condition = Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: failure.unwrap_or_default(),
        observed_generation: budget.metadata.generation,
        last_transition_time: since.unwrap_or_else(|| Time(Timestamp::now())),
    };
    all.retain(|condition| condition.type_ != kind);
    all.push(condition);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    #[test]
    fn numbers_and_percentages_say_how_many_must_be_healthy() {
        let check = |spec: Value, count, scale| wanted(&from_value(json!({ "spec": spec })).unwrap(), count, scale);
        assert_eq!(check(json!({"minAvailable": 2}), 3, 0), (3, 2));
        assert_eq!(check(json!({"minAvailable": "50%"}), 3, 5), (5, 3));
        assert_eq!(check(json!({"maxUnavailable": 1}), 3, 5), (5, 4));
        assert_eq!(check(json!({"maxUnavailable": "30%"}), 3, 5), (5, 3));
        assert_eq!(check(json!({"maxUnavailable": 9}), 3, 5), (5, 0));
    }
}
