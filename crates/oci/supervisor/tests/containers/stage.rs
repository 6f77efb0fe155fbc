//! What the tests stand on: a busybox root, a folder and control group of their own, and nothing left behind.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use cgroup::{Cgroup, Hierarchy};
use rustix::mount::{OpenTreeFlags, open_tree};
use serde_json::json;
use spec::runtime::Spec;
use supervisor::{
    Attachment, Client, CreateRequest, Created, Event, Io, JsonFile, LogConfig, ProcessKey, Stream, Streams,
    SupervisorConfig,
};

/// Every stream.
pub const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true };

/// One test's surroundings. The supervisor and what it made end with it.
pub struct Stage {
    dir: tempfile::TempDir,
    group: String,
    pub client: Client,
}

/// A [`Stage`] without a daemon.
pub struct Bare {
    dir: tempfile::TempDir,
    group: String,
}

impl Bare {
    /// The next daemon.
    pub fn with_client(self, client: Client) -> Stage {
        Stage { dir: self.dir, group: self.group, client }
    }
}

impl Stage {
    /// `None`, with a word on standard error, for whoever is not root.
    pub async fn new(name: &str) -> Option<Stage> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for folder in ["bin", "proc", "dev", "sys", "tmp", "etc"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for applet in ["sh", "echo", "cat", "sleep", "seq", "tail", "head", "stty", "true", "kill", "printf", "dd"] {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(root.join("bin/plain"), "no program").unwrap();
        let config = Self::config_of(dir.path().to_owned());
        let (client, found) = Client::connect_or_spawn(config).await.unwrap();
        assert!(found.is_empty());
        let group = format!("/sampan-supervisor-test-{}-{name}", std::process::id());
        Some(Stage { dir, group, client })
    }

    /// How to reach the supervisor.
    pub fn config(&self) -> SupervisorConfig {
        Self::config_of(self.dir.path().to_owned())
    }

    fn config_of(exec_root: PathBuf) -> SupervisorConfig {
        SupervisorConfig { exec_root, binary: env!("CARGO_BIN_EXE_supervisor-under-test").into() }
    }

    /// Everything but the client, which goes as a killed daemon goes.
    pub fn without_client(self) -> Bare {
        Bare { dir: self.dir, group: self.group }
    }

    /// Control groups that are left, wherever they are mounted.
    pub fn groups(&self) -> Vec<PathBuf> {
        let hierarchy = Hierarchy::detect().unwrap();
        let mounts = hierarchy.v1_mounts().into_iter().map(|(_, mount)| mount.to_owned());
        let mounts: Vec<PathBuf> = mounts.chain(hierarchy.v2_mount().map(Into::into)).collect();
        let mut left = Vec::new();
        for mount in mounts {
            let Ok(entries) = fs::read_dir(mount.join(self.group.trim_start_matches('/'))) else { continue };
            left.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        left
    }

    /// The kernel's version.
    pub fn kernel(&self) -> (u32, u32) {
        let name = rustix::system::uname();
        let release = name.release().to_string_lossy();
        let mut parts = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// Where a container logs.
    pub fn log(&self, id: &str) -> PathBuf {
        self.dir.path().join(format!("{id}.log"))
    }

    /// Describes a container that runs a shell script.
    pub fn request(&self, id: &str, script: &str) -> CreateRequest {
        let mut request = self.command(id, &["/bin/sh", "-c", script]);
        request.attach = None;
        request
    }

    /// Describes a container that runs a command.
    pub fn command(&self, id: &str, args: &[&str]) -> CreateRequest {
        CreateRequest {
            joined: Vec::new(),
            trees: Vec::new(),
            id: id.to_owned(),
            spec: spec_of(args, false),
            root: self.root(),
            netns: None,
            cgroup: format!("{}/{id}", self.group),
            io: Io::Pipes { stdin: true },
            log: LogConfig::JsonFile(JsonFile::bounded(self.log(id))),
            attach: None,
        }
    }

    /// Creates and starts a shell script with everything attached.
    pub async fn run(&self, id: &str, script: &str) -> (ProcessKey, Attachment) {
        let mut request = self.request(id, script);
        request.attach = Some(ALL);
        let Created { attachment, .. } = self.client.create(request).await.unwrap();
        self.client.start(id).await.unwrap();
        (ProcessKey::container(id), attachment.unwrap())
    }

    /// What a container logged: stream and text of each entry.
    pub fn logged(&self, id: &str) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.log(id)).unwrap_or_default();
        let entry = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| value[name].as_str().unwrap().to_owned();
            (text("stream"), text("log"))
        };
        text.lines().map(entry).collect()
    }

    /// Kills the supervisor and waits until another one has taken over.
    pub async fn kill_supervisor(&self) {
        let former = self.client.supervisor_pid();
        let mut events = self.client.events();
        kill(former);
        while events.next().await.unwrap() != Event::TakenOver {}
        assert_ne!(self.client.supervisor_pid(), former);
    }

    /// Ends everything; tells what was left behind.
    pub async fn finish(self) {
        let left = self.client.supervisor_pid();
        let open = fs::read_dir(format!("/proc/{left}/fd")).unwrap().count();
        let parent = Cgroup::open(&Hierarchy::detect().unwrap(), &self.group);
        drop(self.client);
        tokio::time::sleep(Duration::from_millis(50)).await;
        kill(left);
        if let Ok(parent) = parent {
            parent.delete().unwrap();
        }
        // Standard ones, lock, socket, epoll, a connection or two.
        assert!(open <= 12, "{open} descriptors left in the supervisor");
    }

    fn root(&self) -> OwnedFd {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        open_tree(rustix::fs::CWD, self.dir.path().join("root"), flags).unwrap()
    }
}

/// Kills a process that the tests started.
pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// A process as the specification describes it.
pub fn process_of(args: &[&str], terminal: bool) -> spec::runtime::Process {
    serde_json::from_value(json!({
        "terminal": terminal,
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ["PATH=/bin"],
        "cwd": "/",
        "noNewPrivileges": true,
    }))
    .unwrap()
}

/// A container as the specification describes it.
pub fn spec_of(args: &[&str], terminal: bool) -> Spec {
    let mut spec: Spec = serde_json::from_value(json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "test",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}
            ],
            "resources": {},
        },
    }))
    .unwrap();
    spec.set_process(Some(process_of(args, terminal)));
    spec
}

/// Reads until `text` has been seen or the output ends; gives everything.
pub async fn read_until(attachment: &mut Attachment, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        match attachment.read().await.unwrap() {
            Some((_, bytes)) => all.push_str(&String::from_utf8_lossy(&bytes)),
            None => break,
        }
    }
    all
}

/// Reads to the end, each stream on its own.
pub async fn read_all(attachment: &mut Attachment) -> (String, String) {
    let (mut out, mut err) = (String::new(), String::new());
    while let Some((stream, bytes)) = attachment.read().await.unwrap() {
        match stream {
            Stream::Stdout => out.push_str(&String::from_utf8_lossy(&bytes)),
            Stream::Stderr => err.push_str(&String::from_utf8_lossy(&bytes)),
        }
    }
    (out, err)
}
