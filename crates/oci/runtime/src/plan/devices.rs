//! Device nodes and links beneath /dev.

use std::path::{Path, PathBuf};

use spec::runtime::{Linux, LinuxDeviceType};

use super::mounts::{MountKind, MountStep};
use crate::error::{Error, Result};

/// What /dev holds besides mounts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Devices {
    pub nodes: Vec<Node>,
    /// Name and target.
    pub links: Vec<(&'static str, &'static str)>,
}

/// One device node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub path: PathBuf,
    pub kind: NodeKind,
    pub major: u32,
    pub minor: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Character,
    Block,
    Fifo,
}

/// Plans the nodes that every container has and those that the spec adds; `None` if /dev is bound from the host.
pub(crate) fn plan(linux: &Linux, mounts: &[MountStep]) -> Result<Option<Devices>> {
    let is_dev = |step: &&MountStep| step.target == Path::new("/dev");
    if let Some(step) = mounts.iter().find(is_dev)
        && matches!(step.kind, MountKind::Bind { .. })
    {
        return Ok(None);
    }
    let mut nodes: Vec<Node> = Vec::new();
    for device in linux.devices().as_deref().unwrap_or_default() {
        let field = || Error::Spec {
            field: "linux.devices",
            problem: format!("{} is no device that can be made", device.path().display()),
        };
        let number = |n: i64| u32::try_from(n).map_err(|_| field());
        nodes.push(Node {
            path: Path::new("/").join(device.path()),
            kind: match device.typ() {
                LinuxDeviceType::C | LinuxDeviceType::U => NodeKind::Character,
                LinuxDeviceType::B => NodeKind::Block,
                LinuxDeviceType::P => NodeKind::Fifo,
                LinuxDeviceType::A => return Err(field()),
            },
            major: number(device.major())?,
            minor: number(device.minor())?,
            mode: device.file_mode().unwrap_or(0o666) & 0o7777,
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
        });
    }
    for (name, major, minor) in STANDARD {
        let path = Path::new("/dev").join(name);
        if nodes.iter().all(|node| node.path != path) {
            nodes.push(Node { path, kind: NodeKind::Character, major, minor, mode: 0o666, uid: 0, gid: 0 });
        }
    }
    Ok(Some(Devices { nodes, links: LINKS.to_vec() }))
}

const STANDARD: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];
