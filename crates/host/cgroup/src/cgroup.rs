//! One control group on every hierarchy.

use std::fs::File;
use std::os::fd::OwnedFd;

use crate::error::Result;
use crate::hierarchy::Hierarchy;
use crate::limits::{Limits, Warning};
use crate::oom::OomWatch;
use crate::stats::Stats;

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

/// A group by its path beneath the mounts. Only a handle: dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Cgroup {
    hierarchy: Hierarchy,
    path: String,
}

impl Cgroup {
    /// Makes the group, and its parents, on every hierarchy; what exists is taken as it is.
    pub fn create(hierarchy: &Hierarchy, path: &str) -> Result<Cgroup> {
        let _ = (hierarchy, path);
        todo!()
    }

    /// The group at a path. Fails with `NotFound` if no hierarchy has it.
    pub fn open(hierarchy: &Hierarchy, path: &str) -> Result<Cgroup> {
        let _ = (hierarchy, path);
        todo!()
    }

    /// Its path, with a leading slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The hierarchies that it is on.
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// Holds the group to limits. What could not be held but is customary to go on without comes back as warnings.
    pub fn apply(&self, limits: &Limits) -> Result<Vec<Warning>> {
        let _ = limits;
        todo!()
    }

    /// Moves a process (all its threads) into the group on every hierarchy.
    pub fn attach(&self, pid: i32) -> Result<()> {
        let _ = pid;
        todo!()
    }

    /// The opened `cgroup.procs` of every hierarchy, so that a forked child can enter by itself: it writes `0` to each.
    pub fn procs_files(&self) -> Result<Vec<File>> {
        todo!()
    }

    /// The directory on the v2 tree, for `CLONE_INTO_CGROUP`; `None` on a host with v1 alone.
    pub fn v2_dir_fd(&self) -> Result<Option<OwnedFd>> {
        todo!()
    }

    /// Stops everything in the group and waits until it stands.
    pub fn freeze(&self) -> Result<()> {
        todo!()
    }

    /// Lets everything in the group go on.
    pub fn thaw(&self) -> Result<()> {
        todo!()
    }

    /// Whether the group runs.
    pub fn freezer(&self) -> Result<Freezer> {
        todo!()
    }

    /// Kills every process in the group and beneath it, frozen ones too. Does not wait for them to be reaped.
    pub fn kill_all(&self) -> Result<()> {
        todo!()
    }

    /// The processes in the group and beneath it.
    pub fn pids(&self) -> Result<Vec<i32>> {
        todo!()
    }

    /// Reads all statistics.
    pub fn stats(&self) -> Result<Stats> {
        todo!()
    }

    /// How many processes were killed for want of memory so far, nested groups included. Still right when all are dead.
    pub fn oom_kills(&self) -> Result<u64> {
        todo!()
    }

    /// A descriptor that becomes readable when the group runs out of memory. `None` without a memory controller.
    pub fn oom_watch(&self) -> Result<Option<OomWatch>> {
        todo!()
    }

    /// Whether it exists on any hierarchy.
    pub fn exists(&self) -> bool {
        todo!()
    }

    /// Removes the group and everything beneath it; processes that are left are killed. Fine if it is gone already.
    pub fn delete(&self) -> Result<()> {
        todo!()
    }
}
