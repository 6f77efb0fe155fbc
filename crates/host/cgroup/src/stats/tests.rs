//! Readings from files as the kernel writes them.

use std::fs;
use std::path::Path;

use super::*;
use crate::hierarchy::Hierarchy;

/// A v2 tree of plain files with one group.
fn fake(files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cgroup.controllers"), "cpu io memory pids hugetlb\n").unwrap();
    fs::write(dir.path().join("cgroup.subtree_control"), "cpu io memory pids hugetlb\n").unwrap();
    fs::create_dir(dir.path().join("x")).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join("x").join(name), text).unwrap();
    }
    let hierarchy = Hierarchy::v2_at(dir.path()).unwrap();
    let group = Cgroup::open(&hierarchy, "/x").unwrap();
    (dir, group)
}

#[test]
fn v2_readings() {
    let (_dir, group) = fake(&[
        ("cpu.stat", "usage_usec 7\nuser_usec 5\nsystem_usec 2\nnr_periods 4\nnr_throttled 3\nthrottled_usec 9\n"),
        ("memory.current", "4096\n"),
        ("memory.max", "max\n"),
        ("memory.events", "low 0\nhigh 0\nmax 8\noom 2\noom_kill 1\noom_group_kill 0\n"),
        ("memory.stat", "anon 1\nfile 2\ninactive_file 3\n"),
        ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n"),
        ("pids.current", "3\n"),
        ("pids.max", "50\n"),
        ("pids.events", "max 6\n"),
        ("hugetlb.2MB.current", "2097152\n"),
        ("hugetlb.2MB.events", "max 1\n"),
        ("hugetlb.2MB.rsvd.current", "0\n"),
    ]);
    let stats = group.stats().unwrap();
    assert_eq!((stats.cpu.total, stats.cpu.user, stats.cpu.system), (7000, 5000, 2000));
    assert_eq!(stats.cpu.throttling, Throttling { periods: 4, throttled_periods: 3, throttled_time: 9000 });
    assert_eq!((stats.memory.usage, stats.memory.limit, stats.memory.failcnt), (4096, u64::MAX, 2));
    assert_eq!((stats.memory.oom_kills, stats.memory.stats["inactive_file"]), (1, 3));
    let ops: Vec<(&str, u64)> =
        stats.blkio.service_bytes.iter().map(|entry| (entry.op.as_str(), entry.value)).collect();
    assert_eq!(ops, [("read", 10), ("write", 20)]);
    assert_eq!(stats.pids, PidsStats { current: 3, limit: 50, failures: 6 });
    assert_eq!(stats.hugetlb["2MB"], HugetlbStats { usage: 2 << 20, max_usage: 0, failcnt: 1 });
    assert_eq!(stats.hugetlb.len(), 1);
}

#[test]
fn absent_files_leave_their_part_empty() {
    let (_dir, group) = fake(&[]);
    let stats = group.stats().unwrap();
    assert_eq!((stats.cpu.total, stats.memory.limit, stats.pids.limit), (0, u64::MAX, 0));
}

#[test]
fn v1_block_devices_come_without_the_sum() {
    let text = "8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n";
    let entries = v1::parse_blkio(text);
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[0], BlkioEntry { major: 8, minor: 0, op: "Read".into(), value: 4096 });
}

#[test]
fn odd_lines_are_passed_over() {
    assert_eq!(v2::parse_io_stat("x y\n8:0 rbytes=a foo\n"), (vec![], vec![]));
    assert!(v1::parse_blkio("8:0\n8:x Read 1\n\n").is_empty());
    assert!(!Path::new("/nonexistent").exists());
}
