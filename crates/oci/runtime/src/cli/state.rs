//! What is kept of a container between two commands: one folder beneath `--root`.
//!
//! ```text
//! <root>/<id>/              locked by whoever changes the container; the lock ends with its holder
//! <root>/<id>/state.json    what is known before anything is made: bundle, control group, configuration
//! <root>/<id>/process       a link whose target is `PID START_TIME`, there once the container is made
//! <root>/<id>/start.sock    where the first process listens as long as it waits for its start
//! ```
//!
//! A folder without state.json has nothing behind it. One without `process` whose lock is free belongs to a creation
//! that was killed; what that had made ends by itself or is found in the control group.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cgroup::{Cgroup, Freezer, Hierarchy};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use spec::runtime::Spec;

use crate::error::{AtStep, Error, Result};

/// The folder of `--root`.
pub(super) struct Store {
    root: PathBuf,
}

/// What is known of a container: `state.json`, and its first process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) id: String,
    /// 0 until there is one.
    #[serde(skip)]
    pub(super) pid: i32,
    /// In clock ticks since boot: the number of a process is used again, together with this it is not.
    #[serde(skip)]
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
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    /// The specification's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

/// A container's folder, held by nobody else until this is dropped or its process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _dir: OwnedFd,
}

impl Store {
    pub(super) fn new(root: &Path) -> Store {
        Store { root: root.to_owned() }
    }

    /// Takes a name, locked. The folder is removed again with [`Store::remove`] if no container comes of it.
    pub(super) fn reserve(&self, id: &str) -> Result<Lock> {
        check_id(id)?;
        let dir = self.dir(id);
        loop {
            match fs::create_dir(&dir) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(&self.root).at(|| format!("make {}", self.root.display()))?;
                    continue;
                }
                // Perhaps what a killed command has left, with nothing behind it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if dir.join("state.json").exists() {
                        return Err(Error::Exists(id.to_owned()));
                    }
                }
                Err(error) => return Err(Error::step(format!("make {}", dir.display()), error)),
            }
            match self.try_lock(id)? {
                // Somebody else was faster: it is theirs, or gone again.
                Some(_) if dir.join("state.json").exists() => return Err(Error::Exists(id.to_owned())),
                Some(lock) => return Ok(lock),
                None if dir.exists() => return Err(Error::Exists(id.to_owned())),
                None => {}
            }
        }
    }

    /// Waits until nobody else changes the container. It may be in any state afterwards: load that again.
    pub(super) fn lock(&self, id: &str) -> Result<Lock> {
        check_id(id)?;
        loop {
            let dir = self.open(id)?;
            match rustix::fs::flock(&dir, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => continue,
                result => result.at(|| format!("lock {}", self.dir(id).display()))?,
            }
            if self.is_at_place(id, &dir)? {
                return Ok(Lock { _dir: dir });
            }
        }
    }

    /// As [`Store::lock`], with an end to the patience.
    pub(super) fn lock_within(&self, id: &str, patience: Duration) -> Result<Lock> {
        check_id(id)?;
        let start = Instant::now();
        loop {
            if let Some(lock) = self.try_lock(id)? {
                return Ok(lock);
            }
            if !self.dir(id).exists() {
                return Err(Error::NotFound(id.to_owned()));
            }
            if start.elapsed() > patience {
                return Err(Error::step(format!("wait for another command on {id:?} to end"), Errno::TIMEDOUT));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `None` if somebody else has it, or the folder went away.
    fn try_lock(&self, id: &str) -> Result<Option<Lock>> {
        let dir = match self.open(id) {
            Err(Error::NotFound(_)) => return Ok(None),
            result => result?,
        };
        match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(self.is_at_place(id, &dir)?.then_some(Lock { _dir: dir })),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(errno) => Err(Error::step(format!("lock {}", self.dir(id).display()), errno)),
        }
    }

    fn open(&self, id: &str) -> Result<OwnedFd> {
        let path = self.dir(id);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound(id.to_owned())),
            result => Ok(result.at(|| format!("open {}", path.display()))?.into()),
        }
    }

    /// Whether an open folder is still the one of the container: it may have been removed while its lock was waited for.
    fn is_at_place(&self, id: &str, dir: &OwnedFd) -> Result<bool> {
        let held = rustix::fs::fstat(dir).at(|| format!("look at {}", self.dir(id).display()))?;
        let there = fs::metadata(self.dir(id));
        Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (held.st_dev, held.st_ino)))
    }

    /// The folder of a container.
    pub(super) fn dir(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Where a created container waits for its start.
    pub(super) fn start_socket(&self, id: &str) -> PathBuf {
        self.dir(id).join("start.sock")
    }

    /// Writes all but the process.
    pub(super) fn save(&self, state: &State) -> Result<()> {
        let path = self.dir(&state.id).join("state.json");
        let new = path.with_extension("json.new");
        let text = serde_json::to_vec(state).map_err(|source| Error::Parse { path: path.clone(), source })?;
        let mut file = File::create(&new).at(|| format!("make {}", new.display()))?;
        file.write_all(&text).at(|| format!("write {}", new.display()))?;
        fs::rename(&new, &path).at(|| format!("rename to {}", path.display()))
    }

    /// Notes the first process: from here on there is a container.
    pub(super) fn save_process(&self, state: &State) -> Result<()> {
        let path = self.dir(&state.id).join("process");
        let target = format!("{} {}", state.pid, state.start_time);
        std::os::unix::fs::symlink(target, &path).at(|| format!("make {}", path.display()))
    }

    pub(super) fn load(&self, id: &str) -> Result<State> {
        check_id(id)?;
        let path = self.dir(id).join("state.json");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound(id.to_owned())),
            result => result.at(|| format!("read {}", path.display()))?,
        };
        let mut state: State = serde_json::from_slice(&text).map_err(|source| Error::Parse { path, source })?;
        if let Some((pid, start_time)) = self.process_of(id) {
            (state.pid, state.start_time) = (pid, start_time);
        }
        Ok(state)
    }

    fn process_of(&self, id: &str) -> Option<(i32, u64)> {
        let target = fs::read_link(self.dir(id).join("process")).ok()?;
        let (pid, start_time) = target.to_str()?.split_once(' ')?;
        Some((pid.parse().ok()?, start_time.parse().ok()?))
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

    /// Removes the folder, state.json after all else: as long as that is there the rest can be found again.
    pub(super) fn remove(&self, id: &str) -> Result<()> {
        let dir = self.dir(id);
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result.at(|| format!("read {}", dir.display()))?,
        };
        let others = entries.flatten().map(|entry| entry.path()).filter(|path| !path.ends_with("state.json"));
        for path in others.collect::<Vec<_>>().into_iter().chain([dir.join("state.json")]) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.at(|| format!("remove {}", path.display()))?,
            }
        }
        match fs::remove_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.at(|| format!("remove {}", dir.display())),
        }
    }

    /// What the container is doing now.
    pub(super) fn status(&self, state: &State) -> Result<Status> {
        // Its lock tells whether somebody still makes it.
        if state.pid == 0 && self.try_lock(&state.id)?.is_none() {
            return Ok(Status::Creating);
        }
        self.status_held(state)
    }

    /// As [`Store::status`], for who holds the lock.
    pub(super) fn status_held(&self, state: &State) -> Result<Status> {
        if !state.is_alive() {
            return Ok(Status::Stopped);
        }
        if crate::start::is_awaited(&self.start_socket(&state.id))? {
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
            Err(Errno::SRCH) => Ok(None),
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
        let lock = store.reserve("a").unwrap();
        assert_eq!(store.reserve("a").unwrap_err().to_string(), "container with id exists: \"a\"");
        assert!(store.ids().unwrap().is_empty(), "not made yet");
        store.save(&state("a")).unwrap();
        assert_eq!(store.ids().unwrap(), ["a"]);
        drop(lock);
        assert!(store.reserve("a").is_err(), "it is there, though nobody holds it");
        store.remove("a").unwrap();
        assert_eq!(store.load("a").unwrap_err().to_string(), "container \"a\" does not exist");
    }

    #[test]
    fn a_folder_that_a_killed_command_left_empty_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        fs::create_dir(dir.path().join("a")).unwrap();
        drop(store.reserve("a").unwrap());
        assert!(store.lock_within("b", Duration::ZERO).is_err());
    }

    #[test]
    fn status_follows_process_lock_and_socket() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let mut own = state("x");
        let lock = store.reserve("x").unwrap();
        store.save(&own).unwrap();
        let unfinished = store.load("x").unwrap();
        assert_eq!(store.status(&unfinished).unwrap(), Status::Creating);
        assert!(store.lock_within("x", Duration::from_millis(1)).unwrap_err().to_string().contains("another command"));
        drop(lock);
        assert_eq!(store.status(&unfinished).unwrap(), Status::Stopped, "its creator was killed");
        store.save_process(&own).unwrap();
        assert_eq!(store.load("x").unwrap().pid, own.pid);
        assert_eq!(store.status(&own).unwrap(), Status::Running);
        let listener = crate::start::listen(&store.start_socket("x")).unwrap();
        assert_eq!(store.status(&own).unwrap(), Status::Created);
        drop(listener);
        assert_eq!(store.status(&own).unwrap(), Status::Running, "the socket was left behind");
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
