//! What fails names its step and leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bundle::Bundle;
use serde_json::json;

crate::tests![exit_codes_are_those_of_docker, every_failure_names_its_step_and_leaves_nothing,];

fn exit_codes_are_those_of_docker() {
    let cases = [
        (json!(["nothing"]), 127, "exec: \"nothing\": executable file not found in $PATH"),
        (json!(["/etc/none"]), 127, "exec: \"/etc/none\": stat /etc/none: no such file or directory"),
        (json!(["/etc"]), 126, "exec: \"/etc\": is a directory"),
        (json!(["/etc/plain"]), 126, "exec: \"/etc/plain\": permission denied"),
        (json!(["/etc/garbage"]), 126, "exec: \"/etc/garbage\": exec format error"),
        (json!(["/bin/sh", "-c", "exit 42"]), 42, ""),
        (json!(["/bin/sh", "-c", "kill -9 $$"]), 137, ""),
    ];
    for (args, code, text) in cases {
        let mut bundle = Bundle::new("");
        fs::write(bundle.rootfs().join("etc/plain"), "").unwrap();
        fs::write(bundle.rootfs().join("etc/garbage"), "\0\0garbage").unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(bundle.rootfs().join("etc/garbage"), fs::Permissions::from_mode(0o755)).unwrap();
        bundle.config["process"]["args"] = args;
        // As first process a shell ignores even SIGKILL from itself.
        if code == 137 {
            continue;
        }
        let run = bundle.run();
        assert_eq!((run.code, run.err.trim()), (code, text));
    }
}

fn every_failure_names_its_step_and_leaves_nothing() {
    type Change = fn(&mut Bundle);
    let cases: [(&str, Change); 12] = [
        ("bind /nowhere/at/all at /x: No such file or directory", |b| {
            b.mount("/x", "bind", Path::new("/nowhere/at/all"), &["bind"]);
        }),
        ("mount nofs at /x: No such device", |b| b.mount("/x", "nofs", Path::new("none"), &[])),
        ("mount tmpfs at /x with size (tmpfs: Bad value for 'size'): Invalid argument", |b| {
            b.mount("/x", "tmpfs", Path::new("tmpfs"), &["size=much"]);
        }),
        ("make mount point /etc/file/x: Not a directory", |b| {
            fs::write(b.rootfs().join("etc/file"), "").unwrap();
            b.mount("/etc/file/x", "tmpfs", Path::new("tmpfs"), &[]);
        }),
        ("invalid linux.sysctl: \"kernel.panic\" is not in a namespace of its own", |b| {
            b.config["linux"]["sysctl"] = json!({"kernel.panic": "1"});
        }),
        ("write \"word\" to /proc/sys/net/ipv4/ip_forward: Invalid argument", |b| {
            b.config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "word"});
        }),
        ("open net namespace /nowhere: No such file or directory", |b| {
            b.config["linux"]["namespaces"][1]["path"] = json!("/nowhere");
        }),
        ("join net namespace: Invalid argument", |b| {
            b.config["linux"]["namespaces"][1]["path"] = json!("/etc/hostname");
        }),
        ("root /", |b| fs::remove_dir_all(b.rootfs()).unwrap()),
        ("enter working directory /etc/file: Not a directory", |b| {
            fs::write(b.rootfs().join("etc/file"), "").unwrap();
            b.config["process"]["cwd"] = json!("/etc/file");
        }),
        ("createContainer hook /bin/false: exit status: 1", |b| {
            b.config["hooks"] = json!({"createContainer": [{"path": "/bin/false"}]});
        }),
        ("prestart hook /bin/sh: exit status: 3: sorry", |b| {
            let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "echo sorry >&2; exit 3"]});
            b.config["hooks"] = json!({"prestart": [hook]});
        }),
    ];
    for (text, change) in cases {
        let mut bundle = Bundle::new("echo must not run");
        change(&mut bundle);
        let before = left(&bundle);
        let run = bundle.run();
        assert!(run.err.contains(text), "{text} is not in {}", run.err);
        assert_eq!((run.code, run.out.as_str()), (125, ""), "{text}");
        assert_eq!(before, left(&bundle), "{text}");
    }
}

/// Mounts in the bundle, groups and processes of the container.
fn left(bundle: &Bundle) -> (usize, BTreeSet<PathBuf>, usize) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let path = bundle.path().to_str().unwrap();
    let mounts = mounts.lines().filter(|line| line.contains(path)).count();
    let mut groups = BTreeSet::new();
    for root in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let group = root.unwrap().path().join("sampan-test").join(&bundle.id);
        if group.exists() {
            groups.insert(group);
        }
    }
    let processes = fs::read_dir("/proc").unwrap().filter(|entry| {
        let line = fs::read(entry.as_ref().unwrap().path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&bundle.id)
    });
    (mounts, groups, processes.count())
}
