//! The OCI runtimes on one bundle: `run` of a busybox that ends at once.

use super::{Times, table};
use crate::{has, run, run_command};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

const RUNS: usize = 200;
/// Where hybrid hosts have their empty v2 tree.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// `run` of the same bundle by each runtime, in turn.
pub(super) fn bench(binary: &Path) -> Result<()> {
    if Path::new(UNIFIED).join("cgroup.procs").exists() {
        return without_unified(binary);
    }
    let folder = std::env::temp_dir().join(format!("sampan-bench.{}", std::process::id()));
    let result = runs(binary, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

/// crun refuses hybrid control groups: all runtimes run where the v2 tree of such a host is out of sight.
fn without_unified(binary: &Path) -> Result<()> {
    let line = format!("umount {UNIFIED} && exec \"$0\" bench oci");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &line]).arg(std::env::current_exe()?);
    run_command(command.env("SAMPAN_BIN", binary))
}

fn runs(binary: &Path, folder: &Path) -> Result<()> {
    busybox_rootfs(&folder.join("rootfs"))?;
    bundle(folder)?;
    let ours = binary.to_string_lossy().into_owned();
    let mut peers: Vec<(&str, Vec<String>, Times)> =
        vec![("sampan runtime", vec![ours, "runtime".into()], Times::default())];
    for peer in ["crun", "runc"] {
        if has(peer) {
            peers.push((peer, vec![peer.into()], Times::default()));
        }
    }
    // the first round warms the page cache and is not counted
    for round in 0..=RUNS {
        for (at, (name, command, times)) in peers.iter_mut().enumerate() {
            let id = format!("sampan-bench-{at}-{round}");
            let state = folder.join(format!("state-{at}"));
            let mut command_line = Command::new(&command[0]);
            command_line.args(&command[1..]).arg("--root").arg(state).args(["run", "--bundle"]).arg(folder).arg(id);
            command_line.stdin(Stdio::null()).stdout(Stdio::null());
            let status = times.time(|| command_line.status().with_context(|| format!("start {name}")))?;
            ensure!(status.success(), "{name}: {status}");
            if round == 0 {
                times.0.clear();
            }
        }
    }
    let equal = "Equal: bundle (runc's own `spec`: pid, network, ipc, uts, mount and cgroup namespaces, masked paths, capabilities, no_new_privs), \
                 busybox `true`, cold process each time. Durability: none has any.";
    let rows: Vec<_> = peers.iter().map(|(name, _, times)| (*name, times)).collect();
    table("OCI `run`", equal, &rows);
    Ok(())
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
fn bundle(folder: &Path) -> Result<()> {
    run("runc", &["spec", "--bundle", &folder.to_string_lossy()])?;
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path)?;
    let text = text.replace("\"terminal\": true", "\"terminal\": false").replace("\"sh\"", "\"/bin/true\"");
    ensure!(text.contains("/bin/true"), "runc's spec has another shape than expected");
    std::fs::write(path, text)?;
    Ok(())
}
