//! The status of one container.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};
use pods::runtime::{Container, State};

use super::{Facts, time};
use crate::observed::{initialized, ready, started};
use crate::view::{Part, Role};

/// How ids are told, so that nobody takes them for another runtime's.
pub fn id(id: &str) -> String {
    format!("sampan://{id}")
}

/// One container as it is, or as the API last knew it where nothing of it is left.
pub fn container(facts: &Facts<'_>, part: &Part, old: Option<&Vec<ContainerStatus>>) -> ContainerStatus {
    let old = old.into_iter().flatten().find(|old| old.name == part.name());
    let mut status = match facts.observed.newest(part.name()) {
        Some(container) => known(facts, part, container, old),
        None => unknown(facts, part, old),
    };
    let given = facts.observed.newest(part.name()).and_then(|container| facts.sizes.given.get(&container.id));
    let given = given.unwrap_or(&part.container.resources);
    let allocated = if facts.sizes.pending.is_some() { given } else { &part.container.resources };
    status.allocated_resources = allocated.as_ref().and_then(|resources| resources.requests.clone());
    status.resources.clone_from(given);
    status.volume_mounts = old.and_then(|old| old.volume_mounts.clone());
    status
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let message = Some(message.to_owned()).filter(|message| !message.is_empty());
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }),
        ..ContainerState::default()
    }
}

/// Nothing of it is on the node.
fn unknown(facts: &Facts<'_>, part: &Part, old: Option<&ContainerStatus>) -> ContainerStatus {
    let ended = |state: &ContainerState| state.terminated.is_some();
    let mut status = ContainerStatus {
        name: part.name().to_owned(),
        image: part.image().to_owned(),
        image_id: String::new(),
        restart_count: old.map_or(0, |old| old.restart_count),
        last_state: old.and_then(|old| old.last_state.clone()).filter(|last| last.terminated.is_some()),
        started: Some(false),
        ..ContainerStatus::default()
    };
    // What had ended before its remains were cleared away has ended.
    if let Some(old) =
        old.filter(|old| old.state.as_ref().is_some_and(ended) && !facts.waiting.contains_key(part.name()))
    {
        status.state.clone_from(&old.state);
        status.container_id.clone_from(&old.container_id);
        status.image_id.clone_from(&old.image_id);
        return status;
    }
    if facts.over {
        let was_there = old.is_some_and(|old| old.state.as_ref().is_some_and(|state| state.running.is_some()));
        if was_there || facts.verdict.is_none() {
            status.state = Some(ContainerState {
                terminated: Some(ContainerStateTerminated {
                    exit_code: 137,
                    reason: Some("ContainerStatusUnknown".into()),
                    message: Some("The container could not be located when the pod was terminated".into()),
                    ..ContainerStateTerminated::default()
                }),
                ..ContainerState::default()
            });
            return status;
        }
    }
    status.state = Some(pause(facts, part));
    status
}

/// Why a container that is not there waits.
fn pause(facts: &Facts<'_>, part: &Part) -> ContainerState {
    if let Some((reason, message)) = facts.waiting.get(part.name()) {
        return waiting(reason, message);
    }
    let behind = part.role != Role::Ephemeral
        && !facts.view.init.is_empty()
        && facts.view.init.first().is_none_or(|first| first.name() != part.name());
    if behind && !initialized(facts.view, facts.observed, facts.healths) {
        return waiting("PodInitializing", "");
    }
    waiting("ContainerCreating", "")
}

fn known(facts: &Facts<'_>, part: &Part, container: &Container, old: Option<&ContainerStatus>) -> ContainerStatus {
    let last = facts.observed.before(part.name()).and_then(|before| terminated(facts, before));
    let mut status = ContainerStatus {
        name: part.name().to_owned(),
        image: if container.image.is_empty() { part.image().to_owned() } else { container.image.clone() },
        image_id: container.image_id.clone(),
        container_id: Some(id(&container.id)),
        restart_count: container.attempt.try_into().unwrap_or(i32::MAX),
        last_state: last.or_else(|| old_last(container, old)),
        started: Some(false),
        stop_signal: part.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.clone()),
        ..ContainerStatus::default()
    };
    let health = facts.healths.get(&container.id);
    match &container.state {
        State::Created => status.state = Some(pause(facts, part)),
        State::Running { started: _ } if facts.hooked.contains(part.name()) => {
            status.state =
                Some(waiting(if part.role == Role::App { "ContainerCreating" } else { "PodInitializing" }, ""));
        }
        State::Running { started: at } => {
            let has_started = started(part, health);
            status.started = Some(has_started);
            status.ready = match part.role {
                // What runs to its end is ready then.
                Role::Init | Role::Ephemeral => false,
                Role::Sidecar | Role::App => has_started && ready(part, health),
            };
            status.state = Some(ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(time(*at)) }),
                ..ContainerState::default()
            });
        }
        State::Exited { code, .. } => {
            let ended = terminated(facts, container);
            status.ready = part.role == Role::Init && *code == 0;
            if facts.waiting.contains_key(part.name()) && !facts.over {
                status.state = Some(pause(facts, part));
                status.last_state = ended;
            } else {
                status.state = ended;
            }
        }
    }
    status
}

/// How the one before ended, where its remains are gone but the API knows.
fn old_last(container: &Container, old: Option<&ContainerStatus>) -> Option<ContainerState> {
    let old = old?;
    let same = old.container_id.as_deref() == Some(id(&container.id).as_str());
    let before =
        if same { old.last_state.clone() } else { old.state.clone().filter(|state| state.terminated.is_some()) };
    before.filter(|state| state.terminated.is_some() && container.attempt > 0)
}

fn terminated(facts: &Facts<'_>, container: &Container) -> Option<ContainerState> {
    let State::Exited { started, finished, code, oom_killed, message } = &container.state else { return None };
    let reason = match (oom_killed, code) {
        (true, _) => "OOMKilled",
        // It did not get as far as its first process.
        (false, _) if started.is_none() => "StartError",
        (false, 0) => "Completed",
        (false, _) => "Error",
    };
    let message = facts.messages.get(&container.id).filter(|said| !said.is_empty()).unwrap_or(message);
    Some(ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(id(&container.id)),
            exit_code: *code,
            reason: Some(reason.to_owned()),
            message: Some(message.clone()).filter(|message| !message.is_empty()),
            started_at: Some(time(started.unwrap_or(Timestamp::UNIX_EPOCH))),
            finished_at: Some(time(*finished)),
            signal: None,
        }),
        ..ContainerState::default()
    })
}
