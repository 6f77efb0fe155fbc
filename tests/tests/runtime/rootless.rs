//! Containers of a plain user: without any right on the host, with one id or with a range of them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::Said;
use serde_json::{Value, json};

use crate::{Runtime, busybox};

const USER: u32 = 23456;

/// Whether users may make namespaces here at all, tried by the means of the system.
fn may() -> bool {
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "unshare", "-U", "-m", "-p", "-f", "true"]);
    let may = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !may {
        eprintln!("skipped: a plain user may not make namespaces here");
    }
    may
}

/// A user's own folder, with a bundle, and a mount of the binary in it: where that is, the user might not get to.
struct User {
    runtime: Runtime,
}

impl User {
    fn new(command: &str, change: impl FnOnce(&mut Value)) -> User {
        let runtime = Runtime::new();
        let home = runtime.path("home");
        fs::create_dir_all(home.join("bundle")).expect("a folder");
        fs::create_dir(home.join("run")).expect("a folder");
        fs::write(home.join("sampan"), "").expect("a file");
        busybox(&home.join("bundle/rootfs"));
        fs::set_permissions(runtime.folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let user = User { runtime };
        own(&home);
        user.run(&["spec", "--rootless", "-b", &user.path("bundle")], b"").ok();
        let path = home.join("bundle/config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).expect("config.json")).expect("JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", command]);
        config["process"]["env"] = json!(["PATH=/bin"]);
        change(&mut config);
        fs::write(&path, config.to_string()).expect("config.json");
        user
    }

    fn path(&self, name: &str) -> String {
        self.runtime.path("home").join(name).display().to_string()
    }

    /// `sampan runtime` as the user.
    fn command(&self, words: &[&str]) -> Command {
        let line = "mount --bind \"$1\" \"$2/sampan\" && cd \"$2\" && if [ -e \"$2/subid\" ]; then
                      touch /etc/subuid /etc/subgid
                      mount --bind \"$2/subid\" /etc/subuid && mount --bind \"$2/subid\" /etc/subgid &&
                      mount --bind \"$2/passwd\" /etc/passwd
                    fi && user=$3 && home=$2 && shift 3 &&
                    XDG_RUNTIME_DIR=$home/run exec setpriv --reuid $user --regid $user --clear-groups --inh-caps=-all \
                      \"$home/sampan\" runtime \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", line, "sh"]).arg(e2e::binary());
        command.arg(self.runtime.path("home")).arg(USER.to_string()).args(words);
        command
    }

    fn run(&self, words: &[&str], input: &[u8]) -> Said {
        e2e::run_with_input(self.command(words), input)
    }
}

fn own(folder: &Path) {
    chown(folder, Some(USER), Some(USER)).expect("an owner");
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        match entry.file_type().expect("a kind").is_dir() {
            true => own(&entry.path()),
            false => std::os::unix::fs::lchown(entry.path(), Some(USER), Some(USER)).expect("an owner"),
        }
    }
}

#[test]
fn a_plain_user_has_containers_with_its_own_id_as_root() {
    if !may() {
        return;
    }
    let user = User::new("id; touch /tmp/file; cat /proc/self/uid_map; echo $$; hostname", |_| {});
    let bundle = user.path("bundle");
    let said = user.run(&["run", "-b", &bundle, "one"], b"").ok();
    assert!(said.starts_with("uid=0 gid=0"), "{said}");
    assert!(said.contains(&USER.to_string()) && said.ends_with("1\nsampan"), "{said}");
    assert!(!user.runtime.path("home/run/sampan-runtime/one").exists());
}

#[test]
fn a_plain_user_creates_starts_executes_and_deletes() {
    if !may() {
        return;
    }
    let user = User::new("echo up; while :; do usleep 100000; done", |_| {});
    let bundle = user.path("bundle");
    let out = fs::File::create(user.runtime.path("out")).expect("a file");
    let mut create = user.command(&["create", "-b", &bundle, "two"]);
    create.stdin(Stdio::null()).stderr(out.try_clone().expect("a descriptor")).stdout(out);
    assert!(create.status().expect("create").success(), "{}", user.runtime.output("out"));
    let state: Value = serde_json::from_str(&user.run(&["state", "two"], b"").ok()).expect("JSON");
    assert_eq!(state["status"], "created", "{state}");
    user.run(&["start", "two"], b"").ok();
    user.runtime.until("the first line", || user.runtime.output("out").contains("up"));
    let said = user
        .run(&["exec", "two", "sh", "-c", "id -u; readlink /proc/self/ns/pid; readlink /proc/1/ns/pid; cat"], b"typed")
        .ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[1], lines[3]), ("0", lines[2], "typed"), "{said}");
    user.run(&["exec", "two", "sh", "-c", "exit 5"], b"").fails(5);
    assert!(user.run(&["exec", "two", "/missing"], b"").fails(255).contains("/missing"));
    user.run(&["kill", "two", "KILL"], b"").ok();
    user.run(&["delete", "--force", "two"], b"").ok();
    assert!(user.run(&["state", "two"], b"").fails(1).contains("does not exist"));
    assert!(!user.runtime.path("home/run/sampan-runtime/two").exists());
}

#[test]
fn a_plain_user_has_a_range_of_ids_by_newuidmap() {
    if !may() {
        return;
    }
    if !Path::new("/usr/bin/newuidmap").exists() {
        eprintln!("skipped: newuidmap is not installed (package uidmap)");
        return;
    }
    let user = User::new("id -u; cat /proc/self/uid_map", |config| {
        let maps = json!([
            {"containerID": 0, "hostID": USER, "size": 1},
            {"containerID": 1, "hostID": 300000, "size": 1000}
        ]);
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps;
        config["process"]["user"] = json!({"uid": 7, "gid": 7, "additionalGids": [8]});
        config["process"]["capabilities"] = json!({});
    });
    fs::write(user.path("subid"), format!("{USER}:300000:1000\n")).expect("a file");
    let users = fs::read_to_string("/etc/passwd").expect("users");
    fs::write(user.path("passwd"), format!("{users}plain:x:{USER}:{USER}::/:/bin/sh\n")).expect("a file");
    let said = user.run(&["run", "-b", &user.path("bundle"), "three"], b"").ok();
    let words: Vec<&str> = said.split_whitespace().collect();
    let own = USER.to_string();
    assert_eq!(words, ["7", "0", &own, "1", "1", "300000", "1000"], "{said}");
}

#[test]
fn what_a_user_may_not_is_refused_by_name() {
    if !may() {
        return;
    }
    let user = User::new("true", |config| config["linux"]["resources"] = json!({"memory": {"limit": 1 << 26}}));
    let bundle = user.path("bundle");
    let error = user.run(&["run", "-b", &bundle, "limited"], b"").fails(1);
    assert!(error.contains("cgroup") && error.to_lowercase().contains("permission denied"), "{error}");
    assert_eq!(user.run(&["list", "-q"], b"").ok(), "");
}
