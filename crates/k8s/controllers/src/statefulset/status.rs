//! What a stateful set tells of its pods.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::api::core::v1::Pod;

use super::plan::Update;
use super::{Look, identity};
use crate::owned::name;
use crate::pods;

pub fn of(look: &Look, now: Timestamp) -> StatefulSetStatus {
    let told = look.set.status.clone().unwrap_or_default();
    let min_ready = look.set.spec.min_ready_seconds.unwrap_or(0);
    let (current, newest) = (name(&look.current.metadata), name(&look.revisions.newest.metadata));
    let count = |test: &dyn Fn(&Pod) -> bool| look.pods.iter().filter(|pod| test(pod)).count() as i32;
    let of = |pod: &Pod, revision: &str| !pods::is_terminating(pod) && identity::revision(pod) == Some(revision);
    let running = |pod: &Pod| pods::phase(pod) == "Running" && pods::is_ready(pod);
    let mut next = StatefulSetStatus {
        available_replicas: Some(count(&|pod| running(pod) && pods::is_available(pod, min_ready, now))),
        collision_count: Some(look.revisions.collisions),
        conditions: told.conditions,
        current_replicas: Some(count(&|pod| of(pod, current))),
        current_revision: Some(current.to_owned()),
        observed_generation: look.set.metadata.generation,
        ready_replicas: Some(count(&running)),
        replicas: look.pods.len() as i32,
        update_revision: Some(newest.to_owned()),
        updated_replicas: Some(count(&|pod| of(pod, newest))),
    };
    let all = Some(look.wish.replicas);
    let complete = next.updated_replicas == all && next.ready_replicas == all && Some(next.replicas) == all;
    if matches!(look.wish.update, Update::Rolling { .. }) && complete {
        next.current_revision = next.update_revision.clone();
        next.current_replicas = next.updated_replicas;
    }
    next
}
