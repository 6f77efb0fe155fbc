//! Descriptors that are held under a name, so that what they stand for (the namespaces of a sandbox) outlives the daemon.

use std::os::fd::{AsFd, OwnedFd};

use super::table::{Caller, Supervisor};
use crate::wire::{Kept, Notice, Reply};

impl Supervisor {
    /// Holds descriptors; other daemons are told of them.
    pub(super) fn keep(&mut self, caller: Caller, kept: Kept, fds: Vec<OwnedFd>) -> Reply {
        let name = kept.name.clone();
        self.kept.insert(name.clone(), (kept, fds));
        for connection in self.holders().into_iter().filter(|it| *it != caller.connection) {
            self.send_one_kept(connection, &name);
        }
        Reply::Done
    }

    /// Lets go; what is not held is not missed.
    pub(super) fn let_go(&mut self, name: &str) -> Reply {
        self.kept.remove(name);
        self.rest();
        Reply::Done
    }

    /// Gives one daemon duplicates of all of them.
    pub(super) fn send_kept(&mut self, connection: u32) {
        let names: Vec<String> = self.kept.keys().cloned().collect();
        for name in names {
            self.send_one_kept(connection, &name);
        }
    }

    fn send_one_kept(&mut self, connection: u32, name: &str) {
        let Some((kept, fds)) = self.kept.get(name) else {
            return;
        };
        let (kept, fds) = (kept.clone(), fds.iter().map(|fd| fd.as_fd().try_clone_to_owned()).collect());
        match fds {
            Ok(fds) => self.send(connection, &Notice::Kept(kept), fds),
            Err(error) => eprintln!("sampan supervisor: duplicate the descriptors of {name}: {error}"),
        }
    }
}
