//! Kubernetes: how soon the API answers, what it costs to be idle, and what load programs measure against it and beside etcd.

use super::oci::busybox_rootfs;
use super::{Times, k8s_api, peers::Daemon};
use crate::{cargo, run_command};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 10;
const LISTEN: &str = "127.0.0.1:6443";
/// The backend of the Services that are measured has an address here.
const BRIDGE: &str =
    "ip link add bench0 type bridge && ip address add 10.99.0.1/24 dev bench0 && ip link set bench0 up";

/// Starts, idle cost, load.
pub(super) fn bench(binary: &Path) -> Result<()> {
    let [load, api, services, puts] = [program("kubernetes")?, program("api")?, program("services")?, program("puts")?];
    run_command(&mut Command::new(puts))?;
    let folder = std::env::temp_dir().join(format!("sampan-bench-k8s.{}", std::process::id()));
    let result = first_starts(binary, &folder).and_then(|()| cluster(binary, [&load, &api, &services], &folder));
    let _ = std::fs::remove_dir_all(&folder);
    result
}

/// From nothing (no key, no object) to a node that is Ready.
fn first_starts(binary: &Path, folder: &Path) -> Result<()> {
    let mut times = Times::default();
    for _ in 0..STARTS {
        let _ = std::fs::remove_dir_all(folder);
        let began = Instant::now();
        let daemon = Daemon::sampan_with(binary, folder, &["--kubernetes", "--kubernetes-listen", LISTEN])?;
        until_ready(&daemon)?;
        until_node_ready(&daemon, folder)?;
        times.0.push(began.elapsed());
    }
    println!("\n### Daemon started with nothing to node Ready\n\n| runs | median ms | p99 ms |\n|---|---|---|");
    println!("| {STARTS} | {:.0} | {:.0} |", times.quantile(0.5), times.quantile(0.99));
    Ok(())
}

/// Asks with the administrator's certificate, which is taken out of the kubeconfig.
fn until_node_ready(daemon: &Daemon, folder: &Path) -> Result<()> {
    let script = format!(
        r#"cd {}; for part in certificate key; do
            sed -n "s/.*client-$part-data: *//p" data/kubernetes/admin.kubeconfig | tr -d '"' | base64 -d > admin.$part; done
        for turn in $(seq 3000); do
            curl -ks --cert admin.certificate --key admin.key https://{LISTEN}/api/v1/nodes | tr -d ' \n' |
                grep -q '"status":"True","type":"Ready"' && exit 0
            sleep 0.005
        done; exit 1"#,
        folder.display()
    );
    run_command(Command::new("nsenter").args(["-n", "-t", &daemon.pid().to_string(), "sh", "-c", &script]))
}

fn cluster(binary: &Path, [load, api, services]: [&Path; 3], folder: &Path) -> Result<()> {
    let mut ready = Times::default();
    for _ in 0..STARTS {
        let began = Instant::now();
        let daemon = Daemon::sampan_with(binary, folder, &["--kubernetes", "--kubernetes-listen", LISTEN])?;
        until_ready(&daemon)?;
        ready.0.push(began.elapsed());
    }
    println!("\n### Daemon started again to API ready\n\n| runs | median ms | p99 ms |\n|---|---|---|");
    println!("| {STARTS} | {:.0} | {:.0} |", ready.quantile(0.5), ready.quantile(0.99));
    let daemon = Daemon::sampan_with(binary, folder, &["--kubernetes", "--kubernetes-listen", LISTEN])?;
    until_ready(&daemon)?;
    image(&daemon, folder)?;
    k8s_api::idle(&daemon)?;
    k8s_api::load(&daemon, api)?;
    let kubeconfig = folder.join("data/kubernetes/admin.kubeconfig");
    let inside = ["-n", "-t", &daemon.pid().to_string()].map(str::to_owned);
    run_command(Command::new("nsenter").args(&inside).arg(load).arg(&kubeconfig))?;
    // Last: pods would have the variables of all its Services.
    run_command(Command::new("nsenter").args(&inside).args(["sh", "-c", BRIDGE]))?;
    run_command(Command::new("nsenter").args(&inside).arg(services).arg(&kubeconfig))?;
    println!("\nAfter the load: {:.1} MiB", daemon.memory()?);
    Ok(())
}

fn until_ready(daemon: &Daemon) -> Result<()> {
    let start = Instant::now();
    loop {
        let mut command = Command::new("nsenter");
        command.args(["-n", "-t", &daemon.pid().to_string(), "curl", "-ks", &format!("https://{LISTEN}/readyz")]);
        let said = command.stderr(Stdio::null()).output().context("curl")?;
        if said.stdout == b"ok" {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(60) {
            bail!("the API is not ready after a minute");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn image(daemon: &Daemon, folder: &Path) -> Result<()> {
    busybox_rootfs(&folder.join("rootfs"))?;
    let output = Command::new("tar").arg("-C").arg(folder.join("rootfs")).args(["-c", "."]).output().context("tar")?;
    ensure!(output.status.success(), "tar: {}", output.status);
    daemon.call("POST", "/images/create?fromSrc=-&repo=bench&tag=1", &output.stdout).map(drop)
}

/// Builds a load program; its path.
fn program(name: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["bench", "--workspace", "--no-run", "--bench", name, "--message-format", "json"]);
    let output = command.stderr(Stdio::inherit()).output().context("cargo bench")?;
    ensure!(output.status.success(), "cargo bench --no-run --bench {name}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut built = messages.filter(|message| message["target"]["name"] == name && message["executable"].is_string());
    let path = built.next_back().and_then(|message| message["executable"].as_str().map(PathBuf::from));
    path.with_context(|| format!("cargo does not say where the program {name} is"))
}
