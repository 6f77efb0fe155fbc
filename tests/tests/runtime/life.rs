//! A container from its creation to its end, in the words of the command line.

use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::Runtime;

#[test]
fn a_container_lives_from_create_to_delete() {
    let runtime = Runtime::new();
    let bundle =
        runtime.bundle("life", "trap 'echo asked; exit 7' TERM; echo up; while :; do usleep 10000; done", |_| {});
    let bundle = bundle.display().to_string();
    let pid_file = runtime.folder.path().join("pid").display().to_string();
    assert_eq!(runtime.detached(&["create", "--bundle", &bundle, "--pid-file", &pid_file, "c1"], "out"), 0);
    let state = runtime.state("c1");
    assert_eq!(state["status"], "created", "{state}");
    assert_eq!(fs::read_to_string(&pid_file).expect("a pid file"), state["pid"].to_string());
    assert_eq!(runtime.output("out"), "", "nothing runs before the start");
    assert!(runtime.run(&["create", "--bundle", &bundle, "c1"]).fails(1).contains("container with id exists"));

    runtime.run(&["start", "c1"]).ok();
    runtime.until("the first line", || runtime.output("out") == "up\n");
    assert_eq!(runtime.state("c1")["status"], "running");
    assert!(runtime.run(&["start", "c1"]).fails(1).contains("cannot start a container that is running"));
    assert!(runtime.run(&["delete", "c1"]).fails(1).contains("cannot delete a container that is running"));
    assert_eq!(runtime.run(&["exec", "c1", "hostname"]).ok(), "sampan");
    runtime.run(&["exec", "c1", "sh", "-c", "exit 3"]).fails(3);
    assert!(runtime.run(&["exec", "c1", "nosuch"]).fails(255).contains("executable file not found in $PATH"));
    let pids: Vec<i64> = serde_json::from_str(&runtime.run(&["ps", "--format", "json", "c1"]).ok()).expect("JSON");
    assert!(pids.contains(&state["pid"].as_i64().expect("a number")), "{pids:?}");
    assert!(runtime.run(&["list"]).ok().contains("c1"));

    runtime.run(&["pause", "c1"]).ok();
    assert_eq!(runtime.state("c1")["status"], "paused");
    assert!(runtime.run(&["exec", "c1", "true"]).fails(255).contains("paused"));
    runtime.run(&["resume", "c1"]).ok();
    runtime.run(&["kill", "c1", "TERM"]).ok();
    runtime.until("its end", || runtime.state("c1")["status"] == "stopped");
    assert_eq!(runtime.output("out"), "up\nasked\n");
    assert!(runtime.run(&["kill", "c1", "TERM"]).fails(1).contains("container not running"));
    runtime.run(&["delete", "c1"]).ok();
    assert!(runtime.run(&["state", "c1"]).fails(1).contains("does not exist"));
    assert_eq!(runtime.groups(), Vec::<PathBuf>::new());
}

#[test]
fn limits_can_be_changed_while_it_runs() {
    let runtime = Runtime::new();
    let bundle = runtime.bundle("update", "sleep 100", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 67108864});
    });
    assert_eq!(runtime.detached(&["run", "-d", "-b", &bundle.display().to_string(), "u1"], "out"), 0);
    runtime.run(&["update", "--memory", "33554432", "--pids-limit", "20", "u1"]).ok();
    let read = |names: [&str; 2]| {
        let files = runtime.groups().into_iter().flat_map(|dir| names.map(|name| dir.join("update").join(name)));
        files.filter_map(|file| fs::read_to_string(file).ok()).next().unwrap_or_default()
    };
    assert_eq!(read(["memory.limit_in_bytes", "memory.max"]), "33554432\n");
    assert_eq!(read(["pids.max", "pids.max"]), "20\n");
    runtime.run(&["update", "--memory", "-1", "--memory-swap", "-1", "u1"]).ok();
    assert_ne!(read(["memory.limit_in_bytes", "memory.max"]), "33554432\n");
    runtime.run(&["delete", "--force", "u1"]).ok();
    assert_eq!(runtime.groups(), Vec::<PathBuf>::new());
}

#[test]
fn the_terminal_goes_to_the_console_socket() {
    let runtime = Runtime::new();
    let command = "stty size; read line; echo got $line";
    let bundle = runtime.bundle("tty", command, |config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    });
    let bundle = bundle.display().to_string();
    let path = runtime.folder.path().join("console");
    let listener = UnixListener::bind(&path).expect("a socket");
    let socket = path.display().to_string();
    assert_eq!(runtime.detached(&["create", "-b", &bundle, "--console-socket", &socket, "t1"], "out"), 0);
    let master = receive(listener);
    runtime.run(&["start", "t1"]).ok();
    rustix::io::write(&master, b"hello\n").expect("write to the terminal");
    let mut text = String::new();
    while !text.contains("got hello") {
        let mut bytes = [0; 256];
        let length = rustix::io::read(&master, &mut bytes).unwrap_or_else(|error| panic!("{error} after {text:?}"));
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    assert!(text.contains("33 77"), "{text:?}");
    let refused = runtime.run(&["run", "--detach", "-b", &bundle, "t2"]).fails(1);
    assert!(refused.contains("without setting console socket"), "{refused}");
}

pub(crate) fn receive(listener: UnixListener) -> OwnedFd {
    let (stream, _) = listener.accept().expect("a connection");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 64];
    let mut text = [IoSliceMut::new(&mut bytes)];
    recvmsg(&stream, &mut text, &mut control, RecvFlags::CMSG_CLOEXEC).expect("a message");
    let fds = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fds.expect("a descriptor")
}

#[test]
fn failures_are_told_and_leave_nothing() {
    let runtime = Runtime::new();
    let missing = runtime.bundle("missing", "", |config| config["process"]["args"] = json!(["/no/such/command"]));
    let error = runtime.run(&["run", "-b", &missing.display().to_string(), "m1"]).fails(1);
    assert!(error.contains("/no/such/command") && error.contains("no such file or directory"), "{error}");

    let broken = runtime.folder.path().join("broken");
    fs::create_dir(&broken).expect("a folder");
    fs::write(broken.join("config.json"), "{\"ociVersion\": ").expect("a file");
    let log = runtime.folder.path().join("log.json").display().to_string();
    let words = ["--log", &log, "--log-format", "json", "run", "-b", &broken.display().to_string(), "b1"];
    let error = runtime.run(&words).fails(1);
    assert!(error.contains("config.json") && error.contains("line 1"), "{error}");
    let last: Value = serde_json::from_str(runtime.output("log.json").lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["level"], "error");

    let fine = runtime.bundle("fine", "true", |_| {}).display().to_string();
    let error = runtime.run(&["run", "-b", &fine, "../escape"]).fails(1);
    assert!(error.contains("container id"), "{error}");
    assert!(runtime.run(&["--systemd-cgroup", "run", "-b", &fine, "s1"]).fails(1).contains("unimplemented"));
    assert!(runtime.run(&["checkpoint", "x"]).fails(1).contains("does not exist"));
    assert_eq!(runtime.run(&["delete", "--force", "never"]).ok(), "");

    assert_eq!(runtime.run(&["list", "--quiet"]).ok(), "");
    assert_eq!(runtime.run(&["list", "--format", "json"]).ok(), "null");
    assert_eq!(runtime.groups(), Vec::<PathBuf>::new());
}

#[test]
fn signals_reach_the_container_in_the_foreground() {
    let runtime = Runtime::new();
    let bundle = runtime.bundle("signal", "trap 'exit 9' USR1; echo up; while :; do usleep 10000; done", |_| {});
    let out = fs::File::create(runtime.folder.path().join("out")).expect("a file");
    let mut command = runtime.command(&["run", "-b", &bundle.display().to_string(), "f1"]);
    let mut child = command.stdin(Stdio::null()).stdout(out).spawn().expect("start");
    runtime.until("the first line", || runtime.output("out") == "up\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).expect("a signal");
    assert_eq!(child.wait().expect("its end").code(), Some(9));
    assert_eq!(runtime.run(&["list", "--quiet"]).ok(), "");
}

#[test]
fn features_are_told() {
    let runtime = Runtime::new();
    let features: Value = serde_json::from_str(&runtime.run(&["features"]).ok()).expect("JSON");
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    assert!(runtime.run(&["--version"]).ok().starts_with("sampan runtime version "));
}
