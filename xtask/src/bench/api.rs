//! The daemons through their API: a container's whole life with the default bridge, one at a time and 32 at once.

use super::oci::busybox_rootfs;
use super::peers::Daemon;
use super::{Times, table};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

const RUNS: usize = 100;
const AT_ONCE: usize = 32;

/// create + start + wait + remove.
pub(super) fn bench(binary: &Path) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("sampan-bench-api.{}", std::process::id()));
    let result = lives(binary, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn lives(binary: &Path, folder: &Path) -> Result<()> {
    let archive = busybox_image(folder)?;
    let daemons = [Daemon::sampan(binary, &folder.join("sampan"))?, Daemon::dockerd(&folder.join("dockerd"))?];
    for daemon in &daemons {
        daemon.call("POST", "/images/create?fromSrc=-&repo=bench&tag=1", &archive)?;
    }
    let idle: Vec<f64> = daemons.iter().map(Daemon::memory).collect::<Result<_>>()?;
    let mut alone = [Times::default(), Times::default()];
    for round in 0..=RUNS {
        for (daemon, times) in daemons.iter().zip(&mut alone) {
            times.time(|| life(daemon))?;
            if round == 0 {
                times.0.clear();
            }
        }
    }
    let mut together = [Times::default(), Times::default()];
    for (daemon, times) in daemons.iter().zip(&mut together) {
        let lives = || {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..AT_ONCE)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut times = Times::default();
                            times.time(|| life(daemon)).map(|()| times)
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
                    .collect::<Result<Vec<_>>>()
            })
        };
        times.0.extend(lives()?.into_iter().flat_map(|times| times.0));
    }
    let equal = "Equal: busybox `true`, default bridge network with an address, default capabilities, seccomp profile, masked paths and device rules. \
                 Not equal: dockerd 20.10 writes its container state without waiting for the disk; Sampan commits every state change.";
    table(
        "API create + start + wait + remove",
        equal,
        &[("sampan", &alone[0]), ("dockerd + containerd + runc", &alone[1])],
    );
    table("The same, 32 at once", equal, &[("sampan", &together[0]), ("dockerd + containerd + runc", &together[1])]);
    println!("\n### Idle memory (proportional set size, all processes of the engine)\n\n| | MiB |\n|---|---|");
    println!("| sampan daemon + supervisor | {:.1} |\n| dockerd + containerd | {:.1} |", idle[0], idle[1]);
    Ok(())
}

fn life(daemon: &Daemon) -> Result<()> {
    let created = daemon.call("POST", "/containers/create", br#"{"Image":"bench:1","Cmd":["/bin/true"]}"#)?;
    let created: serde_json::Value = serde_json::from_slice(&created)?;
    let id = created["Id"].as_str().context("no id")?;
    daemon.call("POST", &format!("/containers/{id}/start"), b"")?;
    let waited = daemon.call("POST", &format!("/containers/{id}/wait"), b"")?;
    let waited: serde_json::Value = serde_json::from_slice(&waited)?;
    ensure!(waited["StatusCode"] == 0, "{}: {waited}", daemon.name);
    daemon.call("DELETE", &format!("/containers/{id}"), b"")?;
    Ok(())
}

/// A tar of a busybox root file system.
fn busybox_image(folder: &Path) -> Result<Vec<u8>> {
    busybox_rootfs(&folder.join("rootfs"))?;
    let output = Command::new("tar").arg("-C").arg(folder.join("rootfs")).args(["-c", "."]).output().context("tar")?;
    ensure!(output.status.success(), "tar: {}", output.status);
    Ok(output.stdout)
}
