//! Replica sets and replication controllers, as the engine sees them.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_types::selector::LabelSelector;
use serde::Serialize;
use serde_json::json;

use crate::owned::{self, Namespaced};

/// What is told of both kinds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    pub replicas: i32,
    pub fully_labeled: i32,
    pub ready: i32,
    pub available: i32,
    /// Replication controllers do not tell it.
    pub terminating: Option<i32>,
    pub observed_generation: Option<i64>,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub kind: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub since: Option<Time>,
}

/// A kind of objects that want pods after a template.
pub trait Replicated: Namespaced + Serialize {
    /// The name under which events are told.
    const COMPONENT: &'static str;

    /// How many pods are wanted.
    fn wanted(&self) -> usize;
    fn min_ready(&self) -> i32;
    fn selector(&self) -> LabelSelector;
    fn template(&self) -> Option<&PodTemplateSpec>;
    fn status(&self) -> Status;
    fn set_status(&mut self, status: Status);
    /// Whether its status counts pods that are being deleted.
    fn counts_terminating() -> bool;
}

impl Replicated for ReplicaSet {
    const COMPONENT: &'static str = "replicaset-controller";

    fn wanted(&self) -> usize {
        self.spec.replicas.unwrap_or(1).max(0) as usize
    }

    fn min_ready(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    fn selector(&self) -> LabelSelector {
        owned::selector(&self.spec.selector)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.template.as_ref()
    }

    fn status(&self) -> Status {
        let status = self.status.clone().unwrap_or_default();
        let conditions = status.conditions.into_iter().flatten().map(|told| Condition {
            kind: told.type_.unwrap_or_default(),
            status: told.status.unwrap_or_default(),
            reason: told.reason.unwrap_or_default(),
            message: told.message.unwrap_or_default(),
            since: told.last_transition_time,
        });
        Status {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            terminating: status.terminating_replicas,
            observed_generation: status.observed_generation,
            conditions: conditions.collect(),
        }
    }

    fn set_status(&mut self, status: Status) {
        let conditions = status.conditions.into_iter().map(|condition| ReplicaSetCondition {
            type_: Some(condition.kind),
            status: Some(condition.status),
            reason: Some(condition.reason),
            message: Some(condition.message),
            last_transition_time: condition.since,
        });
        let conditions: Vec<_> = conditions.collect();
        self.status = Some(ReplicaSetStatus {
            replicas: status.replicas,
            fully_labeled_replicas: Some(status.fully_labeled),
            ready_replicas: Some(status.ready),
            available_replicas: Some(status.available),
            terminating_replicas: status.terminating,
            observed_generation: status.observed_generation,
            conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        });
    }

    fn counts_terminating() -> bool {
        true
    }
}

impl Replicated for ReplicationController {
    const COMPONENT: &'static str = "replication-controller";

    fn wanted(&self) -> usize {
        self.spec.as_ref().map_or(0, |spec| spec.replicas.unwrap_or(1).max(0) as usize)
    }

    fn min_ready(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn selector(&self) -> LabelSelector {
        let labels = self.spec.as_ref().and_then(|spec| spec.selector.as_ref()).filter(|labels| !labels.is_empty());
        labels.map_or(LabelSelector::Nothing, |labels| owned::selector(&json!({"matchLabels": labels})))
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn status(&self) -> Status {
        let status = self.status.clone().unwrap_or_default();
        let conditions = status.conditions.into_iter().flatten().map(|told| Condition {
            kind: told.type_,
            status: told.status,
            reason: told.reason.unwrap_or_default(),
            message: told.message.unwrap_or_default(),
            since: told.last_transition_time,
        });
        Status {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            terminating: None,
            observed_generation: status.observed_generation,
            conditions: conditions.collect(),
        }
    }

    fn set_status(&mut self, status: Status) {
        let conditions = status.conditions.into_iter().map(|condition| ReplicationControllerCondition {
            type_: condition.kind,
            status: condition.status,
            reason: Some(condition.reason),
            message: Some(condition.message),
            last_transition_time: condition.since,
        });
        let conditions: Vec<_> = conditions.collect();
        self.status = Some(ReplicationControllerStatus {
            replicas: status.replicas,
            fully_labeled_replicas: Some(status.fully_labeled),
            ready_replicas: Some(status.ready),
            available_replicas: Some(status.available),
            observed_generation: status.observed_generation,
            conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        });
    }

    fn counts_terminating() -> bool {
        false
    }
}
