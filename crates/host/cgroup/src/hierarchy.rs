//! Which cgroup file systems are mounted where.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A resource controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names are the kernel's
pub enum Controller {
    Cpu,
    Cpuacct,
    Cpuset,
    Memory,
    Devices,
    Freezer,
    Blkio,
    Pids,
    Hugetlb,
    Rdma,
    Misc,
    NetCls,
    NetPrio,
    PerfEvent,
}

impl Controller {
    /// All that this crate knows, in the order in which groups are made.
    pub const ALL: [Controller; 14] = [
        Controller::Cpuset,
        Controller::Cpu,
        Controller::Cpuacct,
        Controller::Memory,
        Controller::Devices,
        Controller::Freezer,
        Controller::Blkio,
        Controller::Pids,
        Controller::Hugetlb,
        Controller::Rdma,
        Controller::Misc,
        Controller::NetCls,
        Controller::NetPrio,
        Controller::PerfEvent,
    ];

    /// The name as v1 spells it in mount options.
    pub fn v1_name(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Cpuacct => "cpuacct",
            Controller::Cpuset => "cpuset",
            Controller::Memory => "memory",
            Controller::Devices => "devices",
            Controller::Freezer => "freezer",
            Controller::Blkio => "blkio",
            Controller::Pids => "pids",
            Controller::Hugetlb => "hugetlb",
            Controller::Rdma => "rdma",
            Controller::Misc => "misc",
            Controller::NetCls => "net_cls",
            Controller::NetPrio => "net_prio",
            Controller::PerfEvent => "perf_event",
        }
    }

    /// The name as v2 spells it in `cgroup.controllers`; `None` for what v2 does without a controller.
    pub fn v2_name(self) -> Option<&'static str> {
        match self {
            Controller::Blkio => Some("io"),
            Controller::Cpuacct | Controller::Devices | Controller::Freezer => None,
            Controller::NetCls | Controller::NetPrio => None,
            other => Some(other.v1_name()),
        }
    }
}

/// How control groups are mounted on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only v1.
    V1,
    /// Only v2.
    V2,
    /// v1 controllers and a v2 tree beside them.
    Hybrid,
}

/// The mounted hierarchies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Mount of each v1 controller; several controllers may share one.
    v1: BTreeMap<Controller, PathBuf>,
    /// v1 hierarchies without a controller, by name (`systemd`).
    named: BTreeMap<String, PathBuf>,
    /// Mount of the v2 tree.
    v2: Option<PathBuf>,
    /// Controllers that the v2 root offers.
    v2_controllers: Vec<Controller>,
}

impl Hierarchy {
    /// Looks at this process's mounts. Fails if nothing is mounted.
    pub fn detect() -> Result<Hierarchy> {
        let path = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Hierarchy::from_mountinfo(&text)
    }

    /// Like [`Hierarchy::detect`] from the text of a `mountinfo` file.
    pub fn from_mountinfo(text: &str) -> Result<Hierarchy> {
        let mut found = Hierarchy { v1: BTreeMap::new(), named: BTreeMap::new(), v2: None, v2_controllers: Vec::new() };
        for line in text.lines() {
            if let Some(mount) = parse_mount(line) {
                found.add(mount);
            }
        }
        if found.v1.is_empty() && found.v2.is_none() {
            return Err(Error::NotMounted);
        }
        if let Some(root) = &found.v2 {
            found.v2_controllers = read_controllers(root)?;
        }
        Ok(found)
    }

    /// A v2 tree at a directory (tests, and trees mounted elsewhere).
    pub fn v2_at(root: &Path) -> Result<Hierarchy> {
        let v2_controllers = read_controllers(root)?;
        Ok(Hierarchy { v1: BTreeMap::new(), named: BTreeMap::new(), v2: Some(root.to_owned()), v2_controllers })
    }

    fn add(&mut self, mount: Mount<'_>) {
        match mount.kind {
            "cgroup2" => {
                self.v2.get_or_insert(mount.point);
            }
            _ => {
                for option in mount.options.split(',') {
                    if let Some(name) = option.strip_prefix("name=") {
                        self.named.entry(name.to_owned()).or_insert_with(|| mount.point.clone());
                    }
                    let known = Controller::ALL.iter().find(|c| c.v1_name() == option);
                    if let Some(&controller) = known {
                        self.v1.entry(controller).or_insert_with(|| mount.point.clone());
                    }
                }
            }
        }
    }

    /// Which version this is.
    pub fn mode(&self) -> Mode {
        match (self.v1.is_empty(), &self.v2) {
            (true, _) => Mode::V2,
            (false, Some(_)) => Mode::Hybrid,
            (false, None) => Mode::V1,
        }
    }

    /// Whether a controller limits anything here, on either version.
    pub fn has(&self, controller: Controller) -> bool {
        self.v1.contains_key(&controller) || self.has_v2(controller)
    }

    /// Whether a controller is on the v2 tree. Devices and the freezer need no controller there.
    pub fn has_v2(&self, controller: Controller) -> bool {
        match controller {
            _ if self.v2.is_none() => false,
            Controller::Devices | Controller::Freezer | Controller::Cpuacct => self.v1.is_empty(),
            other => self.v2_controllers.contains(&other),
        }
    }

    /// Mount point of a v1 controller.
    pub fn v1_mount(&self, controller: Controller) -> Option<&Path> {
        self.v1.get(&controller).map(PathBuf::as_path)
    }

    /// Mount point of the v2 tree.
    pub fn v2_mount(&self) -> Option<&Path> {
        self.v2.as_deref()
    }

    /// Every v1 mount once, named ones too, with the name to show for it (`cpu,cpuacct`, `name=systemd`).
    pub fn v1_mounts(&self) -> Vec<(String, &Path)> {
        let mut mounts: Vec<(String, &Path)> = Vec::new();
        for controller in Controller::ALL {
            let Some(point) = self.v1_mount(controller) else {
                continue;
            };
            match mounts.iter_mut().find(|(_, known)| *known == point) {
                Some((name, _)) => {
                    name.push(',');
                    name.push_str(controller.v1_name());
                }
                None => mounts.push((controller.v1_name().to_owned(), point)),
            }
        }
        for (name, point) in &self.named {
            mounts.push((format!("name={name}"), point));
        }
        mounts
    }

    /// Removes the group at a path, and then its parents, as far as nothing is in or beneath them.
    pub fn prune(&self, path: &str) {
        let relative = Path::new(path.trim_start_matches('/'));
        if relative.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return;
        }
        let v1 = self.v1_mounts().into_iter().map(|(_, mount)| mount);
        for mount in v1.chain(self.v2_mount()) {
            for group in relative.ancestors().filter(|group| !group.as_os_str().is_empty()) {
                // The kernel refuses what is not empty.
                if std::fs::remove_dir(mount.join(group)).is_err() {
                    break;
                }
            }
        }
    }

    /// Controllers of the v2 root.
    pub fn v2_controllers(&self) -> &[Controller] {
        &self.v2_controllers
    }
}

struct Mount<'a> {
    kind: &'a str,
    point: PathBuf,
    options: &'a str,
}

/// One line of mountinfo (proc(5)): `id parent dev root point options [tags] - type source superoptions`.
fn parse_mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let kind = after.next()?;
    let options = after.nth(1).unwrap_or("");
    matches!(kind, "cgroup" | "cgroup2").then(|| Mount { kind, point: unescape(point), options })
}

/// Undoes the octal escapes that the kernel uses for blanks in paths.
fn unescape(path: &str) -> PathBuf {
    let plain = path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
    PathBuf::from(plain.replace("\\134", "\\"))
}

fn read_controllers(root: &Path) -> Result<Vec<Controller>> {
    let path = root.join("cgroup.controllers");
    let text = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
    let names: Vec<&str> = text.split_whitespace().collect();
    let known = |c: &Controller| c.v2_name().is_some_and(|name| names.contains(&name));
    Ok(Controller::ALL.into_iter().filter(known).collect())
}

#[cfg(test)]
mod tests;
