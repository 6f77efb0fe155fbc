//! Killing everything in a group.

use std::io;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::files;
use crate::freezer::Freezer;

/// See [`Cgroup::kill_all`].
pub(crate) fn kill_all(group: &Cgroup) -> Result<()> {
    if let Some(dir) = group.v2_dir() {
        kill_v2(&dir)?;
    }
    // In hybrid mode a process may be in the v1 hierarchies alone; on v2 before Linux 5.14 this is the only way.
    for _ in 0..50 {
        let pids = group.pids()?;
        if pids.is_empty() {
            return Ok(());
        }
        let mut alive = false;
        for pid in pids {
            alive |= kill_one(group, pid)?;
        }
        if !alive {
            break;
        }
        // What forked meanwhile is in the next listing; what is dying is signalled again, which does no harm.
    }
    // What the v1 freezer holds dies only when it is let go.
    if group.freezer().is_ok_and(|state| state != Freezer::Thawed) {
        group.thaw()?;
    }
    Ok(())
}

/// `cgroup.kill` (Linux 5.14) takes everything beneath at once, forks in flight included.
fn kill_v2(dir: &Path) -> Result<()> {
    let path = dir.join("cgroup.kill");
    match files::try_write(&path, "1") {
        Ok(()) => Ok(()),
        Err(error) if files::is_gone(&error) => Ok(()),
        Err(source) => Err(Error::Write { path, value: "1".to_owned(), source }),
    }
}

/// Kills a process if it is still in the group: its number may belong to somebody else by now, so it is looked up
/// again once a descriptor holds it. Tells whether something was killed that was not dying already.
fn kill_one(group: &Cgroup, pid: i32) -> Result<bool> {
    let Some(pid) = Pid::from_raw(pid) else {
        return Ok(false);
    }; // from another pid namespace
    let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return Ok(false);
    };
    if !group.pids()?.contains(&pid.as_raw_nonzero().get()) {
        return Ok(false);
    }
    match pidfd_send_signal(&fd, Signal::KILL) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(errno) => Err(Error::Write {
            path: group.v2_dir().unwrap_or_default().join("cgroup.procs"),
            value: format!("SIGKILL to {}", pid.as_raw_nonzero()),
            source: io::Error::from(errno),
        }),
    }
}
