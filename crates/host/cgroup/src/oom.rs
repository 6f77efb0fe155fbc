//! Learning of out-of-memory kills.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, eventfd};

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::files;
use crate::hierarchy::Controller;

/// Watches one group. Poll [`AsFd::as_fd`] for [`OomWatch::interest`], then call [`OomWatch::count`].
///
/// On v1 the notification comes before the kill, so the count may rise only a moment later: ask again when the
/// process is dead.
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
    interest: Interest,
    dir: PathBuf,
}

/// What to poll the descriptor for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Readable (`POLLIN`): v1's eventfd.
    Readable,
    /// Exceptional condition (`POLLPRI`): v2's `memory.events`.
    Priority,
}

impl OomWatch {
    pub(crate) fn new(group: &Cgroup) -> Result<Option<OomWatch>> {
        if let Some(dir) = group.v1_dir(Controller::Memory) {
            return OomWatch::v1(dir).map(Some);
        }
        match group.v2_dir() {
            Some(dir) if group.hierarchy().has_v2(Controller::Memory) => OomWatch::v2(dir),
            _ => Ok(None),
        }
    }

    /// An eventfd tied to `memory.oom_control` (kernel documentation, cgroup-v1/memory.rst, 10).
    fn v1(dir: PathBuf) -> Result<OomWatch> {
        let failed = |source: io::Error| Error::OomWatch { path: dir.clone(), source };
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| failed(errno.into()))?;
        let control = File::open(dir.join("memory.oom_control")).map_err(failed)?;
        let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        files::try_write(&dir.join("cgroup.event_control"), &line).map_err(failed)?;
        Ok(OomWatch { fd: event, interest: Interest::Readable, dir })
    }

    /// `memory.events` itself; absent when the controller is not enabled for the group.
    fn v2(dir: PathBuf) -> Result<Option<OomWatch>> {
        match File::open(dir.join("memory.events")) {
            Ok(file) => {
                let watch = OomWatch { fd: file.into(), interest: Interest::Priority, dir };
                watch.count()?; // a poll before the first read is ready at once
                Ok(Some(watch))
            }
            Err(error) if files::is_gone(&error) && dir.is_dir() => Ok(None),
            Err(source) => Err(Error::OomWatch { path: dir, source }),
        }
    }

    /// Takes the notification and tells how many processes were killed so far in all; 0 once the group is gone.
    pub fn count(&self) -> Result<u64> {
        let failed = |source: io::Error| Error::OomWatch { path: self.dir.clone(), source };
        match self.interest {
            Interest::Readable => {
                let mut value = [0; 8];
                match rustix::io::read(&self.fd, &mut value) {
                    Ok(_) | Err(rustix::io::Errno::AGAIN) => kills_v1(&self.dir),
                    Err(errno) => Err(failed(errno.into())),
                }
            }
            Interest::Priority => {
                let mut text = [0; 512];
                match rustix::io::pread(&self.fd, &mut text, 0) {
                    Ok(length) => Ok(parse_kills(&String::from_utf8_lossy(&text[..length]))),
                    Err(rustix::io::Errno::NODEV) => Ok(0),
                    Err(errno) => Err(failed(errno.into())),
                }
            }
        }
    }

    /// What to poll the descriptor for.
    pub fn interest(&self) -> Interest {
        self.interest
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// See [`Cgroup::oom_kills`].
pub(crate) fn kills(group: &Cgroup) -> Result<u64> {
    if let Some(dir) = group.v1_dir(Controller::Memory) {
        return kills_v1(&dir);
    }
    let Some(dir) = group.v2_dir() else {
        return Ok(0);
    };
    let text = files::read_optional(&dir.join("memory.events"))?;
    Ok(text.map_or(0, |text| parse_kills(&text)))
}

/// v1 counts in the group of the killed process only, v2 in its parents too.
fn kills_v1(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for nested in files::descend(dir)? {
        let text = files::read_optional(&nested.join("memory.oom_control"))?;
        sum += text.map_or(0, |text| parse_kills(&text));
    }
    Ok(sum)
}

fn parse_kills(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
