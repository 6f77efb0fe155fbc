//! `start`.

use clap::Args;

use super::delete;
use super::log::Log;
use super::state::{Status, Store};
use crate::error::{Error, Result};
use crate::hooks::Point;

#[derive(Args)]
pub(super) struct Start {
    /// Name of the container
    id: String,
}

impl Start {
    pub(super) fn run(self, store: &Store, log: &Log) -> Result<()> {
        let _lock = store.lock(&self.id)?;
        let state = store.load(&self.id)?;
        match store.status_held(&state)? {
            Status::Created => {}
            other => return Err(Error::WrongState { action: "start", state: other.word() }),
        }
        crate::start::start(&store.start_socket(&self.id))?;
        delete::hooks(&state, Point::Poststart, "running", state.pid, log);
        Ok(())
    }
}
