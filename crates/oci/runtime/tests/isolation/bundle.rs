//! Bundles with busybox in them, configured as docker would, and runs of them by this crate and by runc.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use runtime::profile;
use serde_json::{Value, json};

/// A bundle that is removed at the end.
pub struct Bundle {
    dir: tempfile::TempDir,
    pub id: String,
    /// config.json, to be changed before a run.
    pub config: Value,
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Why nothing can be tested here, if that is so.
pub fn reason_to_skip() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root");
    }
    if !Path::new("/usr/bin/busybox").exists() {
        return Some("no /usr/bin/busybox");
    }
    None
}

impl Bundle {
    /// A bundle with docker's defaults that runs a shell script.
    pub fn new(script: &str) -> Bundle {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/usr/bin/busybox", bin.join("busybox")).unwrap();
        for applet in APPLETS.split(' ') {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        for folder in ["etc", "tmp", "proc", "sys", "dev"] {
            fs::create_dir(dir.path().join("rootfs").join(folder)).unwrap();
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("t{}-{number}", std::process::id());
        Bundle { dir, id, config: config(script) }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    /// Adds a mount.
    pub fn mount(&mut self, destination: &str, kind: &str, source: &Path, options: &[&str]) {
        let mount = json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.config["mounts"].as_array_mut().unwrap().push(mount);
    }

    /// Writes config.json.
    pub fn write(&self) {
        let text = serde_json::to_vec(&self.config).unwrap();
        fs::write(self.dir.path().join("config.json"), text).unwrap();
    }

    /// Runs it with this crate and returns how it ended.
    pub fn run(&self) -> Run {
        self.run_with(&[])
    }

    /// As [`Bundle::run`], with flags for the launcher.
    pub fn run_with(&self, flags: &[&str]) -> Run {
        done(self.command(flags).stdin(Stdio::null()).output().unwrap())
    }

    /// The launcher, not yet run.
    pub fn command(&self, flags: &[&str]) -> Command {
        self.write();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("launch").arg(self.dir.path()).arg(&self.id).args(flags);
        command
    }

    /// Runs it with runc; `None` if there is none.
    pub fn run_with_runc(&self) -> Option<Run> {
        self.write();
        let mut command = Command::new("runc");
        let state = self.dir.path().join("runc");
        command.arg("--root").arg(state).args(["run", "--bundle"]).arg(self.dir.path()).arg(&self.id);
        Some(done(command.stdin(Stdio::null()).output().ok()?))
    }
}

fn done(output: Output) -> Run {
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Run {
    /// What was printed by a run that must have gone well.
    #[track_caller]
    pub fn expect_ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }
}

const APPLETS: &str = "sh cat ls id mount umount ps env hostname stat grep sleep true false tty stty wc head cut sort \
    mkdir touch rm ln mknod unshare nsenter dd echo test pwd readlink uname kill printf chmod chown tr awk sed ip seq \
    find mv cp od umask";

fn config(script: &str) -> Value {
    let caps = profile::default_capabilities();
    let seccomp = profile::default_seccomp(&caps);
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "oomScoreAdj": 0,
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": profile::default_mounts(64 << 20),
        "linux": {
            "resources": {"devices": profile::default_device_rules(), "pids": {"limit": 100}},
            "namespaces": namespaces.map(|kind| json!({"type": kind})),
            "seccomp": seccomp,
            "maskedPaths": profile::masked_paths(),
            "readonlyPaths": profile::readonly_paths(),
        },
    })
}
