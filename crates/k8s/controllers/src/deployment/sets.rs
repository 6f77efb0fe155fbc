//! The replica sets of a deployment: which one is of its template, and what is written down on each.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};

use super::plan::{Limits, Size};
use crate::owned::name;

pub const HASH: &str = "pod-template-hash";
pub const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// What a set does not take over from its deployment.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];
const LONGEST_HISTORY: usize = 2000;

/// A deployment and its sets, during one look at it.
pub struct View {
    pub deployment: Deployment,
    pub new: Option<Arc<ReplicaSet>>,
    /// The oldest first.
    pub old: Vec<Arc<ReplicaSet>>,
}

impl View {
    pub fn new(deployment: Deployment, mut sets: Vec<Arc<ReplicaSet>>) -> View {
        sets.sort_by_key(|set| age(set));
        let at = sets.iter().position(|set| is_of(set, &deployment.spec.template));
        let new = at.map(|at| sets.remove(at));
        View { deployment, new, old: sets }
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    /// The pods that all sets together want.
    pub fn total(&self) -> i32 {
        self.all().map(|set| wanted(set)).sum()
    }

    pub fn limits(&self) -> Limits {
        let replicas = self.deployment.spec.replicas.unwrap_or(1);
        if is_recreated(&self.deployment) {
            return Limits::recreating(replicas);
        }
        let rolling = self.deployment.spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
        Limits::rolling(replicas, surge, rolling.and_then(|rolling| rolling.max_unavailable.as_ref()))
    }

    /// Whether the deployment was scaled since its sets were.
    pub fn is_scaled(&self) -> bool {
        let replicas = self.limits().replicas;
        let mut active = self.all().filter(|set| wanted(set) > 0);
        active.any(|set| number(set, DESIRED).is_some_and(|desired| desired != replicas))
    }

    /// The set that is changed.
    pub fn put(&mut self, set: Arc<ReplicaSet>) {
        let all = self.old.iter_mut().chain(&mut self.new);
        for known in all.filter(|known| known.metadata.uid == set.metadata.uid) {
            *known = set.clone();
        }
    }

    /// The revision that the new set should have.
    pub fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| revision(&set.metadata)).max().unwrap_or(0) + 1
    }
}

pub fn is_recreated(deployment: &Deployment) -> bool {
    deployment.spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

pub fn wanted(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

fn age(set: &ReplicaSet) -> (Option<jiff::Timestamp>, String) {
    (set.metadata.creation_timestamp.as_ref().map(|time| time.0), name(&set.metadata).to_owned())
}

pub fn size(set: &ReplicaSet) -> Size {
    Size { wanted: wanted(set), available: available(set), most_before: number(set, MOST), age: age(set) }
}

pub fn number(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}

pub fn revision(meta: &ObjectMeta) -> i64 {
    let text = meta.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether a set's pods are those of a template, but for the hash.
pub fn is_of(set: &ReplicaSet, template: &PodTemplateSpec) -> bool {
    let Some(mut of_set) = set.spec.template.clone() else { return false };
    if let Some(labels) = of_set.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
        labels.remove(HASH);
    }
    let plain = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        let meta = template.metadata.get_or_insert_default();
        meta.labels.get_or_insert_default();
        meta.annotations.get_or_insert_default();
        template
    };
    plain(&of_set) == plain(template)
}

/// What a set of the deployment's template says about itself, beside what it says already.
pub fn annotations(deployment: &Deployment, set: Option<&ReplicaSet>, revision: i64) -> BTreeMap<String, String> {
    let of_deployment = deployment.metadata.annotations.iter().flatten();
    let mut next: BTreeMap<String, String> = of_deployment
        .filter(|(key, _)| !OWN.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let had = set.map_or(0, |set| self::revision(&set.metadata));
    if had < revision {
        next.insert(REVISION.to_owned(), revision.to_string());
        if had > 0 {
            next.insert(HISTORY.to_owned(), history(set, had));
        }
    }
    if let Some(has) = set.and_then(|set| set.metadata.annotations.as_ref()) {
        next.retain(|key, value| has.get(key) != Some(value));
    }
    next
}

/// The revisions that a set was, the newest last; the oldest are forgotten when they are too many.
fn history(set: Option<&ReplicaSet>, had: i64) -> String {
    let annotations = set.and_then(|set| set.metadata.annotations.as_ref());
    let mut text = annotations.and_then(|annotations| annotations.get(HISTORY)).cloned().unwrap_or_default();
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(&had.to_string());
    while text.len() > LONGEST_HISTORY {
        let Some((_, rest)) = text.split_once(',') else { break };
        text = rest.to_owned();
    }
    text
}

/// Annotations as a merge patch takes them.
pub fn as_patch(annotations: BTreeMap<String, String>) -> Map<String, Value> {
    annotations.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_new_set_is_the_oldest_of_the_template_and_remembers_its_revisions() {
        let template = |image: &str, hash: Option<&str>| {
            let mut labels = json!({"app": "web"});
            if let Some(hash) = hash {
                labels[HASH] = hash.into();
            }
            json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}})
        };
        let set = |name: &str, image: &str, revision: &str| -> Arc<ReplicaSet> {
            let value = json!({"metadata": {"name": name, "uid": name, "annotations": {REVISION: revision}},
                "spec": {"selector": {}, "template": template(image, Some(name))}});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"annotations": {"team": "a", REVISION: "2", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": {"selector": {}, "template": template("one", None)},
        }))
        .unwrap();
        let view = View::new(deployment, vec![set("b", "two", "2"), set("a", "one", "1")]);
        let new = view.new.clone().unwrap();
        assert_eq!(name(&new.metadata), "a");
        assert_eq!(view.next_revision(), 3);
        let next = annotations(&view.deployment, Some(&new), 3);
        let expected = [("team", "a"), (REVISION, "3"), (HISTORY, "1")];
        assert_eq!(next, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }
}
