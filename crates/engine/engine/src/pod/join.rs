//! What a container gets of its sandbox when it starts.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use supervisor::Namespace;

use super::namespaces::{self, role};
use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::model::pod::{Member, Processes};

/// Source of the bind of the sandbox's shared memory: no path of the host, a descriptor goes with it.
pub const SHM: &str = "/sampan/pod/shm";

/// Descriptors and files that a container joins.
#[derive(Debug)]
pub struct Joined {
    /// `None`: the host's.
    pub netns: Option<OwnedFd>,
    pub namespaces: Vec<(Namespace, OwnedFd)>,
    pub shm: Option<OwnedFd>,
    /// Hosts, hostname and resolv.conf are here.
    pub folder: PathBuf,
    /// Process whose process namespace is the pod's.
    pub pause: Option<i32>,
}

impl Joined {
    pub fn has(&self, kind: Namespace) -> bool {
        self.namespaces.iter().any(|(it, _)| *it == kind)
    }
}

impl Inner {
    /// Fails where the sandbox is not there or not ready.
    pub fn join_sandbox(&self, member: &Member) -> Result<Joined> {
        let record = self.sandboxes.find(&member.sandbox)?.record();
        let gone = || Error::conflict(format!("sandbox {} is not ready", member.sandbox));
        if record.stopped {
            return Err(gone());
        }
        let pause = match record.spec.processes {
            Processes::Apart => None,
            Processes::Shared => Some(self.pause_of(&record.id).ok_or_else(gone)?),
        };
        let mut joined = Joined {
            netns: None,
            namespaces: Vec::new(),
            shm: None,
            folder: self.sandbox_folder(&member.sandbox),
            pause,
        };
        for (what, fd) in self.supervisor.kept(&member.sandbox).ok_or_else(gone)? {
            match what.as_str() {
                role::NET => joined.netns = Some(fd),
                role::IPC => joined.namespaces.push((Namespace::Ipc, fd)),
                role::UTS => joined.namespaces.push((Namespace::Uts, fd)),
                role::SHM => {
                    let own = namespaces::copy(&fd);
                    joined.shm = Some(own.map_err(|error| {
                        Error::because(Kind::Internal, "mount the sandbox's shared memory", std::io::Error::from(error))
                    })?);
                }
                _ => {}
            }
        }
        Ok(joined)
    }

    /// The process that holds a sandbox's process namespace, where it has one.
    pub(super) fn pause_of(&self, sandbox: &str) -> Option<i32> {
        match self.supervisor.state(&supervisor::ProcessKey::container(sandbox)) {
            Some(supervisor::ProcessState::Running { pid, .. }) => Some(pid),
            _ => None,
        }
    }
}
