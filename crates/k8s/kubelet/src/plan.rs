//! What is to be done for a pod, computed from what is wanted, what is there, what probes say and what time it is; nothing is done here.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pods::runtime::{Container, State};

use crate::backoff::Backoff;
use crate::observed::{Healths, Observed, initialized, started};
use crate::view::{Part, Restart, Role, View};

/// Everything that a plan is made of.
pub struct Input<'a> {
    pub view: &'a View,
    pub observed: &'a Observed,
    pub healths: &'a Healths,
    /// Containers that something is being done about; the sandbox is the empty name.
    pub busy: &'a BTreeSet<String>,
    pub backoff: &'a Backoff,
    /// Containers that could not be started, and until when they are left alone.
    pub failures: &'a BTreeMap<String, Failure>,
    /// When the pod was taken up.
    pub since: Timestamp,
    pub now: Timestamp,
}

/// Why a container could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `ErrImagePull`, `CreateContainerConfigError`, …
    pub reason: &'static str,
    pub message: String,
    pub since: Timestamp,
    pub until: Timestamp,
    pub count: u32,
}

/// Why a container is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Changed,
    /// It has other limits now and wants to begin anew with them.
    Resized,
    Unhealthy,
    NeverStarted,
    /// Its sandbox is dead, or it is no longer in the pod.
    Stray,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Run a sandbox; those before it are stopped first.
    Sandbox { attempt: u32 },
    /// Start a container.
    Start { name: String, attempt: u32, again: Option<Timestamp> },
    /// End a container.
    Kill { name: String, id: String, why: Why },
}

/// Why the pod as a whole is at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// All its containers ended for good.
    Done,
    /// It was active for longer than it may be.
    Deadline,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Nothing more is to run.
    pub end: Option<End>,
    /// Why containers wait that would start: reason and message.
    pub waiting: BTreeMap<String, (String, String)>,
    /// When it is to be looked at again, if nothing happens before.
    pub wake: Option<Timestamp>,
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// Makes the plan of a pod that is not being ended.
pub fn plan(input: &Input<'_>) -> Plan {
    let mut plan = Plan::default();
    if let Some(seconds) = input.view.spec().active_deadline_seconds {
        let deadline = input.since.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(input.since);
        if input.now >= deadline {
            return Plan { end: Some(End::Deadline), ..plan };
        }
        plan.wake_at(deadline);
    }
    if is_done(input) {
        return Plan { end: Some(End::Done), ..Plan::default() };
    }
    if input.busy.contains("") {
        return plan;
    }
    if input.observed.sandbox().is_none() {
        sandbox(input, &mut plan);
        return plan;
    }
    strays(input, &mut plan);
    let blocked = init(input, &mut plan);
    if !blocked {
        for part in &input.view.app {
            step(input, &mut plan, part);
        }
    }
    for part in &input.view.ephemeral {
        if input.observed.newest(part.name()).is_none() {
            start(input, &mut plan, part, None);
        }
    }
    plan
}

/// Whether nothing of the pod's own will run any more.
fn is_done(input: &Input<'_>) -> bool {
    let ended = |part: &Part| match input.observed.newest(part.name()).map(|container| &container.state) {
        Some(State::Exited { code, .. }) if !input.busy.contains(part.name()) => Some(*code),
        _ => None,
    };
    let init_failed = input.view.init.iter().filter(|part| part.role == Role::Init).any(|part| {
        let began = input.view.app.iter().any(|app| input.observed.newest(app.name()).is_some());
        !began && ended(part).is_some_and(|code| code != 0 && !part.restarts_after(code))
    });
    let over = |part: &Part| ended(part).is_some_and(|code| !part.restarts_after(code));
    init_failed || (!input.view.app.is_empty() && input.view.app.iter().all(over))
}

fn sandbox(input: &Input<'_>, plan: &mut Plan) {
    if let Some(failure) = input.failures.get("").filter(|failure| failure.until > input.now) {
        plan.wake_at(failure.until);
        return;
    }
    let attempt = input.observed.sandboxes.first().map_or(0, |sandbox| sandbox.attempt + 1);
    plan.steps.push(Step::Sandbox { attempt });
}

/// What runs in dead sandboxes is ended.
fn strays(input: &Input<'_>, plan: &mut Plan) {
    let sandbox = input.observed.sandbox().map(|sandbox| sandbox.id.as_str());
    for container in input.observed.running() {
        if Some(container.sandbox.as_str()) != sandbox && !input.busy.contains(&container.name) {
            kill(plan, container, Why::Stray);
        }
    }
}

fn kill(plan: &mut Plan, container: &Container, why: Why) {
    plan.steps.push(Step::Kill { name: container.name.clone(), id: container.id.clone(), why });
}

/// Init containers one after another; returns whether the others have to wait.
fn init(input: &Input<'_>, plan: &mut Plan) -> bool {
    let done = initialized(input.view, input.observed, input.healths);
    for part in &input.view.init {
        if part.role == Role::Init {
            if done {
                continue;
            }
            if let Some(State::Exited { code: 0, .. }) = input.observed.current(part.name()).map(|one| &one.state) {
                continue;
            }
            step(input, plan, part);
            return true;
        }
        step(input, plan, part);
        let running = input.observed.current(part.name()).filter(|one| matches!(one.state, State::Running { .. }));
        let is_started = running.is_some_and(|one| started(part, input.healths.get(&one.id)));
        if !done && (!is_started || input.busy.contains(part.name())) {
            return true;
        }
    }
    !done
}

/// Brings one container where it should be.
fn step(input: &Input<'_>, plan: &mut Plan, part: &Part) {
    if input.busy.contains(part.name()) {
        return;
    }
    let Some(container) = input.observed.current(part.name()) else {
        // One that ended for good in a sandbox before this one has done its work.
        if let Some(State::Exited { code, .. }) = input.observed.newest(part.name()).map(|one| &one.state)
            && part.role == Role::App
            && !part.restarts_after(*code)
        {
            return;
        }
        return start(input, plan, part, None);
    };
    match &container.state {
        State::Created => start(input, plan, part, None),
        State::Running { .. } => watch(input, plan, part, container),
        State::Exited { code, finished, .. } => {
            let replaced = !Observed::is_of(container, part) && part.restart != Restart::Never;
            if !part.restarts_after(*code) && !replaced {
                return;
            }
            if let Some((pause, end)) = input.backoff.pause(&key(part), *finished, input.now) {
                let name = input.view.name();
                let message = format!(
                    "back-off {} restarting failed container={} pod={}_{}({})",
                    duration(pause.as_secs()),
                    part.name(),
                    name.name,
                    name.namespace,
                    name.uid
                );
                plan.waiting.insert(part.name().to_owned(), ("CrashLoopBackOff".into(), message));
                plan.wake_at(end);
                return;
            }
            start(input, plan, part, Some(*finished));
        }
    }
}

/// A running container: is it still the one that is wanted, and well?
fn watch(input: &Input<'_>, plan: &mut Plan, part: &Part, container: &Container) {
    let health = input.healths.get(&container.id).copied().unwrap_or_default();
    if !Observed::is_of(container, part) && part.role != Role::Init {
        kill(plan, container, Why::Changed);
    } else if health.startup == Some(false) {
        kill(plan, container, Why::NeverStarted);
    } else if health.liveness == Some(false) {
        kill(plan, container, Why::Unhealthy);
    }
}

fn start(input: &Input<'_>, plan: &mut Plan, part: &Part, again: Option<Timestamp>) {
    if input.busy.contains(part.name()) {
        return;
    }
    if let Some(failure) = input.failures.get(part.name()) {
        let (reason, message) = shown(part, failure, input.now);
        plan.waiting.insert(part.name().to_owned(), (reason, message));
        if failure.until > input.now {
            let turn = turn(failure);
            plan.wake_at(if turn > input.now { turn.min(failure.until) } else { failure.until });
            return;
        }
    }
    let attempt = input.observed.next_attempt(part.name());
    plan.steps.push(Step::Start { name: part.name().to_owned(), attempt, again });
}

/// From then on a pull that failed is told as the pause before the next one.
fn turn(failure: &Failure) -> Timestamp {
    let at = failure.since.checked_add(jiff::SignedDuration::from_secs(2)).unwrap_or(failure.since);
    if failure.reason == "ErrImagePull" { at } else { failure.until }
}

fn shown(part: &Part, failure: &Failure, now: Timestamp) -> (String, String) {
    if failure.reason == "ErrImagePull" && now >= turn(failure) {
        let message = format!("Back-off pulling image \"{}\": ErrImagePull: {}", part.image(), failure.message);
        return ("ImagePullBackOff".into(), message);
    }
    (failure.reason.into(), failure.message.clone())
}

/// Under which a container's pauses are kept: another image begins anew.
pub fn key(part: &Part) -> String {
    format!("{}/{}", part.name(), part.hash)
}

/// As Go prints durations: `10s`, `1m20s`, `5m0s`.
pub fn duration(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
