//! A virtual machine with Debian's cloud kernel and a pure cgroup v2 tree, for what this machine's own hierarchy
//! cannot show. Boots once, runs many checks, tells the outcome of each.
//!
//! ```text
//! test                                   guest (initramfs)
//!   image::build ── cpio ──────────────▶ /init: modules, tmpfs, switch_root
//!                                        /start: cgroup2 at /sys/fs/cgroup, then every check in order
//!   outcomes     ◀──── serial console ── @@ begin NAME / lines / @@ end NAME CODE ... @@ done
//! ```

mod cpio;
mod image;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// One check: a shell script in the guest. It passes when it ends with 0; everything that it prints is kept.
#[derive(Clone, Debug)]
pub struct Check {
    /// Names the outcome.
    pub name: &'static str,
    /// For busybox's shell, with `set -e` and the functions of `image.rs`.
    pub script: String,
}

/// What is put into the guest.
#[derive(Debug)]
pub struct Guest {
    /// The binary under test; /bin/sampan in the guest.
    pub binary: PathBuf,
    /// Further files: path in the guest, contents, mode.
    pub files: Vec<(String, Vec<u8>, u32)>,
    /// In the order in which they run.
    pub checks: Vec<Check>,
    /// Kernel modules by name; what they depend on comes along.
    pub modules: Vec<&'static str>,
}

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code of the script.
    pub code: i32,
    /// What it printed, standard error too.
    pub output: String,
}

/// What the guest told.
#[derive(Debug, Default)]
pub struct Report {
    /// By name of the check. A check that never ended is absent.
    pub outcomes: BTreeMap<String, Outcome>,
    /// Everything from the serial console, for a failed boot.
    pub console: String,
    /// How long the machine ran.
    pub elapsed: Duration,
}

/// Kernel and tools that a machine needs.
#[derive(Debug)]
pub struct Host {
    kernel: PathBuf,
    modules: PathBuf,
    busybox: PathBuf,
    qemu: PathBuf,
}

impl Host {
    /// Looks for the packages linux-image-cloud-amd64, qemu-system-x86 and busybox-static; an error names the missing one.
    pub fn find() -> Result<Host> {
        let (kernel, modules) = newest_kernel()?;
        let program = |path: &str, package: &str| {
            let path = PathBuf::from(path);
            if path.exists() { Ok(path) } else { bail!("{} is missing (package {package})", path.display()) }
        };
        Ok(Host {
            kernel,
            modules,
            busybox: program("/usr/bin/busybox", "busybox-static")?,
            qemu: program("/usr/bin/qemu-system-x86_64", "qemu-system-x86")?,
        })
    }

    /// Boots the guest and collects what it tells, until it is done or the time is over.
    pub fn run(&self, guest: &Guest, limit: Duration) -> Result<Report> {
        let dir = tempfile::tempdir()?;
        let initramfs = dir.path().join("initramfs.cpio");
        image::build(self, guest, &initramfs).context("build the initramfs")?;
        let start = Instant::now();
        let mut qemu = Machine(self.start(&initramfs)?);
        let console = qemu.0.stdout.take().context("console of the machine")?;
        let mut report = collect(console, start + limit);
        report.elapsed = start.elapsed();
        Ok(report)
    }

    fn start(&self, initramfs: &Path) -> Result<Child> {
        let mut command = Command::new(&self.qemu);
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536"]);
        command.args(["-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-nic", "none"]);
        command.args(["-serial", "stdio"]);
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(initramfs);
        command.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on tsc=unstable"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.spawn().with_context(|| format!("start {}", self.qemu.display()))
    }
}

/// A running machine; ended when dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The newest cloud kernel that has its modules.
fn newest_kernel() -> Result<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/boot").context("look into /boot")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(version) = name.strip_prefix("vmlinuz-") else { continue };
        let modules = Path::new("/lib/modules").join(version);
        if version.contains("cloud") && modules.join("modules.dep").exists() {
            found.push((entry.path(), modules));
        }
    }
    found.sort();
    found.pop().context("no kernel in /boot (package linux-image-cloud-amd64)")
}

/// Reads the console until the guest is done, the machine ends or the time is over.
fn collect(console: impl std::io::Read + Send + 'static, deadline: Instant) -> Report {
    let (sender, lines) = mpsc::channel();
    // A thread, because a read of the pipe cannot be given a deadline; it ends with the machine.
    std::thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while matches!(console.read_until(b'\n', &mut line), Ok(length) if length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    let mut report = Report::default();
    let mut current: Option<(String, String)> = None;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        report.console.push_str(&line);
        report.console.push('\n');
        let words: Vec<&str> = line.split(' ').collect();
        match (words.as_slice(), &mut current) {
            (["@@", "begin", name], _) => current = Some(((*name).to_owned(), String::new())),
            (["@@", "end", _, code], _) => {
                if let Some((name, output)) = current.take() {
                    let code = code.parse().unwrap_or(-1);
                    report.outcomes.insert(name, Outcome { code, output });
                }
            }
            (["@@", "done"], _) => break,
            (_, Some((_, output))) => {
                output.push_str(&line);
                output.push('\n');
            }
            _ => {}
        }
    }
    report
}
