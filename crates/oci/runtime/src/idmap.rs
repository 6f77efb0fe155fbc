//! User namespaces that exist for their id maps only, to mount with.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use sys::clone::Child;

use crate::error::{AtStep, Result};
use crate::plan::mounts::IdMap;
use crate::plan::namespaces::Kind;

/// A user namespace with these maps. A process is born into it, and killed again: the descriptor keeps the namespace.
pub(crate) fn user_namespace(map: &IdMap) -> Result<OwnedFd> {
    let parent = rustix::process::getpid();
    let keeper = sys::clone::clone_process(Kind::User.flag(), None, || {
        while rustix::process::getppid() == Some(parent) {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        0
    })
    .at(|| "make a user namespace for an id-mapped mount")?;
    let opened = open(&keeper, map);
    let _ = rustix::process::pidfd_send_signal(&keeper.pidfd, Signal::KILL);
    let _ = rustix::process::waitid(WaitId::PidFd(keeper.pidfd.as_fd()), WaitIdOptions::EXITED);
    opened
}

fn open(keeper: &Child, map: &IdMap) -> Result<OwnedFd> {
    let pid = keeper.pid;
    for (file, lines) in [("uid_map", &map.uids), ("gid_map", &map.gids)] {
        fs::write(format!("/proc/{pid}/{file}"), lines)
            .at(|| format!("map ids of a mount by {:?} ({file})", lines.trim()))?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/{pid}/ns/user"), flags, Mode::empty()).at(|| "open the user namespace of a mount")
}
