//! `dist`: the release binary, proven to be static.

use crate::{cargo, run_command};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::Command;

/// Builds `dist/sampan` and returns its path.
pub(crate) fn dist() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--package", "sampan", "--target", target()]);
    // the commit's date, not the clock's: the same sources make the same program
    for (name, what) in [("SAMPAN_COMMIT", "%H"), ("SAMPAN_BUILD_DATE", "%cd")] {
        let mut git = Command::new("git");
        git.env("TZ", "UTC").args(["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", &format!("--format={what}")]);
        if let Some(said) = git.output().ok().filter(|output| output.status.success()) {
            build.env(name, String::from_utf8_lossy(&said.stdout).trim());
        }
    }
    run_command(&mut build)?;
    let built = PathBuf::from("target").join(target()).join("release/sampan");
    let bytes = std::fs::read(&built).with_context(|| format!("read {}", built.display()))?;
    ensure!(!has_interpreter(&bytes)?, "{} wants a dynamic loader: it is not static", built.display());
    std::fs::create_dir_all("dist").context("create dist")?;
    let (new, path) = (PathBuf::from("dist/.sampan.new"), PathBuf::from("dist/sampan"));
    // a running binary cannot be written to, but its name can be given to another
    std::fs::copy(&built, &new).context("copy to dist")?;
    std::fs::rename(&new, &path).context("rename in dist")?;
    Ok(path)
}

/// The target whose flags in `.cargo/config.toml` link glibc in.
pub(crate) fn target() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" }
}

/// Whether an ELF file has a PT_INTERP segment (elf(5)).
fn has_interpreter(elf: &[u8]) -> Result<bool> {
    const PT_INTERP: u32 = 3;
    ensure!(elf.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit little-endian ELF file");
    let half = |at: usize| {
        elf.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]) as usize).context("truncated ELF file")
    };
    let word = |at: usize| {
        elf.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).context("truncated ELF file")
    };
    let (table, size, count) = (word(32)? as usize, half(54)?, half(56)?);
    (0..count).try_fold(false, |found, index| Ok(found || word(table + index * size)? == PT_INTERP))
}
