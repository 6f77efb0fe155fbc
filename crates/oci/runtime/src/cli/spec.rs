//! `spec`: a config.json to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::features::SPEC_VERSION;
use crate::error::{AtStep, Error, Result};

#[derive(Args)]
pub(super) struct SpecCommand {
    /// Folder to write config.json into
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
    /// For a user without privileges (not built)
    #[arg(long)]
    rootless: bool,
}

impl SpecCommand {
    pub(super) fn run(self) -> Result<()> {
        if self.rootless {
            return Err(Error::Unimplemented("spec --rootless".to_owned()));
        }
        let path = self.bundle.join("config.json");
        let mut options = OpenOptions::new();
        // One that is there is somebody's work.
        let mut file = options.write(true).create_new(true).open(&path).at(|| format!("make {}", path.display()))?;
        writeln!(file, "{:#}", template()).at(|| format!("write {}", path.display()))
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_a_specification() {
        let spec: spec::runtime::Spec = serde_json::from_value(super::template()).unwrap();
        assert_eq!(spec.process().as_ref().unwrap().args().as_ref().unwrap(), &["sh"]);
    }
}
