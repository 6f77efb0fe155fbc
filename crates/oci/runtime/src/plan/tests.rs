//! Plans without privilege: specs in, what would be done out.

use std::path::Path;

use serde_json::{Value, json};
use spec::runtime::Spec;
use sys::mount::{Change, Depth};

use super::mounts::{MS_PRIVATE, MS_SHARED, MountKind, MountStep};
use super::*;
use crate::error::Kind;

fn spec(change: impl FnOnce(&mut Value)) -> Spec {
    let mut value = json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "network"}]},
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn plan(change: impl FnOnce(&mut Value)) -> Result<Plan> {
    Plan::of(&spec(change), Path::new("/bundle"))
}

#[track_caller]
fn refused(expected: &str, change: impl FnOnce(&mut Value)) {
    let error = plan(change).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error.kind(), Kind::Invalid | Kind::Unimplemented));
}

fn mount(kind: &str, source: &str, options: &[&str]) -> MountStep {
    let mount = json!([{"destination": "/x", "type": kind, "source": source, "options": options}]);
    plan(|spec| spec["mounts"] = mount).unwrap().mounts.remove(0)
}

#[test]
fn what_makes_no_sense_is_refused_by_its_field() {
    refused("invalid process: is missing", |s| drop(s.as_object_mut().unwrap().remove("process")));
    refused("invalid process.args: names no command", |s| s["process"]["args"] = json!([]));
    refused("invalid process.cwd: is not an absolute path", |s| s["process"]["cwd"] = json!("tmp"));
    refused("invalid process.env: \"A=\\0\" has a NUL byte", |s| s["process"]["env"] = json!(["A=\0"]));
    refused("invalid hostname: \"x\" needs an uts namespace of the container's own", |s| s["hostname"] = json!("x"));
    refused("invalid linux.namespaces: pid is listed twice", |s| {
        s["linux"]["namespaces"][2] = json!({"type": "pid"});
    });
    refused("invalid linux.namespaces: a user namespace needs id mappings", |s| {
        s["linux"]["namespaces"][2] = json!({"type": "user"});
    });
    refused("invalid linux.rootfsPropagation: \"often\" is none of private, slave, shared, unbindable", |s| {
        s["linux"]["rootfsPropagation"] = json!("often");
    });
    refused("invalid process.rlimits: RLIMIT_CORE: soft limit above the hard one", |s| {
        s["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]);
    });
    refused("invalid mounts: /a/../../b is no place to mount at", |s| {
        s["mounts"] = json!([{"destination": "/a/../../b", "type": "tmpfs"}]);
    });
    refused("invalid mounts: /x: a bind needs a source", |s| {
        s["mounts"] = json!([{"destination": "/x", "options": ["bind"]}]);
    });
}

#[test]
fn what_is_not_built_is_said() {
    refused("unimplemented: linux.intelRdt", |s| s["linux"]["intelRdt"] = json!({}));
}

#[test]
fn ids_of_a_bind_are_mapped_by_its_own_maps_or_the_containers() {
    let idmap = |options: Value, extra: Value, userns: bool| {
        let plan = plan(|spec| {
            spec["mounts"] = json!([{"destination": "/x", "source": "/", "options": options}]);
            for (key, value) in extra.as_object().unwrap() {
                spec["mounts"][0][key] = value.clone();
            }
            if userns {
                spec["linux"]["namespaces"][2] = json!({"type": "user"});
                spec["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 7, "size": 9}]);
                spec["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 8, "size": 9}]);
            }
        });
        plan.map(|plan| plan.mounts[0].idmap.clone()).map_err(|error| error.to_string())
    };
    let map = |uids: &str, gids: &str| mounts::IdMap { uids: uids.to_owned(), gids: gids.to_owned() };
    let own = json!({"uidMappings": [{"containerID": 1, "hostID": 2, "size": 3}], "gidMappings": [{"containerID": 4, "hostID": 5, "size": 6}]});
    assert_eq!(idmap(json!(["bind"]), json!({}), true).unwrap(), None);
    assert_eq!(idmap(json!(["bind"]), own.clone(), false).unwrap(), Some((map("1 2 3\n", "4 5 6\n"), Depth::This)));
    assert_eq!(
        idmap(json!(["rbind", "ridmap"]), own.clone(), true).unwrap(),
        Some((map("1 2 3\n", "4 5 6\n"), Depth::Recursive))
    );
    assert_eq!(
        idmap(json!(["bind", "idmap"]), json!({}), true).unwrap(),
        Some((map("0 7 9\n", "0 8 9\n"), Depth::This))
    );
    assert!(idmap(json!(["bind", "idmap"]), json!({}), false).unwrap_err().contains("idmap needs id mappings"));
    assert!(idmap(json!([]), own, false).unwrap_err().contains("only a bind can map ids"));
}

#[test]
fn clocks_are_set_in_a_new_time_namespace_only() {
    let offsets = |namespace: Value, offsets: Value| {
        plan(|spec| {
            spec["linux"]["namespaces"][2] = namespace;
            spec["linux"]["timeOffsets"] = offsets;
        })
        .map(|plan| (plan.namespaces.time_offsets.clone(), plan.namespaces.clone_flags() & 0x80))
        .map_err(|error| error.to_string())
    };
    let time = json!({"type": "time"});
    let both = json!({"monotonic": {"secs": -5, "nanosecs": 7}, "boottime": {}});
    assert_eq!(offsets(time.clone(), both).unwrap(), (vec!["boottime 0 0".to_owned(), "monotonic -5 7".to_owned()], 0));
    assert_eq!(
        offsets(time.clone(), json!({})).unwrap(),
        (Vec::new(), 0x80),
        "made with the process where nothing is set"
    );
    assert!(
        offsets(json!({"type": "uts"}), json!({"boottime": {}})).unwrap_err().contains("needs a new time namespace")
    );
    assert!(offsets(json!({"type": "time", "path": "/x"}), json!({"boottime": {}})).is_err());
    assert!(offsets(time.clone(), json!({"realtime": {"secs": 1}})).unwrap_err().contains("no clock \"realtime\""));
    assert!(offsets(time, json!({"boottime": {"nanosecs": 1_000_000_000}})).is_err());
}

#[test]
fn schedules_that_no_kernel_takes_are_refused() {
    let scheduler =
        |scheduler: Value| plan(|s| s["process"]["scheduler"] = scheduler).map(|p| p.process.scheduling.scheduler);
    let fifo =
        scheduler(json!({"policy": "SCHED_FIFO", "priority": 3, "flags": ["SCHED_RESET_ON_FORK"]})).unwrap().unwrap();
    assert_eq!((fifo.policy, fifo.priority, fifo.flags), (1, 3, 1));
    for wrong in [
        json!({"policy": "SCHED_OTHER", "priority": 1}),
        json!({"policy": "SCHED_FIFO"}),
        json!({"policy": "SCHED_RR", "priority": 100}),
        json!({"policy": "SCHED_OTHER", "nice": 20}),
        json!({"policy": "SCHED_BATCH", "runtime": 1}),
    ] {
        assert!(scheduler(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn memory_policies_become_a_mode_and_a_mask() {
    let policy =
        |policy: Value| plan(|s| s["linux"]["memoryPolicy"] = policy).map(|p| p.process.scheduling.memory.unwrap());
    let bind = policy(json!({"mode": "MPOL_BIND", "nodes": "0,65", "flags": ["MPOL_F_STATIC_NODES"]})).unwrap();
    assert_eq!((bind.mode, bind.nodes), (2 | 1 << 15, vec![1, 2]));
    assert!(policy(json!({"mode": "MPOL_BIND"})).is_err());
    assert!(policy(json!({"mode": "MPOL_LOCAL", "nodes": "0"})).is_err());
    assert!(policy(json!({"mode": "MPOL_PREFERRED"})).is_ok());
}

#[test]
fn a_filter_that_notifies_needs_an_agent() {
    let seccomp =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chdir"], "action": "SCMP_ACT_NOTIFY"}]});
    refused("invalid linux.seccomp.listenerPath: is needed by the action SCMP_ACT_NOTIFY", |s| {
        s["linux"]["seccomp"] = seccomp.clone();
    });
    let with = plan(|s| {
        s["linux"]["seccomp"] = seccomp.clone();
        s["linux"]["seccomp"]["listenerPath"] = json!("/run/agent");
    });
    assert_eq!(with.unwrap().process.notify.unwrap().path, Path::new("/run/agent"));
}

#[test]
fn labels_go_to_file_systems_that_take_them() {
    let options = |kind: &str| {
        let plan = plan(|spec| {
            spec["linux"]["mountLabel"] = json!("a:b:c");
            spec["mounts"] = json!([{"destination": "/x", "type": kind, "source": "x", "options": []}]);
        });
        match plan.unwrap().mounts.remove(0).kind {
            MountKind::New { options, .. } => options.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((options("tmpfs"), options("devpts"), options("proc"), options("sysfs")), (1, 1, 0, 0));
}

#[test]
fn options_that_are_told_are_understood() {
    // These the kernel's mount interface itself knows, for every file system.
    const KERNELS: [&str; 4] = ["dirsync", "lazytime", "mand", "sync"];
    for &option in mounts::OPTIONS {
        let mut told = json!({"destination": "/x", "type": "tmpfs", "source": "/", "options": [option]});
        if option.ends_with("idmap") {
            told["options"] = json!(["bind", option]);
            told["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
            told["gidMappings"] = told["uidMappings"].clone();
        }
        let step = plan(|spec| spec["mounts"] = json!([told])).unwrap().mounts.remove(0);
        if let MountKind::New { options, .. } = step.kind {
            assert!(options.is_empty() || KERNELS.contains(&option), "{option}");
        }
    }
}

#[test]
fn options_are_sorted_and_later_ones_win() {
    let step = mount("tmpfs", "tmpfs", &["ro", "nosuid", "rw", "noatime", "relatime", "size=1m", "huge", "rprivate"]);
    assert_eq!(step.attrs, Change { set: 2, clear: 1 | 0x70, propagation: 0 });
    assert_eq!(step.propagation, [(MS_PRIVATE, Depth::Recursive)]);
    let options = vec![("size".to_owned(), Some("1m".to_owned())), ("huge".to_owned(), None)];
    assert_eq!(step.kind, MountKind::New { fstype: "tmpfs".to_owned(), source: Some("tmpfs".to_owned()), options });
}

#[test]
fn binds_are_told_by_type_or_option_and_start_at_the_bundle() {
    let bind = |kind, source, options: &[&str]| mount(kind, source, options).kind;
    let expected = |source: &str, depth| MountKind::Bind { source: source.into(), depth };
    assert_eq!(bind("none", "/s", &["bind"]), expected("/s", Depth::This));
    assert_eq!(bind("none", "/s", &["rbind"]), expected("/s", Depth::Recursive));
    assert_eq!(bind("bind", "data", &[]), expected("/bundle/data", Depth::Recursive));
    let step = mount("bind", "/s", &["rbind", "ro", "rro", "rnoexec", "shared"]);
    assert_eq!((step.attrs.set, step.recursive_attrs.set), (1, 1 | 8));
    assert_eq!(step.propagation, [(MS_SHARED, Depth::This)]);
}

#[test]
fn dev_gets_its_nodes_unless_it_is_the_hosts() {
    let nodes = |kind: &str| {
        let mounts = json!([{"destination": "/dev", "type": kind, "source": "/dev", "options": []}]);
        plan(|spec| spec["mounts"] = mounts).unwrap().devices
    };
    assert!(nodes("bind").is_none());
    assert_eq!(nodes("tmpfs").unwrap().nodes.len(), 6);
    let device = json!([{"path": "/dev/null", "type": "c", "major": 9, "minor": 9, "fileMode": 0o640}]);
    let own = plan(|spec| spec["linux"]["devices"] = device).unwrap().devices.unwrap();
    assert_eq!(own.nodes.len(), 6);
    assert_eq!((own.nodes[0].major, own.nodes[0].mode), (9, 0o640));
}

#[test]
fn device_rules_begin_with_nothing_allowed() {
    let devices = plan(|_| {}).unwrap().limits.devices;
    assert_eq!(devices[0], cgroup::DeviceRule::DENY_ALL);
    let rules = json!([{"allow": true, "access": "rwm"}]);
    let all = plan(|spec| spec["linux"]["resources"]["devices"] = rules).unwrap().limits.devices;
    assert_eq!(all, [cgroup::DeviceRule::ALLOW_ALL]);
    refused("invalid linux.resources.devices: access \"rx\" is not made of r, w and m", |s| {
        s["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rx"}]);
    });
}

#[test]
fn kernel_parameters_are_those_of_own_namespaces() {
    let sysctls = |name: &str| plan(|s| s["linux"]["sysctl"] = json!({name: "1"})).map(|plan| plan.sysctls);
    assert_eq!(sysctls("net.ipv4.ip_forward").unwrap()[0].0, "net/ipv4/ip_forward");
    assert_eq!(sysctls("net/ipv4/conf/eth0.1/forwarding").unwrap()[0].0, "net/ipv4/conf/eth0.1/forwarding");
    assert!(sysctls("kernel.shmmax").unwrap_err().to_string().contains("host's ipc namespace"));
    assert!(sysctls("kernel.panic").unwrap_err().to_string().contains("would change the host"));
    assert!(sysctls("net.../../kernel.panic").is_err());
}

#[test]
fn flags_of_the_clone_are_those_of_new_namespaces() {
    let namespaces = json!([{"type": "mount"}, {"type": "pid"}, {"type": "cgroup"}, {"type": "network", "path": "/n"}]);
    let plan = plan(|s| s["linux"]["namespaces"] = namespaces).unwrap().namespaces;
    assert_eq!(plan.clone_flags(), 0x0002_0000 | 0x2000_0000);
    assert_eq!(plan.joined.len(), 1);
}

#[test]
fn capabilities_become_masks() {
    let caps = json!({"bounding": ["CAP_CHOWN", "CAP_BPF"], "ambient": ["CAP_NET_RAW"]});
    let caps = plan(|s| s["process"]["capabilities"] = caps).unwrap().process.caps;
    assert_eq!((caps.bounding, caps.ambient, caps.effective), (1 | 1 << 39, 1 << 13, 0));
}
