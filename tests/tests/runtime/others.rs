//! As the runtime of other engines in place of runc: podman, containerd, dockerd of the distribution.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use e2e::Said;

use crate::Runtime;

/// Whether a program is installed.
fn has(program: &str) -> bool {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].iter().any(|dir| Path::new(dir).join(program).exists());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// The binary by the name under which it is a runtime, telling in `calls` what it was asked for.
fn link(runtime: &Runtime) -> PathBuf {
    let path = runtime.path("sampan-runtime");
    let line = format!(
        "#!/bin/sh\necho \"$@\" >> {}\nexec {} runtime \"$@\"\n",
        runtime.path("calls").display(),
        e2e::binary().display()
    );
    fs::write(&path, line).expect("a file");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    path
}

/// A daemon in mount and network namespaces of its own; ended when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(runtime: &Runtime, words: &[&str]) -> Daemon {
        let log = fs::File::create(runtime.path("daemon.log")).expect("a log");
        let line = "ip link set lo up && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private", "sh", "-c", line, "sh"]).args(words);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        Daemon(command.spawn().expect("unshare"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

fn said<S: AsRef<OsStr>>(program: &str, before: &[&str], words: impl IntoIterator<Item = S>) -> Said {
    let mut command = Command::new(program);
    command.args(before).args(words).stdin(Stdio::null());
    Said::of(command.output().expect("start"))
}

/// Whether the runtime was asked for a command.
fn was_asked(runtime: &Runtime, word: &str) -> bool {
    runtime.output("calls").lines().any(|line| line.split(' ').any(|known| known == word))
}

#[test]
fn podman_runs_executes_pauses_limits_and_removes() {
    if !has("podman") {
        return;
    }
    let runtime = Runtime::new();
    let program = link(&runtime).display().to_string();
    let rootfs = runtime.path("rootfs").display().to_string();
    let [root, state, tmp] =
        ["podman", "podman-run", "podman-tmp"].map(|name| runtime.path(name).display().to_string());
    let options = [
        "--root",
        &root,
        "--runroot",
        &state,
        "--tmpdir",
        &tmp,
        "--storage-driver",
        "vfs",
        "--events-backend",
        "file",
        "--cgroup-manager",
        "cgroupfs",
        "--runtime",
        &program,
    ];
    let podman = |words: &[&str]| said("podman", &options, words);
    // podman raises limits as far as root may, which root of a sandbox may not
    let ours = [
        "--network",
        "none",
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
        "--cgroup-parent",
        &runtime.group,
    ];
    let run = |more: &[&str], command: &[&str]| {
        podman(&[&["run", "--env", "PATH=/bin"], &ours[..], more, &["--rootfs", &rootfs], command].concat())
    };
    assert_eq!(run(&["--rm"], &["echo", "hello"]).ok(), "hello");
    let said = run(&["--rm"], &["sh", "-c", "exit 7"]);
    assert_eq!(said.code, 7, "{}", said.err);
    let said = run(&["--rm"], &["/no/such"]);
    assert_eq!(said.code, 127, "{}", said.err);
    let line = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; while :; do usleep 100000; done";
    run(&["-d", "--name", "box", "--memory", "64m", "--pids-limit", "30"], &["sh", "-c", line]).ok();
    runtime.until("it has its limit", || podman(&["logs", "box"]).out.trim() == "67108864");
    assert_eq!(podman(&["exec", "box", "sh", "-c", "echo inside; exit 0"]).ok(), "inside");
    assert_eq!(podman(&["exec", "box", "sh", "-c", "exit 4"]).code, 4);
    podman(&["pause", "box"]).ok();
    assert_eq!(podman(&["inspect", "-f", "{{.State.Status}}", "box"]).ok(), "paused");
    podman(&["unpause", "box"]).ok();
    assert!(podman(&["top", "box"]).ok().contains("usleep"));
    podman(&["kill", "box"]).ok();
    podman(&["rm", "--force", "box"]).ok();
    assert_eq!(podman(&["ps", "--all", "--quiet"]).ok(), "");
    for word in ["create", "start", "exec", "pause", "resume", "kill", "delete"] {
        assert!(was_asked(&runtime, word), "{word}: {}", runtime.output("calls"));
    }
    // it leaves the parent that it was given, with the group of its own helpers
    for group in runtime.groups() {
        runtime.until("podman's helpers have gone", || {
            let _ = fs::remove_dir(group.join("conmon"));
            fs::remove_dir(&group).is_ok()
        });
    }
}

#[test]
fn containerd_runs_executes_pauses_limits_and_removes() {
    if !has("containerd") || !has("ctr") {
        return;
    }
    let runtime = Runtime::new();
    let program = link(&runtime).display().to_string();
    let socket = runtime.path("containerd.sock").display().to_string();
    let config = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {socket:?}\n",
        runtime.path("root"),
        runtime.path("run")
    );
    fs::write(runtime.path("config.toml"), config).expect("a file");
    let file = runtime.path("config.toml").display().to_string();
    let daemon = Daemon::start(&runtime, &["containerd", "--config", &file]);
    let options = ["--address", &socket, "--namespace", &runtime.group[1..]];
    let ctr = |words: &[&str]| said("ctr", &options, words);
    runtime.until("containerd answers", || ctr(&["version"]).code == 0);
    let rootfs = runtime.path("rootfs").display().to_string();
    let run = |more: &[&str], id: &str, line: &str| {
        let words = ["run", "--runc-binary", &program, "--env", "PATH=/bin", "--rootfs"];
        ctr(&[&words[..], more, &[&rootfs, id, "sh", "-c", line]].concat())
    };
    assert_eq!(run(&["--rm"], "one", "echo hello").ok(), "hello");
    assert_eq!(run(&["--rm"], "two", "exit 7").code, 7);
    run(&["-d", "--memory-limit", "67108864"], "box", "while :; do usleep 100000; done").ok();
    let exec = |line: &str| ctr(&["task", "exec", "--exec-id", "e1", "box", "sh", "-c", line]);
    assert_eq!(exec("echo inside").ok(), "inside");
    assert_eq!(exec("exit 4").code, 4);
    ctr(&["task", "pause", "box"]).ok();
    assert!(ctr(&["task", "ls"]).ok().contains("PAUSED"));
    ctr(&["task", "resume", "box"]).ok();
    assert!(ctr(&["task", "ls"]).ok().contains("RUNNING"));
    let metrics = ctr(&["task", "metrics", "--format", "json", "box"]).ok();
    assert!(metrics.contains("67108864"), "{metrics}");
    assert!(ctr(&["task", "ps", "box"]).ok().lines().count() > 1);
    ctr(&["task", "kill", "--signal", "SIGKILL", "box"]).ok();
    runtime.until("its end", || ctr(&["task", "ls"]).ok().contains("STOPPED"));
    ctr(&["task", "delete", "box"]).ok();
    ctr(&["container", "delete", "box"]).ok();
    assert_eq!(ctr(&["container", "ls", "--quiet"]).ok(), "");
    for word in ["create", "start", "exec", "pause", "resume", "kill", "delete"] {
        assert!(was_asked(&runtime, word), "{word}: {}", runtime.output("calls"));
    }
    drop(daemon);
    let _ = fs::remove_dir(Path::new("/run/containerd/runc").join(&runtime.group[1..]));
}

#[test]
fn dockerd_runs_executes_pauses_limits_and_removes() {
    if !has("dockerd") || !has("docker") {
        return;
    }
    let runtime = Runtime::new();
    let program = link(&runtime).display().to_string();
    let [data, run, pid] = ["data", "run", "pid"].map(|name| runtime.path(name).display().to_string());
    let host = format!("unix://{}", runtime.path("docker.sock").display());
    let runtime_of = format!("sampan={program}");
    let words = [
        "dockerd",
        "--host",
        &host,
        "--data-root",
        &data,
        "--exec-root",
        &run,
        "--pidfile",
        &pid,
        "--bridge",
        "none",
        "--iptables=false",
        "--add-runtime",
        &runtime_of,
        "--default-runtime",
        "sampan",
    ];
    let daemon = Daemon::start(&runtime, &words);
    let docker = |words: &[&str]| said("docker", &["--host", &host], words);
    runtime.until("dockerd answers", || docker(&["version"]).code == 0);
    let tar = Command::new("tar").arg("-C").arg(runtime.path("rootfs")).args(["-c", "."]).output().expect("tar");
    let mut import = Command::new("docker");
    import.args(["--host", &host, "import", "--change", "ENV PATH=/bin", "-", "box:1"]);
    e2e::run_with_input(import, &tar.stdout).ok();
    let on = |words: &[&str], command: &[&str]| {
        docker(&[&["run", "--network", "none"], words, &["box:1"], command].concat())
    };
    assert_eq!(on(&["--rm"], &["echo", "hello"]).ok(), "hello");
    assert_eq!(on(&["--rm"], &["sh", "-c", "exit 7"]).code, 7);
    assert_eq!(on(&["--rm"], &["/no/such"]).code, 127);
    on(&["-d", "--name", "box", "--memory", "64m"], &["sh", "-c", "while :; do usleep 100000; done"]).ok();
    assert_eq!(docker(&["exec", "box", "sh", "-c", "echo inside"]).ok(), "inside");
    assert_eq!(docker(&["exec", "box", "sh", "-c", "exit 4"]).code, 4);
    docker(&["pause", "box"]).ok();
    assert_eq!(docker(&["inspect", "-f", "{{.State.Status}}", "box"]).ok(), "paused");
    docker(&["unpause", "box"]).ok();
    docker(&["update", "--memory", "32m", "--memory-swap", "32m", "box"]).ok();
    let limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true";
    assert_eq!(docker(&["exec", "box", "sh", "-c", limit]).ok(), "33554432");
    assert!(docker(&["top", "box"]).ok().contains("usleep"));
    docker(&["stop", "-t", "1", "box"]).ok();
    docker(&["start", "box"]).ok();
    docker(&["rm", "--force", "box"]).ok();
    assert_eq!(docker(&["ps", "-aq"]).ok(), "");
    for word in ["create", "start", "exec", "pause", "resume", "kill", "delete", "update"] {
        assert!(was_asked(&runtime, word), "{word}: {}", runtime.output("calls"));
    }
    drop(daemon);
}
