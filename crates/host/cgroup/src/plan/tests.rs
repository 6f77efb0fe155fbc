//! Plans for v1 and v2, as the lines that would be written.

use std::fs;

use super::*;
use crate::limits::{BlockIo, Cpu, DeviceRate, HugepageLimit, Memory};

fn v1() -> Hierarchy {
    let controllers = ["cpu", "cpuset", "memory", "devices", "blkio", "pids", "hugetlb"];
    let line = |name: &&str| format!("1 1 0:1 / /cg/{name} rw - cgroup cgroup rw,{name}\n");
    Hierarchy::from_mountinfo(&controllers.iter().map(line).collect::<String>()).unwrap()
}

fn v2() -> Hierarchy {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cgroup.controllers"), "cpuset cpu io memory hugetlb pids\n").unwrap();
    Hierarchy::v2_at(dir.path()).unwrap()
}

fn lines(hierarchy: &Hierarchy, limits: &Limits, current: &Current) -> Vec<String> {
    let plan = compute(hierarchy, limits, current).unwrap();
    plan.writes.iter().map(|write| format!("{} {}", write.file, write.value)).collect()
}

fn refused(hierarchy: &Hierarchy, limits: &Limits) -> String {
    compute(hierarchy, limits, &Current::default()).unwrap_err().to_string()
}

fn memory(limit: i64, swap: i64) -> Limits {
    let memory = Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() };
    Limits { memory, ..Limits::default() }
}

#[test]
fn no_limits_write_nothing() {
    for hierarchy in [v1(), v2()] {
        assert_eq!(compute(&hierarchy, &Limits::default(), &Current::default()).unwrap(), Plan::default());
    }
}

#[test]
fn v1_raises_from_above_and_lowers_from_below() {
    let at = |bytes| Current { memory_and_swap: Some(bytes), ..Current::default() };
    assert_eq!(
        lines(&v1(), &memory(100, 200), &at(50)),
        ["memory.memsw.limit_in_bytes 200", "memory.limit_in_bytes 100"],
    );
    assert_eq!(
        lines(&v1(), &memory(100, 200), &at(u64::MAX)),
        ["memory.limit_in_bytes 100", "memory.memsw.limit_in_bytes 200"],
    );
    let unlimited = Limits { memory: Memory { limit: Some(-1), ..Memory::default() }, ..Limits::default() };
    assert_eq!(lines(&v1(), &unlimited, &at(50)), ["memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes -1"],);
}

#[test]
fn v2_limits_swap_by_itself() {
    let none = Current::default();
    assert_eq!(lines(&v2(), &memory(100, 250), &none), ["memory.swap.max 150", "memory.max 100"]);
    assert_eq!(lines(&v2(), &memory(100, 100), &none), ["memory.swap.max 0", "memory.max 100"]);
    assert_eq!(lines(&v2(), &memory(100, -1), &none), ["memory.swap.max max", "memory.max 100"]);
    let swap_alone = Limits { memory: Memory { swap: Some(300), ..Memory::default() }, ..Limits::default() };
    let current = Current { memory: Some(100), ..Current::default() };
    assert_eq!(lines(&v2(), &swap_alone, &current), ["memory.swap.max 200"]);
}

#[test]
fn processor_limits_of_both_versions() {
    let cpu = Cpu {
        shares: Some(1024),
        quota: Some(50_000),
        period: Some(100_000),
        cpus: Some("0-1".into()),
        ..Cpu::default()
    };
    let limits = Limits { cpu, pids: Some(50), ..Limits::default() };
    let none = Current::default();
    assert_eq!(
        lines(&v1(), &limits, &none),
        ["cpu.shares 1024", "cpu.cfs_period_us 100000", "cpu.cfs_quota_us 50000", "cpuset.cpus 0-1", "pids.max 50"],
    );
    assert_eq!(
        lines(&v2(), &limits, &none),
        ["cpu.weight 100", "cpu.max 50000 100000", "cpuset.cpus 0-1", "pids.max 50"],
    );
}

#[test]
fn a_new_period_keeps_the_quota() {
    let limits = Limits { cpu: Cpu { period: Some(20_000), ..Cpu::default() }, ..Limits::default() };
    let current = Current { cpu_quota: Some("7000".into()), ..Current::default() };
    assert_eq!(lines(&v2(), &limits, &current), ["cpu.max 7000 20000"]);
}

#[test]
fn rates_of_block_devices() {
    let rate = |rate| vec![DeviceRate { major: 8, minor: 0, rate }];
    let blkio = BlockIo { read_bps: rate(1000), write_iops: rate(0), ..BlockIo::default() };
    let limits = Limits { blkio, ..Limits::default() };
    let none = Current::default();
    assert_eq!(
        lines(&v1(), &limits, &none),
        ["blkio.throttle.read_bps_device 8:0 1000", "blkio.throttle.write_iops_device 8:0 0"],
    );
    assert_eq!(lines(&v2(), &limits, &none), ["io.max 8:0 rbps=1000", "io.max 8:0 wiops=max"]);
}

#[test]
fn huge_pages_of_both_versions() {
    let limit = HugepageLimit { page_size: "2MB".into(), limit: 4 << 20 };
    let limits = Limits { hugepages: vec![limit], ..Limits::default() };
    assert_eq!(lines(&v1(), &limits, &Current::default())[0], "hugetlb.2MB.limit_in_bytes 4194304");
    assert_eq!(lines(&v2(), &limits, &Current::default())[0], "hugetlb.2MB.max 4194304");
}

#[test]
fn devices_are_files_on_v1_and_a_program_on_v2() {
    let limits = Limits { devices: vec![DeviceRule::DENY_ALL], ..Limits::default() };
    assert_eq!(lines(&v1(), &limits, &Current::default()), ["devices.deny a"]);
    let plan = compute(&v2(), &limits, &Current::default()).unwrap();
    assert_eq!((plan.writes.len(), plan.device_program), (0, vec![DeviceRule::DENY_ALL]));
}

#[test]
fn nothing_is_silently_not_limited() {
    let mut limits = Limits { network_class: Some(1), ..Limits::default() };
    assert_eq!(
        refused(&v2(), &limits),
        "the network class cannot be limited: the net_cls cgroup controller is not available on this host"
    );
    limits = Limits { cpu: Cpu { realtime_runtime: Some(1000), ..Cpu::default() }, ..Limits::default() };
    assert!(refused(&v2(), &limits).contains("real-time processor time is not supported"));
    limits = Limits::default();
    limits.unified.insert("memory.high".into(), "max".into());
    assert!(refused(&v1(), &limits).contains("needs cgroup v2"));
    limits.unified.insert("../cgroup.procs".into(), "1".into());
    assert!(refused(&v2(), &limits).contains("invalid value"));
    let swappiness = Memory { swappiness: Some(10), disable_oom_killer: Some(true), ..Memory::default() };
    let limits = Limits { memory: swappiness, ..Limits::default() };
    assert_eq!(compute(&v2(), &limits, &Current::default()).unwrap().warnings.len(), 2);
}

#[test]
fn impossible_values_are_refused() {
    assert!(refused(&v1(), &memory(200, 100)).contains("must not be below the memory limit"));
    let cpu = |quota, period| Limits { cpu: Cpu { quota, period, ..Cpu::default() }, ..Limits::default() };
    assert!(refused(&v1(), &cpu(Some(10), None)).contains("CPU quota"));
    assert!(refused(&v2(), &cpu(None, Some(10))).contains("CPU period"));
    let list = Cpu { cpus: Some("0;1".into()), ..Cpu::default() };
    assert!(refused(&v2(), &Limits { cpu: list, ..Limits::default() }).contains("invalid value"));
}
