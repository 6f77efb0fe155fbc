//! Hooks and the start.

use std::fs;

use crate::bundle::Bundle;
use serde_json::{Value, json};

crate::tests![
    hooks_run_in_order_where_they_belong,
    another_process_starts_it,
    names_and_sysctls_are_set,
    namespaces_are_joined_by_path
];

fn hooks_run_in_order_where_they_belong() {
    let mut bundle = Bundle::new("cat /tmp/inside");
    let log = bundle.path().join("log");
    let outside = |point: &str| {
        let script = format!("read state; echo {point} $X $(readlink /proc/self/ns/net) $state >>{}", log.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["X=y", "PATH=/bin:/usr/bin"]}])
    };
    let start = json!([{"path": "/bin/sh", "args": ["sh", "-c", "read s; echo $s >/tmp/inside"]}]);
    bundle.config["hooks"] = json!({
        "prestart": outside("prestart"),
        "createRuntime": outside("createRuntime"),
        "createContainer": outside("createContainer"),
        "startContainer": start,
    });
    bundle.config["annotations"] = json!({"note": "kept"});
    let inside: Value = serde_json::from_str(&bundle.run().expect_ok()).unwrap();
    assert_eq!((&inside["status"], &inside["pid"]), (&json!("created"), &json!(1)));
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.splitn(4, ' ').collect()).collect();
    let points: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    assert_eq!(points, ["prestart", "createRuntime", "createContainer"]);
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    let own = own.to_str().unwrap();
    assert_eq!((lines[0][2], lines[1][2]), (own, own));
    assert_ne!(lines[2][2], own);
    let state: Value = serde_json::from_str(lines[1][3]).unwrap();
    assert_eq!(state["id"], json!(bundle.id));
    assert_eq!(state["status"], "creating");
    assert_eq!(state["annotations"]["note"], "kept");
    assert!(state["pid"].as_i64().unwrap() > 1);
}

fn another_process_starts_it() {
    let bundle = Bundle::new("echo after");
    assert_eq!(bundle.run_with(&["--listen"]).expect_ok(), "before\nafter\n");
    assert!(!bundle.path().join("start.sock").exists());
    let mut bundle = Bundle::new("");
    fs::write(bundle.rootfs().join("etc/garbage"), "\0\0garbage").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(bundle.rootfs().join("etc/garbage"), fs::Permissions::from_mode(0o755)).unwrap();
    bundle.config["process"]["args"] = json!(["/etc/garbage"]);
    let run = bundle.run_with(&["--listen"]);
    assert_eq!((run.code, run.err.trim()), (126, "exec: \"/etc/garbage\": exec format error"));
}

fn names_and_sysctls_are_set() {
    let mut bundle = Bundle::new("hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_default_ttl");
    bundle.config["hostname"] = json!("a-name");
    bundle.config["domainname"] = json!("a.domain");
    bundle.config["linux"]["sysctl"] = json!({"net/ipv4/ip_default_ttl": "77"});
    assert_eq!(bundle.run().expect_ok(), "a-name\na.domain\n77\n");
}

fn namespaces_are_joined_by_path() {
    let mut holder = std::process::Command::new("unshare")
        .args([
            "--net",
            "--ipc",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            "hostname held; echo; sleep 20",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", holder.id())).unwrap();
    let inside = children.split_whitespace().next().unwrap();
    for in_userns in [false, true] {
        let kinds = ["pid", "net", "ipc", "uts"];
        let script =
            "for n in pid net ipc uts; do readlink /proc/self/ns/$n; done; hostname; test $$ -gt 1 && echo not first";
        let mut bundle = Bundle::new(script);
        bundle.config.as_object_mut().unwrap().remove("hostname");
        let join = |kind: &str| {
            let name = if kind == "net" { "network" } else { kind };
            json!({"type": name, "path": format!("/proc/{inside}/ns/{kind}")})
        };
        let mut namespaces: Vec<Value> = kinds.map(join).into();
        namespaces.extend(["mount", "cgroup"].map(|kind| json!({"type": kind})));
        if in_userns {
            namespaces.push(json!({"type": "user"}));
            let map = json!([{"containerID": 0, "hostID": 0, "size": 1000}]);
            bundle.config["linux"]["uidMappings"] = map.clone();
            bundle.config["linux"]["gidMappings"] = map;
            // What belongs to the host's user namespace cannot be mounted anew: it is bound.
            for mount in bundle.config["mounts"].as_array_mut().unwrap() {
                let target = mount["destination"].as_str().unwrap().to_owned();
                if ["/proc", "/sys"].contains(&target.as_str()) {
                    *mount = json!({"destination": target, "type": "bind", "source": target, "options": ["rbind"]});
                }
            }
            for key in ["maskedPaths", "readonlyPaths"] {
                bundle.config["linux"][key] = json!([]);
            }
            let foreign = [json!("/sys/fs/cgroup"), json!("/dev/mqueue")];
            bundle.config["mounts"].as_array_mut().unwrap().retain(|m| !foreign.contains(&m["destination"]));
        }
        bundle.config["linux"]["namespaces"] = json!(namespaces);
        let out = bundle.run().expect_ok();
        let mut expected: String = kinds
            .map(|kind| format!("{}\n", fs::read_link(format!("/proc/{inside}/ns/{kind}")).unwrap().display()))
            .concat();
        expected.push_str("held\nnot first\n");
        assert_eq!(out, expected);
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
}
