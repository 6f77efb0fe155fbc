//! The whole life of groups on this machine's real hierarchies. Needs root; says so and passes otherwise.

use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgroup::{Access, Cgroup, Controller, Cpu, DeviceRule, DeviceType, Freezer, Hierarchy, Interest, Limits, Memory};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A group of this test's own that is removed whatever happens.
struct Own(Cgroup);

impl Drop for Own {
    fn drop(&mut self) {
        if let Err(error) = self.0.delete() {
            eprintln!("left behind: {error}");
        }
        self.0.delete_empty_parents();
    }
}

fn group(name: &str) -> Option<Own> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let hierarchy = match Hierarchy::detect() {
        Ok(hierarchy) => hierarchy,
        Err(error) => {
            eprintln!("skipped: {error}");
            return None;
        }
    };
    let path = format!("/sampan-test-{}/{name}", std::process::id());
    Some(Own(Cgroup::create(&hierarchy, &path).expect("make the group")))
}

/// Runs a shell command that enters the group by itself before it does anything.
fn run(group: &Cgroup, script: &str) -> Child {
    let enter: Vec<String> =
        group.dirs().iter().map(|dir| format!("echo $$ > {}/cgroup.procs", dir.display())).collect();
    Command::new("/bin/sh")
        .args(["-c", &format!("{}; {script}", enter.join(" && "))])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start a shell")
}

fn until(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn memory_limit_kills_and_the_kill_is_counted_after_death() {
    let Some(own) = group("oom") else { return };
    let limit = 16 << 20;
    let memory = Memory { limit: Some(limit), swap: Some(limit), ..Memory::default() };
    own.0.apply(&Limits { memory, ..Limits::default() }).unwrap();
    let watch = own.0.oom_watch().unwrap().expect("a memory controller");
    let mut child = run(&own.0, "head -c 134217728 /dev/zero | tail -c 67108864 > /dev/null");
    let flags = match watch.interest() {
        Interest::Readable => PollFlags::IN,
        Interest::Priority => PollFlags::PRI,
    };
    let mut fds = [PollFd::from_borrowed_fd(watch.as_fd(), flags)];
    let ten_seconds = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&ten_seconds)).unwrap(), 1, "no notification");
    let status = child.wait().unwrap();
    assert!(!status.success(), "{status:?}");
    assert_eq!(watch.count().unwrap(), 1);
    assert_eq!(own.0.oom_kills().unwrap(), 1);
    assert_eq!(own.0.stats().unwrap().memory.limit, limit as u64);
}

#[test]
fn limits_rise_and_fall_in_any_order() {
    let Some(own) = group("order") else { return };
    for bytes in [64 << 20, 16 << 20, 256 << 20, 32 << 20, -1, 64 << 20] {
        let memory = Memory { limit: Some(bytes), swap: Some(bytes), ..Memory::default() };
        own.0.apply(&Limits { memory, ..Limits::default() }).unwrap();
    }
    for (quota, period) in [(50_000, 100_000), (5_000, 10_000), (400_000, 1_000_000), (-1, 100_000)] {
        let cpu = Cpu { quota: Some(quota), period: Some(period), ..Cpu::default() };
        own.0.apply(&Limits { cpu, ..Limits::default() }).unwrap();
    }
}

#[test]
fn quota_holds_and_is_seen_in_the_statistics() {
    let Some(own) = group("cpu") else { return };
    let cpu = Cpu { quota: Some(20_000), period: Some(100_000), ..Cpu::default() };
    own.0.apply(&Limits { cpu, ..Limits::default() }).unwrap();
    let mut child = run(&own.0, "while :; do :; done");
    std::thread::sleep(Duration::from_millis(200));
    let before = own.0.stats().unwrap().cpu.total;
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(1000));
    let stats = own.0.stats().unwrap();
    let share = (stats.cpu.total - before) as f64 / start.elapsed().as_nanos() as f64;
    own.0.kill_all().unwrap();
    child.wait().unwrap();
    assert!(share < 0.26, "used {share:.2} of a processor, allowed 0.20");
    assert!(stats.cpu.throttling.throttled_periods > 0, "{stats:?}");
    assert!(stats.cpu.throttling.throttled_time > 0, "{stats:?}");
}

#[test]
fn forks_past_the_limit_fail() {
    let Some(own) = group("pids") else { return };
    own.0.apply(&Limits { pids: Some(4), ..Limits::default() }).unwrap();
    let script = "i=0; while [ $i -lt 8 ]; do sleep 30 & i=$((i+1)); done; wait";
    let mut child = run(&own.0, script);
    until("a refused fork", || own.0.stats().unwrap().pids.failures > 0);
    let stats = own.0.stats().unwrap();
    assert!(stats.pids.current <= 4, "{stats:?}");
    assert_eq!(stats.pids.limit, 4);
    own.0.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn frozen_processes_stand_still_and_can_be_killed() {
    let Some(own) = group("freeze") else { return };
    let mut child = run(&own.0, "while :; do :; done");
    until("the shell in the group", || own.0.pids().unwrap().len() == 1);
    own.0.freeze().unwrap();
    assert_eq!(own.0.freezer().unwrap(), Freezer::Frozen);
    let before = own.0.stats().unwrap().cpu.total;
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(own.0.stats().unwrap().cpu.total, before);
    own.0.thaw().unwrap();
    assert_eq!(own.0.freezer().unwrap(), Freezer::Thawed);
    own.0.freeze().unwrap();
    own.0.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn devices_are_denied_but_the_allowed_ones() {
    let Some(own) = group("devices") else { return };
    let null = DeviceRule { allow: true, kind: DeviceType::Char, major: Some(1), minor: Some(3), access: Access::ALL };
    let devices = vec![DeviceRule::DENY_ALL, null];
    own.0.apply(&Limits { devices, ..Limits::default() }).unwrap();
    let script = "head -c 1 /dev/zero >/dev/null 2>&1; z=$?; head -c 1 /dev/null; echo zero $z null $?";
    let output = run(&own.0, script).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "zero 1 null 0\n");
}

#[test]
fn deletion_takes_nested_groups_and_living_processes() {
    let Some(own) = group("delete") else { return };
    let hierarchy = own.0.hierarchy().clone();
    let nested = Cgroup::create(&hierarchy, &format!("{}/a/b", own.0.path())).unwrap();
    let mut child = run(&nested, "sleep 100 & sleep 100 & wait");
    until("three processes", || own.0.pids().unwrap().len() == 3);
    // Reaped elsewhere, as the runtime's caller does.
    let reaper = std::thread::spawn(move || child.wait());
    own.0.delete().unwrap();
    assert!(!own.0.exists() && !nested.exists());
    own.0.delete().expect("twice is fine");
    reaper.join().unwrap().unwrap();
}

#[test]
fn what_the_host_lacks_is_refused_by_name() {
    let Some(own) = group("lacks") else { return };
    let hierarchy = own.0.hierarchy();
    if !hierarchy.has(Controller::Rdma) {
        let mut limits = Limits::default();
        limits.rdma.insert("mlx5_0".to_owned(), cgroup::RdmaLimit::default());
        let error = own.0.apply(&limits).unwrap_err().to_string();
        assert!(error.contains("rdma cgroup controller is not available"), "{error}");
    }
    let limits = Limits { cpu: Cpu { cpus: Some("4000".into()), ..Cpu::default() }, ..Limits::default() };
    let error = own.0.apply(&limits).unwrap_err().to_string();
    assert!(error.contains("cpuset.cpus"), "{error}");
}

#[test]
fn absent_groups_are_not_opened() {
    let Ok(hierarchy) = Hierarchy::detect() else {
        return;
    };
    let error = Cgroup::open(&hierarchy, "/sampan-test-none/x").unwrap_err();
    assert_eq!(error.to_string(), "cgroup /sampan-test-none/x does not exist");
}

#[test]
fn a_process_enters_by_itself() {
    use std::io::Write;
    let Some(own) = group("entry") else { return };
    let entry = own.0.entry().unwrap();
    // A thread of its own, which is alone in the groups afterwards; the test's process stays where it is.
    let before = own.0.pids().unwrap();
    let thread = std::thread::spawn(move || {
        for mut file in entry.tasks {
            file.write_all(b"0").unwrap();
        }
        std::fs::read_to_string("/proc/thread-self/cgroup").unwrap()
    });
    let groups = thread.join().unwrap();
    assert_eq!(before, []);
    let v1 = own.0.hierarchy().v1_mounts().len();
    assert_eq!(groups.lines().filter(|line| line.ends_with(own.0.path())).count(), v1, "{groups}");
}

#[test]
fn pruning_takes_what_is_empty_and_nothing_else() {
    let Some(own) = group("prune") else { return };
    let hierarchy = own.0.hierarchy();
    let beneath = format!("{}/a/b", own.0.path());
    let other = format!("{}/a/c", own.0.path());
    for path in [&beneath, &other] {
        Cgroup::create(hierarchy, path).unwrap();
    }
    hierarchy.prune(&beneath);
    assert!(Cgroup::open(hierarchy, &beneath).is_err());
    assert!(Cgroup::open(hierarchy, &other).unwrap().exists());
    hierarchy.prune("../../etc");
    hierarchy.prune(&other);
    assert!(Cgroup::open(hierarchy, &format!("{}/a", own.0.path())).is_err());
}
