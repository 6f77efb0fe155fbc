//! Memory, processor, block device and huge page limits as v1 spells them, and the choice between v1 and v2.

use super::{OnFailure, Place, Planner};
use crate::error::{Error, Result};
use crate::hierarchy::Controller;
use crate::limits::{BlockIo, Cpu, DeviceRate, HugepageLimit, Memory};

const NO_SWAP_LIMIT: &str =
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.";
const NO_KERNEL_MEMORY: &str = "Your kernel does not support kernel memory limit capabilities. Limitation discarded.";
const NO_WEIGHT: &str = "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.";
const NO_WEIGHT_DEVICE: &str =
    "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.";

impl Planner<'_> {
    pub(super) fn memory(&mut self, memory: &Memory) -> Result<()> {
        let wanted = Memory { check_before_update: false, ..memory.clone() };
        if wanted == Memory::default() {
            return Ok(());
        }
        match self.place(Controller::Memory, "memory")? {
            Place::V2 => self.memory_v2(memory),
            place => self.memory_v1(place, memory),
        }
    }

    fn memory_v1(&mut self, place: Place, memory: &Memory) -> Result<()> {
        self.memory_and_swap(place, memory);
        if let Some(reservation) = memory.reservation.filter(|&bytes| bytes != 0) {
            self.write(place, "memory.soft_limit_in_bytes", reservation);
        }
        if memory.kernel.is_some_and(|bytes| bytes > 0) {
            self.warn(NO_KERNEL_MEMORY);
        }
        if let Some(bytes) = memory.kernel_tcp.filter(|&bytes| bytes != 0) {
            self.write(place, "memory.kmem.tcp.limit_in_bytes", bytes);
        }
        if let Some(swappiness) = memory.swappiness {
            self.write(place, "memory.swappiness", swappiness);
        }
        if let Some(disable) = memory.disable_oom_killer {
            self.write(place, "memory.oom_control", u8::from(disable));
        }
        Ok(())
    }

    /// The kernel demands memory <= memory and swap after every single write, so a rising pair is written from
    /// above and a falling one from below.
    fn memory_and_swap(&mut self, place: Place, memory: &Memory) {
        let limit = memory.limit.filter(|&bytes| bytes != 0);
        let mut swap = memory.swap.filter(|&bytes| bytes != 0);
        let accounted = self.current.memory_and_swap.is_some();
        if limit == Some(-1) && swap.is_none() && accounted {
            swap = Some(-1); // no limit on memory makes sense only without one on the sum
        }
        let write_limit = |this: &mut Self| {
            if let Some(bytes) = limit {
                let failure = OnFailure::MemoryLimit(bytes);
                this.write_or(place, "memory.limit_in_bytes", bytes, failure);
            }
        };
        let write_swap = |this: &mut Self| {
            if let Some(bytes) = swap {
                let failure = OnFailure::WarnIfAbsent(NO_SWAP_LIMIT);
                this.write_or(place, "memory.memsw.limit_in_bytes", bytes, failure);
            }
        };
        let now = self.current.memory_and_swap.unwrap_or(u64::MAX);
        let rises = swap.is_some_and(|bytes| bytes < 0 || bytes.unsigned_abs() > now);
        if rises {
            write_swap(self);
            write_limit(self);
        } else {
            write_limit(self);
            write_swap(self);
        }
    }

    pub(super) fn cpu(&mut self, cpu: &Cpu) -> Result<()> {
        let Cpu { cpus: _, mems: _, .. } = cpu;
        let wanted = Cpu { cpus: None, mems: None, ..cpu.clone() };
        if wanted == Cpu::default() {
            return Ok(());
        }
        match self.place(Controller::Cpu, "processor time")? {
            Place::V2 => self.cpu_v2(cpu),
            place => self.cpu_v1(place, cpu),
        }
    }

    fn cpu_v1(&mut self, place: Place, cpu: &Cpu) -> Result<()> {
        if let Some(idle) = cpu.idle {
            self.write(place, "cpu.idle", idle);
        }
        if let Some(shares) = cpu.shares.filter(|&shares| shares != 0) {
            self.write(place, "cpu.shares", shares);
        }
        if let Some(period) = cpu.period.filter(|&period| period != 0) {
            // May contradict the old quota as long as the new one is not written.
            self.write_or(place, "cpu.cfs_period_us", period, OnFailure::RetryLast);
        }
        if let Some(quota) = cpu.quota.filter(|&quota| quota != 0) {
            self.write_or(place, "cpu.cfs_quota_us", quota, OnFailure::RetryLast);
        }
        if let Some(burst) = cpu.burst {
            self.write_or(place, "cpu.cfs_burst_us", burst, OnFailure::RetryLast);
        }
        if let Some(period) = cpu.realtime_period.filter(|&period| period != 0) {
            self.write_or(place, "cpu.rt_period_us", period, OnFailure::RetryLast);
        }
        if let Some(runtime) = cpu.realtime_runtime.filter(|&runtime| runtime != 0) {
            self.write_or(place, "cpu.rt_runtime_us", runtime, OnFailure::RetryLast);
        }
        Ok(())
    }

    pub(super) fn blkio(&mut self, blkio: &BlockIo) -> Result<()> {
        if *blkio == BlockIo::default() {
            return Ok(());
        }
        match self.place(Controller::Blkio, "block IO")? {
            Place::V2 => self.blkio_v2(blkio),
            place => self.blkio_v1(place, blkio),
        }
    }

    fn blkio_v1(&mut self, place: Place, blkio: &BlockIo) -> Result<()> {
        if let Some(weight) = blkio.weight.filter(|&weight| weight != 0) {
            let failure = OnFailure::WarnIfAbsent(NO_WEIGHT);
            self.write_or(place, "blkio.bfq.weight", weight, failure);
        }
        if blkio.leaf_weight.is_some_and(|weight| weight != 0) {
            self.warn(NO_WEIGHT); // went away with the CFQ scheduler in Linux 5.0
        }
        for device in &blkio.weight_device {
            if let Some(weight) = device.weight {
                let value = format!("{}:{} {weight}", device.major, device.minor);
                let failure = OnFailure::WarnIfAbsent(NO_WEIGHT_DEVICE);
                self.write_or(place, "blkio.bfq.weight_device", value, failure);
            }
        }
        let throttles: [(&str, &[DeviceRate]); 4] = [
            ("blkio.throttle.read_bps_device", &blkio.read_bps),
            ("blkio.throttle.write_bps_device", &blkio.write_bps),
            ("blkio.throttle.read_iops_device", &blkio.read_iops),
            ("blkio.throttle.write_iops_device", &blkio.write_iops),
        ];
        for (file, rates) in throttles {
            for rate in rates {
                self.write(place, file, format!("{}:{} {}", rate.major, rate.minor, rate.rate));
            }
        }
        Ok(())
    }

    pub(super) fn hugepages(&mut self, limits: &[HugepageLimit]) -> Result<()> {
        for limit in limits {
            let size = &limit.page_size;
            if size.is_empty() || !size.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(Error::InvalidValue { limit: "huge page size", value: size.clone() });
            }
            let place = self.place(Controller::Hugetlb, "huge pages")?;
            let (file, reserved) = match place {
                Place::V2 => (format!("hugetlb.{size}.max"), format!("hugetlb.{size}.rsvd.max")),
                Place::V1(_) => {
                    (format!("hugetlb.{size}.limit_in_bytes"), format!("hugetlb.{size}.rsvd.limit_in_bytes"))
                }
            };
            self.write(place, file, limit.limit);
            self.write_or(place, reserved, limit.limit, OnFailure::SkipIfAbsent);
        }
        Ok(())
    }
}
