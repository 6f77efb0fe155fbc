//! What a set tells of its pods.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::kinds::{Condition, Replicated, Status};
use crate::pods;

const FAILURE: &str = "ReplicaFailure";

/// Why pods could not be made or deleted.
pub struct Failure {
    pub reason: &'static str,
    pub message: String,
}

pub fn of<K: Replicated>(
    set: &K,
    active: &[Arc<Pod>],
    terminating: usize,
    failure: Option<Failure>,
    now: Timestamp,
) -> Status {
    let told = set.status();
    let wanted = set.template().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    let labeled = |pod: &Pod| {
        let labels = pod.metadata.labels.as_ref();
        wanted.into_iter().flatten().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let count = |test: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| test(pod)).count() as i32;
    Status {
        replicas: active.len() as i32,
        fully_labeled: count(&labeled),
        ready: count(&pods::is_ready),
        available: count(&|pod| pods::is_available(pod, set.min_ready(), now)),
        terminating: K::counts_terminating().then_some(terminating as i32),
        observed_generation: set.meta().generation.or(told.observed_generation),
        conditions: conditions(told.conditions, failure, now),
    }
}

/// The condition of failure stays as it was first told, until it is over.
fn conditions(mut told: Vec<Condition>, failure: Option<Failure>, now: Timestamp) -> Vec<Condition> {
    let Some(failure) = failure else {
        told.retain(|condition| condition.kind != FAILURE);
        return told;
    };
    if !told.iter().any(|condition| condition.kind == FAILURE && condition.reason == failure.reason) {
        told.retain(|condition| condition.kind != FAILURE);
        told.push(Condition {
            kind: FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: failure.reason.to_owned(),
            message: failure.message,
            since: Some(Time(now)),
        });
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use serde_json::json;

    #[test]
    fn pods_are_counted_and_a_failure_is_told_until_it_is_over() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let mut set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"name": "s", "generation": 3},
            "spec": {"minReadySeconds": 30, "selector": {}, "template": {"metadata": {"labels": {"a": "1", "b": "2"}}}},
        }))
        .unwrap();
        let pod = |labels: serde_json::Value, since: Option<&str>| -> Arc<Pod> {
            let ready = since.map(|since| json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]));
            Arc::new(
                serde_json::from_value(json!({"metadata": {"labels": labels}, "status": {"conditions": ready}}))
                    .unwrap(),
            )
        };
        let active = [
            pod(json!({"a": "1", "b": "2", "c": "3"}), Some("2026-01-01T00:00:00Z")),
            pod(json!({"a": "1"}), Some("2026-01-01T00:00:59Z")),
            pod(json!({}), None),
        ];
        let failure = || Failure { reason: "FailedCreate", message: "full".to_owned() };
        let status = of(&set, &active, 2, Some(failure()), now);
        assert_eq!((status.replicas, status.fully_labeled, status.ready, status.available), (3, 1, 2, 1));
        assert_eq!((status.terminating, status.observed_generation), (Some(2), Some(3)));
        assert_eq!(status.conditions[0].message, "full");
        set.set_status(status.clone());
        let later = now + jiff::SignedDuration::from_secs(60);
        assert_eq!(of(&set, &active, 2, Some(failure()), later).conditions, status.conditions);
        assert!(of(&set, &active, 2, None, later).conditions.is_empty());
    }
}
