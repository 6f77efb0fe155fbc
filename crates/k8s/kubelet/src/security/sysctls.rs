//! Kernel parameters of a pod: those that are its own, and that it may set.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use super::context::Error;
use crate::config::Config;

/// Every pod may set these.
const SAFE: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// The namespace that a parameter belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Ipc,
    Network,
}

/// The sysctls of a pod.
///
/// # Errors
/// The one that it may not set: then the pod fails with the reason `SysctlForbidden`.
pub fn sysctls(config: &Config, pod: &Pod) -> Result<BTreeMap<String, String>, Error> {
    let mut all = BTreeMap::new();
    let Some(spec) = &pod.spec else { return Ok(all) };
    let context = spec.security_context.as_ref();
    for sysctl in context.and_then(|context| context.sysctls.as_ref()).into_iter().flatten() {
        let name = dotted(&sysctl.name);
        let space = space(&name);
        let allowed = SAFE.contains(&name.as_str()) || config.unsafe_sysctls.iter().any(|glob| covers(glob, &name));
        if !allowed || space.is_none() {
            return Err(Error::Sysctl(format!("forbidden sysctl: {name:?} not allowlisted")));
        }
        if space == Some(Space::Network) && spec.host_network == Some(true) {
            return Err(Error::Sysctl(format!("forbidden sysctl: {name:?} not allowed with host net enabled")));
        }
        if space == Some(Space::Ipc) && spec.host_ipc == Some(true) {
            return Err(Error::Sysctl(format!("forbidden sysctl: {name:?} not allowed with host ipc enabled")));
        }
        all.insert(name, sysctl.value.clone());
    }
    Ok(all)
}

/// `net/ipv4/conf/eth0.1/x` is `net.ipv4.conf.eth0/1.x`: whichever separator comes first separates.
fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('/') => name
            .chars()
            .map(|char| {
                if char == '/' {
                    '.'
                } else if char == '.' {
                    '/'
                } else {
                    char
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

/// Parameters of the whole node have none.
fn space(name: &str) -> Option<Space> {
    let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix));
    match name {
        "kernel.sem" => Some(Space::Ipc),
        _ if ipc => Some(Space::Ipc),
        _ if name.starts_with("net.") => Some(Space::Network),
        _ => None,
    }
}

fn covers(glob: &str, name: &str) -> bool {
    match glob.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => glob == name,
    }
}
