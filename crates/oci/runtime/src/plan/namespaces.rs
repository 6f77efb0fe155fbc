//! Which namespaces are new, which are joined, and the id maps of a new user namespace.

use std::path::PathBuf;

use spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};

use crate::error::{Error, Result};

/// A kind of namespace, as clone3(2)'s flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    // In the order in which they are joined: the user namespace gives the rights to the others,
    // the mount namespace takes the paths away.
    User,
    Cgroup,
    Ipc,
    Uts,
    Net,
    Pid,
    Time,
    Mount,
}

impl Kind {
    pub fn flag(self) -> u64 {
        match self {
            Kind::Time => 0x0000_0080,
            Kind::Mount => 0x0002_0000,
            Kind::Cgroup => 0x0200_0000,
            Kind::Uts => 0x0400_0000,
            Kind::Ipc => 0x0800_0000,
            Kind::User => 0x1000_0000,
            Kind::Pid => 0x2000_0000,
            Kind::Net => 0x4000_0000,
        }
    }

    /// Its name beneath /proc/<pid>/ns.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Time => "time",
            Kind::Mount => "mnt",
            Kind::Cgroup => "cgroup",
            Kind::Uts => "uts",
            Kind::Ipc => "ipc",
            Kind::User => "user",
            Kind::Pid => "pid",
            Kind::Net => "net",
        }
    }
}

impl From<LinuxNamespaceType> for Kind {
    fn from(kind: LinuxNamespaceType) -> Kind {
        match kind {
            LinuxNamespaceType::Mount => Kind::Mount,
            LinuxNamespaceType::Cgroup => Kind::Cgroup,
            LinuxNamespaceType::Uts => Kind::Uts,
            LinuxNamespaceType::Ipc => Kind::Ipc,
            LinuxNamespaceType::User => Kind::User,
            LinuxNamespaceType::Pid => Kind::Pid,
            LinuxNamespaceType::Network => Kind::Net,
            LinuxNamespaceType::Time => Kind::Time,
        }
    }
}

/// The namespaces of a container.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    /// New ones, in order.
    pub new: Vec<Kind>,
    /// Joined ones, in the order to join them.
    pub joined: Vec<(Kind, PathBuf)>,
    /// What /proc/<pid>/uid_map gets.
    pub uid_map: String,
    /// What /proc/<pid>/gid_map gets.
    pub gid_map: String,
    /// What /proc/<pid>/timens_offsets gets, line by line.
    pub time_offsets: Vec<String>,
}

impl Namespaces {
    pub fn of(linux: &Linux) -> Result<Namespaces> {
        let mut plan = Namespaces::default();
        for namespace in linux.namespaces().as_deref().unwrap_or_default() {
            let kind = Kind::from(namespace.typ());
            if plan.has(kind) {
                return Err(invalid(format!("{} is listed twice", kind.name())));
            }
            match namespace.path() {
                Some(path) if !path.as_os_str().is_empty() => plan.joined.push((kind, path.clone())),
                _ => plan.new.push(kind),
            }
        }
        plan.new.sort();
        plan.joined.sort();
        plan.set_maps(linux)?;
        plan.set_time_offsets(linux)?;
        Ok(plan)
    }

    fn set_maps(&mut self, linux: &Linux) -> Result<()> {
        let uids = linux.uid_mappings().as_deref().unwrap_or_default();
        let gids = linux.gid_mappings().as_deref().unwrap_or_default();
        let none = uids.is_empty() && gids.is_empty();
        if self.is_new(Kind::User) {
            if none {
                return Err(invalid("a user namespace needs id mappings".to_owned()));
            }
            (self.uid_map, self.gid_map) = (map(uids), map(gids));
        } else if !none && !self.is_joined(Kind::User) {
            return Err(invalid("id mappings need a user namespace".to_owned()));
        }
        Ok(())
    }

    fn set_time_offsets(&mut self, linux: &Linux) -> Result<()> {
        let refuse = |problem: String| Err(Error::Spec { field: "linux.timeOffsets", problem });
        for (clock, offset) in linux.time_offsets().iter().flatten() {
            if !self.is_new(Kind::Time) {
                return refuse("needs a new time namespace".to_owned());
            }
            if !["monotonic", "boottime"].contains(&clock.as_str()) {
                return refuse(format!("there is no clock {clock:?}, only monotonic and boottime"));
            }
            let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
            if nanoseconds >= 1_000_000_000 {
                return refuse(format!("{clock}: {nanoseconds} nanoseconds are a second or more"));
            }
            self.time_offsets.push(format!("{clock} {seconds} {nanoseconds}"));
        }
        self.time_offsets.sort();
        Ok(())
    }

    fn has(&self, kind: Kind) -> bool {
        self.is_new(kind) || self.is_joined(kind)
    }

    pub fn is_new(&self, kind: Kind) -> bool {
        self.new.contains(&kind)
    }

    pub fn is_joined(&self, kind: Kind) -> bool {
        self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// The namespace of that kind that is joined.
    pub fn path_of(&self, kind: Kind) -> Option<PathBuf> {
        self.joined.iter().find(|(joined, _)| *joined == kind).map(|(_, path)| path.clone())
    }

    /// Whether names can be set without touching the host's.
    pub fn has_own_uts(&self) -> bool {
        self.has(Kind::Uts)
    }

    pub fn has_own_net(&self) -> bool {
        self.has(Kind::Net)
    }

    pub fn has_own_ipc(&self) -> bool {
        self.has(Kind::Ipc)
    }

    /// Whether ids are those of a user namespace, new or joined.
    pub fn in_userns(&self) -> bool {
        self.has(Kind::User)
    }

    /// Flags for clone3(2). The cgroup namespace is not among them: its root would be the parent's group. Neither is a time
    /// namespace whose clocks are to be set: they stand once a process is in it.
    pub fn clone_flags(&self) -> u64 {
        let later = |kind: Kind| kind == Kind::Cgroup || kind == Kind::Time && !self.time_offsets.is_empty();
        let born_into = self.new.iter().filter(|kind| !later(**kind));
        born_into.fold(0, |flags, kind| flags | kind.flag())
    }
}

/// Lines for uid_map and gid_map.
pub(crate) fn map(mappings: &[LinuxIdMapping]) -> String {
    let line = |m: &LinuxIdMapping| format!("{} {} {}\n", m.container_id(), m.host_id(), m.size());
    mappings.iter().map(line).collect()
}

fn invalid(problem: String) -> Error {
    Error::Spec { field: "linux.namespaces", problem }
}
