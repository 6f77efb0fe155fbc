//! Conditions of a pod that the node answers for.

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};

use super::{Facts, incomplete, time};
use crate::view::Role;

/// The conditions that this node sets; all others are left alone.
pub const OWN: &[&str] = &[
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    "DisruptionTarget",
    PENDING,
];

/// There only while a change of requests and limits has to wait.
pub const PENDING: &str = "PodResizePending";

struct Said {
    kind: &'static str,
    status: bool,
    reason: &'static str,
    message: String,
}

fn said(kind: &'static str, status: bool) -> Said {
    Said { kind, status, reason: "", message: String::new() }
}

/// All conditions: those of the node made anew, the others as they were.
pub fn conditions(facts: &Facts<'_>, new: &PodStatus, phase: &str, old: Vec<PodCondition>) -> Vec<PodCondition> {
    let network =
        facts.observed.sandbox().is_some_and(|sandbox| facts.view.host_network() || !sandbox.addresses.is_empty());
    let containers = containers_ready(facts, new, phase);
    let mut own = vec![said("PodReadyToStartContainers", network && !facts.over), initialized(facts, new, phase)];
    own.push(ready(facts, &containers, &old));
    own.push(containers);
    if !old.iter().any(|condition| condition.type_ == "PodScheduled") {
        own.push(said("PodScheduled", true));
    }
    if let Some(verdict) = facts.verdict.filter(|verdict| verdict.disruption) {
        let message = verdict.message.clone();
        own.push(Said { kind: "DisruptionTarget", status: true, reason: "TerminationByKubelet", message });
    }
    if let Some((reason, message)) = &facts.sizes.pending {
        own.push(Said { kind: PENDING, status: true, reason, message: message.clone() });
    }
    let others =
        |condition: &&PodCondition| condition.type_ != PENDING && !own.iter().any(|said| said.kind == condition.type_);
    let kept = old.iter().filter(others).cloned();
    let mut all: Vec<PodCondition> = kept.collect();
    all.extend(own.iter().map(|said| condition(facts, said, old.iter().find(|old| old.type_ == said.kind))));
    all.sort_by_key(|condition| OWN.iter().position(|own| *own == condition.type_).unwrap_or(usize::MAX));
    all
}

fn condition(facts: &Facts<'_>, said: &Said, old: Option<&PodCondition>) -> PodCondition {
    let status = if said.status { "True" } else { "False" };
    let since = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
    PodCondition {
        type_: said.kind.to_owned(),
        status: status.to_owned(),
        reason: Some(said.reason.to_owned()).filter(|reason| !reason.is_empty()),
        message: Some(said.message.clone()).filter(|message| !message.is_empty()),
        last_transition_time: since.or_else(|| Some(time(facts.now))),
        last_probe_time: None,
        observed_generation: facts.view.pod.metadata.generation,
    }
}

fn initialized(facts: &Facts<'_>, new: &PodStatus, phase: &str) -> Said {
    let missing = incomplete(facts, new);
    if missing.is_empty() || phase == "Succeeded" {
        let reason = if phase == "Succeeded" { "PodCompleted" } else { "" };
        return Said { reason, ..said("Initialized", true) };
    }
    let message = format!("containers with incomplete status: [{}]", missing.join(" "));
    Said { kind: "Initialized", status: false, reason: "ContainersNotInitialized", message }
}

fn containers_ready(facts: &Facts<'_>, new: &PodStatus, phase: &str) -> Said {
    if phase == "Succeeded" {
        return Said { reason: "PodCompleted", ..said("ContainersReady", false) };
    }
    if phase == "Failed" {
        return Said { reason: "PodFailed", ..said("ContainersReady", false) };
    }
    let sidecars = facts.view.init.iter().zip(new.init_container_statuses.iter().flatten());
    let sidecars = sidecars.filter(|(part, _)| part.role == Role::Sidecar).map(|(_, one)| one);
    let unready: Vec<&str> = sidecars
        .chain(new.container_statuses.iter().flatten())
        .filter(|one: &&ContainerStatus| !one.ready)
        .map(|one| one.name.as_str())
        .collect();
    if unready.is_empty() {
        return said("ContainersReady", true);
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    Said { kind: "ContainersReady", status: false, reason: "ContainersNotReady", message }
}

fn ready(facts: &Facts<'_>, containers: &Said, old: &[PodCondition]) -> Said {
    if !containers.status {
        return Said { kind: "Ready", status: false, reason: containers.reason, message: containers.message.clone() };
    }
    let mut unmet = Vec::new();
    for gate in facts.view.spec().readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match old.iter().find(|condition| condition.type_ == *kind) {
            None => unmet.push(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
            Some(condition) if condition.status != "True" => unmet
                .push(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {}", condition.status)),
            Some(_) => {}
        }
    }
    if unmet.is_empty() {
        return said("Ready", true);
    }
    Said { kind: "Ready", status: false, reason: "ReadinessGatesNotReady", message: unmet.join(", ") }
}
