//! Debian packages and Python packages that the chores need, installed where they are missing.

use crate::{has, run, run_command};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// For the tests: peers to compare with, things to make images of, a machine to boot.
pub(crate) const TESTS: &[&str] = &[
    "busybox-static",
    "ca-certificates",
    "cpio",
    "crun",
    "curl",
    "docker-registry",
    "erofs-utils",
    "iproute2",
    "iptables",
    "linux-image-cloud-amd64",
    "mmdebstrap",
    "nftables",
    "openssl",
    "procps",
    "python3-venv",
    "qemu-system-x86",
    "runc",
    "util-linux",
    "xz-utils",
];

/// For the demonstration.
pub(crate) const DEMO: &[&str] = &["busybox-static", "ca-certificates", "curl", "mmdebstrap"];

/// For the benchmarks.
pub(crate) const BENCH: &[&str] = &["busybox-static", "crun", "docker.io", "iptables", "runc"];

/// Installs the packages that are missing; wants to be root for that.
pub(crate) fn install(wanted: &[&str]) -> Result<()> {
    let mut missing: Vec<&str> = wanted.iter().copied().filter(|name| !installed(name)).collect();
    if !has("docker") && !missing.contains(&"docker.io") {
        missing.push("docker.io");
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    run("apt-get", &["update", "-qq"])?;
    let mut command = Command::new("apt-get");
    command
        .args(["install", "-qq", "-y", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run_command(&mut command)
}

/// A Python environment with docker's client library, made once.
pub(crate) fn python() -> Result<PathBuf> {
    let folder = Path::new("target/python");
    let python = folder.join("bin/python");
    let ready =
        || Command::new(&python).args(["-c", "import docker"]).output().is_ok_and(|output| output.status.success());
    if !ready() {
        let path = folder.to_string_lossy();
        run("python3", &["-m", "venv", &path])?;
        run(&python.to_string_lossy(), &["-m", "pip", "install", "-q", "docker==7.2.0"])?;
        ensure!(ready(), "docker 7.2.0 does not import in {path}");
    }
    Ok(std::path::absolute(python)?)
}

fn installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).output();
    output.is_ok_and(|output| output.stdout.ends_with(b" installed"))
}
