//! Stopping a group and letting it go on.
//!
//! The v2 freezer is taken wherever the v2 tree is mounted, in hybrid mode too: what it stopped can still be
//! killed, which the v1 freezer does not allow.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::files;
use crate::hierarchy::Controller;

/// Whether a group runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freezer {
    /// It runs.
    Thawed,
    /// Some of its processes are still on their way into the freezer.
    Freezing,
    /// Nothing in it runs.
    Frozen,
}

/// A process in an uninterruptible system call can hold the freezer up; longer than this is told.
const PATIENCE: Duration = Duration::from_secs(10);

enum Which {
    V2(PathBuf),
    V1(PathBuf),
}

/// Which freezer acts on the group.
fn which(group: &Cgroup) -> Result<Which> {
    if let Some(dir) = group.v2_dir()
        && dir.join("cgroup.freeze").exists()
    {
        return Ok(Which::V2(dir));
    }
    match group.v1_dir(Controller::Freezer) {
        Some(dir) if dir.is_dir() => Ok(Which::V1(dir)),
        Some(_) => Err(Error::NotFound(group.path().to_owned())),
        None if group.exists() => Err(Error::NoController { limit: "running state", controller: "freezer" }),
        None => Err(Error::NotFound(group.path().to_owned())),
    }
}

/// See [`Cgroup::freezer`].
pub(crate) fn get(group: &Cgroup) -> Result<Freezer> {
    match which(group)? {
        Which::V2(dir) => get_v2(&dir),
        Which::V1(dir) => get_v1(&dir),
    }
}

/// See [`Cgroup::freeze`] and [`Cgroup::thaw`].
pub(crate) fn set(group: &Cgroup, wanted: Freezer) -> Result<()> {
    let freezer = which(group)?;
    let freeze = wanted == Freezer::Frozen;
    let start = Instant::now();
    let mut pause = Duration::from_micros(50);
    loop {
        let now = match &freezer {
            Which::V2(dir) => {
                if pause == Duration::from_micros(50) {
                    files::write(&dir.join("cgroup.freeze"), if freeze { "1" } else { "0" })?;
                }
                get_v2(dir)?
            }
            Which::V1(dir) => {
                // Again in every round: a process forked meanwhile is caught only by the next attempt.
                let text = if freeze { "FROZEN" } else { "THAWED" };
                files::write(&dir.join("freezer.state"), text)?;
                get_v1(dir)?
            }
        };
        if now == wanted {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            // Nobody wants a half frozen group.
            if freeze && let Which::V2(dir) = &freezer {
                let _ = files::try_write(&dir.join("cgroup.freeze"), "0");
            } else if freeze && let Which::V1(dir) = &freezer {
                let _ = files::try_write(&dir.join("freezer.state"), "THAWED");
            }
            return Err(Error::FreezeTimeout {
                path: group.path().to_owned(),
                wanted: if freeze { "frozen" } else { "thawed" },
                milliseconds: start.elapsed().as_millis() as u64,
            });
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

fn get_v2(dir: &Path) -> Result<Freezer> {
    let asked = files::read(&dir.join("cgroup.freeze"))?;
    let frozen = files::read_key(&dir.join("cgroup.events"), "frozen")? == Some(1);
    Ok(match (asked.trim() == "1", frozen) {
        (_, true) => Freezer::Frozen, // by a parent perhaps
        (true, false) => Freezer::Freezing,
        (false, false) => Freezer::Thawed,
    })
}

fn get_v1(dir: &Path) -> Result<Freezer> {
    Ok(match files::read(&dir.join("freezer.state"))?.trim() {
        "FROZEN" => Freezer::Frozen,
        "FREEZING" => Freezer::Freezing,
        _ => Freezer::Thawed,
    })
}
