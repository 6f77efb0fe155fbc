//! Specifications composed from records.

use super::*;
use crate::lifecycle::{Ended, State};
use crate::model::config::Config;
use crate::model::host::HostConfig;

fn record(host: HostConfig) -> Record {
    Record {
        id: "a".repeat(64),
        name: "web".into(),
        created: jiff::Timestamp::UNIX_EPOCH,
        config: Config { hostname: "aaaa".into(), ..Config::default() },
        host,
        image: "sha256:0".into(),
        image_layers: Vec::new(),
        args: vec!["/bin/sh".into()],
        mounts: Vec::new(),
        networks: Default::default(),
        sandbox: String::new(),
        pod: None,
        state: State::Created(Ended::default()),
        restarts: 0,
        waited: Default::default(),
        stopped: false,
        ran: false,
        health: None,
    }
}

fn composed(host: HostConfig) -> Spec {
    let found = Found {
        pod: None,
        who: Who { home: "/root".into(), groups: vec![0], ..Who::default() },
        hosts: "/h/hosts".into(),
        hostname: "/h/hostname".into(),
        resolv_conf: "/h/resolv.conf".into(),
        init: None,
        ipc_of: None,
        pid_of: None,
        default_ulimits: &[],
        no_new_privileges: false,
        seccomp_profile: None,
        unified: false,
        cgroup: "/sampan/x/a",
        shm_size: 64 << 20,
    };
    compose(&record(host), &[], &found).unwrap()
}

#[test]
fn the_default_container_is_confined() {
    let spec = composed(HostConfig::default());
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.seccomp().is_some());
    assert!(!linux.masked_paths().as_ref().unwrap().is_empty());
    let kinds: Vec<_> = linux.namespaces().as_ref().unwrap().iter().map(|it| it.typ()).collect();
    for kind in [LinuxNamespaceType::Mount, LinuxNamespaceType::Network, LinuxNamespaceType::Pid] {
        assert!(kinds.contains(&kind));
    }
    let process = spec.process().as_ref().unwrap();
    let granted = process.capabilities().as_ref().unwrap().bounding().clone().unwrap();
    assert!(!granted.contains(&Capability::SysAdmin));
    assert_eq!(process.env().as_ref().unwrap()[1], "HOSTNAME=aaaa");
}

#[test]
fn a_privileged_container_is_not() {
    let spec = composed(HostConfig { privileged: true, ..HostConfig::default() });
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.seccomp().is_none());
    assert!(linux.masked_paths().as_ref().unwrap().is_empty());
    let sys = spec.mounts().as_ref().unwrap().iter().find(|it| it.destination() == Path::new("/sys")).unwrap();
    assert!(!sys.options().as_ref().unwrap().contains(&"ro".to_owned()));
}

#[test]
fn mounts_go_from_parents_to_children() {
    let mut host = HostConfig::default();
    host.tmpfs.insert("/a/b/c".into(), "size=1m,exec".into());
    host.tmpfs.insert("/a".into(), String::new());
    let spec = composed(host);
    let mounts = spec.mounts().as_ref().unwrap();
    let at = |path: &str| mounts.iter().position(|it| it.destination() == Path::new(path)).unwrap();
    assert!(at("/a") < at("/etc/hosts") && at("/etc/hosts") < at("/a/b/c"));
    let options = mounts[at("/a/b/c")].options().clone().unwrap();
    assert_eq!(options, ["nosuid", "nodev", "size=1m", "exec"]);
}
