//! The initramfs: busybox, the binary, modules, and the scripts that run the checks.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cpio::Archive;
use super::{Guest, Host};

/// Runs from the initramfs. A process whose root is the initramfs itself cannot pivot_root, so everything moves to
/// a tmpfs first.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /new
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t tmpfs -o size=80%,mode=755 root /new
for top in /*; do
    case $top in
        /new | /proc | /sys | /dev | /init) ;;
        *) /bin/busybox cp -a $top /new/ ;;
    esac
done
/bin/busybox mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run /new/var/lib
/bin/busybox umount /proc
exec /bin/busybox switch_root /new /start
"#;

/// Process 1 afterwards.
const START: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o ptmxmode=0666 pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
ip link set lo up
dmesg -n 1
echo # whatever the firmware left on the line
for module in $(cat /vm/modules); do insmod $module || echo "cannot load $module"; done
for check in $(cat /vm/checks); do
    echo "@@ begin $check"
    ( . /vm/functions; set -e; cd /tmp; . /vm/check/$check ) </dev/null 2>&1
    echo "@@ end $check $?"
done
echo "@@ done"
poweroff -f
"#;

/// What the checks may use.
const FUNCTIONS: &str = r#"
fail() { echo "FAILED: $*"; exit 1; }
equal() { [ "$1" = "$2" ] || fail "$3: wanted '$2', got '$1'"; }
within() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ] || fail "$4: wanted $2 to $3, got $1"; }
eventually() {
    n=0
    until eval "$1"; do
        n=$((n + 1))
        [ $n -lt 200 ] || fail "not within ten seconds: $1"
        usleep 50000
    done
}
"#;

pub(super) fn build(host: &Host, guest: &Guest, to: &Path) -> Result<()> {
    let file = BufWriter::new(File::create(to)?);
    let mut archive = Archive::new(file);
    for directory in ["bin", "dev", "etc", "lib", "vm", "vm/check", "vm/modules.d", "rootfs", "proc", "sys"] {
        archive.directory(directory)?;
    }
    archive.char_device("dev/console", 5, 1)?;
    archive.char_device("dev/null", 1, 3)?;
    let busybox = fs::read(&host.busybox).context("read busybox")?;
    archive.file("bin/busybox", 0o755, &busybox)?;
    archive.link("bin/sh", "busybox")?;
    archive.file("bin/sampan", 0o755, &stripped(&guest.binary)?)?;
    archive.file("init", 0o755, INIT.as_bytes())?;
    archive.file("start", 0o755, START.as_bytes())?;
    archive.file("vm/functions", 0o644, FUNCTIONS.as_bytes())?;
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/:/bin/sh\n")?;
    archive.file("etc/group", 0o644, b"root:x:0:\n")?;
    root_filesystem(&mut archive, &busybox)?;
    modules(host, guest, &mut archive)?;
    let names: Vec<&str> = guest.checks.iter().map(|check| check.name).collect();
    archive.file("vm/checks", 0o644, names.join("\n").as_bytes())?;
    for check in &guest.checks {
        archive.file(&format!("vm/check/{}", check.name), 0o644, check.script.as_bytes())?;
    }
    let mut made = BTreeSet::new();
    for (path, contents, mode) in &guest.files {
        parents(&mut archive, path, &mut made)?;
        archive.file(path, *mode, contents)?;
    }
    archive.finish()?;
    Ok(())
}

/// The root file system of containers: busybox under the names that the checks use.
fn root_filesystem(archive: &mut Archive<BufWriter<File>>, busybox: &[u8]) -> Result<()> {
    for directory in ["bin", "dev", "etc", "proc", "sys", "tmp", "root"] {
        archive.directory(&format!("rootfs/{directory}"))?;
    }
    archive.file("rootfs/bin/busybox", 0o755, busybox)?;
    let applets = [
        "cat", "dd", "echo", "false", "head", "hostname", "id", "ls", "mkdir", "mknod", "mount", "ps", "sh", "sleep",
        "tail", "test", "touch", "true", "usleep", "wc", "yes",
    ];
    for applet in applets {
        archive.link(&format!("rootfs/bin/{applet}"), "busybox")?;
    }
    archive.file("rootfs/etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
    archive.file("rootfs/etc/group", 0o644, b"root:x:0:\n")?;
    Ok(())
}

fn parents(archive: &mut Archive<BufWriter<File>>, path: &str, made: &mut BTreeSet<String>) -> Result<()> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    for length in 1..parts.len() {
        let parent = parts[..length].join("/");
        if made.insert(parent.clone()) {
            archive.directory(&parent)?;
        }
    }
    Ok(())
}

/// A debug build is mostly symbols, and every byte is copied by an emulated processor.
fn stripped(binary: &Path) -> Result<Vec<u8>> {
    let to = tempfile::NamedTempFile::new()?;
    let status = Command::new("strip").arg("-o").arg(to.path()).arg(binary).status();
    match status {
        Ok(status) if status.success() => Ok(fs::read(to.path())?),
        _ => fs::read(binary).with_context(|| format!("read {}", binary.display())),
    }
}

/// Copies the modules with all that they need, and lists them in the order of loading.
fn modules(host: &Host, guest: &Guest, archive: &mut Archive<BufWriter<File>>) -> Result<()> {
    let table = fs::read_to_string(host.modules.join("modules.dep"))?;
    let mut order: Vec<&str> = Vec::new();
    for name in &guest.modules {
        let stem = |path: &str| {
            let file = path.rsplit('/').next().unwrap_or(path);
            file.split('.').next().unwrap_or(file).replace('-', "_")
        };
        let line = table.lines().filter_map(|line| line.split_once(':')).find(|(path, _)| stem(path) == *name);
        let Some((path, needs)) = line else { bail!("no module {name} in {}", host.modules.display()) };
        // modules.dep lists the nearest first; what is needed must be loaded before.
        for path in needs.split_whitespace().rev().chain([path]) {
            if !order.contains(&path) {
                order.push(path);
            }
        }
    }
    let mut list = String::new();
    for path in order {
        let name = path.rsplit('/').next().unwrap_or(path);
        archive.file(&format!("vm/modules.d/{name}"), 0o644, &fs::read(host.modules.join(path))?)?;
        list.push_str(&format!("/vm/modules.d/{name}\n"));
    }
    archive.file("vm/modules", 0o644, list.as_bytes())?;
    Ok(())
}
