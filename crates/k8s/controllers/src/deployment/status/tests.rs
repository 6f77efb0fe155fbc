//! Conditions of deployments along a rollout.

use super::*;
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::{Value, json};
use std::sync::Arc;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn template() -> Value {
    json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}})
}

fn view(told: Status, pods: i32, available: i32, paused: bool) -> View {
    let deployment = json!({"metadata": {"name": "web", "generation": 1},
        "spec": {"replicas": 2, "paused": paused, "progressDeadlineSeconds": 10,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, "selector": {}, "template": template()}});
    let mut deployment: Deployment = serde_json::from_value(deployment).unwrap();
    deployment.status = Some(told);
    let set: ReplicaSet = serde_json::from_value(json!({"metadata": {"name": "web-1"},
        "spec": {"replicas": 2, "selector": {}, "template": template()},
        "status": {"replicas": pods, "readyReplicas": available, "availableReplicas": available, "terminatingReplicas": 0}}))
    .unwrap();
    View::new(deployment, vec![Arc::new(set)])
}

fn told(status: &Status, kind: &str) -> (String, String, i64) {
    let found = find(status, kind).unwrap();
    let since = found.last_update_time.as_ref().unwrap().0.as_second() - at(0).as_second();
    (found.status.clone().unwrap(), found.reason.clone().unwrap(), since)
}

fn says(status: &str, reason: &str, since: i64) -> (String, String, i64) {
    (status.to_owned(), reason.to_owned(), since)
}

#[test]
fn a_rollout_progresses_and_is_done() {
    let first = made(&view(Status::default(), 0, 0, false).deployment, &Made::Created("web-1"), at(0)).unwrap();
    assert_eq!(told(&first, PROGRESSING), says("True", "NewReplicaSetCreated", 0));
    let some = of(&view(first, 2, 1, false), true, at(3));
    assert_eq!(told(&some, PROGRESSING), says("True", "ReplicaSetUpdated", 3));
    assert_eq!(told(&some, AVAILABLE), says("False", "MinimumReplicasUnavailable", 3));
    assert_eq!(
        (some.unavailable_replicas, some.updated_replicas, some.terminating_replicas),
        (Some(1), Some(2), Some(0))
    );
    let done = of(&view(some, 2, 2, false), true, at(5));
    assert_eq!(told(&done, PROGRESSING), says("True", "NewReplicaSetAvailable", 5));
    assert_eq!(told(&done, AVAILABLE), says("True", "MinimumReplicasAvailable", 5));
    assert_eq!(
        find(&done, PROGRESSING).unwrap().message.as_deref(),
        Some("ReplicaSet \"web-1\" has successfully progressed.")
    );
    let again = of(&view(done.clone(), 2, 2, false), true, at(100));
    assert_eq!(again, done, "nothing new is nothing to write");
    assert_eq!(deadline_in(&view(done.clone(), 2, 2, false).deployment, &done, at(100)), None);
}

#[test]
fn a_rollout_without_progress_is_late() {
    let first = of(&view(Status::default(), 2, 1, false), true, at(0));
    let stuck = view(first.clone(), 2, 1, false);
    assert_eq!(deadline_in(&stuck.deployment, &first, at(4)), Some(Duration::from_secs(7)));
    assert_eq!(told(&of(&stuck, true, at(9)), PROGRESSING), says("True", "ReplicaSetUpdated", 0));
    let late = of(&stuck, true, at(11));
    assert_eq!(told(&late, PROGRESSING), says("False", "ProgressDeadlineExceeded", 11));
    assert_eq!(deadline_in(&stuck.deployment, &late, at(11)), None);
    let on = of(&view(late, 2, 2, false), true, at(30));
    assert_eq!(told(&on, PROGRESSING), says("True", "NewReplicaSetAvailable", 30));
}

#[test]
fn a_pause_is_told_once() {
    let first = of(&view(Status::default(), 2, 1, false), true, at(0));
    let paused = pause(&view(first, 2, 1, true).deployment, at(1)).unwrap();
    assert_eq!(told(&paused, PROGRESSING), says("Unknown", "DeploymentPaused", 1));
    assert!(pause(&view(paused.clone(), 2, 1, true).deployment, at(2)).is_none());
    let resumed = pause(&view(paused, 2, 1, false).deployment, at(3)).unwrap();
    assert_eq!(told(&resumed, PROGRESSING), says("Unknown", "DeploymentResumed", 3));
    assert!(pause(&view(resumed, 2, 1, false).deployment, at(4)).is_none());
}
