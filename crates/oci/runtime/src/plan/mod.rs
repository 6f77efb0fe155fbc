//! The pure plan: what a spec means for this kernel, computed and checked before anything is touched.

pub(crate) mod capabilities;
pub(crate) mod devices;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod sysctls;

use std::path::{Path, PathBuf};

use cgroup::Limits;
use spec::runtime::Spec;

use crate::error::{Error, Result};
use devices::Devices;
use mounts::MountStep;
use namespaces::Namespaces;
use process::ProcessPlan;

/// Everything that the container's first process does, in the order of the fields from `mounts` on.
#[derive(Debug)]
pub(crate) struct Plan {
    pub namespaces: Namespaces,
    pub limits: Limits,
    /// Propagation (`MS_*`) that the whole tree gets first.
    pub propagation: u64,
    pub mounts: Vec<MountStep>,
    /// `None` where /dev is the host's own, bound by a mount.
    pub devices: Option<Devices>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    /// File beneath /proc/sys and its value.
    pub sysctls: Vec<(String, String)>,
    pub readonly_paths: Vec<PathBuf>,
    pub masked_paths: Vec<PathBuf>,
    pub root_readonly: bool,
    pub process: ProcessPlan,
}

impl Plan {
    /// Computes the plan; relative bind sources are taken beneath `bundle`.
    pub fn of(spec: &Spec, bundle: &Path) -> Result<Plan> {
        let linux = spec.linux().clone().unwrap_or_default();
        let process = spec
            .process()
            .as_ref()
            .ok_or_else(|| Error::Spec { field: "process", problem: "is missing".to_owned() })?;
        refuse_unbuilt(spec, &linux)?;
        let namespaces = Namespaces::of(&linux)?;
        let mounts = spec.mounts().as_deref().unwrap_or_default();
        let mounts = mounts.iter().map(|mount| mounts::step(mount, bundle)).collect::<Result<Vec<_>>>()?;
        let program = linux.seccomp().as_ref().map(crate::seccomp::compile).transpose()?;
        if let Some(name) = spec.hostname()
            && !namespaces.has_own_uts()
        {
            return Err(Error::Spec {
                field: "hostname",
                problem: format!("{name:?} needs an uts namespace of the container's own"),
            });
        }
        Ok(Plan {
            limits: crate::limits::of_container(linux.resources().as_ref())?,
            propagation: propagation(linux.rootfs_propagation().as_deref())?,
            devices: devices::plan(&linux, &mounts)?,
            hostname: spec.hostname().clone().filter(|name| !name.is_empty()),
            domainname: spec.domainname().clone().filter(|name| !name.is_empty()),
            sysctls: sysctls::plan(&linux, &namespaces)?,
            readonly_paths: paths(linux.readonly_paths()),
            masked_paths: paths(linux.masked_paths()),
            root_readonly: spec.root().as_ref().is_some_and(|root| root.readonly() == Some(true)),
            process: ProcessPlan::of(process, program, linux.personality().as_ref())?,
            mounts,
            namespaces,
        })
    }
}

fn paths(list: &Option<Vec<String>>) -> Vec<PathBuf> {
    let list = list.as_deref().unwrap_or_default();
    list.iter().map(PathBuf::from).collect()
}

fn propagation(name: Option<&str>) -> Result<u64> {
    match name.unwrap_or_default() {
        "" | "slave" | "rslave" => Ok(mounts::MS_SLAVE),
        "private" | "rprivate" => Ok(mounts::MS_PRIVATE),
        "shared" | "rshared" => Ok(mounts::MS_SHARED),
        "unbindable" | "runbindable" => Ok(mounts::MS_UNBINDABLE),
        other => Err(Error::Spec {
            field: "linux.rootfsPropagation",
            problem: format!("{other:?} is none of private, slave, shared, unbindable"),
        }),
    }
}

/// Parts of the spec that are not built are refused, never ignored.
fn refuse_unbuilt(spec: &Spec, linux: &spec::runtime::Linux) -> Result<()> {
    let refuse = |what: &str| Err(Error::Unimplemented(what.to_owned()));
    if linux.intel_rdt().is_some() {
        return refuse("linux.intelRdt");
    }
    if linux.time_offsets().as_ref().is_some_and(|o| !o.is_empty()) {
        return refuse("linux.timeOffsets");
    }
    if linux.memory_policy().is_some() {
        return refuse("linux.memoryPolicy");
    }
    if linux.net_devices().as_ref().is_some_and(|d| !d.is_empty()) {
        return refuse("linux.netDevices");
    }
    if let Some(process) = spec.process() {
        process::refuse_unbuilt(process)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
