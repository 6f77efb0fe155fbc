//! `spec`: a config.json to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::features::SPEC_VERSION;
use crate::error::{AtStep, Result};

#[derive(Args)]
pub(super) struct SpecCommand {
    /// Folder to write config.json into
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
    /// For a user without privileges: a user namespace in which the user is root
    #[arg(long)]
    rootless: bool,
}

impl SpecCommand {
    pub(super) fn run(self) -> Result<()> {
        let path = self.bundle.join("config.json");
        let mut options = OpenOptions::new();
        // One that is there is somebody's work.
        let mut file = options.write(true).create_new(true).open(&path).at(|| format!("make {}", path.display()))?;
        let mut template = template();
        if self.rootless {
            make_rootless(&mut template);
        }
        writeln!(file, "{template:#}").at(|| format!("write {}", path.display()))
    }
}

/// A shell in `rootfs` with a terminal, few capabilities and namespaces of its own.
fn template() -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": SPEC_VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "sampan",
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"])
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": crate::profile::masked_paths(),
            "readonlyPaths": crate::profile::readonly_paths()
        }
    })
}

/// What a plain user may: its own id as root, the host's network and so the host's /sys, no group but its own.
fn make_rootless(template: &mut Value) {
    let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    let linux = &mut template["linux"];
    linux["uidMappings"] = map(rustix::process::geteuid().as_raw());
    linux["gidMappings"] = map(rustix::process::getegid().as_raw());
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    let Some(mounts) = template["mounts"].as_array_mut() else { return };
    mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|path| path.starts_with("/sys")));
    for options in mounts.iter_mut().filter_map(|mount| mount["options"].as_array_mut()) {
        options.retain(|option| !option.as_str().is_some_and(|option| option.starts_with("gid=")));
    }
    let options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
    mounts.push(json!({"destination": "/sys", "type": "none", "source": "/sys", "options": options}));
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_a_specification() {
        let spec: spec::runtime::Spec = serde_json::from_value(super::template()).unwrap();
        assert_eq!(spec.process().as_ref().unwrap().args().as_ref().unwrap(), &["sh"]);
    }

    #[test]
    fn a_template_for_a_user_has_no_network_and_no_groups() {
        let mut template = super::template();
        super::make_rootless(&mut template);
        let spec: spec::runtime::Spec = serde_json::from_value(template.clone()).unwrap();
        assert_eq!(spec.linux().as_ref().unwrap().uid_mappings().as_ref().unwrap().len(), 1);
        let text = template.to_string();
        assert!(!text.contains("network") && !text.contains("gid=") && !text.contains("/sys/fs/cgroup"), "{text}");
    }
}
