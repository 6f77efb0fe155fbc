//! What this process may do on the host, for those who start containers without being its root.

use std::fs;

use rustix::process::geteuid;

/// CAP_SYS_ADMIN
const SYS_ADMIN: u32 = 21;

/// Whether it is root of the whole host: neither a plain user nor the root of some user namespace.
pub(crate) fn is_host_root() -> bool {
    geteuid().is_root() && maps_everything(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default())
}

/// Whether it may make and join namespaces and mounts where it is, as root or as the root of a user namespace.
pub(crate) fn is_administrator() -> bool {
    sys::caps::get().is_ok_and(|caps| caps.effective >> SYS_ADMIN & 1 == 1)
}

fn maps_everything(map: &str) -> bool {
    let fields: Vec<&str> = map.split_whitespace().collect();
    matches!(fields[..], ["0", "0", "4294967295"] | [])
}

#[cfg(test)]
mod tests {
    use super::maps_everything;

    #[test]
    fn a_namespace_is_told_by_its_map() {
        assert!(maps_everything("         0          0 4294967295\n"));
        assert!(maps_everything(""), "a kernel without user namespaces");
        assert!(!maps_everything("         0       1000          1\n"));
        assert!(!maps_everything("0 1000 1\n1 100000 65536\n"));
    }
}
