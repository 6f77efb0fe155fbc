//! The same bundle run by this crate and by runc looks the same from inside.

use crate::bundle::Bundle;
use serde_json::json;

crate::tests![
    docker_defaults_look_as_with_runc,
    an_unprivileged_user_looks_as_with_runc,
    a_read_only_container_with_extras_looks_as_with_runc,
    failures_have_the_words_of_runc,
];

/// Everything about a container that its processes can see and that is not a matter of chance.
const LOOK: &str = r#"
grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)' /proc/self/status
cat /proc/self/limits
echo umask $(umask) cwd $(pwd) oom $(cat /proc/self/oom_score_adj)
env | sort | grep -v SHLVL
id
hostname
awk '{print $5, $6, $9, $10}' /proc/self/mountinfo | grep -v '^/sys/fs/cgroup\|^/proc/keys\|^/proc/timer_list' | sort
ls -l /dev | awk '{print $1,$3,$4,$5,$6,$9,$10,$11}'
ls -ld /dev/shm /dev/mqueue /dev/pts /tmp | awk '{print $1,$3,$4,$9}'
for f in /proc/keys /proc/kcore /proc/timer_list /proc/sched_debug; do wc -c <$f; done 2>/dev/null
for d in /proc/acpi /proc/scsi /sys/firmware; do ls $d; done 2>/dev/null
for f in /proc/sysrq-trigger /proc/sys/kernel/panic; do echo >>$f || echo refused $f; done 2>/dev/null
for l in /proc/self/fd/*; do echo $l; done | wc -l
ls /sys/fs/cgroup
cat /proc/self/personality
echo $(ip -o link | wc -l) links
"#;

/// Drops what one kernel shows and another, or the moment, does not.
fn normal(text: &str) -> Vec<String> {
    // A masked file is the null device of the host here, that of the container with runc.
    let same = |line: &&str| !line.starts_with("/proc/interrupts ");
    text.lines().filter(same).map(|line| line.replace(",nr_inodes=2", "")).collect()
}

#[track_caller]
fn same(bundle: &Bundle) {
    let ours = bundle.run().expect_ok();
    let Some(theirs) = bundle.run_with_runc() else {
        println!("skipped: no runc");
        return;
    };
    let (ours, theirs) = (normal(&ours), normal(&theirs.expect_ok()));
    let only = |these: &[String], others: &[String]| -> Vec<String> {
        these.iter().filter(|line| !others.contains(line)).cloned().collect()
    };
    assert_eq!(only(&ours, &theirs), only(&theirs, &ours), "left here alone, right with runc alone");
    assert_eq!(ours.len(), theirs.len());
}

fn docker_defaults_look_as_with_runc() {
    same(&Bundle::new(LOOK));
}

fn an_unprivileged_user_looks_as_with_runc() {
    let mut bundle = Bundle::new(LOOK);
    bundle.config["process"]["user"] = json!({"uid": 33, "gid": 33, "additionalGids": [4, 27], "umask": 0o77});
    bundle.config["process"]["noNewPrivileges"] = json!(true);
    bundle.config["process"]["cwd"] = json!("/new/folder");
    bundle.config["process"]["oomScoreAdj"] = json!(500);
    std::fs::write(bundle.rootfs().join("etc/passwd"), "www:x:33:33::/srv/www:/bin/sh\n").unwrap();
    same(&bundle);
}

fn a_read_only_container_with_extras_looks_as_with_runc() {
    let mut bundle = Bundle::new(LOOK);
    bundle.config["root"]["readonly"] = json!(true);
    bundle.config["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]);
    bundle.config["linux"]["sysctl"] = json!({"net.ipv4.ip_unprivileged_port_start": "7", "kernel.shmmax": "12345"});
    bundle.config["linux"]["devices"] =
        json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 5, "gid": 6}]);
    let source = tempfile::tempdir().unwrap();
    bundle.mount("/data", "bind", source.path(), &["rbind", "rprivate", "ro", "nosuid"]);
    bundle.mount("/scratch", "tmpfs", "tmpfs".as_ref(), &["size=1m", "mode=700", "noexec", "nodev", "noatime"]);
    let sets = json!(["CAP_CHOWN", "CAP_NET_RAW"]);
    bundle.config["process"]["capabilities"] =
        json!({"bounding": sets, "effective": sets, "permitted": sets, "inheritable": sets, "ambient": ["CAP_CHOWN"]});
    same(&bundle);
}

fn failures_have_the_words_of_runc() {
    for args in [json!(["nothing"]), json!(["/bin/nothing"])] {
        let mut bundle = Bundle::new("");
        bundle.config["process"]["args"] = args;
        let ours = bundle.run();
        let Some(theirs) = bundle.run_with_runc() else { return };
        let words = ours.err.trim().replace('"', "\\\"");
        assert!(theirs.err.contains(&words), "{words} is not in {}", theirs.err);
    }
}
