//! Descriptors that daemon and supervisor hold under a name, each for the case that the other dies.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use super::PATIENCE;
use super::link::Shared;
use crate::error::{Error, Result};
use crate::wire::{Kept, Request};

/// The daemon's duplicates, by name.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    held: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    fds: Vec<OwnedFd>,
    /// The connection over which the supervisor last had it.
    epoch: u64,
}

impl Keeping {
    /// Enters what the supervisor gave, or is about to be given.
    pub(super) fn hold(&mut self, kept: Kept, fds: Vec<OwnedFd>, epoch: u64) {
        self.held.insert(kept.name.clone(), Entry { kept, fds, epoch });
    }

    /// What the supervisor at this connection was not heard to have.
    pub(super) fn untold(&mut self, epoch: u64) -> Vec<(Kept, Vec<OwnedFd>)> {
        let mut untold = Vec::new();
        for entry in self.held.values_mut().filter(|entry| entry.epoch != epoch) {
            entry.epoch = epoch;
            match duplicates(&entry.fds) {
                Ok(fds) => untold.push((entry.kept.clone(), fds)),
                Err(error) => tracing::error!(name = entry.kept.name, %error, "cannot hand descriptors over"),
            }
        }
        untold
    }
}

impl Shared {
    pub(super) async fn keep(&self, name: &str, what: Vec<(String, OwnedFd)>) -> Result<()> {
        let (roles, fds): (Vec<String>, Vec<OwnedFd>) = what.into_iter().unzip();
        let kept = Kept { name: name.to_owned(), roles };
        let own = duplicates(&fds).map_err(|source| Error::System { step: "duplicate descriptors", source })?;
        let epoch = self.epoch();
        self.keeping(|keeping| keeping.hold(kept.clone(), own, epoch));
        match self.call(Request::Keep(kept), fds, Some(PATIENCE)).await {
            // The next supervisor is given it with everything else.
            Ok(_) | Err(Error::Lost) => Ok(()),
            Err(error) => {
                self.keeping(|keeping| keeping.held.remove(name));
                Err(error)
            }
        }
    }

    pub(super) fn kept(&self, name: &str) -> Option<Vec<(String, OwnedFd)>> {
        self.keeping(|keeping| {
            let entry = keeping.held.get(name)?;
            let fds = duplicates(&entry.fds).ok()?;
            Some(entry.kept.roles.iter().cloned().zip(fds).collect())
        })
    }

    pub(super) fn kept_names(&self) -> Vec<String> {
        self.keeping(|keeping| keeping.held.keys().cloned().collect())
    }

    pub(super) async fn let_go(&self, name: &str) -> Result<()> {
        if self.keeping(|keeping| keeping.held.remove(name)).is_none() {
            return Ok(());
        }
        match self.call(Request::LetGo { name: name.to_owned() }, Vec::new(), Some(PATIENCE)).await {
            Ok(_) | Err(Error::Lost) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn duplicates(fds: &[OwnedFd]) -> std::io::Result<Vec<OwnedFd>> {
    fds.iter().map(OwnedFd::try_clone).collect()
}
