//! Removing a group and everything beneath it.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::files;

/// A killed process can take its time to leave (memory to give back, a stuck file system).
const PATIENCE: Duration = Duration::from_secs(5);

/// See [`Cgroup::delete`]. Goes on with the other hierarchies after an error and returns all of them.
pub(crate) fn delete(group: &Cgroup) -> Result<()> {
    let mut errors = Vec::new();
    for dir in group.dirs() {
        if let Err(error) = remove(group, &dir) {
            errors.push(error);
        }
    }
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Error::Several(errors)),
    }
}

/// Removes one directory. Busy means that something is in it or beneath it, or was a moment ago.
fn remove(group: &Cgroup, dir: &Path) -> Result<()> {
    if try_remove(dir)? {
        return Ok(());
    }
    let start = Instant::now();
    let mut pause = Duration::from_micros(100);
    let mut killed = false;
    loop {
        for nested in files::descend(dir)? {
            try_remove(&nested)?;
        }
        if try_remove(dir)? {
            return Ok(());
        }
        let pids = group.pids()?;
        if start.elapsed() > PATIENCE {
            let path = group.path().to_owned();
            let busy = rustix::io::Errno::BUSY.into();
            return Err(match pids.is_empty() {
                true => Error::Remove { path: dir.to_owned(), source: busy },
                false => Error::KillTimeout { path, pids },
            });
        }
        if !pids.is_empty() && (!killed || pause >= Duration::from_millis(20)) {
            group.kill_all()?;
            killed = true;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Whether the directory is gone; false when it is busy.
fn try_remove(dir: &Path) -> Result<bool> {
    use rustix::io::Errno;
    match fs::remove_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => {
            let busy = [Errno::BUSY, Errno::NOTEMPTY];
            if busy.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
                return Ok(false);
            }
            Err(Error::Remove { path: dir.to_owned(), source: error })
        }
    }
}
