//! What a deployment tells: how many pods, and whether it is available, progressing or failing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::sets::{View, available, wanted};
use crate::owned::name;

pub use k8s_openapi::api::apps::v1::DeploymentStatus as Status;

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const FAILURE: &str = "ReplicaFailure";
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// What is to be told of its sets now. `rollout`: whether it may be said to have progressed.
pub fn of(view: &View, rollout: bool, now: Timestamp) -> Status {
    let mut next = counts(view);
    let limits = view.limits();
    let enough = next.available_replicas.unwrap_or(0) >= limits.fewest_available();
    let (status, reason, message) = match enough {
        true => ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    };
    set(&mut next, condition(AVAILABLE, status, reason, message.to_owned(), now));
    if rollout {
        progress(view, &mut next, now);
        failure(view, &mut next, now);
    }
    next
}

fn counts(view: &View) -> Status {
    let told = view.deployment.status.clone().unwrap_or_default();
    let statuses = || view.all().filter_map(|set| set.status.as_ref());
    let replicas: i32 = statuses().map(|status| status.replicas).sum();
    let available: i32 = view.all().map(|set| available(set)).sum();
    let terminating: Option<Vec<i32>> = view.all().map(|set| set.status.as_ref()?.terminating_replicas).collect();
    let updated = view.new.as_ref().and_then(|set| set.status.as_ref()).map_or(0, |status| status.replicas);
    Status {
        available_replicas: Some(available),
        collision_count: told.collision_count,
        conditions: told.conditions,
        observed_generation: view.deployment.metadata.generation,
        ready_replicas: Some(statuses().filter_map(|status| status.ready_replicas).sum()),
        replicas: Some(replicas),
        terminating_replicas: terminating.map(|each| each.iter().sum()),
        unavailable_replicas: Some((view.total() - available).max(0)),
        updated_replicas: Some(updated),
    }
}

fn progress(view: &View, next: &mut Status, now: Timestamp) {
    let deployment = &view.deployment;
    if deadline(deployment).is_none() {
        next.conditions
            .iter_mut()
            .for_each(|all| all.retain(|condition| condition.type_.as_deref() != Some(PROGRESSING)));
        return;
    }
    let current = find(next, PROGRESSING).cloned();
    let settled = next.replicas == next.updated_replicas && reason(current.as_ref()) == Some(NEW_SET_AVAILABLE);
    if settled {
        return;
    }
    let what = match &view.new {
        Some(set) => format!("ReplicaSet \"{}\"", name(&set.metadata)),
        None => format!("Deployment \"{}\"", name(&deployment.metadata)),
    };
    if is_complete(deployment, next) {
        let message = format!("{what} has successfully progressed.");
        set(next, condition(PROGRESSING, "True", NEW_SET_AVAILABLE, message, now));
    } else if has_progressed(deployment, next) {
        let message = format!("{what} is progressing.");
        let mut progressing = condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now);
        if let Some(current) = current {
            if current.status == progressing.status {
                progressing.last_transition_time = current.last_transition_time;
            }
            // Told again even if it was told before: the deadline counts from the last progress.
            next.conditions.iter_mut().for_each(|all| all.retain(|one| one.type_.as_deref() != Some(PROGRESSING)));
        }
        set(next, progressing);
    } else if is_late(deployment, next, now) {
        let message = format!("{what} has timed out progressing.");
        set(next, condition(PROGRESSING, "False", TIMED_OUT, message, now));
    }
}

/// The failure of the new set, or else of any.
fn failure(view: &View, next: &mut Status, now: Timestamp) {
    let sets = view.new.iter().chain(&view.old);
    let mut failures = sets.filter_map(|set| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_.as_deref() == Some(FAILURE))
    });
    match failures.next() {
        Some(failed) => {
            let (reason, message) = (failed.reason.clone().unwrap_or_default(), failed.message.clone());
            set(next, condition(FAILURE, "True", &reason, message.unwrap_or_default(), now));
        }
        None => next.conditions.iter_mut().for_each(|all| all.retain(|one| one.type_.as_deref() != Some(FAILURE))),
    }
}

/// Whether all pods are of the new template and available, and no others are left.
pub fn is_complete(deployment: &Deployment, status: &Status) -> bool {
    let all = Some(deployment.spec.replicas.unwrap_or(1));
    let count = |count: Option<i32>| Some(count.unwrap_or(0));
    count(status.updated_replicas) == all
        && count(status.replicas) == all
        && count(status.available_replicas) == all
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(deployment: &Deployment, next: &Status) -> bool {
    let told = deployment.status.clone().unwrap_or_default();
    let count = |count: Option<i32>| count.unwrap_or(0);
    let old = |status: &Status| count(status.replicas) - count(status.updated_replicas);
    count(next.updated_replicas) > count(told.updated_replicas)
        || old(next) < old(&told)
        || count(next.ready_replicas) > count(told.ready_replicas)
        || count(next.available_replicas) > count(told.available_replicas)
}

fn is_late(deployment: &Deployment, next: &Status, now: Timestamp) -> bool {
    let Some(current) = find(next, PROGRESSING) else { return false };
    match reason(Some(current)) {
        Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        _ => time_left(deployment, current, now).is_some_and(|left| left.is_negative()),
    }
}

fn time_left(deployment: &Deployment, current: &DeploymentCondition, now: Timestamp) -> Option<SignedDuration> {
    let since = current.last_update_time.as_ref()?.0;
    Some(SignedDuration::from_secs(deadline(deployment)?.into()) - now.duration_since(since))
}

/// When to look whether a rollout is stuck.
pub fn deadline_in(deployment: &Deployment, next: &Status, now: Timestamp) -> Option<Duration> {
    let current = find(next, PROGRESSING)?;
    let waits = !is_complete(deployment, next) && reason(Some(current)) != Some(TIMED_OUT);
    let left = time_left(deployment, current, now).filter(|_| waits)?;
    let left: Duration = left.try_into().unwrap_or(Duration::ZERO);
    Some(left + Duration::from_secs(1))
}

fn deadline(deployment: &Deployment) -> Option<i32> {
    deployment.spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)
}

/// A pause or its end is told, so that the time of a pause is no time without progress.
pub fn pause(deployment: &Deployment, now: Timestamp) -> Option<Status> {
    deadline(deployment)?;
    let mut next = deployment.status.clone().unwrap_or_default();
    let told = reason(find(&next, PROGRESSING)).map(str::to_owned);
    let paused = deployment.spec.paused == Some(true);
    let (reason, message) = match (paused, told.as_deref()) {
        (_, Some(TIMED_OUT)) | (true, Some(PAUSED)) => return None,
        (true, _) => (PAUSED, "Deployment is paused"),
        (false, Some(PAUSED)) => ("DeploymentResumed", "Deployment is resumed"),
        (false, _) => return None,
    };
    set(&mut next, condition(PROGRESSING, "Unknown", reason, message.to_owned(), now));
    Some(next)
}

/// What becomes of making the new set.
pub enum Made<'a> {
    Found(&'a str),
    Created(&'a str),
    Failed(&'a str, String),
}

/// The status that tells of it; nothing where there is nothing to tell.
pub fn made(deployment: &Deployment, made: &Made, now: Timestamp) -> Option<Status> {
    deadline(deployment)?;
    let mut next = deployment.status.clone().unwrap_or_default();
    let told = match made {
        Made::Found(_) if find(&next, PROGRESSING).is_some() => return None,
        Made::Found(set) => {
            condition(PROGRESSING, "True", "FoundNewReplicaSet", format!("Found new replica set \"{set}\""), now)
        }
        Made::Created(set) => {
            condition(PROGRESSING, "True", "NewReplicaSetCreated", format!("Created new replica set \"{set}\""), now)
        }
        Made::Failed(set, why) => {
            let message = format!("Failed to create new replica set \"{set}\": {why}");
            condition(PROGRESSING, "False", "ReplicaSetCreateError", message, now)
        }
    };
    set(&mut next, told);
    Some(next)
}

fn find<'a>(status: &'a Status, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some(kind))
}

fn reason(condition: Option<&DeploymentCondition>) -> Option<&str> {
    condition?.reason.as_deref()
}

fn condition(kind: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(kind.to_owned()),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// A condition that says the same as before stays as it was.
fn set(status: &mut Status, mut condition: DeploymentCondition) {
    let current = condition.type_.as_deref().and_then(|kind| find(status, kind)).cloned();
    if let Some(current) = current {
        if current.status == condition.status && current.reason == condition.reason {
            return;
        }
        if current.status == condition.status {
            condition.last_transition_time = current.last_transition_time;
        }
    }
    let all = status.conditions.get_or_insert_default();
    all.retain(|other| other.type_ != condition.type_);
    all.push(condition);
}

/// Whether the new set runs in full, so that old ones are of no use.
pub fn is_saturated(view: &View) -> bool {
    let replicas = view.limits().replicas;
    view.new.as_ref().is_some_and(|set| {
        let desired = super::sets::number(set, super::sets::DESIRED);
        desired == Some(replicas) && wanted(set) == replicas && available(set) == replicas
    })
}

#[cfg(test)]
mod tests;
