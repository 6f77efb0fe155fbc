//! Kernel parameters: only those that belong to a namespace of the container's own.

use spec::runtime::Linux;

use super::namespaces::Namespaces;
use crate::error::{Error, Result};

/// Files beneath /proc/sys with their values, in a fixed order.
pub(crate) fn plan(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<(String, String)>> {
    let mut plan = Vec::new();
    let own =
        OwnNamespaces { ipc: namespaces.has_own_ipc(), net: namespaces.has_own_net(), uts: namespaces.has_own_uts() };
    for (name, value) in linux.sysctl().iter().flatten() {
        let file = sysctl_file(name, own).map_err(|problem| {
            let problem = format!("{:?} {problem}", dotted(name));
            Error::Spec { field: "linux.sysctl", problem }
        })?;
        plan.push((file, value.clone()));
    }
    plan.sort();
    Ok(plan)
}

/// Which namespaces somebody does not share with the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnNamespaces {
    pub ipc: bool,
    pub net: bool,
    pub uts: bool,
}

/// The file beneath /proc/sys of a kernel parameter, or why it is none of those namespaces'.
pub fn sysctl_file(name: &str, own: OwnNamespaces) -> std::result::Result<String, &'static str> {
    let name = dotted(name);
    match refusal(&name, own) {
        Some(problem) => Err(problem),
        None => Ok(file(&name)),
    }
}

fn refusal(name: &str, own: OwnNamespaces) -> Option<&'static str> {
    const IPC: [&str; 10] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.auto_msgmni",
        "kernel.msg_next_id",
    ];
    if name.contains("..") || name.contains("//") {
        return Some("is no name of a kernel parameter");
    }
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return (!own.ipc).then_some("is not allowed in the host's ipc namespace");
    }
    if name.starts_with("net.") {
        return (!own.net).then_some("is not allowed in the host's network namespace");
    }
    match name {
        "kernel.domainname" if own.uts => None,
        "kernel.domainname" => Some("is not allowed in the host's uts namespace"),
        "kernel.hostname" => Some("conflicts with hostname"),
        _ => Some("is not in a namespace of its own: it would change the host"),
    }
}

/// `net/ipv4/conf/eth0.100/x` has its dots in names, `net.ipv4.x` between them.
fn dotted(name: &str) -> String {
    let slash = name.find('/').unwrap_or(usize::MAX);
    let dot = name.find('.').unwrap_or(usize::MAX);
    if slash >= dot {
        return name.to_owned();
    }
    let swap = |c| match c {
        '/' => '.',
        '.' => '/',
        c => c,
    };
    name.chars().map(swap).collect()
}

fn file(name: &str) -> String {
    let swap = |c| match c {
        '/' => '.',
        '.' => '/',
        c => c,
    };
    name.chars().map(swap).collect()
}
