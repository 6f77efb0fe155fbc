//! Docker's defaults: capabilities, seccomp profile, paths, mounts and devices of a container nobody configured.

mod devices;
mod docker_json;
mod seccomp;
mod table;

pub use devices::{base_device_rules, default_device_rules, default_devices, privileged_device_rules};
pub use docker_json::{ProfileError, seccomp_from_docker_json};
pub use seccomp::default_seccomp;

use std::fs;
use std::path::Path;

use spec::runtime::{Capability, Mount, MountBuilder};

/// The capabilities that docker gives when nothing is added or dropped.
pub fn default_capabilities() -> Vec<Capability> {
    vec![
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fsetid,
        Capability::Fowner,
        Capability::Mknod,
        Capability::NetRaw,
        Capability::Setgid,
        Capability::Setuid,
        Capability::Setfcap,
        Capability::Setpcap,
        Capability::NetBindService,
        Capability::SysChroot,
        Capability::Kill,
        Capability::AuditWrite,
    ]
}

/// By number, as in linux/capability.h.
const BY_NUMBER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// Every capability that this process may hand on (`--privileged`, `--cap-add ALL`): those in its bounding set, so
/// that a daemon that lacks some still starts containers with the rest, as docker does.
pub fn all_capabilities() -> Vec<Capability> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let mask = mask.unwrap_or(u64::MAX);
    let numbered = BY_NUMBER.into_iter().enumerate();
    numbered.filter(|(number, _)| mask >> number & 1 == 1).map(|(_, capability)| capability).collect()
}

/// The names of all capabilities that this program knows, as the specification writes them, in order.
pub fn known_capabilities() -> Vec<String> {
    let mut names: Vec<String> = BY_NUMBER.iter().map(|capability| format!("CAP_{capability}")).collect();
    names.sort();
    names
}

/// Paths hidden from the container. Those that this host does not have are left out by whoever mounts.
pub fn masked_paths() -> Vec<String> {
    let mut paths: Vec<String> = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ]
    .map(str::to_owned)
    .to_vec();
    // Temperatures tell what other containers do; only bare metal has the files, one for each processor.
    if Path::new("/sys/devices/system/cpu/cpu0/thermal_throttle").exists() {
        let possible = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
        let last = possible.trim().rsplit(['-', ',']).next().and_then(|last| last.parse().ok());
        for cpu in 0..=last.unwrap_or(0u32) {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
            if Path::new(&path).exists() {
                paths.push(path);
            }
        }
    }
    paths
}

/// Paths that are read-only for the container.
pub fn readonly_paths() -> Vec<String> {
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].map(str::to_owned).to_vec()
}

/// /proc, /dev, /dev/pts, /sys, /sys/fs/cgroup, /dev/mqueue, /dev/shm, in the order in which they are mounted.
/// `shm_size` is in bytes; docker's default is 64 MiB.
pub fn default_mounts(shm_size: u64) -> Vec<Mount> {
    let shm_size = format!("size={shm_size}");
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm_size]),
    ]
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options)
        .build()
        .expect("every field is set")
}

#[cfg(test)]
mod tests;
