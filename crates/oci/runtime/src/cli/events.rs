//! `events`: what happens in a container, one line of JSON each, in runc's shape.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cgroup::{BlkioEntry, Cgroup, Interest, OomWatch, Stats};
use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::out;
use super::state::{Status, Store};
use crate::error::{AtStep, Error, Result};

#[derive(Args)]
pub(super) struct Events {
    /// Time between two statistics
    #[arg(long, default_value = "5s", value_parser = interval)]
    interval: Duration,
    /// Print the statistics once
    #[arg(long)]
    stats: bool,
    /// Name of the container
    id: String,
}

/// How often, and after how long each, the count is looked at again after a notification that came before it.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn interval(text: &str) -> Result<Duration, String> {
    let nanoseconds = spec::duration::parse(text)?;
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) if nanoseconds > 0 => Ok(Duration::from_nanos(nanoseconds)),
        _ => Err("duration interval must be greater than 0".to_owned()),
    }
}

impl Events {
    pub(super) fn run(self, store: &Store) -> Result<()> {
        let state = store.load(&self.id)?;
        let stopped = || Error::WrongState { action: "watch", state: "stopped" };
        if store.status(&state)? == Status::Stopped {
            return Err(stopped());
        }
        let missing = || Error::Cgroup(cgroup::Error::NotFound(state.cgroup.clone().unwrap_or_default()));
        let group = state.cgroup()?.ok_or_else(missing)?;
        if self.stats {
            return self.tell("stats", Some(shown(&group.stats()?)));
        }
        let process = state.pidfd()?.ok_or_else(stopped)?;
        let watch = group.oom_watch()?;
        let mut kills = group.oom_kills()?;
        let mut next = Instant::now() + self.interval;
        let mut looks = 0;
        loop {
            let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
            fds.extend(watch.as_ref().map(|watch| PollFd::from_borrowed_fd(watch.as_fd(), interest(watch))));
            let left = next.saturating_duration_since(Instant::now());
            let left = if looks > 0 { left.min(LOOK_AGAIN) } else { left };
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Err(Errno::INTR) => continue,
                result => result.at(|| "wait for events")?,
            };
            let ended = !fds[0].revents().is_empty();
            let woken = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            if let Some(watch) = &watch {
                let count = watch.count()?;
                for _ in kills..count {
                    self.tell("oom", None)?;
                }
                // v1 tells of the lack before it kills: the count follows.
                looks = match (count > kills, woken) {
                    (true, _) => 0,
                    (false, true) => LOOKS,
                    (false, false) => u32::saturating_sub(looks, 1),
                };
                kills = kills.max(count);
            }
            if ended {
                return Ok(());
            }
            if Instant::now() >= next {
                next += self.interval;
                self.tell_stats(&group)?;
            }
        }
    }

    /// Nothing if the container has just been deleted.
    fn tell_stats(&self, group: &Cgroup) -> Result<()> {
        match group.stats() {
            Err(_) if !group.exists() => Ok(()),
            result => self.tell("stats", Some(shown(&result?))),
        }
    }

    fn tell(&self, kind: &str, data: Option<Value>) -> Result<()> {
        let mut event = json!({"type": kind, "id": self.id});
        if let Some(data) = data {
            event["data"] = data;
        }
        out::line(&event.to_string())
    }
}

fn interest(watch: &OomWatch) -> PollFlags {
    match watch.interest() {
        Interest::Readable => PollFlags::IN,
        Interest::Priority => PollFlags::PRI,
    }
}

/// The names of runc's `types.Stats`, which others parse.
fn shown(stats: &Stats) -> Value {
    let (cpu, memory) = (&stats.cpu, &stats.memory);
    let raw = |name: &str| memory.stats.get(name).copied().unwrap_or(0);
    let cache = if memory.v2 { raw("file") } else { raw("cache") };
    let hugetlb: Map<String, Value> = stats
        .hugetlb
        .iter()
        .map(|(size, pages)| {
            let pages = json!({"usage": pages.usage, "max": pages.max_usage, "failcnt": pages.failcnt});
            (size.clone(), pages)
        })
        .collect();
    json!({
        "cpu": {
            "usage": {"total": cpu.total, "percpu": cpu.per_cpu, "kernel": cpu.system, "user": cpu.user},
            "throttling": {
                "periods": cpu.throttling.periods,
                "throttledPeriods": cpu.throttling.throttled_periods,
                "throttledTime": cpu.throttling.throttled_time
            }
        },
        "cpuset": {},
        "memory": {
            "cache": cache,
            "usage": {
                "limit": memory.limit, "usage": memory.usage, "max": memory.max_usage, "failcnt": memory.failcnt
            },
            "swap": {
                "limit": memory.swap_limit, "usage": memory.usage.saturating_add(memory.swap), "max": 0, "failcnt": 0
            },
            "kernel": {"limit": 0, "failcnt": 0},
            "kernelTCP": {"limit": 0, "failcnt": 0},
            "raw": memory.stats
        },
        "pids": {"current": stats.pids.current, "limit": stats.pids.limit},
        "blkio": {
            "ioServiceBytesRecursive": transfers(&stats.blkio.service_bytes),
            "ioServicedRecursive": transfers(&stats.blkio.serviced)
        },
        "hugetlb": hugetlb,
        "intel_rdt": {},
        "network_interfaces": null
    })
}

fn transfers(entries: &[BlkioEntry]) -> Value {
    let entry =
        |entry: &BlkioEntry| json!({"major": entry.major, "minor": entry.minor, "op": entry.op, "value": entry.value});
    entries.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_gos() {
        assert_eq!(interval("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
        for text in ["0s", "-1s", "5", ""] {
            assert!(interval(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn statistics_have_runcs_names() {
        let mut stats = Stats::default();
        stats.cpu.total = 7;
        stats.memory.stats.insert("cache".to_owned(), 9);
        let shown = shown(&stats);
        assert_eq!(shown["cpu"]["usage"]["total"], 7);
        assert_eq!(shown["memory"]["cache"], 9);
        assert_eq!(shown["memory"]["raw"]["cache"], 9);
    }
}
