//! A time namespace with clocks of its own.

use std::fs::OpenOptions;
use std::io::Write;

use rustix::fs::{Mode, OFlags};
use rustix::process::DumpableBehavior;

use crate::error::{AtStep, Result};
use crate::join::join;
use crate::plan::namespaces::Kind;

/// Makes the namespace, sets its clocks and enters it; they cannot be set any more then.
pub(crate) fn enter(offsets: &[String], in_userns: bool) -> Result<()> {
    const FILE: &str = "/proc/self/timens_offsets";
    sys::process::new_time_namespace().at(|| "make time namespace")?;
    if in_userns {
        // The file of an undumpable process belongs to the host's root. The caller makes the process undumpable again.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).at(|| "make init dumpable")?;
    }
    let opened = OpenOptions::new().write(true).open(FILE);
    if in_userns {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(|| "make init undumpable")?;
    }
    let lines = offsets.join("\n");
    opened.and_then(|mut file| file.write_all(lines.as_bytes())).at(|| format!("write {lines:?} to {FILE}"))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = rustix::fs::open("/proc/self/ns/time_for_children", flags, Mode::empty())
        .at(|| "open the new time namespace")?;
    join(Kind::Time, &namespace)
}
