//! What the specification offers beyond docker's needs: clocks, schedules, listeners, ids of mounts, namespaces of others.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::bundle::Bundle;

crate::tests![
    clocks_of_a_time_namespace_are_set,
    schedules_and_memory_policies_are_set,
    processors_of_one_more_process_are_chosen,
    a_listener_reaches_its_agent,
    a_listener_reaches_its_agent_without_new_privileges,
    owners_of_a_bind_are_shown_by_other_ids,
    a_user_namespace_of_others_is_joined,
    without_a_mount_namespace_the_host_sees_nothing,
    a_mount_namespace_of_others_is_left_as_it_is,
    a_namespace_of_another_kind_is_refused,
    labels_that_the_host_lacks_are_refused,
    a_remount_changes_what_is_there,
    a_network_device_of_the_host_moves_in,
];

fn own(kind: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

fn namespace(bundle: &mut Bundle, kind: &str, path: Option<&Path>) {
    let list = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    list.retain(|namespace| namespace["type"] != kind);
    list.push(match path {
        Some(path) => json!({"type": kind, "path": path}),
        None => json!({"type": kind}),
    });
}

fn clocks_of_a_time_namespace_are_set() {
    let mut bundle = Bundle::new("cat /proc/uptime; readlink /proc/self/ns/time");
    namespace(&mut bundle, "time", None);
    bundle.config["linux"]["timeOffsets"] =
        json!({"boottime": {"secs": 100_000_000}, "monotonic": {"secs": 5, "nanosecs": 7}});
    let out = bundle.run().expect_ok();
    let uptime: f64 = out.split_whitespace().next().unwrap().parse().unwrap();
    assert!(uptime > 1e8, "{out}");
    assert_ne!(out.lines().nth(1).unwrap(), own("time"));
}

fn schedules_and_memory_policies_are_set() {
    let mut bundle = Bundle::new("cut -d' ' -f19,41 /proc/self/stat; grep -c bind /proc/self/numa_maps; uname -m");
    bundle.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    bundle.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    bundle.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0"});
    bundle.config["linux"]["personality"] = json!({"domain": "LINUX32"});
    let out = bundle.run().expect_ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "5 3");
    assert!(Path::new("/proc/self/numa_maps").exists() == (lines[1] != "0"), "{out}");
    assert_ne!(lines[2], std::env::consts::ARCH, "that of the 32-bit machine");
}

fn processors_of_one_more_process_are_chosen() {
    let bundle = Bundle::new("sleep 100");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap();
    let last = allowed.rsplit([',', '-']).next().unwrap();
    let process = json!({
        "args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "env": ["PATH=/bin"], "cwd": "/",
        "user": {"uid": 0, "gid": 0}, "execCPUAffinity": {"initial": allowed, "final": last},
    });
    let file = bundle.path().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let out = bundle.run_with(&[&format!("--exec={}", file.display())]).expect_ok();
    assert_eq!(out, format!("Cpus_allowed_list:\t{last}\n"));
}

/// Takes what an agent is told, with the listener.
fn agent(listener: &UnixListener) -> (Value, OwnedFd) {
    let (stream, _) = listener.accept().unwrap();
    let mut text = vec![0; 1 << 16];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [std::io::IoSliceMut::new(&mut text)];
    let received = recvmsg(stream.as_fd(), &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (serde_json::from_slice(&text[..received.bytes]).unwrap(), fd.expect("a listener"))
}

fn listener_reaches_agent(no_new_privileges: bool) {
    let mut bundle = Bundle::new("mkdir /tmp/x || echo refused; echo done");
    let socket = bundle.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
    bundle.config["annotations"] = json!({"k": "v"});
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": socket, "listenerMetadata": "about it",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    });
    let running = bundle.command(&[]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let (told, fd) = agent(&listener);
    assert_eq!((&told["fds"], &told["metadata"]), (&json!(["seccompFd"]), &json!("about it")), "{told}");
    assert_eq!((&told["state"]["id"], &told["state"]["annotations"]["k"]), (&json!(bundle.id), &json!("v")), "{told}");
    assert_eq!(told["pid"], told["state"]["pid"], "{told}");
    let pid = told["pid"].as_i64().unwrap();
    assert!(fs::read_to_string(format!("/proc/{pid}/status")).unwrap().contains("Seccomp:\t2"), "the host's number");
    // Nobody to ask is as if the call did not exist.
    drop(fd);
    let output = running.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "refused\ndone\n");
}

fn a_listener_reaches_its_agent() {
    listener_reaches_agent(false);
}

fn a_listener_reaches_its_agent_without_new_privileges() {
    listener_reaches_agent(true);
}

fn owners_of_a_bind_are_shown_by_other_ids() {
    let mut bundle = Bundle::new("stat -c %u:%g /data/file; touch /data/new; stat -c %u:%g /data/new");
    let data = bundle.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "").unwrap();
    for path in [data.clone(), data.join("file")] {
        chown(path, Some(1000), Some(1001)).unwrap();
    }
    bundle.mount("/data", "bind", &data, &["rbind", "idmap"]);
    let mount = bundle.config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
    mount["uidMappings"] = json!([{"containerID": 1000, "hostID": 0, "size": 1}]);
    mount["gidMappings"] = json!([{"containerID": 1001, "hostID": 0, "size": 1}]);
    assert_eq!(bundle.run().expect_ok(), "0:0\n0:0\n");
    use std::os::unix::fs::MetadataExt;
    let new = fs::metadata(data.join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (1000, 1001), "written back by the same map");
}

/// A process in namespaces of its own.
struct Elsewhere(Child);

impl Elsewhere {
    fn new(flag: &str, kind: &str) -> Elsewhere {
        let child = Command::new("unshare").args([flag, "sleep", "1000"]).spawn().unwrap();
        let elsewhere = Elsewhere(child);
        let start = Instant::now();
        while fs::read_link(elsewhere.path(kind)).is_ok_and(|link| link.to_string_lossy() == own(kind))
            || fs::read_to_string(format!("/proc/{}/comm", elsewhere.0.id())).is_ok_and(|name| name.trim() != "sleep")
        {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        elsewhere
    }

    fn path(&self, kind: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/{kind}", self.0.id()))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn a_user_namespace_of_others_is_joined() {
    let elsewhere = Elsewhere::new("--user", "user");
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{file}", elsewhere.0.id()), "0 200000 1000").unwrap();
    }
    let mut bundle = Bundle::new(
        "readlink /proc/self/ns/user; id -u; echo >/dev/null && echo device; touch /tmp/file; grep -c . /proc/self/cgroup; \
         hostname changed 2>/dev/null || echo no right",
    );
    namespace(&mut bundle, "user", Some(&elsewhere.path("user")));
    for path in ["", "tmp", "etc", "proc", "sys", "dev"] {
        chown(bundle.rootfs().join(path), Some(200_000), Some(200_000)).unwrap();
    }
    let out = bundle.run().expect_ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], fs::read_link(elsewhere.path("user")).unwrap().to_string_lossy());
    assert_eq!(lines[1..3], ["0", "device"], "{out}");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(bundle.rootfs().join("tmp/file")).unwrap().uid(), 200_000);
}

/// Mounts on detached trees came with Linux 6.15.
fn has_detached_mounts() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (6, 15)
}

fn without_a_mount_namespace_the_host_sees_nothing() {
    if !has_detached_mounts() {
        return;
    }
    let script = "readlink /proc/self/ns/mnt; ls -d /rootfs /home 2>/dev/null; echo x >/tmp/x && cat /tmp/x; cat /proc/self/mountinfo | wc -l; \
                  wc -c </proc/keys; echo >/dev/null && echo device";
    let mut bundle = Bundle::new(script);
    bundle.mount("/tmp", "tmpfs", Path::new("tmpfs"), &[]);
    let list = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    list.retain(|namespace| namespace["type"] != "mount");
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let out = bundle.run().expect_ok();
    assert_eq!(out, format!("{}\nx\n0\n0\ndevice\n", own("mnt")));
    let ours = |text: &str| text.lines().filter(|line| line.contains(bundle.path().to_str().unwrap())).count();
    assert_eq!((ours(&before), ours(&fs::read_to_string("/proc/self/mountinfo").unwrap())), (0, 0));
    assert!(!bundle.rootfs().join("tmp/x").exists(), "it was in the tmpfs");

    // One more process has the same root.
    let process = json!({"args": ["cat", "/etc/own"], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}});
    let file = bundle.path().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    fs::write(bundle.rootfs().join("etc/own"), "same").unwrap();
    bundle.config["process"]["args"] = json!(["sleep", "100"]);
    assert_eq!(bundle.run_with(&[&format!("--exec={}", file.display())]).expect_ok(), "same");
}

fn a_mount_namespace_of_others_is_left_as_it_is() {
    if !has_detached_mounts() {
        return;
    }
    let elsewhere = Elsewhere::new("--mount", "mnt");
    let table = || fs::read_to_string(format!("/proc/{}/mountinfo", elsewhere.0.id())).unwrap();
    let before = table();
    let mut bundle = Bundle::new("readlink /proc/self/ns/mnt; cat /proc/sys/kernel/hostname");
    namespace(&mut bundle, "mount", Some(&elsewhere.path("mnt")));
    let out = bundle.run().expect_ok();
    assert_eq!(out, format!("{}\nbox\n", fs::read_link(elsewhere.path("mnt")).unwrap().display()));
    assert_eq!(table(), before);
}

fn a_namespace_of_another_kind_is_refused() {
    let elsewhere = Elsewhere::new("--mount", "mnt");
    for kind in ["ipc", "uts", "network", "cgroup", "pid"] {
        let mut bundle = Bundle::new("true");
        namespace(&mut bundle, kind, Some(&elsewhere.path("mnt")));
        let run = bundle.run();
        assert!(run.code == 125 && run.err.contains("namespace: Invalid argument"), "{kind}: {} {}", run.code, run.err);
    }
}

fn labels_that_the_host_lacks_are_refused() {
    let refused = |key: &str, words: &str| {
        let mut bundle = Bundle::new("true");
        bundle.config["process"][key] = json!("x");
        let run = bundle.run();
        assert!(run.code == 125 && run.err.contains(words), "{} {}", run.code, run.err);
    };
    if !Path::new("/sys/module/apparmor").exists() {
        refused("apparmorProfile", "invalid process.apparmorProfile: \"x\": AppArmor is not enabled on this host");
    }
    if !Path::new("/sys/fs/selinux").exists() {
        refused("selinuxLabel", "invalid process.selinuxLabel: \"x\": SELinux is not enabled on this host");
    }
}

fn a_network_device_of_the_host_moves_in() {
    let name = format!("d{}", std::process::id());
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).status().is_ok_and(|status| status.success());
    assert!(ip(&format!("link add {name} type veth peer name {name}p")));
    assert!(ip(&format!("address add 10.11.12.13/24 dev {name}")));
    let mut bundle = Bundle::new("ip address show dev inner");
    bundle.config["linux"]["netDevices"] = json!({&name: {"name": "inner"}});
    let run = bundle.run();
    // It goes with the container's namespace.
    assert!(!Path::new("/sys/class/net").join(&name).exists());
    let out = run.expect_ok();
    assert!(out.contains("inet 10.11.12.13/24") && out.contains("UP"), "{out}");
}

fn a_remount_changes_what_is_there() {
    let mut bundle = Bundle::new("touch /tmp/x 2>/dev/null || echo read-only");
    bundle.mount("/tmp", "tmpfs", Path::new("tmpfs"), &[]);
    bundle.mount("/tmp", "none", Path::new("none"), &["remount", "ro"]);
    assert_eq!(bundle.run().expect_ok(), "read-only\n");
}
