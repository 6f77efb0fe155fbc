//! Two daemons side by side, each in network and mount namespaces of its own, and just enough HTTP to drive them.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon that answers on a socket.
pub(super) struct Daemon {
    pub name: &'static str,
    pub folder: PathBuf,
    process: Child,
}

impl Daemon {
    /// Ours.
    pub(super) fn sampan(binary: &Path, folder: &Path) -> Result<Self> {
        Self::sampan_with(binary, folder, &[])
    }

    /// The same with further flags.
    pub(super) fn sampan_with(binary: &Path, folder: &Path, flags: &[&str]) -> Result<Self> {
        let binary = binary.to_string_lossy();
        Self::start("sampan", folder, &[&[&*binary, "daemon"], flags].concat())
    }

    /// The daemon's process.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Debian's dockerd, which starts its own containerd.
    pub(super) fn dockerd(folder: &Path) -> Result<Self> {
        Self::start("dockerd", folder, &["dockerd"])
    }

    fn start(name: &'static str, folder: &Path, command: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let log = std::fs::File::create(path("log"))?;
        let options = [
            format!("--host=unix://{}", path("socket")),
            format!("--data-root={}", path("data")),
            format!("--exec-root={}", path("run")),
            format!("--pidfile={}", path("pid")),
        ];
        let line = format!("ip link set lo up && exec {} {}", command.join(" "), options.join(" "));
        let process = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", &line])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let daemon = Daemon { name, folder: folder.into(), process };
        let start = Instant::now();
        while daemon.call("GET", "/_ping", b"").is_err() {
            if start.elapsed() > Duration::from_secs(60) {
                bail!("{name} does not answer:\n{}", std::fs::read_to_string(path("log")).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        println!("{name}: ready after {} ms", start.elapsed().as_millis());
        Ok(daemon)
    }

    /// One call on a connection of its own; the answer's body.
    pub(super) fn call(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let mut stream = UnixStream::connect(self.folder.join("socket"))?;
        let kind = if body.starts_with(b"{") { "application/json" } else { "application/x-tar" };
        write!(
            stream,
            "{method} /v1.41{path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status: u16 = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
        let mut chunked = false;
        let mut length = None;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let header = line.trim().to_lowercase();
            if header.is_empty() {
                break;
            }
            chunked |= header == "transfer-encoding: chunked";
            length =
                length.or(header.strip_prefix("content-length:").and_then(|value| value.trim().parse::<u64>().ok()));
        }
        let mut answer = Vec::new();
        match length {
            _ if chunked => read_chunks(&mut reader, &mut answer)?,
            Some(length) => drop(reader.take(length).read_to_end(&mut answer)?),
            None if status == 204 || status == 304 => {}
            None => drop(reader.read_to_end(&mut answer)?),
        }
        ensure!(status < 400, "{}: {method} {path}: {status} {}", self.name, String::from_utf8_lossy(&answer));
        Ok(answer)
    }

    /// Proportional memory of the daemon and everything it started that is no container, in MiB.
    pub(super) fn memory(&self) -> Result<f64> {
        let mut kilobytes = 0.0;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            if !command.contains(&*self.folder.to_string_lossy()) || command.starts_with("unshare") {
                continue;
            }
            let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
            let resident = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            kilobytes +=
                resident.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<f64>().ok()).unwrap_or(0.0);
        }
        Ok(kilobytes / 1024.0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // unshare becomes the shell, and the shell the daemon: the pid is the daemon's own
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

fn read_chunks(reader: &mut impl BufRead, into: &mut Vec<u8>) -> Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).with_context(|| format!("bad chunk length {line:?}"))?;
        reader.take(length).read_to_end(into)?;
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(());
        }
    }
}
