//! The process to execute: arguments, identity, capabilities and limits, checked and in the kernel's terms.

use std::ffi::CString;
use std::path::PathBuf;

use rustix::process::Resource;
use spec::runtime::{Capabilities, Linux, LinuxSeccomp, PosixRlimitType, Process};

use super::capabilities::bit;
use super::scheduling::Scheduling;
use crate::error::{Error, Result};
use crate::seccomp::Program;

/// A process, ready to be executed by the last steps of a start or an exec.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub args: Vec<CString>,
    pub env: Vec<CString>,
    pub cwd: PathBuf,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub umask: u32,
    pub caps: Caps,
    pub rlimits: Vec<Rlimit>,
    pub no_new_privs: bool,
    pub oom_score_adj: Option<i32>,
    pub scheduling: Scheduling,
    pub labels: Labels,
    pub seccomp: Option<Program>,
    /// Where the filter's listener goes, if it has one.
    pub notify: Option<Notify>,
}

/// Labels of security modules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    pub apparmor: Option<String>,
    pub selinux: Option<String>,
}

/// The agent of a seccomp filter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Notify {
    /// The unix socket that it listens at.
    pub path: PathBuf,
    /// What it is told besides.
    pub metadata: Option<String>,
}

/// All five sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caps {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rlimit {
    pub resource: Resource,
    pub name: PosixRlimitType,
    pub soft: u64,
    pub hard: u64,
}

impl ProcessPlan {
    pub fn of(process: &Process, linux: Option<&Linux>) -> Result<ProcessPlan> {
        let profile = linux.and_then(|linux| linux.seccomp().as_ref());
        let seccomp = profile.map(crate::seccomp::compile).transpose()?;
        let args = process.args().as_deref().unwrap_or_default();
        if args.is_empty() || args[0].is_empty() {
            return Err(invalid("process.args", "names no command".to_owned()));
        }
        if !process.cwd().is_absolute() {
            return Err(invalid("process.cwd", "is not an absolute path".to_owned()));
        }
        let user = process.user();
        Ok(ProcessPlan {
            args: strings("process.args", args)?,
            env: strings("process.env", process.env().as_deref().unwrap_or_default())?,
            cwd: process.cwd().clone(),
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
            umask: user.umask().unwrap_or(0o022),
            caps: caps(process),
            rlimits: rlimits(process)?,
            no_new_privs: process.no_new_privileges() == Some(true),
            oom_score_adj: process.oom_score_adj(),
            scheduling: Scheduling::of(process, linux)?,
            labels: labels(process),
            notify: notify(profile, seccomp.as_ref())?,
            seccomp,
        })
    }

    /// A variable of the new process.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        let value = |entry: &'_ CString| -> Option<usize> {
            let bytes = entry.as_bytes();
            let rest = bytes.strip_prefix(name.as_bytes())?;
            (rest.first() == Some(&b'=')).then_some(name.len() + 1)
        };
        let found = self.env.iter().rev().find_map(|e| value(e).map(|at| (e, at)));
        found.map(|(entry, at)| &entry.as_bytes()[at..])
    }
}

/// A profile called `unconfined` is none.
fn labels(process: &Process) -> Labels {
    let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let apparmor = named(process.apparmor_profile()).filter(|name| name != "unconfined");
    Labels { apparmor, selinux: named(process.selinux_label()) }
}

fn notify(profile: Option<&LinuxSeccomp>, program: Option<&Program>) -> Result<Option<Notify>> {
    let (Some(profile), Some(program)) = (profile, program) else { return Ok(None) };
    let path = profile.listener_path().clone().filter(|path| !path.as_os_str().is_empty());
    match (program.notifies, path) {
        (true, Some(path)) => Ok(Some(Notify { path, metadata: profile.listener_metadata().clone() })),
        (true, None) => {
            let problem = "is needed by the action SCMP_ACT_NOTIFY".to_owned();
            Err(invalid("linux.seccomp.listenerPath", problem))
        }
        (false, _) => Ok(None),
    }
}

fn strings(field: &'static str, list: &[String]) -> Result<Vec<CString>> {
    let one =
        |text: &String| CString::new(text.as_str()).map_err(|_| invalid(field, format!("{text:?} has a NUL byte")));
    list.iter().map(one).collect()
}

/// A process without capabilities in its configuration has none.
fn caps(process: &Process) -> Caps {
    let Some(sets) = process.capabilities() else {
        return Caps::default();
    };
    let mask = |set: &Option<Capabilities>| {
        let set = set.iter().flatten();
        set.fold(0, |mask, capability| mask | bit(*capability))
    };
    Caps {
        bounding: mask(sets.bounding()),
        effective: mask(sets.effective()),
        permitted: mask(sets.permitted()),
        inheritable: mask(sets.inheritable()),
        ambient: mask(sets.ambient()),
    }
}

fn rlimits(process: &Process) -> Result<Vec<Rlimit>> {
    let mut limits: Vec<Rlimit> = Vec::new();
    for limit in process.rlimits().as_deref().unwrap_or_default() {
        if limits.iter().any(|known| known.name == limit.typ()) {
            let problem = format!("{} is listed twice", limit.typ());
            return Err(invalid("process.rlimits", problem));
        }
        if limit.soft() > limit.hard() {
            let problem = format!("{}: soft limit above the hard one", limit.typ());
            return Err(invalid("process.rlimits", problem));
        }
        limits.push(Rlimit {
            resource: resource(limit.typ()),
            name: limit.typ(),
            soft: limit.soft(),
            hard: limit.hard(),
        });
    }
    Ok(limits)
}

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}

fn invalid(field: &'static str, problem: String) -> Error {
    Error::Spec { field, problem }
}
