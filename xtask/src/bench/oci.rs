//! The OCI runtimes beside each other: `run`, `exec` and many `create`s at once, in time, processor time and memory.

use super::peers::Daemon;
use super::{Times, table};
use crate::{cargo, dist, has, run, run_command};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const RUNS: usize = 200;
const AT_ONCE: usize = 32;
const ROUNDS: usize = 10;
/// Where hybrid hosts have their empty v2 tree.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// All runtimes in turn.
pub(super) fn bench(binary: &Path) -> Result<()> {
    if Path::new(UNIFIED).join("cgroup.procs").exists() {
        return without_unified(binary);
    }
    let folder = std::env::temp_dir().join(format!("sampan-bench.{}", std::process::id()));
    let result = everything(binary, &folder);
    let _ = std::fs::remove_dir_all(&folder);
    result
}

/// crun refuses hybrid control groups: all runtimes run where the v2 tree of such a host is out of sight.
fn without_unified(binary: &Path) -> Result<()> {
    let line = format!("umount {UNIFIED} && exec \"$0\" bench oci");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &line]).arg(std::env::current_exe()?);
    run_command(command.env("SAMPAN_BIN", binary))
}

fn everything(binary: &Path, folder: &Path) -> Result<()> {
    let measure = measure_program()?;
    let mut peers = vec![Peer::new("sampan runtime", &[&*binary.to_string_lossy(), "runtime"], folder, &measure)];
    for peer in ["crun", "runc"] {
        if has(peer) {
            peers.push(Peer::new(peer, &[peer], folder, &measure));
        }
    }
    let minimal = folder.join("minimal");
    std::fs::create_dir_all(&minimal)?;
    busybox_rootfs(&minimal.join("rootfs"))?;
    let template = minimal_bundle(&minimal, &["/bin/true"])?;
    runs(&mut peers, &minimal, "OCI `run`, minimal profile", MINIMAL)?;
    floor(&measure, &minimal)?;
    execs(&mut peers, folder, &minimal, &template)?;
    creates(&mut peers, &minimal)?;
    let docker = folder.join("docker");
    docker_bundle(&docker, folder, &minimal.join("rootfs"))?;
    runs(&mut peers, &docker, "OCI `run`, docker's default profile", DOCKER)
}

const MINIMAL: &str = "Equal: bundle (runc's own `spec`: pid, network, ipc, uts and mount namespaces, masked paths, capabilities, no_new_privs; no seccomp \
                       profile), busybox `true`, a cold process each time.";
const DOCKER: &str = "Equal: the bundle that dockerd makes of a container nobody configured (capabilities, seccomp profile, masked paths, device rules, mounts), \
                      with a network namespace of its own; busybox `true`, a cold process each time.";

/// One runtime, and what it has been seen to take.
struct Peer {
    name: &'static str,
    measure: PathBuf,
    command: Vec<String>,
    taken: Taken,
}

/// Processor time and memory include the container's first process, as long as the runtime waits for it.
#[derive(Default)]
struct Taken {
    times: Times,
    cpu: Vec<Duration>,
    peak: u64,
}

impl Peer {
    fn new(name: &'static str, command: &[&str], folder: &Path, measure: &Path) -> Peer {
        let mut command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let state = folder.join(format!("state-{}", name.replace(' ', "-")));
        command.extend(["--root".to_owned(), state.to_string_lossy().into_owned()]);
        Peer { name, measure: measure.to_owned(), command, taken: Taken::default() }
    }

    /// A command line of the runtime, its words being numbered by `{}`, `count` times at once.
    fn measured(&mut self, count: usize, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.measure);
        command.arg(count.to_string()).args(&self.command).args(words);
        self.taken.read(command).with_context(|| format!("{} {}", self.name, words.join(" ")))
    }

    fn quietly(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(words).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().with_context(|| format!("start {}", self.name))?;
        ensure!(status.success(), "{} {}: {status}", self.name, words.join(" "));
        Ok(())
    }
}

impl Taken {
    fn read(&mut self, mut command: Command) -> Result<()> {
        let output = command.stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines() {
            let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
            let &[wall, cpu, peak, code] = &numbers[..] else { bail!("measured {line:?}") };
            ensure!(code == 0, "ended with {code}");
            self.times.0.push(Duration::from_nanos(wall));
            self.cpu.push(Duration::from_micros(cpu));
            self.peak = self.peak.max(peak);
        }
        ensure!(output.status.success() && !text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn clear(&mut self) {
        *self = Taken::default();
    }

    fn processor(&self) -> f64 {
        let sum: Duration = self.cpu.iter().sum();
        sum.as_secs_f64() * 1000.0 / self.cpu.len().max(1) as f64
    }
}

/// The measuring program, which is the floor too.
fn measure_program() -> Result<PathBuf> {
    let build = ["build", "--release", "--package", "sys", "--example", "measure", "--target", dist::target()];
    run_command(cargo().args(build))?;
    Ok(std::path::absolute(Path::new("target").join(dist::target()).join("release/examples/measure"))?)
}

fn runs(peers: &mut [Peer], bundle: &Path, title: &str, equal: &str) -> Result<()> {
    let bundle = bundle.to_string_lossy();
    // the first round warms the page cache and is not counted
    for round in 0..=RUNS {
        for peer in peers.iter_mut() {
            if round == 1 {
                peer.taken.clear();
            }
            peer.measured(1, &["run", "--bundle", &bundle, &format!("sampan-bench-{round}")])?;
        }
    }
    taken_table(title, equal, peers);
    Ok(())
}

fn floor(measure: &Path, bundle: &Path) -> Result<()> {
    let mut taken = Taken::default();
    for round in 0..=RUNS {
        if round == 1 {
            taken.clear();
        }
        let mut command = Command::new(measure);
        command.arg("1").arg(measure).arg("floor").arg(bundle.join("rootfs")).arg("/bin/true");
        taken.read(command).context("floor")?;
    }
    let (times, cpu) = (&taken.times, taken.processor());
    println!(
        "\nThe floor (a cold process that makes the same namespaces, a root, /proc, /dev and /sys, and no control group, by the least code): \
         median {:.2} ms, p99 {:.2} ms, processor {cpu:.2} ms, peak {} KiB.",
        times.quantile(0.5),
        times.quantile(0.99),
        taken.peak
    );
    Ok(())
}

/// One more process in a container that runs.
fn execs(peers: &mut [Peer], folder: &Path, minimal: &Path, template: &Value) -> Result<()> {
    let bundle = folder.join("sleeping");
    std::fs::create_dir_all(&bundle)?;
    let mut config = template.clone();
    config["process"]["args"] = json!(["/bin/sleep", "3600"]);
    config["root"]["path"] = json!(minimal.join("rootfs"));
    std::fs::write(bundle.join("config.json"), config.to_string())?;
    let path = bundle.to_string_lossy();
    let result = exec_rounds(peers, &path);
    for peer in peers.iter() {
        peer.quietly(&["delete", "--force", "sampan-bench-sleeping"])?;
    }
    result?;
    let equal =
        "Equal: `exec` of busybox `true` in a container of the minimal profile that sleeps, a cold process each time.";
    taken_table("OCI `exec`", equal, peers);
    Ok(())
}

fn exec_rounds(peers: &mut [Peer], bundle: &str) -> Result<()> {
    for peer in peers.iter() {
        peer.quietly(&["run", "--detach", "--bundle", bundle, "sampan-bench-sleeping"])?;
    }
    for round in 0..=RUNS {
        for peer in peers.iter_mut() {
            if round <= 1 {
                peer.taken.clear();
            }
            peer.measured(1, &["exec", "sampan-bench-sleeping", "/bin/true"])?;
        }
    }
    Ok(())
}

/// Many `create`s that begin at the same time; each is measured by itself.
fn creates(peers: &mut [Peer], bundle: &Path) -> Result<()> {
    let bundle = bundle.to_string_lossy();
    for round in 0..=ROUNDS {
        for peer in peers.iter_mut() {
            if round <= 1 {
                peer.taken.clear();
            }
            let result = peer.measured(AT_ONCE, &["create", "--bundle", &bundle, "sampan-bench-once-{}"]);
            for number in 0..AT_ONCE {
                peer.quietly(&["delete", "--force", &format!("sampan-bench-once-{number}")])?;
            }
            result?;
        }
    }
    let title = format!("OCI `create`, {AT_ONCE} at once");
    let equal = format!(
        "Equal: the minimal profile, {ROUNDS} rounds in turn, every `create` measured from its start to its end."
    );
    taken_table(&title, &equal, peers);
    Ok(())
}

fn taken_table(title: &str, equal: &str, peers: &[Peer]) {
    let rows: Vec<_> = peers.iter().map(|peer| (peer.name, &peer.taken.times)).collect();
    table(title, equal, &rows);
    println!("\n| | processor ms | as many times ours | peak KiB | p99 as many times ours |\n|---|---|---|---|---|");
    let ours = peers.first().map_or(f64::NAN, |peer| peer.taken.processor());
    let worst = peers.first().map_or(f64::NAN, |peer| peer.taken.times.quantile(0.99));
    for Peer { name, taken, .. } in peers {
        let cpu = taken.processor();
        let late = taken.times.quantile(0.99) / worst;
        println!("| {name} | {cpu:.2} | {:.2} | {} | {late:.2} |", cpu / ours, taken.peak);
    }
}

/// A root file system of busybox alone.
pub(super) fn busybox_rootfs(rootfs: &Path) -> Result<()> {
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        std::fs::create_dir_all(rootfs.join(folder))?;
    }
    std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).context("copy busybox")?;
    for applet in ["sh", "true", "sleep", "cat", "echo"] {
        std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(applet))?;
    }
    Ok(())
}

/// A `config.json` that all runtimes take.
fn minimal_bundle(folder: &Path, args: &[&str]) -> Result<Value> {
    run("runc", &["spec", "--bundle", &folder.to_string_lossy()])?;
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(args);
    std::fs::write(path, config.to_string())?;
    Ok(config)
}

/// What dockerd gives its runtime for a container nobody configured, without what only its daemon can fill.
fn docker_bundle(bundle: &Path, folder: &Path, rootfs: &Path) -> Result<()> {
    let daemon = Daemon::dockerd(&folder.join("dockerd"))?;
    let tar = Command::new("tar").arg("-C").arg(rootfs).args(["-c", "."]).output().context("tar")?;
    daemon.call("POST", "/images/create?fromSrc=-&repo=bench&tag=1", &tar.stdout)?;
    let body = json!({"Image": "bench:1", "Cmd": ["sleep", "3600"], "NetworkDisabled": true});
    let made: Value =
        serde_json::from_slice(&daemon.call("POST", "/containers/create", body.to_string().as_bytes())?)?;
    let id = made["Id"].as_str().context("no Id in dockerd's answer")?.to_owned();
    daemon.call("POST", &format!("/containers/{id}/start"), b"")?;
    let config = find(&daemon.folder.join("run"), &id).context("dockerd's config.json is nowhere");
    let config = config.and_then(|path| Ok(serde_json::from_slice::<Value>(&std::fs::read(path)?)?));
    daemon.call("DELETE", &format!("/containers/{id}?force=1"), b"")?;
    let mut config = config?;
    config["process"]["args"] = json!(["/bin/true"]);
    config["root"]["path"] = json!(rootfs);
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "bind");
    }
    if let Some(config) = config.as_object_mut() {
        config.remove("hooks");
    }
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("cgroupsPath");
    }
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        for namespace in namespaces.iter_mut().filter_map(Value::as_object_mut) {
            namespace.remove("path");
        }
    }
    std::fs::create_dir_all(bundle)?;
    std::fs::write(bundle.join("config.json"), config.to_string())?;
    Ok(())
}

/// The config.json in a folder of a container's name.
fn find(folder: &Path, id: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        let config = path.join("config.json");
        if entry.file_name() == id && config.is_file() {
            return Some(config);
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Some(found) = find(&path, id)
        {
            return Some(found);
        }
    }
    None
}
