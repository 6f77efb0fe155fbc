//! `update`: other limits for a container that is there.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

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
    /// Real-time period in microseconds
    #[arg(long)]
    cpu_rt_period: Option<u64>,
    /// Real-time processor time in a real-time period in microseconds
    #[arg(long, allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    /// 1 to run only when nothing else does
    #[arg(long)]
    cpu_idle: Option<i64>,
    /// Processors that may be used
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// Memory nodes that may be used
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Memory limit in bytes, or with a unit (64m)
    #[arg(long, allow_hyphen_values = true, value_parser = bytes)]
    memory: Option<i64>,
    /// Soft memory limit in bytes, or with a unit
    #[arg(long, allow_hyphen_values = true, value_parser = bytes)]
    memory_reservation: Option<i64>,
    /// Limit of memory and swap together in bytes, or with a unit; -1 for no limit
    #[arg(long, allow_hyphen_values = true, value_parser = bytes)]
    memory_swap: Option<i64>,
    /// Taken for compatibility: the kernel has no limit of its own for its memory any more
    #[arg(long, allow_hyphen_values = true, hide = true)]
    kernel_memory: Option<String>,
    /// Taken for compatibility, likewise
    #[arg(long, allow_hyphen_values = true, hide = true)]
    kernel_memory_tcp: Option<String>,
    /// Number of processes
    #[arg(long, allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Schema of Intel RDT's cache allocation (not built)
    #[arg(long)]
    l3_cache_schema: Option<String>,
    /// Schema of Intel RDT's memory bandwidth allocation (not built)
    #[arg(long)]
    mem_bw_schema: Option<String>,
    /// Name of the container
    id: String,
}

impl Update {
    pub(super) fn run(self, store: &Store, log: &Log) -> Result<()> {
        if self.l3_cache_schema.is_some() || self.mem_bw_schema.is_some() {
            return Err(Error::Unimplemented("update of Intel RDT".to_owned()));
        }
        let _lock = store.lock(&self.id)?;
        let mut state = store.load(&self.id)?;
        if store.status_held(&state)? == Status::Stopped {
            return Err(Error::WrongState { action: "update", state: "stopped" });
        }
        let missing = || Error::Cgroup(cgroup::Error::NotFound(state.cgroup.clone().unwrap_or_default()));
        let group = state.cgroup()?.ok_or_else(missing)?;
        let asked = match &self.resources {
            Some(path) => read(path)?,
            None => self.resources(),
        };
        let limits = crate::limits(&serde_json::from_value(asked.clone()).map_err(|source| self.unreadable(source))?)?;
        for warning in group.apply(&limits)? {
            log.warning(&warning.0);
        }
        // Written down is what the container is held to now: what it had, with what was asked for on top.
        if let Some(linux) = state.spec.linux_mut() {
            let present = serde_json::to_value(linux.resources()).map_err(|source| self.unreadable(source))?;
            let merged = serde_json::from_value(merge(present, asked)).map_err(|source| self.unreadable(source))?;
            linux.set_resources(Some(merged));
        }
        store.save(&state)
    }

    fn unreadable(&self, source: serde_json::Error) -> Error {
        Error::Parse { path: self.resources.clone().unwrap_or_default(), source }
    }

    /// The flags as the specification's resources; a number that is 0 was not meant, as with runc.
    fn resources(&self) -> Value {
        let mut resources = Map::new();
        let mut set = |part: &str, name: &str, value: Value| {
            if !value.is_null() && value != 0 && value != "" {
                resources.entry(part).or_insert_with(|| json!({}))[name] = value;
            }
        };
        set("blockIO", "weight", json!(self.blkio_weight));
        set("cpu", "period", json!(self.cpu_period));
        set("cpu", "quota", json!(self.cpu_quota));
        set("cpu", "burst", json!(self.cpu_burst));
        set("cpu", "shares", json!(self.cpu_share));
        set("cpu", "realtimePeriod", json!(self.cpu_rt_period));
        set("cpu", "realtimeRuntime", json!(self.cpu_rt_runtime));
        set("cpu", "cpus", json!(self.cpuset_cpus));
        set("cpu", "mems", json!(self.cpuset_mems));
        set("memory", "limit", json!(self.memory));
        set("memory", "reservation", json!(self.memory_reservation));
        set("memory", "swap", json!(self.memory_swap));
        set("pids", "limit", json!(self.pids_limit));
        if let Some(idle) = self.cpu_idle {
            // Here 0 is meant: it ends being idle.
            resources.entry("cpu").or_insert_with(|| json!({}))["idle"] = json!(idle);
        }
        Value::Object(resources)
    }
}

fn read(path: &PathBuf) -> Result<Value> {
    let text = if path.as_os_str() == "-" {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).at(|| "read standard input")?;
        text
    } else {
        fs::read(path).at(|| format!("read {}", path.display()))?
    };
    serde_json::from_slice(&text).map_err(|source| Error::Parse { path: path.clone(), source })
}

/// Lays one tree of values over another; a list replaces a list.
fn merge(below: Value, above: Value) -> Value {
    match (below, above) {
        (Value::Object(mut below), Value::Object(above)) => {
            for (name, value) in above {
                let under = below.remove(&name).unwrap_or_default();
                below.insert(name, merge(under, value));
            }
            Value::Object(below)
        }
        (below, Value::Null) => below,
        (_, above) => above,
    }
}

/// A number of bytes, maybe with a unit of 1024s: `64m`, `1.5GiB`, `-1`.
fn bytes(text: &str) -> Result<i64, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    // The greatest number stands for all that are greater.
    let size = spec::size::parse(text).ok().filter(|size| *size < i64::MAX);
    size.ok_or_else(|| format!("{text:?} is no size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_may_have_units() {
        for (text, size) in [("64m", 64 << 20), ("1.5GiB", 3 << 29), ("-1", -1), ("512", 512), ("2 KB", 2048)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "m", "5x", "-2m", "1e30g"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_was_asked_for_lies_over_what_there_was() {
        let below = json!({"memory": {"limit": 1, "swap": 2}, "pids": {"limit": 3}, "devices": [1, 2]});
        let above = json!({"memory": {"limit": 9}, "cpu": {"shares": 5}, "devices": [3]});
        let expected =
            json!({"memory": {"limit": 9, "swap": 2}, "pids": {"limit": 3}, "devices": [3], "cpu": {"shares": 5}});
        assert_eq!(merge(below, above), expected);
    }
}
