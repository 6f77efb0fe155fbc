//! `demo`: the binary at work, from a Debian image made here to a served page, with nothing left behind.

use crate::{dist, packages, run};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Builds, makes a Debian image, and walks through what the binary does.
pub(crate) fn demo() -> Result<()> {
    packages::install(packages::DEMO)?;
    let binary = std::path::absolute(dist::dist()?)?;
    let rootfs = debian_rootfs()?;
    let folder = PathBuf::from(format!("/tmp/sampan-demo.{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let daemon = Daemon::start(&binary, &folder)?;
    let shown = daemon.walk(&rootfs);
    let stopped = daemon.stop();
    std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    shown.and(stopped)
}

/// A real Debian, made once by mmdebstrap from the mirror that this machine is configured with.
pub(crate) fn debian_rootfs() -> Result<PathBuf> {
    let path = PathBuf::from("target/demo-debian-12.tar");
    if !path.exists() {
        let part = "target/demo-debian-12.part.tar";
        run("mmdebstrap", &["--variant=minbase", "--include=busybox-static,procps", "bookworm", part])?;
        std::fs::rename(part, &path)?;
    }
    Ok(std::path::absolute(path)?)
}

struct Daemon {
    binary: PathBuf,
    folder: PathBuf,
    process: Child,
}

impl Daemon {
    fn start(binary: &Path, folder: &Path) -> Result<Self> {
        let path = |name: &str| folder.join(name);
        let log = std::fs::File::create(path("daemon.log"))?;
        let process = Command::new(binary)
            .args(["daemon", "-H", &format!("unix://{}", path("docker.sock").display())])
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("run"))
            .arg("--pidfile")
            .arg(path("pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start the daemon")?;
        let daemon = Daemon { binary: binary.into(), folder: folder.into(), process };
        let start = Instant::now();
        while std::os::unix::net::UnixStream::connect(path("docker.sock")).is_err() {
            if start.elapsed() > Duration::from_secs(10) {
                bail!(
                    "the daemon does not answer:\n{}",
                    std::fs::read_to_string(path("daemon.log")).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        println!("daemon ready after {} ms", start.elapsed().as_millis());
        Ok(daemon)
    }

    /// The walk itself; every step must succeed.
    fn walk(&self, rootfs: &Path) -> Result<()> {
        let archive = rootfs.to_string_lossy();
        self.show(&["import", &archive, "debian:12"])?;
        self.show(&["run", "--rm", "debian:12", "cat", "/etc/debian_version"])?;
        let limits = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "50"];
        let mut serve = vec!["run", "-d", "--name", "web", "-p", "127.0.0.1:18080:80", "-w", "/etc"];
        serve.extend(limits);
        serve.extend(["debian:12", "busybox", "httpd", "-f", "-p", "80", "-h", "/etc"]);
        self.show(&serve)?;
        self.page("http://127.0.0.1:18080/debian_version")?;
        self.show(&["ps"])?;
        self.show(&["exec", "web", "ps", "-ef"])?;
        self.show(&["stats", "--no-stream", "web"])?;
        self.show(&["pause", "web"])?;
        self.show(&["ps", "--format", "{{.Names}}: {{.Status}}"])?;
        self.show(&["unpause", "web"])?;
        self.show(&["logs", "web"])?;
        self.show(&["commit", "web", "web:2"])?;
        let saved = self.folder.join("web.tar");
        self.show(&["save", "-o", &saved.to_string_lossy(), "web:2"])?;
        println!("web.tar: {} bytes", std::fs::metadata(&saved)?.len());
        self.show(&["history", "web:2"])?;
        self.show(&["stop", "-t", "1", "web"])?;
        self.show(&["rm", "web"])?;
        self.show(&["rmi", "web:2", "debian:12"])
    }

    fn show(&self, words: &[&str]) -> Result<()> {
        println!("\n$ sampan {}", words.join(" "));
        let start = Instant::now();
        let status = self.client(words).status().context("start the client")?;
        println!("({} ms)", start.elapsed().as_millis());
        ensure!(status.success(), "sampan {}: {status}", words.join(" "));
        Ok(())
    }

    fn client(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).env("DOCKER_HOST", format!("unix://{}", self.folder.join("docker.sock").display()));
        command
    }

    /// Fetches a page; the server inside needs a moment to listen.
    fn page(&self, url: &str) -> Result<()> {
        println!("\n$ curl {url}");
        run("curl", &["-sS", "--fail", "--retry", "20", "--retry-delay", "1", "--retry-all-errors", url])
    }

    /// Removes what a failed walk has left and ends the daemon.
    fn stop(mut self) -> Result<()> {
        let listed = self.client(&["ps", "-aq"]).output().map(|output| output.stdout).unwrap_or_default();
        for id in String::from_utf8_lossy(&listed).split_whitespace() {
            let _ = self.client(&["rm", "-f", id]).status();
        }
        let ended =
            Command::new("kill").arg(self.process.id().to_string()).status().is_ok_and(|status| status.success());
        ensure!(
            ended,
            "the daemon ended by itself:\n{}",
            std::fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default()
        );
        self.process.wait().context("wait for the daemon")?;
        Ok(())
    }
}
