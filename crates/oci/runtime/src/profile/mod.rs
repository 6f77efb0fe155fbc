//! Docker's defaults: capabilities, seccomp profile, paths, mounts and devices of a container nobody configured.

mod seccomp;

pub use seccomp::{ProfileError, default_seccomp, seccomp_from_docker_json};

use spec::runtime::{Capability, LinuxDevice, LinuxDeviceCgroup, Mount};

/// The capabilities that docker gives when nothing is added or dropped.
pub fn default_capabilities() -> Vec<Capability> {
    todo!()
}

/// Every capability that this kernel knows (`--privileged`, `--cap-add ALL`).
pub fn all_capabilities() -> Vec<Capability> {
    todo!()
}

/// Paths hidden from the container.
pub fn masked_paths() -> Vec<String> {
    todo!()
}

/// Paths that are read-only for the container.
pub fn readonly_paths() -> Vec<String> {
    todo!()
}

/// /proc, /dev, /dev/pts, /sys, /sys/fs/cgroup, /dev/mqueue, /dev/shm, in order. `shm_size` in bytes.
pub fn default_mounts(shm_size: u64) -> Vec<Mount> {
    let _ = shm_size;
    todo!()
}

/// The device nodes that every container has: null, zero, full, random, urandom, tty.
pub fn default_devices() -> Vec<LinuxDevice> {
    todo!()
}

/// The device rules of docker: nothing, but make any node, and use the usual few and ptys.
pub fn default_device_rules() -> Vec<LinuxDeviceCgroup> {
    todo!()
}

/// The rule of a privileged container.
pub fn privileged_device_rules() -> Vec<LinuxDeviceCgroup> {
    todo!()
}
