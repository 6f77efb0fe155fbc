//! Resource usage: readings of the control group, the network devices and the host.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::Engine;
use crate::error::Result;
use crate::model::stats::{NetworkCounters, Reading, Stats};
use crate::model::stream::StatsStream;
use crate::record::Record;

const INTERVAL: Duration = Duration::from_secs(1);
/// Ticks of the kernel's clock per second, as /proc counts.
const TICKS: u64 = 100;

impl Engine {
    /// `one_shot` gives one reading at once, without the one before; not `stream` gives one complete reading.
    pub async fn stats(&self, container: &str, stream: bool, one_shot: bool) -> Result<StatsStream> {
        let handle = self.inner.containers.find(container)?;
        let (send, receive) = mpsc::channel(1);
        let engine = self.clone();
        let mut live = handle.live.clone();
        tokio::spawn(async move {
            let mut previous: Option<Reading> = None;
            let mut next = tokio::time::Instant::now();
            loop {
                let (record, removed) = {
                    let live = live.borrow_and_update();
                    (live.record.clone(), live.removed)
                };
                if removed {
                    return;
                }
                let reading = engine.reading(&record).await;
                // A complete reading needs the one a second before it.
                let complete = previous.is_some() || reading.is_none() || stream || one_shot;
                if complete {
                    let stats = Stats {
                        id: record.id.clone(),
                        name: record.name.clone(),
                        reading: reading.clone(),
                        previous: previous.take().filter(|_| reading.is_some()),
                    };
                    if send.send(stats).await.is_err() || !stream {
                        return;
                    }
                }
                previous = reading;
                next += INTERVAL;
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = send.closed() => return,
                }
            }
        });
        Ok(StatsStream(receive))
    }

    /// Counters now; `None` when nothing runs.
    async fn reading(&self, record: &Record) -> Option<Reading> {
        let pid = record.state.pid()?;
        let cgroup = match self.inner.supervisor.stats(&record.id).await {
            Ok(stats) => stats,
            Err(error) => {
                tracing::debug!(container = record.id, %error, "no statistics");
                return None;
            }
        };
        let networks = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        Some(Reading {
            time: Timestamp::now(),
            cgroup,
            networks: devices(&networks),
            system_cpu: system_cpu(&stat),
            online_cpus: self.inner.facts.cpus,
            host_memory: self.inner.facts.memory,
        })
    }
}

/// Text of `/proc/<pid>/net/dev`, without loopback.
pub(crate) fn devices(text: &str) -> BTreeMap<String, NetworkCounters> {
    let mut devices = BTreeMap::new();
    for line in text.lines().skip(2) {
        let Some((name, numbers)) = line.split_once(':') else {
            continue;
        };
        let name = name.trim();
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|it| it.parse().ok()).collect();
        if let (
            false,
            [rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, tx_bytes, tx_packets, tx_errors, tx_dropped, ..],
        ) = (name == "lo", numbers.as_slice())
        {
            devices.insert(
                name.to_owned(),
                NetworkCounters {
                    rx_bytes: *rx_bytes,
                    rx_packets: *rx_packets,
                    rx_errors: *rx_errors,
                    rx_dropped: *rx_dropped,
                    tx_bytes: *tx_bytes,
                    tx_packets: *tx_packets,
                    tx_errors: *tx_errors,
                    tx_dropped: *tx_dropped,
                },
            );
        }
    }
    devices
}

/// Nanoseconds of all processors together: the first seven fields of `cpu` in `/proc/stat`, as docker counts.
fn system_cpu(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: u64 = line.unwrap_or_default().split_whitespace().take(7).filter_map(|it| it.parse::<u64>().ok()).sum();
    ticks * (1_000_000_000 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        let text = "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 0 1 0 0 0 0 20 3 0 0 0 0 0 0\n";
        let devices = devices(text);
        assert_eq!(devices.len(), 1);
        assert_eq!((devices["eth0"].rx_bytes, devices["eth0"].tx_packets, devices["eth0"].rx_dropped), (10, 3, 1));
        assert_eq!(system_cpu("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\n"), 28 * 10_000_000);
    }
}
