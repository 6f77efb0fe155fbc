//! Runs without the rights of the host's root: where their state is, and what becomes of their control groups.

use std::fs;
use std::path::{Path, PathBuf};

use cgroup::{Cgroup, Hierarchy, Limits, Mode};
use spec::runtime::Spec;

use crate::error::{Error, Result};
use crate::rights;

/// Where containers are remembered unless `--root` says otherwise.
const DEFAULT_ROOT: &str = "sampan-runtime";

/// Whether a missing right to control groups is put up with (`--rootless`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rootless {
    Yes,
    No,
}

impl Rootless {
    /// `true`, `false`, or `auto`: by who runs this.
    pub(super) fn parse(text: Option<&str>) -> Result<Rootless> {
        match text.unwrap_or("auto") {
            "auto" if rights::is_host_root() => Ok(Rootless::No),
            "auto" | "true" | "1" => Ok(Rootless::Yes),
            "false" | "0" => Ok(Rootless::No),
            other => {
                let problem = format!("{other:?} is none of true, false, auto");
                Err(Error::Spec { field: "--rootless", problem })
            }
        }
    }

    /// The control group of a new container: what the specification says, or one of its own. `None` for a user who may
    /// make none, unless the specification has limits, which a container without a group would not be held to.
    pub(super) fn cgroup(self, hierarchy: &Hierarchy, spec: &Spec, id: &str) -> Result<Option<String>> {
        let path = self.path(hierarchy, spec, id)?;
        if self == Rootless::No {
            return Ok(Some(path));
        }
        match Cgroup::create(hierarchy, &path) {
            Ok(_) => Ok(Some(path)),
            Err(error) if is_denied(&error) && !has_limits(spec)? => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Undoes [`Rootless::cgroup`] for a container that was not made, as far as nobody is in the group.
    pub(super) fn give_back(self, hierarchy: &Hierarchy, path: Option<&str>) {
        if let (Rootless::Yes, Some(path)) = (self, path) {
            hierarchy.prune(path);
        }
    }

    fn path(self, hierarchy: &Hierarchy, spec: &Spec, id: &str) -> Result<String> {
        let given = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
        let given = given.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        // slice:prefix:name
        if given.contains(':') && !given.contains('/') {
            return Err(Error::Unimplemented(format!("cgroupsPath {given:?}: control groups made by systemd")));
        }
        if !given.is_empty() {
            return Ok(given);
        }
        let own = format!("sampan-runtime-{id}");
        match self {
            // Where this process is, if that is delegated to the user; beside it, as a group with processes of its own
            // can have no limited groups beneath it.
            Rootless::Yes if hierarchy.mode() == Mode::V2 => Ok(format!("{}/{own}", group_above())),
            Rootless::Yes | Rootless::No => Ok(format!("/{own}")),
        }
    }
}

/// Where containers are remembered: a plain user has a place of its own.
pub(super) fn default_root() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match own {
        Some(dir) if !rustix::process::geteuid().is_root() => Path::new(&dir).join(DEFAULT_ROOT),
        _ => Path::new("/run").join(DEFAULT_ROOT),
    }
}

/// Path of the group on the v2 tree that this process's own is in; empty at the top.
fn group_above() -> String {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    own.rsplit_once('/').map_or("", |(above, _)| above).to_owned()
}

fn is_denied(error: &cgroup::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let denied = |source: &std::io::Error| matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem);
    match error {
        cgroup::Error::Create { source, .. }
        | cgroup::Error::Write { source, .. }
        | cgroup::Error::Open { source, .. } => denied(source),
        _ => false,
    }
}

/// Whether the specification limits anything but devices, of which a user can make none anyway.
fn has_limits(spec: &Spec) -> Result<bool> {
    let Some(resources) = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) else {
        return Ok(false);
    };
    let limits = Limits { devices: Vec::new(), ..crate::limits(resources)? };
    Ok(limits != Limits::default())
}
