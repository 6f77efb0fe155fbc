//! A pod's status, computed from what is there; nothing is looked up and nothing is told here.

mod conditions;
mod containers;
#[cfg(test)]
mod tests;

pub use conditions::{OWN as OWN_CONDITIONS, PENDING};
pub use containers::id;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, PodIP, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observed::{Healths, Observed};
use crate::security;
use crate::view::{Restart, Role, View};

/// Everything that a status is made of.
pub struct Facts<'a> {
    pub view: &'a View,
    pub observed: &'a Observed,
    pub healths: &'a Healths,
    /// Why containers wait: reason and message.
    pub waiting: &'a BTreeMap<String, (String, String)>,
    /// What containers said at their end, by id.
    pub messages: &'a BTreeMap<String, String>,
    /// Containers whose `postStart` hook is not through.
    pub hooked: &'a BTreeSet<String>,
    pub host: &'a [IpAddr],
    pub sizes: &'a Sizes,
    /// Why the pod was ended, where it did not end by itself.
    pub verdict: Option<&'a Verdict>,
    /// Nothing of it runs or will run again.
    pub over: bool,
    pub since: Timestamp,
    pub now: Timestamp,
}

/// What running containers have of what the pod says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sizes {
    /// Requests and limits by the id of the container.
    pub given: BTreeMap<String, Option<ResourceRequirements>>,
    /// Why a change is not made: the reason and the message of the condition `PodResizePending`.
    pub pending: Option<(&'static str, String)>,
}

/// A pod that was refused or ended by the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `Evicted`, `DeadlineExceeded`, `OutOfcpu`, …
    pub reason: String,
    pub message: String,
    /// Whether it tells of a disruption (`DisruptionTarget`), not of the pod's own fault.
    pub disruption: bool,
}

/// The API keeps whole seconds.
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// The status as a whole; what others own in it (conditions of gates, of the scheduler) is as it was.
pub fn status(facts: &Facts<'_>) -> PodStatus {
    let old = facts.view.pod.status.clone().unwrap_or_default();
    let list = |parts: &[crate::view::Part], old: Option<&Vec<ContainerStatus>>| -> Option<Vec<ContainerStatus>> {
        let made = |part| containers::container(facts, part, old);
        Some(parts.iter().map(made).collect::<Vec<_>>()).filter(|all| !all.is_empty())
    };
    let mut new = PodStatus {
        container_statuses: list(&facts.view.app, old.container_statuses.as_ref()),
        init_container_statuses: list(&facts.view.init, old.init_container_statuses.as_ref()),
        ephemeral_container_statuses: list(&facts.view.ephemeral, old.ephemeral_container_statuses.as_ref()),
        qos_class: Some(security::qos(&facts.view.pod).name().to_owned()),
        start_time: Some(old.start_time.clone().unwrap_or_else(|| time(facts.since))),
        observed_generation: facts.view.pod.metadata.generation,
        reason: facts.verdict.map(|verdict| verdict.reason.clone()).or(old.reason.clone()),
        message: facts.verdict.map(|verdict| verdict.message.clone()).or(old.message.clone()),
        ..old.clone()
    };
    let phase = phase(facts, &new);
    // The end is for good.
    let phase = old.phase.as_deref().filter(|old| matches!(*old, "Succeeded" | "Failed")).unwrap_or(phase).to_owned();
    addresses(facts, &mut new);
    new.conditions = Some(conditions::conditions(facts, &new, &phase, old.conditions.unwrap_or_default()));
    new.phase = Some(phase);
    new
}

/// A pod that was never let run.
pub fn refused(view: &View, verdict: &Verdict, now: Timestamp) -> PodStatus {
    PodStatus {
        phase: Some("Failed".into()),
        reason: Some(verdict.reason.clone()),
        message: Some(verdict.message.clone()),
        start_time: Some(time(now)),
        qos_class: Some(security::qos(&view.pod).name().to_owned()),
        observed_generation: view.pod.metadata.generation,
        ..view.pod.status.clone().unwrap_or_default()
    }
}

fn addresses(facts: &Facts<'_>, new: &mut PodStatus) {
    let texts = |all: &[IpAddr]| -> Vec<String> { all.iter().map(ToString::to_string).collect() };
    let host = texts(facts.host);
    if !host.is_empty() {
        new.host_ip = host.first().cloned();
        new.host_ips = Some(host.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    }
    let own = match facts.observed.sandbox() {
        Some(_) if facts.view.host_network() => host,
        Some(sandbox) => texts(&sandbox.addresses),
        // A pod that is over keeps the address that it had.
        None => return,
    };
    if !own.is_empty() {
        new.pod_ip = own.first().cloned();
        new.pod_ips = Some(own.into_iter().map(|ip| PodIP { ip }).collect());
    }
}

#[derive(Default)]
struct Counts {
    unknown: usize,
    pending: usize,
    running: usize,
    restarting: usize,
    failed: usize,
    succeeded: usize,
}

fn count(all: Option<&Vec<ContainerStatus>>) -> Counts {
    let mut counts = Counts::default();
    for one in all.into_iter().flatten() {
        let state = one.state.as_ref();
        if state.is_some_and(|state| state.running.is_some()) {
            counts.running += 1;
        } else if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
            if ended.exit_code == 0 { counts.succeeded += 1 } else { counts.failed += 1 }
        } else if state.is_some_and(|state| state.waiting.is_some()) {
            if one.last_state.as_ref().is_some_and(|last| last.terminated.is_some()) {
                counts.restarting += 1;
            } else {
                counts.pending += 1;
            }
        } else {
            counts.unknown += 1;
        }
    }
    counts
}

fn phase(facts: &Facts<'_>, new: &PodStatus) -> &'static str {
    if facts.verdict.is_some() && facts.over {
        return "Failed";
    }
    let apps = count(new.container_statuses.as_ref());
    let began = apps.running + apps.failed + apps.succeeded + apps.restarting > 0;
    if !began || apps.pending > 0 && apps.running + apps.restarting == 0 {
        let failed = init_failed(facts, new);
        if failed && (facts.over || facts.view.policy() == Restart::Never) {
            return "Failed";
        }
    }
    if facts.over {
        let done = apps.failed + apps.pending + apps.restarting + apps.unknown == 0 && apps.succeeded > 0;
        return if done { "Succeeded" } else { "Failed" };
    }
    if !init_done(facts, new) || apps.pending > 0 {
        return "Pending";
    }
    if apps.running > 0 || apps.restarting > 0 {
        return "Running";
    }
    // All have ended, and it is not over yet: those that start again are about to.
    match facts.view.policy() {
        Restart::Always => "Running",
        Restart::OnFailure if apps.failed > 0 => "Running",
        _ if finished_for_good(facts, new) && apps.failed == 0 => "Succeeded",
        _ if finished_for_good(facts, new) => "Failed",
        _ => "Running",
    }
}

/// Whether the policy lets none of the apps start again, and no sidecar is left to be ended.
fn finished_for_good(facts: &Facts<'_>, new: &PodStatus) -> bool {
    let sidecars = facts.view.init.iter().zip(new.init_container_statuses.iter().flatten());
    let left = sidecars
        .filter(|(part, _)| part.role == Role::Sidecar)
        .any(|(_, one)| one.state.as_ref().is_some_and(|state| state.running.is_some()));
    let over = facts.view.app.iter().zip(new.container_statuses.iter().flatten()).all(|(part, one)| {
        let ended = one.state.as_ref().and_then(|state| state.terminated.as_ref());
        ended.is_some_and(|ended| !part.restarts_after(ended.exit_code))
    });
    over && !left
}

fn init_failed(facts: &Facts<'_>, new: &PodStatus) -> bool {
    facts.view.init.iter().zip(new.init_container_statuses.iter().flatten()).any(|(part, one)| {
        let ended = one.state.as_ref().and_then(|state| state.terminated.as_ref());
        part.role == Role::Init && ended.is_some_and(|ended| ended.exit_code != 0)
    })
}

/// Whether every init container is through and every sidecar was started.
fn init_done(facts: &Facts<'_>, new: &PodStatus) -> bool {
    incomplete(facts, new).is_empty()
}

/// The init containers that the others wait for.
fn incomplete(facts: &Facts<'_>, new: &PodStatus) -> Vec<String> {
    if facts.view.app.iter().any(|part| facts.observed.current(part.name()).is_some()) {
        return Vec::new();
    }
    let all = facts.view.init.iter().zip(new.init_container_statuses.iter().flatten());
    all.filter(|(part, one)| match part.role {
        Role::Sidecar => one.started != Some(true) && !facts.over,
        _ => {
            let ended = one.state.as_ref().and_then(|state| state.terminated.as_ref());
            ended.is_none_or(|ended| ended.exit_code != 0)
        }
    })
    .map(|(part, _)| part.name().to_owned())
    .collect()
}
