//! Harness for the end-to-end tests: a daemon of its own in its own namespaces, the stock clients, and a count of what is left behind.
//!
//! Every test has a [`Sandbox`]: a network and a mount namespace held by a sleeping process, folders of its own, and as many daemons, one
//! after another, as the test wants. Clients reach the daemon through its unix socket; what must see the containers' network runs with
//! [`Sandbox::inside`]. When the sandbox goes, it ends what was started and removes its folders.

pub mod cluster;
pub mod images;
pub mod leaks;
pub mod registry;
pub mod vm;

use serde_json::Value;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a client said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code, out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard output of a command that must have succeeded, without the last line's end.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "out: {}\nerr: {}", self.out, self.err);
        self.out.trim_end().to_string()
    }

    /// Standard error of a command that must have failed with `code`.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self.err.trim_end().to_string()
    }
}

/// Namespaces and folders of one test, and its daemon.
pub struct Sandbox {
    folder: tempfile::TempDir,
    holder: Child,
    daemon: Option<Child>,
    options: Vec<String>,
}

impl Sandbox {
    /// A running daemon with an empty store.
    pub fn new() -> Self {
        Self::with_options(&[])
    }

    /// As [`Sandbox::new`], with further flags for every daemon in it.
    pub fn with_options(options: &[&str]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "the end-to-end tests start containers: run them as root");
        let folder = tempfile::Builder::new().prefix("sampan-e2e.").tempdir().expect("a folder");
        let holder = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                "ip link set lo up && echo ready && exec sleep 3600",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let options = options.iter().map(|option| option.to_string()).collect();
        let mut sandbox = Sandbox { folder, holder, daemon: None, options };
        let mut ready = [0; 6];
        let stdout = sandbox.holder.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(stdout, &mut ready).expect("the namespaces stand");
        sandbox.start_daemon();
        sandbox
    }

    /// A sandbox whose daemon has the image `box:1`, a busybox.
    pub fn with_image() -> Self {
        let sandbox = Self::new();
        sandbox.import(&images::busybox_layer(), "box:1");
        sandbox
    }

    /// A path in the sandbox's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the daemon and waits until it answers.
    pub fn start_daemon(&mut self) {
        let command = self.inside(binary());
        self.start_daemon_by(command);
    }

    /// Starts the daemon in a mount namespace of its own, in which `script` is run first.
    pub fn start_daemon_apart(&mut self, script: &str) {
        let mut command = self.inside("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &format!("{script} && exec \"$@\""), "sh"]);
        command.arg(binary());
        self.start_daemon_by(command);
    }

    fn start_daemon_by(&mut self, mut command: Command) {
        assert!(self.daemon.is_none(), "a daemon runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("daemon.log")).expect("a log");
        command.args(["daemon", "-H", &self.host(), "--data-root"]).arg(self.path("data"));
        command.arg("--exec-root").arg(self.path("run")).arg("--pidfile").arg(self.path("pid")).args(&self.options);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        self.daemon = Some(command.spawn().expect("start the daemon"));
        self.until("the daemon answers", || self.docker(["version"]).code == 0);
    }

    /// kill -9 of the daemon alone.
    pub fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        daemon.kill().expect("kill");
        daemon.wait().expect("wait");
    }

    /// Ends the daemon as a service manager would, and waits for it.
    pub fn stop_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        signal(daemon.id(), rustix::process::Signal::TERM);
        let status = daemon.wait().expect("wait");
        assert!(status.success(), "the daemon ended with {status}:\n{}", self.log());
    }

    /// What the daemons have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// The pids of processes of this sandbox whose command line has all of `words`.
    pub fn processes(&self, words: &[&str]) -> Vec<u32> {
        let folder = self.folder.path().to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&folder) && words.iter().all(|word| line.contains(word))
        })
        .collect()
    }

    /// The stock docker client.
    pub fn docker<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Said {
        Said::of(self.docker_command(words).stdin(Stdio::null()).output().expect("docker"))
    }

    /// The stock docker client with something on standard input.
    pub fn docker_with_input<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>, input: &[u8]) -> Said {
        let command = self.docker_command(words);
        run_with_input(command, input)
    }

    /// The stock docker client, not started yet.
    pub fn docker_command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("docker");
        command.args(words).env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", self.path("docker-config"));
        command
    }

    /// Our own client.
    pub fn sampan<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Said {
        let mut command = Command::new(binary());
        command.args(words).env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", self.path("docker-config"));
        Said::of(command.stdin(Stdio::null()).output().expect("sampan"))
    }

    /// One call of the API by curl: the status and the body.
    pub fn api(&self, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--unix-socket"]).arg(self.path("docker.sock"));
        command.args(["-X", method, "-w", "\n%{http_code}", &format!("http://d{path}")]);
        if let Some(body) = body {
            command.args(["-H", "Content-Type: application/json", "--data-binary", body]);
        }
        let said = Said::of(command.output().expect("curl")).ok();
        let (body, code) = said.rsplit_once('\n').unwrap_or(("", &said));
        (code.parse().expect("a status"), body.to_string())
    }

    /// `docker inspect` of one object.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> Value {
        let said = self.docker(["inspect", name]).ok();
        serde_json::from_str::<Vec<Value>>(&said).expect("JSON").remove(0)
    }

    /// A command in the sandbox's network and mount namespaces.
    pub fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-n", "-m", "-t", &self.holder.id().to_string(), "--"]).arg(program);
        command
    }

    /// A shell line in the sandbox's namespaces.
    pub fn shell(&self, line: &str) -> Said {
        Said::of(self.inside("sh").args(["-c", line]).stdin(Stdio::null()).output().expect("sh"))
    }

    /// Moves the calling thread into the sandbox's network namespace, for good.
    pub fn enter_network(&self) {
        let path = format!("/proc/{}/ns/net", self.holder.id());
        let namespace = std::fs::File::open(path).expect("the namespace");
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind).expect("setns");
    }

    /// Imports a tar as an image.
    #[track_caller]
    pub fn import(&self, tar: &[u8], name: &str) {
        self.docker_with_input(["import", "-", name], tar).ok();
    }

    /// Waits until something holds, at most 60 seconds.
    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(60), "not within 60 s: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- daemon.log ---\n{}", self.log());
        }
        let listed = self.docker(["ps", "-aq"]).out;
        let ids: Vec<&str> = listed.split_whitespace().collect();
        if !ids.is_empty() {
            self.docker(["rm", "-f", "-v"].iter().chain(&ids));
        }
        if let Some(mut daemon) = self.daemon.take() {
            signal(daemon.id(), rustix::process::Signal::TERM);
            let _ = daemon.wait();
        }
        for pid in self.processes(&[]) {
            signal(pid, rustix::process::Signal::KILL);
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs `script` around a client line, so that it has a terminal, with `typed` on that once the shell inside has prompted: the client has made its
/// terminal raw by then; before that, the terminal itself would take some keys.
pub fn on_terminal(mut script: Command, line: &str, typed: &str) -> Said {
    script.args(["-qefc", line, "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = script.spawn().expect("script");
    let (mut keys, mut screen) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let (mut out, mut left) = (Vec::new(), Some(typed).filter(|typed| !typed.is_empty()));
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = screen.read(&mut piece) {
        out.extend_from_slice(&piece[..length]);
        if out.windows(2).any(|two| two == b"# ")
            && let Some(typed) = left.take()
        {
            keys.write_all(typed.as_bytes()).expect("typed");
        }
    }
    // Only now: the end of its input would end the client.
    drop(keys);
    Said::of(Output { status: child.wait().expect("wait"), stdout: out, stderr: Vec::new() })
}

/// The binary under test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SAMPAN_BIN") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    std::path::absolute(target.join(triple).join("debug/sampan")).expect("a path")
}

/// A python with docker's client library.
pub fn python() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    std::env::var_os("SAMPAN_PYTHON").map_or_else(built, PathBuf::from)
}

/// Runs a command with `input` on its standard input.
pub fn run_with_input(mut command: Command, input: &[u8]) -> Said {
    use std::io::Write;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start");
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        // a command that fails early does not read everything
        scope.spawn(move || stdin.write_all(input).ok());
        Said::of(child.wait_with_output().expect("wait"))
    })
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
