//! Configurations with anything anywhere: decoding and planning never panic, and an error names where it is.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use spec::runtime::Spec;

use super::Plan;

/// Everything once, so that there is something of every kind to be replaced.
fn whole() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "hostname": "h",
        "domainname": "d",
        "root": {"path": "rootfs", "readonly": true},
        "annotations": {"a": "b"},
        "process": {
            "terminal": false, "consoleSize": {"height": 1, "width": 2},
            "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3]},
            "args": ["true"], "env": ["A=B"], "cwd": "/", "oomScoreAdj": 5, "noNewPrivileges": true,
            "capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []},
            "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
            "scheduler": {"policy": "SCHED_BATCH", "nice": 3, "flags": []},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3},
            "execCPUAffinity": {"initial": "0-1", "final": "1"}
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "ro"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=64k"]},
            {"destination": "/x", "type": "bind", "source": "/", "options": ["rbind", "rro", "ridmap"],
             "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}],
             "gidMappings": [{"containerID": 0, "hostID": 1, "size": 2}]}
        ],
        "hooks": {"prestart": [{"path": "/bin/x", "args": ["x"], "env": [], "timeout": 3}]},
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "ipc"}, {"type": "network", "path": "/n"}, {"type": "uts"}, {"type": "time"}, {"type": "user"}],
            "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}],
            "gidMappings": [{"containerID": 0, "hostID": 1, "size": 2}],
            "timeOffsets": {"boottime": {"secs": 1, "nanosecs": 2}},
            "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 2, "fileMode": 438, "uid": 0, "gid": 0}],
            "cgroupsPath": "/x", "rootfsPropagation": "slave", "mountLabel": "", "maskedPaths": ["/a"], "readonlyPaths": ["/b"],
            "sysctl": {"kernel.shmmax": "1"},
            "personality": {"domain": "LINUX32", "flags": []},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "resources": {
                "devices": [{"allow": true, "type": "c", "major": 1, "minor": -1, "access": "rw"}],
                "memory": {"limit": 1, "swap": -1, "swappiness": 5}, "cpu": {"shares": 1, "quota": -1, "cpus": "0"},
                "pids": {"limit": -1}, "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 1, "minor": 2, "rate": 3}]},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 1}], "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 1}]},
                "rdma": {"mlx": {"hcaHandles": 1}}, "unified": {"memory.high": "1"}
            },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}]}]
            }
        }
    })
}

/// Paths of everything in a value, as errors name them, with its JSON pointer.
fn places(value: &Value, path: &str, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let pointer = format!("{pointer}/{key}");
            found.push((path.clone(), pointer.clone()));
            places(value, &path, &pointer, found);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| {
            let (path, pointer) = (format!("{path}[{at}]"), format!("{pointer}/{at}"));
            found.push((path.clone(), pointer.clone()));
            places(value, &path, &pointer, found);
        }),
        _ => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3i64..300).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[-0-9a-z/.,:=]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-zA-Z]{1,12}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

#[test]
fn the_whole_configuration_is_understood() {
    let spec: Spec = spec::config::decode(whole().to_string().as_bytes()).unwrap();
    Plan::of(&spec, Path::new("/bundle")).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn one_wrong_value_never_panics_and_is_named(at in any::<prop::sample::Index>(), value in anything()) {
        let mut config = whole();
        let mut found = Vec::new();
        places(&config, "", "", &mut found);
        let (path, pointer) = at.get(&found);
        *config.pointer_mut(pointer).unwrap() = value;
        match spec::config::decode::<Spec>(config.to_string().as_bytes()) {
            // Whatever it is then, the plan is made of it or says why not.
            Ok(spec) => drop(Plan::of(&spec, Path::new("/bundle"))),
            Err(error) => {
                // The value itself, what holds it, or something in it.
                let field = &error.field;
                prop_assert!(path.starts_with(field.as_str()) || field.starts_with(path.as_str()), "{path}: {error}");
                prop_assert!(!field.is_empty(), "{path}: {error}");
            }
        }
    }

    #[test]
    fn cut_and_changed_bytes_never_panic(cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut text = whole().to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        text.truncate(cut.index(text.len() * 2).max(1));
        if let Ok(spec) = spec::config::decode::<Spec>(&text) {
            drop(Plan::of(&spec, Path::new("/bundle")));
        }
    }
}
