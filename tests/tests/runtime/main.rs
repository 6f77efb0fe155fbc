//! `sampan runtime` by its command line on this machine, as containerd and podman call it.

mod commands;
mod death;
mod hostile;
mod life;
mod others;
mod rootless;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::Said;
use serde_json::{Value, json};

/// Bundles and state in a folder of their own, a control group named after it.
struct Runtime {
    folder: tempfile::TempDir,
    group: String,
}

impl Runtime {
    fn new() -> Runtime {
        let folder = tempfile::Builder::new().prefix("sampan-runtime.").tempdir().expect("a folder");
        busybox(&folder.path().join("rootfs"));
        let name = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
        Runtime { folder, group: format!("/{name}") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Pids of all processes whose command line names our folder: commands on their way, and copies of them that have
    /// not become the container's program yet.
    fn commands(&self) -> Vec<u32> {
        let folder = self.folder.path().to_string_lossy().into_owned();
        processes(|line| line.contains(&folder))
    }

    /// Makes a bundle of the template of `sampan runtime spec` for a command.
    fn bundle(&self, name: &str, command: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let bundle = self.folder.path().join(name);
        fs::create_dir_all(&bundle).expect("a bundle");
        let _ = fs::remove_file(bundle.join("config.json"));
        self.run(&["spec", "--bundle", &bundle.display().to_string()]).ok();
        let path = bundle.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).expect("config.json")).expect("JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", command]);
        config["process"]["env"] = json!(["PATH=/bin"]);
        config["root"]["path"] = json!(self.folder.path().join("rootfs"));
        config["linux"]["cgroupsPath"] = json!(format!("{}/{name}", self.group));
        change(&mut config);
        fs::write(&path, config.to_string()).expect("config.json");
        bundle
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(e2e::binary());
        command.arg("runtime").arg("--root").arg(self.folder.path().join("state")).args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Said {
        e2e::run_with_input(self.command(words), b"")
    }

    /// `create` and `run --detach` leave the container with our output: give it a file.
    fn detached(&self, words: &[&str], output: &str) -> i32 {
        let out = fs::File::create(self.folder.path().join(output)).expect("a file");
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stderr(out.try_clone().expect("a descriptor")).stdout(out);
        command.status().expect("start").code().unwrap_or(-1)
    }

    fn output(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.run(&["state", id]).ok()).expect("JSON")
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(60), "not within 60 s: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Directories of our control group on all hierarchies.
    fn groups(&self) -> Vec<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let kinds = ["cgroup", "cgroup2"];
        let point = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            kinds.contains(words.get(2)?).then(|| PathBuf::from(format!("{}{}", words[1], self.group)))
        };
        mounts.lines().filter_map(point).filter(|dir| dir.exists()).collect()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for id in self.run(&["list", "--quiet"]).out.lines() {
            self.run(&["delete", "--force", id]);
        }
    }
}

/// A root file system of busybox alone.
fn busybox(root: &Path) {
    for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(name)).expect("a root");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    const APPLETS: [&str; 18] = [
        "cat", "dd", "echo", "false", "grep", "hostname", "id", "ls", "mknod", "mount", "pwd", "readlink", "sh",
        "sleep", "stty", "touch", "true", "usleep",
    ];
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("a link");
    }
}

/// Pids of all processes whose command line is as wanted.
fn processes(wanted: impl Fn(&str) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let line = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.filter(|pid| wanted(&String::from_utf8_lossy(&line(pid)).replace('\0', " "))).collect()
}
