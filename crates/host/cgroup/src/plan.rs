//! Which files are written for which limits, computed before anything is touched.
//!
//! [`compute`] turns [`Limits`] into a [`Plan`]: writes in the order in which they must happen. It reads nothing;
//! what it must know about the group is in [`Current`], what about the host in [`Hierarchy`].

mod v1;
mod v2;

pub(crate) use self::v2::weight_of_shares;

use crate::device::DeviceRule;
use crate::error::{Error, Result};
use crate::hierarchy::{Controller, Hierarchy};
use crate::limits::{Limits, Warning};

/// Where a control file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the group's directory of a v1 controller.
    V1(Controller),
    /// In the group's directory of the v2 tree.
    V2,
}

/// What a failed write means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The limit does not hold: an error.
    Refuse,
    /// The file may be absent on this kernel; docker goes on with this warning then. Other failures are errors.
    WarnIfAbsent(&'static str),
    /// The file may be absent without anything being lost.
    SkipIfAbsent,
    /// `EINVAL` may be due to the order of writes: try again after all others.
    RetryLast,
    /// A limit of memory: `EBUSY` means that the group uses more already.
    MemoryLimit(i64),
}

/// One write to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where the file is.
    pub place: Place,
    /// Its name.
    pub file: String,
    /// What is written.
    pub value: String,
    /// What a failure means.
    pub on_failure: OnFailure,
}

/// Everything that is to be done, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The writes.
    pub writes: Vec<Write>,
    /// Device rules for a BPF program on the v2 tree.
    pub device_program: Vec<DeviceRule>,
    /// What is known not to hold before anything is tried.
    pub warnings: Vec<Warning>,
}

/// What the group is held to now, as far as the order of writes or a value depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// Limit of memory in bytes; `u64::MAX` for none, `None` if unknown.
    pub memory: Option<u64>,
    /// v1: limit of memory and swap in bytes; `u64::MAX` for none, `None` when swap is not accounted.
    pub memory_and_swap: Option<u64>,
    /// v2: the quota in `cpu.max` as it is written there.
    pub cpu_quota: Option<String>,
}

/// Computes the writes for some limits.
pub fn compute(hierarchy: &Hierarchy, limits: &Limits, current: &Current) -> Result<Plan> {
    check(limits)?;
    let mut plan = Planner { hierarchy, current, plan: Plan::default() };
    plan.memory(&limits.memory)?;
    plan.cpu(&limits.cpu)?;
    plan.cpuset(&limits.cpu)?;
    plan.pids(limits.pids)?;
    plan.blkio(&limits.blkio)?;
    plan.hugepages(&limits.hugepages)?;
    plan.rdma(&limits.rdma)?;
    plan.network(limits)?;
    plan.devices(&limits.devices)?;
    plan.unified(&limits.unified)?;
    Ok(plan.plan)
}

/// Values that make no sense on any host.
fn check(limits: &Limits) -> Result<()> {
    let memory = &limits.memory;
    if let (Some(limit), Some(swap)) = (memory.limit, memory.swap)
        && limit > 0
        && swap > 0
        && swap < limit
    {
        return Err(invalid("memory and swap (must not be below the memory limit)", swap));
    }
    if let Some(swappiness) = memory.swappiness
        && swappiness > 100
    {
        return Err(invalid("memory swappiness (0 to 100)", swappiness));
    }
    if let Some(period) = limits.cpu.period
        && period != 0
        && !(1_000..=1_000_000).contains(&period)
    {
        return Err(invalid("CPU period (1000 to 1000000 microseconds)", period));
    }
    if let Some(quota) = limits.cpu.quota
        && quota > 0
        && quota < 1_000
    {
        return Err(invalid("CPU quota (at least 1000 microseconds)", quota));
    }
    if let Some(weight) = limits.blkio.weight
        && weight != 0
        && !(10..=1000).contains(&weight)
    {
        return Err(invalid("block IO weight (10 to 1000)", weight));
    }
    Ok(())
}

fn invalid(limit: &'static str, value: impl ToString) -> Error {
    Error::InvalidValue { limit, value: value.to_string() }
}

struct Planner<'a> {
    hierarchy: &'a Hierarchy,
    current: &'a Current,
    plan: Plan,
}

impl Planner<'_> {
    /// Where a controller is; an error that names the limit if it is nowhere.
    fn place(&self, controller: Controller, limit: &'static str) -> Result<Place> {
        if self.hierarchy.v1_mount(controller).is_some() {
            Ok(Place::V1(controller))
        } else if self.hierarchy.has_v2(controller) {
            Ok(Place::V2)
        } else {
            let name = controller.v2_name().unwrap_or(controller.v1_name());
            Err(Error::NoController { limit, controller: name })
        }
    }

    fn write(&mut self, place: Place, file: impl Into<String>, value: impl ToString) {
        self.write_or(place, file, value, OnFailure::Refuse);
    }

    fn write_or(&mut self, place: Place, file: impl Into<String>, value: impl ToString, on_failure: OnFailure) {
        let write = Write { place, file: file.into(), value: value.to_string(), on_failure };
        self.plan.writes.push(write);
    }

    fn warn(&mut self, text: &str) {
        self.plan.warnings.push(Warning(text.to_owned()));
    }

    fn pids(&mut self, limit: Option<i64>) -> Result<()> {
        let Some(limit) = limit else { return Ok(()) };
        let value = if limit > 0 { limit.to_string() } else { "max".to_owned() };
        let place = match self.place(Controller::Pids, "the number of processes") {
            Ok(place) => place,
            Err(_) if limit <= 0 => return Ok(()), // unlimited is what it is
            Err(error) => return Err(error),
        };
        self.write(place, "pids.max", value);
        Ok(())
    }

    fn cpuset(&mut self, cpu: &crate::limits::Cpu) -> Result<()> {
        let cpus = cpu.cpus.as_deref().filter(|list| !list.is_empty());
        let mems = cpu.mems.as_deref().filter(|list| !list.is_empty());
        for (file, list) in [("cpuset.cpus", cpus), ("cpuset.mems", mems)] {
            let Some(list) = list else { continue };
            if !list.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'-' | b' ')) {
                return Err(invalid("list of processors or memory nodes", list));
            }
            let place = self.place(Controller::Cpuset, "placement on processors")?;
            self.write(place, file, list);
        }
        Ok(())
    }

    fn rdma(&mut self, limits: &std::collections::BTreeMap<String, crate::limits::RdmaLimit>) -> Result<()> {
        for (device, limit) in limits {
            let place = self.place(Controller::Rdma, "RDMA objects")?;
            let mut value = device.clone();
            for (key, number) in [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)] {
                if let Some(number) = number {
                    value.push_str(&format!(" {key}={number}"));
                }
            }
            self.write(place, "rdma.max", value);
        }
        Ok(())
    }

    fn network(&mut self, limits: &Limits) -> Result<()> {
        if let Some(class) = limits.network_class {
            let place = self.place(Controller::NetCls, "the network class")?;
            self.write(place, "net_cls.classid", class);
        }
        for (interface, priority) in &limits.network_priorities {
            let place = self.place(Controller::NetPrio, "the network priority")?;
            self.write(place, "net_prio.ifpriomap", format!("{interface} {priority}"));
        }
        Ok(())
    }

    fn devices(&mut self, rules: &[DeviceRule]) -> Result<()> {
        if rules.is_empty() {
            return Ok(());
        }
        match self.place(Controller::Devices, "access to devices")? {
            Place::V2 => self.plan.device_program = rules.to_vec(),
            place => {
                for (file, value) in crate::device::v1_lines(rules)? {
                    self.write(place, file, value);
                }
            }
        }
        Ok(())
    }

    fn unified(&mut self, files: &std::collections::BTreeMap<String, String>) -> Result<()> {
        for (file, value) in files {
            if file.contains('/') || file.starts_with('.') || !file.contains('.') {
                return Err(invalid("name of a file of the unified hierarchy", file));
            }
            if self.hierarchy.v2_mount().is_none() || self.hierarchy.v2_controllers().is_empty() {
                return Err(Error::Unsupported {
                    limit: format!("unified file {file}"),
                    reason: "it needs cgroup v2 with controllers",
                });
            }
            self.write(Place::V2, file.clone(), value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
