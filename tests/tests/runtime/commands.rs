//! Commands and flags one by one, as runc has them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::Runtime;
use crate::life::receive;

/// A container that sleeps, without a limit but as `change` says.
fn sleeping(runtime: &Runtime, id: &str, change: impl FnOnce(&mut Value)) {
    let bundle = runtime.bundle(id, "sleep 1000", change).display().to_string();
    assert_eq!(runtime.detached(&["run", "-d", "-b", &bundle, id], "out"), 0, "{}", runtime.output("out"));
}

/// The first of some files in the container's control group that is there.
fn group_file(runtime: &Runtime, id: &str, names: &[&str]) -> String {
    let dirs: Vec<PathBuf> = runtime.groups().into_iter().map(|dir| dir.join(id)).collect();
    let files = names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    files.into_iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default().trim().to_owned()
}

#[test]
fn statistics_are_told_once_and_again_until_the_end() {
    let runtime = Runtime::new();
    sleeping(&runtime, "e1", |config| config["linux"]["resources"]["pids"] = json!({"limit": 17}));
    let once: Value = serde_json::from_str(&runtime.run(&["events", "--stats", "e1"]).ok()).expect("JSON");
    assert_eq!(once["type"], "stats");
    assert_eq!(once["id"], "e1");
    assert_eq!(once["data"]["pids"], json!({"current": 1, "limit": 17}));
    assert!(once["data"]["memory"]["usage"]["usage"].as_u64().is_some_and(|bytes| bytes > 0), "{once}");
    assert!(once["data"]["cpu"]["usage"]["total"].is_u64(), "{once}");

    let mut command = runtime.command(&["events", "--interval", "10ms", "e1"]);
    let mut events = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("start");
    let mut lines = BufReader::new(events.stdout.take().expect("piped")).lines();
    for _ in 0..3 {
        let line = lines.next().expect("one more").expect("a line");
        assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["type"], "stats");
    }
    runtime.run(&["kill", "e1", "KILL"]).ok();
    assert_eq!(events.wait().expect("its end").code(), Some(0));
    runtime.until("its end", || runtime.state("e1")["status"] == "stopped");
    assert!(runtime.run(&["events", "--stats", "e1"]).fails(1).contains("stopped"));
    assert!(runtime.run(&["events", "--interval", "0s", "e1"]).fails(1).contains("greater than 0"));
}

#[test]
fn a_lack_of_memory_is_an_event() {
    let runtime = Runtime::new();
    let command = "x=aaaaaaaa; while :; do x=$x$x; done";
    let bundle = runtime.bundle("hog", &format!("cat /tmp/go; sh -c '{command}'; sleep 1000"), |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 33554432, "swap": 33554432});
        config["root"]["readonly"] = json!(false);
    });
    // a named pipe holds it back until somebody listens
    let go = runtime.path("rootfs/tmp/go");
    rustix::fs::mknodat(rustix::fs::CWD, &go, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert_eq!(runtime.detached(&["run", "-d", "-b", &bundle.display().to_string(), "hog"], "out"), 0);
    let mut command = runtime.command(&["events", "--interval", "1h", "hog"]);
    let mut events = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("start");
    let mut lines = BufReader::new(events.stdout.take().expect("piped")).lines();
    // it counts from when it watches: its descriptor of the group's file tells
    runtime.until("events watches", || {
        let fds = fs::read_dir(format!("/proc/{}/fd", events.id())).into_iter().flatten().flatten();
        let names = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
        names.into_iter().any(|name| name.ends_with("memory.events") || name.to_string_lossy().contains("eventfd"))
    });
    fs::write(&go, "go").expect("write to the pipe");
    let line = lines.next().expect("an event").expect("a line");
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON"), json!({"type": "oom", "id": "hog"}));
    runtime.run(&["delete", "--force", "hog"]).ok();
    assert_eq!(events.wait().expect("its end").code(), Some(0));
}

#[test]
fn limits_are_changed_by_flags_and_by_a_file_and_remembered() {
    let runtime = Runtime::new();
    sleeping(&runtime, "u1", |_| {});
    runtime.run(&["update", "--memory", "64m", "--cpu-period", "50000", "--cpu-quota", "20000", "u1"]).ok();
    assert_eq!(group_file(&runtime, "u1", &["memory.limit_in_bytes", "memory.max"]), "67108864");
    let quota = group_file(&runtime, "u1", &["cpu.cfs_quota_us", "cpu.max"]);
    assert!(quota == "20000" || quota == "20000 50000", "{quota}");
    fs::write(runtime.path("resources.json"), r#"{"pids": {"limit": 33}, "cpu": {"quota": 30000}}"#).expect("a file");
    let file = runtime.path("resources.json").display().to_string();
    runtime.run(&["update", "-r", &file, "u1"]).ok();
    assert_eq!(group_file(&runtime, "u1", &["pids.max"]), "33");
    assert_eq!(group_file(&runtime, "u1", &["memory.limit_in_bytes", "memory.max"]), "67108864", "it stays");
    let state: Value = serde_json::from_str(&runtime.output("state/u1/state.json")).expect("JSON");
    let kept = &state["spec"]["linux"]["resources"];
    assert_eq!((&kept["pids"]["limit"], &kept["cpu"]["quota"]), (&json!(33), &json!(30000)), "{kept}");
    assert_eq!(kept["memory"]["limit"], 67108864, "{kept}");
    let input = br#"{"pids": {"limit": 44}}"#;
    e2e::run_with_input(runtime.command(&["update", "--resources", "-", "u1"]), input).ok();
    assert_eq!(group_file(&runtime, "u1", &["pids.max"]), "44");
    assert!(runtime.run(&["update", "--memory", "much", "u1"]).fails(1).contains("no size"));
    assert!(runtime.run(&["update", "--l3-cache-schema", "L3:0=f", "u1"]).fails(1).contains("Intel RDT"));
}

#[test]
fn a_process_is_executed_as_its_flags_say() {
    let runtime = Runtime::new();
    sleeping(&runtime, "x1", |_| {});
    let id = runtime.run(&["exec", "--user", "12:34", "-g", "56", "x1", "id"]).ok();
    assert!(id.contains("uid=12 gid=34") && id.contains("56"), "{id}");
    assert_eq!(
        runtime.run(&["exec", "--cwd", "/etc", "-e", "A=b c", "x1", "sh", "-c", "pwd; echo $A"]).ok(),
        "/etc\nb c"
    );
    let process = json!({"args": ["sh", "-c", "echo $0 $B", "x"], "env": ["PATH=/bin", "B=c"], "cwd": "/", "user": {"uid": 0, "gid": 0}});
    fs::write(runtime.path("process.json"), process.to_string()).expect("a file");
    let file = runtime.path("process.json").display().to_string();
    assert_eq!(runtime.run(&["exec", "--process", &file, "x1"]).ok(), "x c");

    let pid_file = runtime.path("pid").display().to_string();
    let words = ["exec", "--detach", "--pid-file", &pid_file, "x1", "sleep", "1000"];
    assert_eq!(runtime.detached(&words, "out"), 0);
    let pid: i64 = fs::read_to_string(&pid_file).expect("a pid file").parse().expect("a number");
    let pids: Vec<i64> = serde_json::from_str(&runtime.run(&["ps", "-f", "json", "x1"]).ok()).expect("JSON");
    assert!(pids.contains(&pid), "{pids:?}");
    let lines = runtime.run(&["ps", "x1", "-e", "-o", "pid,args"]).ok();
    assert!(lines.contains("PID") && lines.contains("sleep 1000"), "{lines}");
    assert_eq!(lines.lines().count(), pids.len() + 1, "{lines}");

    runtime.run(&["pause", "x1"]).ok();
    let words = ["exec", "--ignore-paused", "--detach", "x1", "sh", "-c", "echo went on > /proc/1/fd/1"];
    let mut held = runtime.command(&words).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("start");
    runtime.run(&["resume", "x1"]).ok();
    assert!(held.wait().expect("its end").success());
    runtime.until("it went on", || runtime.output("out").contains("went on"));

    let socket = runtime.path("console");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let socket = socket.display().to_string();
    assert_eq!(
        runtime.detached(
            &["exec", "-t", "-d", "--console-socket", &socket, "x1", "sh", "-c", "test -t 0 && echo terminal"],
            "out"
        ),
        0
    );
    let master = receive(listener);
    let mut text = String::new();
    let mut bytes = [0; 64];
    while let Ok(length @ 1..) = rustix::io::read(&master, &mut bytes) {
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    assert!(text.contains("terminal"), "{text:?}");
}

#[test]
fn descriptors_are_handed_on_as_many_as_asked() {
    let runtime = Runtime::new();
    let bundle = runtime.bundle("fds", "cat <&3; ls /proc/self/fd", |_| {}).display().to_string();
    fs::write(runtime.path("three"), "from outside\n").expect("a file");
    let shell = format!("exec 3<{} 4<&3 \"$@\"", runtime.path("three").display());
    let inner = runtime.command(&["run", "--preserve-fds", "1", "-b", &bundle, "f1"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &shell, "sh"]).arg(inner.get_program()).args(inner.get_args());
    let said = e2e::Said::of(command.stdin(Stdio::null()).output().expect("sh")).ok();
    // 3 is the preserved one; ls opens the folder itself as 4
    assert_eq!(said, "from outside\n0\n1\n2\n3\n4");

    let socket = runtime.path("pidfd");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let bundle = runtime.bundle("sleeps", "sleep 1000", |_| {}).display().to_string();
    let socket = socket.display().to_string();
    assert_eq!(runtime.detached(&["create", "-b", &bundle, "--pidfd-socket", &socket, "p1"], "out"), 0);
    let handle = receive(listener);
    rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL).expect("a signal");
    runtime.until("its end", || runtime.state("p1")["status"] == "stopped");
}

#[test]
fn the_root_can_be_entered_without_pivoting() {
    let runtime = Runtime::new();
    let bundle = runtime.bundle("chroot", "ls /; ls /../..; cat /proc/1/mounts", |_| {}).display().to_string();
    let said = runtime.run(&["run", "--no-pivot", "--no-new-keyring", "--no-subreaper", "-b", &bundle, "c1"]).ok();
    let (first, second) = (said.lines().next(), said.lines().nth(6));
    assert_eq!((first, second), (Some("bin"), Some("bin")), "{said}");
    let kept = runtime.run(&["run", "--keep", "-b", &bundle, "k1"]);
    assert_eq!(kept.code, 0, "{}", kept.err);
    assert_eq!(runtime.state("k1")["status"], "stopped");
    runtime.run(&["delete", "k1"]).ok();
}

#[test]
fn what_needs_criu_says_so() {
    let runtime = Runtime::new();
    sleeping(&runtime, "c1", |_| {});
    let images = runtime.path("images").display().to_string();
    let error = runtime.run(&["--criu", "/nonexistent/criu", "checkpoint", "--image-path", &images, "c1"]).fails(1);
    assert!(error.contains("package criu"), "{error}");
    assert_eq!(runtime.state("c1")["status"], "running");
    let bundle = runtime.path("c1").display().to_string();
    let words = ["--criu", "/nonexistent/criu", "restore", "--image-path", &images, "-b", &bundle, "c2"];
    assert!(runtime.run(&words).fails(1).contains("package criu"));
    assert_eq!(runtime.run(&["list", "-q"]).ok(), "c1");
}

#[test]
fn a_template_for_a_user_is_written() {
    let runtime = Runtime::new();
    let bundle = runtime.path("user");
    fs::create_dir(&bundle).expect("a folder");
    runtime.run(&["spec", "--rootless", "-b", &bundle.display().to_string()]).ok();
    let config: Value = serde_json::from_str(&runtime.output("user/config.json")).expect("JSON");
    assert_eq!(config["linux"]["uidMappings"][0]["size"], 1);
    assert!(runtime.run(&["spec", "-b", &bundle.display().to_string()]).fails(1).contains("exists"));
}
