//! `pause` and `resume`.

use clap::Args;

use super::state::{State, Status, Store};
use crate::error::{Error, Result};

#[derive(Args)]
pub(super) struct Pause {
    /// Name of the container
    id: String,
}

#[derive(Args)]
pub(super) struct Resume {
    /// Name of the container
    id: String,
}

impl Pause {
    pub(super) fn run(self, store: &Store) -> Result<()> {
        let _lock = store.lock(&self.id)?;
        let state = store.load(&self.id)?;
        match store.status_held(&state)? {
            Status::Created | Status::Running => Ok(group(&state)?.freeze()?),
            other => Err(Error::WrongState { action: "pause", state: other.word() }),
        }
    }
}

impl Resume {
    pub(super) fn run(self, store: &Store) -> Result<()> {
        let _lock = store.lock(&self.id)?;
        let state = store.load(&self.id)?;
        match store.status_held(&state)? {
            Status::Paused => Ok(group(&state)?.thaw()?),
            other => Err(Error::WrongState { action: "resume", state: other.word() }),
        }
    }
}

fn group(state: &State) -> Result<cgroup::Cgroup> {
    let missing = || Error::Cgroup(cgroup::Error::NotFound(state.cgroup.clone().unwrap_or_default()));
    state.cgroup()?.ok_or_else(missing)
}
