//! Kernel parameters: only those that belong to a namespace of the container's own.

use spec::runtime::Linux;

use super::namespaces::Namespaces;
use crate::error::{Error, Result};

/// Files beneath /proc/sys with their values, in a fixed order.
pub(crate) fn plan(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<(String, String)>> {
    let mut plan = Vec::new();
    for (name, value) in linux.sysctl().iter().flatten() {
        let name = dotted(name);
        if let Some(problem) = refusal(&name, namespaces) {
            return Err(Error::Spec { field: "linux.sysctl", problem: format!("{name:?} {problem}") });
        }
        plan.push((file(&name), value.clone()));
    }
    plan.sort();
    Ok(plan)
}

fn refusal(name: &str, namespaces: &Namespaces) -> Option<&'static str> {
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
        return (!namespaces.has_own_ipc()).then_some("is not allowed in the host's ipc namespace");
    }
    if name.starts_with("net.") {
        return (!namespaces.has_own_net()).then_some("is not allowed in the host's network namespace");
    }
    match name {
        "kernel.domainname" if namespaces.has_own_uts() => None,
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
