//! User namespaces that exist for their id maps only, to mount with.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use sys::clone::Idle;

use crate::error::{AtStep, Result};
use crate::plan::mounts::IdMap;
use crate::plan::namespaces::Kind;

/// A user namespace with these maps. A process is born into it for the moment; then the descriptor keeps the namespace.
pub(crate) fn user_namespace(map: &IdMap) -> Result<OwnedFd> {
    let keeper = Idle::new(Kind::User.flag()).at(|| "make a user namespace for an id-mapped mount")?;
    let pid = keeper.pid();
    for (file, lines) in [("uid_map", &map.uids), ("gid_map", &map.gids)] {
        fs::write(format!("/proc/{pid}/{file}"), lines)
            .at(|| format!("map ids of a mount by {:?} ({file})", lines.trim()))?;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/{pid}/ns/user"), flags, Mode::empty()).at(|| "open the user namespace of a mount")
}
