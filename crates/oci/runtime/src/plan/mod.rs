//! The pure plan: what a spec means for this kernel, computed and checked before anything is touched.

pub(crate) mod capabilities;
pub(crate) mod devices;
mod lists;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod scheduling;
pub(crate) mod sysctls;

use std::path::{Path, PathBuf};

use cgroup::Limits;
use spec::runtime::Spec;

use crate::error::{Error, Result};
use crate::netdevices::Device;
use devices::Devices;
use mounts::MountStep;
use namespaces::{Kind, Namespaces};
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
    /// Network devices of the host that become the container's.
    pub net_devices: Vec<Device>,
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
        refuse_unbuilt(&linux)?;
        let namespaces = Namespaces::of(&linux)?;
        let mounts = spec.mounts().as_deref().unwrap_or_default();
        let context = mounts::Context {
            bundle,
            label: linux.mount_label().as_deref().filter(|label| !label.is_empty()),
            userns: namespaces.is_new(Kind::User).then(|| mounts::IdMap::of_container(&namespaces)),
        };
        let mounts = mounts.iter().map(|mount| mounts::step(mount, &context)).collect::<Result<Vec<_>>>()?;
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
            process: ProcessPlan::of(process, Some(&linux))?,
            net_devices: net_devices(&linux, &namespaces)?,
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
fn refuse_unbuilt(linux: &spec::runtime::Linux) -> Result<()> {
    if linux.intel_rdt().is_some() {
        return Err(Error::Unimplemented("linux.intelRdt".to_owned()));
    }
    Ok(())
}

fn net_devices(linux: &spec::runtime::Linux, namespaces: &Namespaces) -> Result<Vec<Device>> {
    let refuse = |problem: String| Error::Spec { field: "linux.netDevices", problem };
    let mut devices = Vec::new();
    for (name, device) in linux.net_devices().iter().flatten() {
        if !namespaces.has_own_net() {
            return Err(refuse(format!("{name}: needs a network namespace of the container's own")));
        }
        let inside = device.name().clone().filter(|inside| !inside.is_empty()).unwrap_or_else(|| name.clone());
        for name in [name, &inside] {
            let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0';
            if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(odd) {
                return Err(refuse(format!("{name:?} is no name of a network device")));
            }
        }
        devices.push(Device { name: name.clone(), inside });
    }
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(devices)
}

#[cfg(test)]
mod mutations;
#[cfg(test)]
mod tests;
