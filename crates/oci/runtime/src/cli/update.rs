//! `update`: other limits for a container that is there.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;
use spec::runtime::LinuxResources;

use super::log::Log;
use super::state::{Status, Store};
use crate::error::{AtStep, Error, Result};

#[derive(Args)]
pub(super) struct Update {
    /// JSON of the specification's resources; - for standard input. Other flags are not looked at then
    #[arg(short, long)]
    resources: Option<PathBuf>,
    /// Block IO weight, 10 to 1000
    #[arg(long)]
    blkio_weight: Option<u16>,
    /// Length of the CPU period in microseconds
    #[arg(long)]
    cpu_period: Option<u64>,
    /// Processor time in a period in microseconds
    #[arg(long, allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Processor time that may be saved up, in microseconds
    #[arg(long)]
    cpu_burst: Option<u64>,
    /// Relative share of processor time
    #[arg(long)]
    cpu_share: Option<u64>,
    /// 1 to run only when nothing else does
    #[arg(long)]
    cpu_idle: Option<i64>,
    /// Processors that may be used
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// Memory nodes that may be used
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Memory limit in bytes
    #[arg(long, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Soft memory limit in bytes
    #[arg(long, allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Limit of memory and swap together in bytes; -1 for no limit
    #[arg(long, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Number of processes
    #[arg(long, allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Name of the container
    id: String,
}

impl Update {
    pub(super) fn run(self, store: &Store, log: &Log) -> Result<()> {
        let mut state = store.load(&self.id)?;
        if store.status(&state)? == Status::Stopped {
            return Err(Error::WrongState { action: "update", state: "stopped" });
        }
        let missing = || Error::Cgroup(cgroup::Error::NotFound(state.cgroup.clone().unwrap_or_default()));
        let group = state.cgroup()?.ok_or_else(missing)?;
        let limits = match &self.resources {
            Some(path) => {
                let resources = read(path)?;
                let limits = crate::limits(&resources)?;
                // What is written down is what the next command sees; devices stay as they were.
                if let Some(linux) = state.spec.linux_mut() {
                    linux.set_resources(Some(resources));
                }
                limits
            }
            None => self.limits(),
        };
        for warning in group.apply(&limits)? {
            log.warning(&warning.0);
        }
        store.save(&state)
    }

    fn limits(&self) -> cgroup::Limits {
        cgroup::Limits {
            memory: cgroup::Memory {
                limit: self.memory,
                reservation: self.memory_reservation,
                swap: self.memory_swap,
                ..cgroup::Memory::default()
            },
            cpu: cgroup::Cpu {
                shares: self.cpu_share,
                quota: self.cpu_quota,
                period: self.cpu_period,
                burst: self.cpu_burst,
                cpus: self.cpuset_cpus.clone(),
                mems: self.cpuset_mems.clone(),
                idle: self.cpu_idle,
                ..cgroup::Cpu::default()
            },
            pids: self.pids_limit,
            blkio: cgroup::BlockIo { weight: self.blkio_weight, ..cgroup::BlockIo::default() },
            ..cgroup::Limits::default()
        }
    }
}

fn read(path: &PathBuf) -> Result<LinuxResources> {
    let text = if path.as_os_str() == "-" {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).at(|| "read standard input")?;
        text
    } else {
        fs::read(path).at(|| format!("read {}", path.display()))?
    };
    serde_json::from_slice(&text).map_err(|source| Error::Parse { path: path.clone(), source })
}
