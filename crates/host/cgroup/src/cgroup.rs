//! One control group on every hierarchy: making, entering, limiting, reading.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::device::{DeviceRule, program};
use crate::error::{Error, Result};
use crate::files;
use crate::hierarchy::{Controller, Hierarchy, Mode};
use crate::limits::{Limits, Warning};
use crate::oom::{self, OomWatch};
use crate::plan::{self, Current, OnFailure, Place, Write};
use crate::stats::{self, Stats};
use crate::{create, delete, freezer, kill};

pub use crate::freezer::Freezer;

/// See [`Cgroup::entry`].
#[derive(Debug)]
pub struct Entry {
    /// For `CLONE_INTO_CGROUP`; `None` on a host with v1 alone.
    pub v2_dir: Option<OwnedFd>,
    /// The opened `tasks` files of the v1 hierarchies.
    pub tasks: Vec<File>,
}

/// A group by its path beneath the mounts. Only a handle: dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Cgroup {
    hierarchy: Hierarchy,
    path: String,
}

impl Cgroup {
    /// Makes the group, and its parents, on every hierarchy; what exists is taken as it is.
    ///
    /// On v2 every controller that the parents can give is switched on down to the group. Where one cannot be
    /// (a parent holds processes), this is no error yet: a limit that needs it is refused by [`Cgroup::apply`].
    pub fn create(hierarchy: &Hierarchy, path: &str) -> Result<Cgroup> {
        let group = Cgroup { hierarchy: hierarchy.clone(), path: clean(path)? };
        create::create(hierarchy, group.relative())?;
        Ok(group)
    }

    /// The group at a path. Fails with [`Error::NotFound`] if no hierarchy has it.
    pub fn open(hierarchy: &Hierarchy, path: &str) -> Result<Cgroup> {
        let group = Cgroup { hierarchy: hierarchy.clone(), path: clean(path)? };
        if group.exists() { Ok(group) } else { Err(Error::NotFound(group.path)) }
    }

    /// Its path, with a leading slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The hierarchies that it is on.
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Its directory on the v2 tree.
    pub fn v2_dir(&self) -> Option<PathBuf> {
        self.hierarchy.v2_mount().map(|mount| mount.join(self.relative()))
    }

    /// Its directory for a v1 controller.
    pub fn v1_dir(&self, controller: Controller) -> Option<PathBuf> {
        self.hierarchy.v1_mount(controller).map(|mount| mount.join(self.relative()))
    }

    /// Its directory on every hierarchy; the v2 tree last.
    pub fn dirs(&self) -> Vec<PathBuf> {
        let v1 = self.hierarchy.v1_mounts();
        let mut dirs: Vec<PathBuf> = v1.into_iter().map(|(_, mount)| mount.join(self.relative())).collect();
        dirs.extend(self.v2_dir());
        dirs
    }

    /// Its directories by the name of the hierarchy, as OCI state files list them: v1 by controller, v2 as `""`.
    pub fn dirs_by_name(&self) -> Vec<(String, PathBuf)> {
        let mut dirs: Vec<(String, PathBuf)> = Vec::new();
        for controller in Controller::ALL {
            if let Some(dir) = self.v1_dir(controller) {
                dirs.push((controller.v1_name().to_owned(), dir));
            }
        }
        dirs.extend(self.v2_dir().map(|dir| (String::new(), dir)));
        dirs
    }

    fn relative(&self) -> &str {
        &self.path[1..]
    }

    /// Holds the group to limits. What could not be held but is customary to go on without comes back as warnings.
    pub fn apply(&self, limits: &Limits) -> Result<Vec<Warning>> {
        let current = self.current(limits)?;
        if limits.memory.check_before_update {
            self.check_usage(limits)?;
        }
        let plan = plan::compute(&self.hierarchy, limits, &current)?;
        let mut warnings = plan.warnings;
        let mut retry = Vec::new();
        for write in &plan.writes {
            self.perform(write, &mut warnings, Some(&mut retry))?;
        }
        for write in retry {
            self.perform(&write, &mut warnings, None)?;
        }
        if !plan.device_program.is_empty() {
            self.install_device_program(&plan.device_program)?;
        }
        Ok(warnings)
    }

    /// What the plan must know. Read only as far as the limits need it: every read costs.
    fn current(&self, limits: &Limits) -> Result<Current> {
        let mut current = Current::default();
        let memory = &limits.memory;
        if memory.limit.is_some() || memory.swap.is_some() {
            if let Some(dir) = self.v1_dir(Controller::Memory) {
                current.memory = files::read_number(&dir.join("memory.limit_in_bytes"))?;
                current.memory_and_swap = files::read_number(&dir.join("memory.memsw.limit_in_bytes"))?;
            } else if let Some(dir) = self.v2_dir() {
                current.memory = files::read_number(&dir.join("memory.max"))?;
            }
        }
        if limits.cpu.period.is_some()
            && limits.cpu.quota.is_none()
            && let Some(dir) = self.v2_dir()
        {
            let text = files::read_optional(&dir.join("cpu.max"))?;
            current.cpu_quota = text.and_then(|text| text.split_whitespace().next().map(str::to_owned));
        }
        Ok(current)
    }

    fn check_usage(&self, limits: &Limits) -> Result<()> {
        let Some(limit) = limits.memory.limit.filter(|&bytes| bytes > 0) else {
            return Ok(());
        };
        let (usage, peak) = self.memory_usage()?;
        if usage > limit.unsigned_abs() {
            return Err(Error::MemoryBelowUsage { limit, usage, peak });
        }
        Ok(())
    }

    fn memory_usage(&self) -> Result<(u64, u64)> {
        let (dir, usage, peak) = if let Some(dir) = self.v1_dir(Controller::Memory) {
            (dir, "memory.usage_in_bytes", "memory.max_usage_in_bytes")
        } else if let Some(dir) = self.v2_dir() {
            (dir, "memory.current", "memory.peak")
        } else {
            return Ok((0, 0));
        };
        let usage = files::read_number(&dir.join(usage))?.unwrap_or(0);
        Ok((usage, files::read_number(&dir.join(peak))?.unwrap_or(usage)))
    }

    fn perform(&self, write: &Write, warnings: &mut Vec<Warning>, retry: Option<&mut Vec<Write>>) -> Result<()> {
        let dir = match write.place {
            Place::V1(controller) => self.v1_dir(controller),
            Place::V2 => self.v2_dir(),
        };
        let Some(dir) = dir else {
            return Err(Error::NotFound(self.path.clone()));
        };
        let path = dir.join(&write.file);
        let Err(source) = files::try_write(&path, &write.value) else {
            return Ok(());
        };
        let is = |errno: rustix::io::Errno| source.raw_os_error() == Some(errno.raw_os_error());
        let absent = source.kind() == io::ErrorKind::NotFound
            || source.kind() == io::ErrorKind::PermissionDenied && !path.exists();
        match (&write.on_failure, retry) {
            (OnFailure::WarnIfAbsent(text), _) if absent || is(rustix::io::Errno::OPNOTSUPP) => {
                warnings.push(Warning((*text).to_owned()));
                return Ok(());
            }
            (OnFailure::SkipIfAbsent, _) if absent => return Ok(()),
            (OnFailure::RetryLast, Some(retry)) if is(rustix::io::Errno::INVAL) => {
                retry.push(write.clone());
                return Ok(());
            }
            (OnFailure::MemoryLimit(limit), _) if is(rustix::io::Errno::BUSY) => {
                let (usage, peak) = self.memory_usage()?;
                return Err(Error::MemoryBelowUsage { limit: *limit, usage, peak });
            }
            _ => {}
        }
        if absent && dir.is_dir() {
            return Err(Error::Unsupported {
                limit: format!("{} = {}", write.file, write.value),
                reason: match write.place {
                    Place::V2 => "the controller is not enabled for this cgroup or the kernel lacks the file",
                    Place::V1(_) => "the kernel lacks this control file",
                },
            });
        }
        Err(Error::Write { path, value: write.value.clone(), source })
    }

    /// Puts the program on the group and takes older ones off, in this order: between the two both must agree.
    fn install_device_program(&self, rules: &[DeviceRule]) -> Result<()> {
        let Some(path) = self.v2_dir() else {
            return Err(Error::NotFound(self.path.clone()));
        };
        let failed = |action| {
            let path = path.clone();
            move |source| Error::DeviceFilter { action, path, source }
        };
        let dir = File::open(&path).map_err(|source| Error::Open { path: path.clone(), source })?;
        let old = sys::bpf::device_programs(dir.as_fd()).map_err(failed("look for"))?;
        let program = sys::bpf::load_device_program(&program::compile(rules)).map_err(failed("load"))?;
        sys::bpf::attach_device_program(dir.as_fd(), program.as_fd()).map_err(failed("attach"))?;
        for program in old {
            sys::bpf::detach_device_program(dir.as_fd(), program.as_fd()).map_err(failed("replace"))?;
        }
        Ok(())
    }

    /// Moves a process (all its threads) into the group on every hierarchy.
    pub fn attach(&self, pid: i32) -> Result<()> {
        for dir in self.dirs() {
            let path = dir.join("cgroup.procs");
            files::try_write(&path, &pid.to_string()).map_err(|source| Error::Attach { pid, path: dir, source })?;
        }
        Ok(())
    }

    /// The opened `cgroup.procs` of every hierarchy, the v2 tree's last, so that a forked child can enter by
    /// itself: it writes `0` to each.
    pub fn procs_files(&self) -> Result<Vec<File>> {
        let open = |dir: PathBuf| {
            let path = dir.join("cgroup.procs");
            let file = OpenOptions::new().write(true).open(&path);
            file.map_err(|source| Error::Open { path, source })
        };
        self.dirs().into_iter().map(open).collect()
    }

    /// What a forked child needs to enter by itself, the cheapest way: it is cloned with `CLONE_INTO_CGROUP` at
    /// [`Entry::v2_dir`] and then, still with one thread, writes `0` to each of [`Entry::tasks`].
    ///
    /// A thread that moves itself need not stop all forks and exits of the machine, which is what makes moving a
    /// whole process wait for RCU (1 ms and more at times). One directory on v2, one file for every v1 hierarchy.
    pub fn entry(&self) -> Result<Entry> {
        let open = |(_, mount): (String, &Path)| {
            let path = mount.join(self.relative()).join("tasks");
            let file = OpenOptions::new().write(true).open(&path);
            file.map_err(|source| Error::Open { path, source })
        };
        let tasks: Result<Vec<File>> = self.hierarchy.v1_mounts().into_iter().map(open).collect();
        Ok(Entry { v2_dir: self.v2_dir_fd()?, tasks: tasks? })
    }

    /// The directory on the v2 tree, for `CLONE_INTO_CGROUP`; `None` on a host with v1 alone. In hybrid mode this
    /// does not save the [`Cgroup::attach`]: the v1 controllers need it.
    pub fn v2_dir_fd(&self) -> Result<Option<OwnedFd>> {
        let Some(path) = self.v2_dir() else {
            return Ok(None);
        };
        match File::open(&path) {
            Ok(dir) => Ok(Some(dir.into())),
            Err(source) => Err(Error::Open { path, source }),
        }
    }

    /// Stops everything in the group and waits until it stands.
    pub fn freeze(&self) -> Result<()> {
        freezer::set(self, Freezer::Frozen)
    }

    /// Lets everything in the group go on.
    pub fn thaw(&self) -> Result<()> {
        freezer::set(self, Freezer::Thawed)
    }

    /// Whether the group runs.
    pub fn freezer(&self) -> Result<Freezer> {
        freezer::get(self)
    }

    /// Kills every process in the group and beneath it, frozen ones too. Does not wait for them to be reaped.
    pub fn kill_all(&self) -> Result<()> {
        kill::kill_all(self)
    }

    /// The processes in the group and beneath it, in order.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        for root in self.process_dirs() {
            for dir in files::descend(&root)? {
                pids.extend(files::read_pids(&dir.join("cgroup.procs"))?);
            }
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// The directories that tell of all processes: the v2 tree and one v1 hierarchy.
    fn process_dirs(&self) -> Vec<PathBuf> {
        let one = [Controller::Pids, Controller::Freezer, Controller::Devices, Controller::Memory];
        let v1 = one.into_iter().find_map(|controller| self.v1_dir(controller));
        let any = || match self.hierarchy.mode() {
            Mode::V2 => None,
            _ => self.dirs().into_iter().next(),
        };
        v1.or_else(any).into_iter().chain(self.v2_dir()).collect()
    }

    /// Reads all statistics.
    pub fn stats(&self) -> Result<Stats> {
        stats::read(self)
    }

    /// How many processes were killed for want of memory so far, nested groups included. Still right when all are
    /// dead, until the group is deleted.
    pub fn oom_kills(&self) -> Result<u64> {
        oom::kills(self)
    }

    /// A descriptor that becomes ready when the group runs out of memory. `None` without a memory controller.
    pub fn oom_watch(&self) -> Result<Option<OomWatch>> {
        OomWatch::new(self)
    }

    /// Whether it exists on any hierarchy.
    pub fn exists(&self) -> bool {
        self.dirs().iter().any(|dir| dir.is_dir())
    }

    /// Removes the group and everything beneath it; processes that are left are killed. Fine if it is gone already.
    pub fn delete(&self) -> Result<()> {
        delete::delete(self)
    }

    /// Removes the parents of the group that nobody uses any more (`/sampan/<instance>`, `/sampan`). Best effort:
    /// one that is in use stays.
    pub fn delete_empty_parents(&self) {
        for mut dir in self.dirs() {
            for _ in 1..self.path.split('/').skip(1).count() {
                dir.pop();
                if fs::remove_dir(&dir).is_err() {
                    break;
                }
            }
        }
    }
}

/// The path with one leading slash and no empty parts. Must name a group beneath the root.
fn clean(path: &str) -> Result<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let bad = |part: &&str| *part == ".." || part.contains('\n') || part.contains('\0');
    if parts.is_empty() || parts.iter().any(bad) || Path::new(path).as_os_str().len() > 3000 {
        return Err(Error::InvalidPath(path.to_owned()));
    }
    Ok(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests;
