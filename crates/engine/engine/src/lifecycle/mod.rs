//! The life of a container: states with their data, and one pure step from state to state.
//!
//! ```text
//! Created ──start──▶ Running ◀──pause/unpause──▶ Paused
//!    ▲                  │ exit                      │ exit
//!    │                  ├────────▶ Restarting ──(wait)──▶ Running
//!    │                  ▼                │ stop
//!    └─ start fails   Exited ◀───────────┘      every state ──remove──▶ Removing ──▶ gone, or Dead
//! ```
//!
//! What a state does not hold cannot be true: there is no process id without a process. Effects tell the task that
//! owns the container what to do; a changed state is stored before the effects that tell others of it.

pub mod restart;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model::view::Status;
use restart::Afterwards;

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// Never ran.
    Created(Ended),
    Running {
        pid: i32,
        started: Timestamp,
        before: Ended,
    },
    Paused {
        pid: i32,
        started: Timestamp,
        before: Ended,
        #[serde(default)]
        held: Hold,
    },
    /// Ended, and waits for its next start.
    Restarting(Ended),
    Exited(Ended),
    /// Being taken apart; a daemon that finds it goes on with that.
    Removing(Ended),
    /// Could not be taken apart.
    Dead(Ended),
}

/// On whose account a container is paused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// Until the user says otherwise.
    #[default]
    User,
    /// While an image is made of it; a daemon that finds this lets the container go on, since nobody makes the image.
    Commit,
}

/// How the last run went; all zero before the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub code: i32,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub oom: bool,
    /// Why a start or the removal failed.
    pub error: String,
}

/// What happens to a container, or is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Somebody, or the end of the wait between restarts, asks for a start.
    Start,
    Started {
        pid: i32,
        at: Timestamp,
    },
    StartFailed {
        code: i32,
        error: String,
        then: Afterwards,
    },
    Pause(Hold),
    Unpause,
    /// The process ended.
    Exited {
        code: i32,
        oom: bool,
        at: Timestamp,
        then: Afterwards,
    },
    /// Somebody asks for the end of a container that waits for its restart.
    GiveUp,
    Remove,
    RemoveFailed {
        error: String,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start it, and tell `Started` or `StartFailed`.
    Launch,
    Freeze,
    Thaw,
    /// Endpoints, supervisor's record, mounts.
    Release,
    /// Ask for `Start` after the delay.
    Wake(std::time::Duration),
    CancelWake,
    ProbeHealth,
    StopProbing,
    /// Take everything apart.
    Dismantle,
    /// Ask for `Remove`.
    AutoRemove,
    /// Tell what happened.
    Tell(Told),
}

/// Events of a container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Start,
    Pause,
    Unpause,
    Die { code: i32 },
}

/// Why an action is not possible in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    StartPaused,
    AlreadyRunning,
    MarkedForRemoval,
    NotRunning,
    AlreadyPaused,
    NotPaused,
    RunsStill(Status),
    RemovalInProgress,
    /// An event that cannot come in this state (a late one of a process that is gone): to be ignored.
    Stale,
}

impl Refusal {
    /// Docker's words for it.
    pub fn error(self, id: &str, name: &str) -> Error {
        match self {
            Refusal::StartPaused => Error::conflict("cannot start a paused container, try unpause instead"),
            Refusal::AlreadyRunning => Error::new(crate::Kind::NotModified, "container is already running"),
            Refusal::MarkedForRemoval => Error::conflict("container is marked for removal and cannot be started"),
            Refusal::NotRunning => Error::conflict(format!("container {id} is not running")),
            Refusal::AlreadyPaused => Error::conflict(format!("container {id} is already paused")),
            Refusal::NotPaused => Error::conflict(format!("Container {id} is not paused")),
            Refusal::RunsStill(Status::Paused) => Error::conflict(format!(
                "cannot remove container \"{name}\": container is paused and must be unpaused first"
            )),
            Refusal::RunsStill(status) => Error::conflict(format!(
                "cannot remove container \"{name}\": container is {}: stop the container before removing or force remove",
                status.as_str()
            )),
            Refusal::RemovalInProgress => {
                Error::conflict(format!("removal of container {name} is already in progress"))
            }
            Refusal::Stale => Error::conflict(format!("container {id} has changed its state")),
        }
    }
}

impl State {
    pub fn status(&self) -> Status {
        match self {
            State::Created(_) => Status::Created,
            State::Running { .. } => Status::Running,
            State::Paused { .. } => Status::Paused,
            State::Restarting(_) => Status::Restarting,
            State::Exited(_) => Status::Exited,
            State::Removing(_) => Status::Removing,
            State::Dead(_) => Status::Dead,
        }
    }

    /// Process id of what runs.
    pub fn pid(&self) -> Option<i32> {
        match self {
            State::Running { pid, .. } | State::Paused { pid, .. } => Some(*pid),
            State::Created(_) | State::Restarting(_) | State::Exited(_) | State::Removing(_) | State::Dead(_) => None,
        }
    }

    /// Whether a process exists.
    pub fn is_live(&self) -> bool {
        self.pid().is_some()
    }

    /// The last run; while something runs, the one before.
    pub fn ended(&self) -> &Ended {
        match self {
            State::Running { before, .. } | State::Paused { before, .. } => before,
            State::Created(ended)
            | State::Restarting(ended)
            | State::Exited(ended)
            | State::Removing(ended)
            | State::Dead(ended) => ended,
        }
    }

    /// When the present run, or else the last one, began.
    pub fn started(&self) -> Option<Timestamp> {
        match self {
            State::Running { started, .. } | State::Paused { started, .. } => Some(*started),
            State::Created(ended)
            | State::Restarting(ended)
            | State::Exited(ended)
            | State::Removing(ended)
            | State::Dead(ended) => ended.started,
        }
    }
}

/// The state after an action and what is to be done, or why the action is impossible.
pub fn step(state: &State, action: Action) -> Result<(State, Vec<Effect>), Refusal> {
    match action {
        Action::Start => start(state),
        Action::Started { pid, at } => started(state, pid, at),
        Action::StartFailed { code, error, then } => start_failed(state, code, error, then),
        Action::Pause(held) => pause(state, held),
        Action::Unpause => unpause(state),
        Action::Exited { code, oom, at, then } => exited(state, code, oom, at, then),
        Action::GiveUp => give_up(state),
        Action::Remove => remove(state),
        Action::RemoveFailed { error } => remove_failed(state, error),
    }
}

type Step = Result<(State, Vec<Effect>), Refusal>;

fn start(state: &State) -> Step {
    match state {
        State::Created(_) | State::Exited(_) => Ok((state.clone(), vec![Effect::Launch])),
        State::Restarting(_) => Ok((state.clone(), vec![Effect::CancelWake, Effect::Launch])),
        State::Running { .. } => Err(Refusal::AlreadyRunning),
        State::Paused { .. } => Err(Refusal::StartPaused),
        State::Removing(_) | State::Dead(_) => Err(Refusal::MarkedForRemoval),
    }
}

fn started(state: &State, pid: i32, started: Timestamp) -> Step {
    match state {
        State::Created(before) | State::Exited(before) | State::Restarting(before) => {
            let before = Ended { error: String::new(), ..before.clone() };
            let running = State::Running { pid, started, before };
            let effects = vec![Effect::Tell(Told::Start), Effect::ProbeHealth];
            Ok((running, effects))
        }
        State::Running { .. } | State::Paused { .. } => Err(Refusal::AlreadyRunning),
        State::Removing(_) | State::Dead(_) => Err(Refusal::MarkedForRemoval),
    }
}

fn start_failed(state: &State, code: i32, error: String, then: Afterwards) -> Step {
    let failed = |before: &Ended| Ended { code, error: error.clone(), oom: false, ..before.clone() };
    match state {
        // Docker leaves a container that never ran in `created`.
        State::Created(before) => match then {
            Afterwards::Remove => Ok((State::Created(failed(before)), vec![Effect::AutoRemove])),
            Afterwards::Stay | Afterwards::Restart(_) => Ok((State::Created(failed(before)), Vec::new())),
        },
        State::Exited(before) | State::Restarting(before) => {
            let (state, effects) = after(failed(before), then);
            Ok((state, effects))
        }
        State::Running { .. } | State::Paused { .. } => Err(Refusal::Stale),
        State::Removing(_) | State::Dead(_) => Err(Refusal::Stale),
    }
}

fn pause(state: &State, held: Hold) -> Step {
    match state {
        State::Running { pid, started, before } => {
            let paused = State::Paused { pid: *pid, started: *started, before: before.clone(), held };
            Ok((paused, vec![Effect::Freeze, Effect::Tell(Told::Pause)]))
        }
        State::Paused { .. } => Err(Refusal::AlreadyPaused),
        State::Created(_) | State::Restarting(_) | State::Exited(_) | State::Removing(_) | State::Dead(_) => {
            Err(Refusal::NotRunning)
        }
    }
}

fn unpause(state: &State) -> Step {
    match state {
        State::Paused { pid, started, before, held: _ } => {
            let running = State::Running { pid: *pid, started: *started, before: before.clone() };
            Ok((running, vec![Effect::Thaw, Effect::Tell(Told::Unpause)]))
        }
        State::Running { .. }
        | State::Created(_)
        | State::Restarting(_)
        | State::Exited(_)
        | State::Removing(_)
        | State::Dead(_) => Err(Refusal::NotPaused),
    }
}

fn exited(state: &State, code: i32, oom: bool, at: Timestamp, then: Afterwards) -> Step {
    match state {
        State::Running { started, .. } | State::Paused { started, .. } => {
            let ended = Ended { code, started: Some(*started), finished: Some(at), oom, error: String::new() };
            let mut effects = vec![Effect::StopProbing, Effect::Release, Effect::Tell(Told::Die { code })];
            let (state, more) = after(ended, then);
            effects.extend(more);
            Ok((state, effects))
        }
        State::Created(_) | State::Restarting(_) | State::Exited(_) | State::Removing(_) | State::Dead(_) => {
            Err(Refusal::Stale)
        }
    }
}

fn after(ended: Ended, then: Afterwards) -> (State, Vec<Effect>) {
    match then {
        Afterwards::Stay => (State::Exited(ended), Vec::new()),
        Afterwards::Remove => (State::Exited(ended), vec![Effect::AutoRemove]),
        Afterwards::Restart(delay) => (State::Restarting(ended), vec![Effect::Wake(delay)]),
    }
}

fn give_up(state: &State) -> Step {
    match state {
        State::Restarting(ended) => Ok((State::Exited(ended.clone()), vec![Effect::CancelWake])),
        State::Running { .. }
        | State::Paused { .. }
        | State::Created(_)
        | State::Exited(_)
        | State::Removing(_)
        | State::Dead(_) => Err(Refusal::NotRunning),
    }
}

fn remove(state: &State) -> Step {
    match state {
        State::Created(ended) | State::Exited(ended) | State::Dead(ended) => {
            Ok((State::Removing(ended.clone()), vec![Effect::Dismantle]))
        }
        State::Running { .. } | State::Paused { .. } | State::Restarting(_) => Err(Refusal::RunsStill(state.status())),
        State::Removing(_) => Err(Refusal::RemovalInProgress),
    }
}

fn remove_failed(state: &State, error: String) -> Step {
    match state {
        State::Removing(ended) => {
            let ended = Ended { error, ..ended.clone() };
            Ok((State::Dead(ended), Vec::new()))
        }
        State::Running { .. }
        | State::Paused { .. }
        | State::Restarting(_)
        | State::Created(_)
        | State::Exited(_)
        | State::Dead(_) => Err(Refusal::Stale),
    }
}

#[cfg(test)]
mod tests;
