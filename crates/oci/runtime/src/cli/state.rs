//! What is kept of a container between two commands: one folder beneath `--root`, with `state.json` in it.
//!
//! ```text
//! <root>/<id>/state.json   what does not change: process, bundle, control group, configuration
//! <root>/<id>/start.sock   there as long as the container waits for its start
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cgroup::{Cgroup, Freezer, Hierarchy};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use spec::runtime::Spec;

use crate::error::{AtStep, Error, Result};

/// The folder of `--root`.
pub(super) struct Store {
    root: PathBuf,
}

/// The contents of `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) id: String,
    pub(super) pid: i32,
    /// In clock ticks since boot: the number of a process is used again, together with this it is not.
    pub(super) start_time: u64,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) created: String,
    /// Path of the control group beneath the mounts.
    pub(super) cgroup: Option<String>,
    /// As it was when the container was made: config.json may change afterwards.
    pub(super) spec: Spec,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    /// The specification's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl Store {
    pub(super) fn new(root: &Path) -> Store {
        Store { root: root.to_owned() }
    }

    /// Takes a name. The folder is removed again with [`Store::remove`] if no container comes of it.
    pub(super) fn reserve(&self, id: &str) -> Result<PathBuf> {
        check_id(id)?;
        fs::create_dir_all(&self.root).at(|| format!("make {}", self.root.display()))?;
        let dir = self.dir(id);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists(id.to_owned())),
            result => result.at(|| format!("make {}", dir.display())).map(|()| dir),
        }
    }

    /// The folder of a container.
    pub(super) fn dir(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Where a created container waits for its start.
    pub(super) fn start_socket(&self, id: &str) -> PathBuf {
        self.dir(id).join("start.sock")
    }

    pub(super) fn save(&self, state: &State) -> Result<()> {
        let path = self.dir(&state.id).join("state.json");
        let new = path.with_extension("json.new");
        let text = serde_json::to_vec(state).map_err(|source| Error::Parse { path: path.clone(), source })?;
        let mut file = File::create(&new).at(|| format!("make {}", new.display()))?;
        file.write_all(&text).at(|| format!("write {}", new.display()))?;
        fs::rename(&new, &path).at(|| format!("rename to {}", path.display()))
    }

    pub(super) fn load(&self, id: &str) -> Result<State> {
        check_id(id)?;
        let path = self.dir(id).join("state.json");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound(id.to_owned())),
            result => result.at(|| format!("read {}", path.display()))?,
        };
        serde_json::from_slice(&text).map_err(|source| Error::Parse { path, source })
    }

    /// The names of all containers, in order.
    pub(super) fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.at(|| format!("read {}", self.root.display()))?,
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<String> = names.filter(|id| self.dir(id).join("state.json").exists()).collect();
        ids.sort();
        Ok(ids)
    }

    pub(super) fn remove(&self, id: &str) -> Result<()> {
        let dir = self.dir(id);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.at(|| format!("remove {}", dir.display())),
        }
    }

    /// What the container is doing now.
    pub(super) fn status(&self, state: &State) -> Result<Status> {
        if !state.is_alive() {
            return Ok(Status::Stopped);
        }
        if self.start_socket(&state.id).exists() {
            return Ok(Status::Created);
        }
        match state.cgroup()? {
            Some(group) if matches!(group.freezer(), Ok(Freezer::Frozen | Freezer::Freezing)) => Ok(Status::Paused),
            _ => Ok(Status::Running),
        }
    }
}

impl State {
    /// Whether its first process is there and not only waits to be reaped.
    pub(super) fn is_alive(&self) -> bool {
        matches!(process(self.pid), Some((state, start)) if start == self.start_time && !"ZX".contains(state))
    }

    /// A handle of its first process; `None` once it has ended.
    pub(super) fn pidfd(&self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Looked at again with the handle held, so that it is of the right process.
            Ok(fd) => Ok(self.is_alive().then_some(fd)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(errno) => Err(Error::step(format!("open process {}", self.pid), errno)),
        }
    }

    /// Its control group; `None` if it has none or the group is gone.
    pub(super) fn cgroup(&self) -> Result<Option<Cgroup>> {
        let Some(path) = &self.cgroup else { return Ok(None) };
        match Cgroup::open(&Hierarchy::detect()?, path) {
            Ok(group) => Ok(Some(group)),
            Err(cgroup::Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The annotations of its configuration, in order.
    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        self.spec.annotations().clone().unwrap_or_default().into_iter().collect()
    }
}

/// State letter and start time of a process, out of /proc/<pid>/stat; `None` if there is none.
pub(super) fn process(pid: i32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses and blanks too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// runc's rule for names: letters, digits and `_+-.`, and no path.
fn check_id(id: &str) -> Result<()> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() || id.len() > 1024 || !id.chars().all(letter) || id == "." || id == ".." {
        return Err(Error::Spec { field: "container id", problem: format!("{id:?}: only letters, digits and _+-.") });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(id: &str) -> State {
        let (_, start_time) = process(std::process::id() as i32).unwrap();
        State {
            id: id.to_owned(),
            pid: std::process::id() as i32,
            start_time,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: String::new(),
            cgroup: None,
            spec: Spec::default(),
        }
    }

    #[test]
    fn names_are_taken_once_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&dir.path().join("deep/root"));
        assert!(store.ids().unwrap().is_empty());
        store.reserve("a").unwrap();
        assert_eq!(store.reserve("a").unwrap_err().to_string(), "container with id exists: \"a\"");
        assert!(store.ids().unwrap().is_empty(), "not made yet");
        store.save(&state("a")).unwrap();
        assert_eq!(store.ids().unwrap(), ["a"]);
        store.remove("a").unwrap();
        assert_eq!(store.load("a").unwrap_err().to_string(), "container \"a\" does not exist");
    }

    #[test]
    fn status_follows_process_and_socket() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let mut own = state("x");
        store.reserve("x").unwrap();
        assert_eq!(store.status(&own).unwrap(), Status::Running);
        fs::write(store.start_socket("x"), "").unwrap();
        assert_eq!(store.status(&own).unwrap(), Status::Created);
        own.start_time += 1; // the number was used again
        assert_eq!(store.status(&own).unwrap(), Status::Stopped);
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        for id in ["", "..", "a/b", "a b", "."] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
        assert!(check_id("web_1.a+b-c").is_ok());
    }
}
