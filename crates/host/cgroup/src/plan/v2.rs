//! Memory, processor and block device limits as v2 spells them.

use super::{OnFailure, Place, Planner};
use crate::error::{Error, Result};
use crate::limits::{BlockIo, Cpu, DeviceRate, Memory};

const NO_SWAP_LIMIT: &str =
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.";
const NO_SWAPPINESS: &str = "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.";
const NO_OOM_DISABLE: &str = "Your kernel does not support OomKillDisable. OomKillDisable discarded.";
const NO_KERNEL_MEMORY: &str = "Your kernel does not support kernel memory limit capabilities. Limitation discarded.";
const NO_WEIGHT: &str = "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.";
const NO_WEIGHT_DEVICE: &str =
    "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.";

impl Planner<'_> {
    pub(super) fn memory_v2(&mut self, memory: &Memory) -> Result<()> {
        let limit = memory.limit.filter(|&bytes| bytes != 0);
        if let Some(swap) = self.swap_v2(memory, limit)? {
            let failure = OnFailure::WarnIfAbsent(NO_SWAP_LIMIT);
            self.write_or(Place::V2, "memory.swap.max", swap, failure);
        }
        if let Some(bytes) = limit {
            let failure = OnFailure::MemoryLimit(bytes);
            self.write_or(Place::V2, "memory.max", bytes_or_max(bytes), failure);
        }
        if let Some(reservation) = memory.reservation.filter(|&bytes| bytes != 0) {
            self.write(Place::V2, "memory.low", bytes_or_max(reservation));
        }
        if memory.swappiness.is_some() {
            self.warn(NO_SWAPPINESS);
        }
        if memory.disable_oom_killer == Some(true) {
            self.warn(NO_OOM_DISABLE);
        }
        if memory.kernel.is_some_and(|bytes| bytes > 0) {
            self.warn(NO_KERNEL_MEMORY);
        }
        if memory.kernel_tcp.is_some_and(|bytes| bytes > 0) {
            self.warn(NO_KERNEL_MEMORY);
        }
        Ok(())
    }

    /// v2 limits swap by itself, the specification memory and swap together.
    fn swap_v2(&self, memory: &Memory, limit: Option<i64>) -> Result<Option<String>> {
        let swap = memory.swap.filter(|&bytes| bytes != 0);
        match (swap, limit) {
            (None, Some(-1)) => Ok(Some("max".to_owned())),
            (None, _) => Ok(None),
            (Some(swap), _) if swap < 0 => Ok(Some("max".to_owned())),
            (Some(swap), limit) => {
                let known = || self.current.memory.and_then(|bytes| i64::try_from(bytes).ok());
                let memory = limit.filter(|&bytes| bytes > 0).or_else(known);
                let memory = memory.ok_or_else(|| Error::InvalidValue {
                    limit: "memory and swap (needs a memory limit too)",
                    value: swap.to_string(),
                })?;
                if swap < memory {
                    return Err(Error::InvalidValue {
                        limit: "memory and swap (must not be below the memory limit)",
                        value: swap.to_string(),
                    });
                }
                Ok(Some((swap - memory).to_string()))
            }
        }
    }

    pub(super) fn cpu_v2(&mut self, cpu: &Cpu) -> Result<()> {
        if let Some(idle) = cpu.idle {
            self.write(Place::V2, "cpu.idle", idle);
        }
        if let Some(shares) = cpu.shares.filter(|&shares| shares != 0) {
            self.write(Place::V2, "cpu.weight", weight_of_shares(shares));
        }
        let quota = cpu.quota.filter(|&quota| quota != 0);
        let period = cpu.period.filter(|&period| period != 0);
        if quota.is_some() || period.is_some() {
            let quota = match quota {
                Some(quota) if quota > 0 => quota.to_string(),
                Some(_) => "max".to_owned(),
                None => self.current.cpu_quota.clone().unwrap_or_else(|| "max".to_owned()),
            };
            let value = match period {
                Some(period) => format!("{quota} {period}"),
                None => quota,
            };
            self.write_or(Place::V2, "cpu.max", value, OnFailure::RetryLast);
        }
        if let Some(burst) = cpu.burst {
            self.write_or(Place::V2, "cpu.max.burst", burst, OnFailure::RetryLast);
        }
        let realtime = cpu.realtime_period.filter(|&period| period != 0).is_some()
            || cpu.realtime_runtime.filter(|&runtime| runtime != 0).is_some();
        if realtime {
            return Err(Error::Unsupported {
                limit: "real-time processor time".to_owned(),
                reason: "cgroup v2 has no such limit",
            });
        }
        Ok(())
    }

    pub(super) fn blkio_v2(&mut self, blkio: &BlockIo) -> Result<()> {
        if let Some(weight) = blkio.weight.filter(|&weight| weight != 0) {
            let failure = OnFailure::WarnIfAbsent(NO_WEIGHT);
            self.write_or(Place::V2, "io.weight", io_weight(weight), failure);
        }
        if blkio.leaf_weight.is_some_and(|weight| weight != 0) {
            self.warn(NO_WEIGHT);
        }
        for device in &blkio.weight_device {
            if let Some(weight) = device.weight {
                let value = format!("{}:{} {}", device.major, device.minor, io_weight(weight));
                let failure = OnFailure::WarnIfAbsent(NO_WEIGHT_DEVICE);
                self.write_or(Place::V2, "io.weight", value, failure);
            }
        }
        let throttles: [(&str, &[DeviceRate]); 4] = [
            ("rbps", &blkio.read_bps),
            ("wbps", &blkio.write_bps),
            ("riops", &blkio.read_iops),
            ("wiops", &blkio.write_iops),
        ];
        for (key, rates) in throttles {
            for rate in rates {
                let value = if rate.rate == 0 { "max".to_owned() } else { rate.rate.to_string() };
                let value = format!("{}:{} {key}={value}", rate.major, rate.minor);
                self.write(Place::V2, "io.max", value);
            }
        }
        Ok(())
    }
}

fn bytes_or_max(bytes: i64) -> String {
    if bytes < 0 { "max".to_owned() } else { bytes.to_string() }
}

/// v1's shares (2 to 262144, usually 1024) as v2's weight (1 to 10000, usually 100).
///
/// A parabola in the logarithms through (2, 1), (1024, 100) and (262144, 10000), so that the usual value stays
/// the usual value; a straight line would turn 1024 into 39. Newer runc and crun do the same.
pub(crate) fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

/// v1's block IO weight (10 to 1000) as v2's (1 to 10000).
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9_999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_shares_are_the_usual_weight() {
        assert_eq!([2, 1024, 262_144, 0, 1 << 40].map(weight_of_shares), [1, 100, 10_000, 1, 10_000]);
    }

    #[test]
    fn weights_of_block_io_keep_their_ends() {
        assert_eq!([10, 1000].map(io_weight), [1, 10_000]);
    }
}
