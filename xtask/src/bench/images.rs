//! Images: load of a gzip layer, load of what is there already, and delete.

use super::peers::Daemon;
use super::{Times, table};
use crate::demo::debian_rootfs;
use crate::run;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

const RUNS: usize = 3;

/// `docker load` and `docker rmi` of a Debian with one gzip layer.
pub(super) fn bench(binary: &Path) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("sampan-bench-images.{}", std::process::id()));
    let result = loads(binary, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn loads(binary: &Path, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let archive = std::fs::read(gzip_archive(folder)?)?;
    let daemons = [Daemon::sampan(binary, &folder.join("sampan"))?, Daemon::dockerd(&folder.join("dockerd"))?];
    let (mut first, mut again, mut delete) = <([Times; 2], [Times; 2], [Times; 2])>::default();
    for round in 0..=RUNS {
        for (at, daemon) in daemons.iter().enumerate() {
            first[at].time(|| daemon.call("POST", "/images/load", &archive))?;
            again[at].time(|| daemon.call("POST", "/images/load", &archive))?;
            delete[at].time(|| daemon.call("DELETE", "/images/bench:1", b""))?;
            if round == 0 {
                [&mut first[at], &mut again[at], &mut delete[at]].into_iter().for_each(|times| times.0.clear());
            }
        }
    }
    let equal = format!(
        "Equal: the archive ({} MB, one gzip layer), read from memory by both. Both sync what they keep.",
        archive.len() / 1_000_000
    );
    for (title, times) in
        [("Load of a gzip image", &first), ("Load of what is there already", &again), ("Delete", &delete)]
    {
        table(title, &equal, &[("sampan", &times[0]), ("dockerd", &times[1])]);
    }
    Ok(())
}

/// A docker archive whose one layer is a gzip tar of Debian.
fn gzip_archive(folder: &Path) -> Result<PathBuf> {
    let tar = debian_rootfs()?;
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let sum = std::process::Command::new("sha256sum").arg(&tar).output().context("sha256sum")?;
    let sum = String::from_utf8_lossy(&sum.stdout).split(' ').next().unwrap_or("").to_string();
    run("sh", &["-c", &format!("gzip -c {} > {}", tar.display(), path("layer.tar.gz"))])?;
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]}, "history": [{"created_by": "mmdebstrap"}],
    });
    std::fs::write(path("config.json"), config.to_string())?;
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": ["bench:1"], "Layers": ["layer.tar.gz"]}]);
    std::fs::write(path("manifest.json"), manifest.to_string())?;
    run(
        "tar",
        &["-C", &folder.to_string_lossy(), "-cf", &path("image.tar"), "manifest.json", "config.json", "layer.tar.gz"],
    )?;
    Ok(folder.join("image.tar"))
}
