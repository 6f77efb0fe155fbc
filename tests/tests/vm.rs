//! Limits and the life of containers on a pure cgroup v2 tree, in a virtual machine with Debian's cloud kernel.
//!
//! The machine boots once for all checks. Every check stands for itself: one that fails is told with what it
//! printed, and the others go on.

use std::path::Path;
use std::time::Duration;

use e2e::vm::{Check, Guest, Host};
use serde_json::{Value, json};

/// Ends a machine that hangs. One takes less than a minute alone, more beside other tests.
const LIMIT: Duration = Duration::from_secs(480);

/// For layers and for networks.
const MODULES: &[&str] = &[
    "overlay",
    "erofs",
    "loop",
    "bridge",
    "veth",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_fib_inet",
    "nft_masq",
    "nft_nat",
    "quota_v2",
];

#[test]
fn containers_on_a_pure_cgroup_v2_tree() {
    if !cfg!(target_arch = "x86_64") {
        eprintln!("skipped: the machine is for x86-64");
        return;
    }
    let host = match Host::find() {
        Ok(host) => host,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let mut guest = Guest { binary: e2e::binary(), files: Vec::new(), checks: Vec::new(), modules: MODULES.to_vec() };
    assert!(guest.binary.exists(), "{} is not built", guest.binary.display());
    host_checks(&mut guest);
    limits(&mut guest);
    life(&mut guest);
    isolation(&mut guest);
    groups(&mut guest);
    death(&mut guest);
    nothing_left(&mut guest);
    daemon(&mut guest);

    let report = host.run(&guest, LIMIT).expect("a machine");
    eprintln!("{} checks in {:.1} s", report.outcomes.len(), report.elapsed.as_secs_f32());
    let mut failed = Vec::new();
    for check in &guest.checks {
        match report.outcomes.get(check.name) {
            Some(outcome) if outcome.code == 0 => eprintln!("ok      {}", check.name),
            Some(outcome) => failed.push(format!("{} ended with {}:\n{}", check.name, outcome.code, outcome.output)),
            None => failed.push(format!("{} never ended", check.name)),
        }
    }
    assert!(failed.is_empty(), "{}\n--- end of the console:\n{}", failed.join("\n"), tail(&report.console));
}

fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Adds a check.
fn check(guest: &mut Guest, name: &'static str, script: &str) {
    guest.checks.push(Check { name, script: script.to_owned() });
}

/// Adds a bundle for a command, docker's defaults but for what `change` does to config.json.
fn bundle(guest: &mut Guest, name: &str, command: &str, change: impl FnOnce(&mut Value)) {
    let mut config = config(name, command);
    change(&mut config);
    let text = serde_json::to_vec_pretty(&config).expect("JSON");
    guest.files.push((format!("/bundles/{name}/config.json"), text, 0o644));
}

/// A specification as docker writes it. Every container shares one read-only root.
fn config(name: &str, command: &str) -> Value {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ];
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh", "-c", command],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities}
        },
        "root": {"path": "/rootfs", "readonly": true},
        "hostname": name,
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
            mount("/tmp", "tmpfs", &["nosuid", "mode=1777"]),
        ],
        "linux": {
            "cgroupsPath": format!("/vm/{name}"),
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"}
            ],
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
            "resources": {"devices": [
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
                {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"}
            ]}
        }
    })
}

fn host_checks(guest: &mut Guest) {
    check(
        guest,
        "machine_has_only_cgroup_v2",
        "! grep -q '^[^ ]* [^ ]* cgroup ' /proc/mounts; grep -q cgroup2 /proc/mounts",
    );
    check(guest, "binary_runs", "sampan runtime --version; sampan runtime features > /dev/null");
}

fn limits(guest: &mut Guest) {
    bundle(
        guest,
        "memory",
        "head -c 134217728 /dev/zero | tail -c 134217728 > /dev/null; echo survived $?",
        |config| {
            config["linux"]["resources"]["memory"] = json!({"limit": 33554432, "swap": 33554432});
        },
    );
    check(
        guest,
        "memory_limit_kills_inside_the_container",
        "sampan runtime create -b /bundles/memory memory > out 2>&1
         dir=/sys/fs/cgroup/vm/memory
         equal $(cat $dir/memory.max) 33554432 memory.max
         [ ! -e $dir/memory.swap.max ] || equal $(cat $dir/memory.swap.max) 0 memory.swap.max
         sampan runtime start memory
         eventually 'sampan runtime state memory | grep -q stopped'
         cat out
         grep -q 'survived 137' out || grep -q Killed out
         equal $(sed -n 's/^oom_kill //p' $dir/memory.events) 1 'kills counted after death'
         sampan runtime delete memory
         [ ! -e $dir ]",
    );
    bundle(guest, "memory-init", "exec tail -c 134217728 /dev/urandom", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 33554432, "swap": 33554432});
        config["process"]["args"] = json!(["sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done"]);
    });
    check(
        guest,
        "memory_limit_on_the_first_process_is_exit_code_137",
        "set +e; sampan runtime run -b /bundles/memory-init memory-init; equal $? 137 'exit code'",
    );
    bundle(guest, "quota", "while :; do :; done", |config| {
        config["linux"]["resources"]["cpu"] = json!({"quota": 20000, "period": 100000, "shares": 512});
    });
    check(
        guest,
        "processor_quota_holds",
        "sampan runtime run -d -b /bundles/quota quota
         dir=/sys/fs/cgroup/vm/quota
         equal \"$(cat $dir/cpu.max)\" '20000 100000' cpu.max
         within $(cat $dir/cpu.weight) 15 70 cpu.weight
         usage() { sed -n 's/^usage_usec //p' $dir/cpu.stat; }
         sleep 1; before=$(usage); start=$(cut -d' ' -f1 /proc/uptime | tr -d .)
         sleep 3; after=$(usage); end=$(cut -d' ' -f1 /proc/uptime | tr -d .)
         share=$(( (after - before) / 100 / (end - start) ))
         echo \"used $share percent of a processor, allowed 20\"
         within $share 5 26 share
         [ $(sed -n 's/^nr_throttled //p' $dir/cpu.stat) -gt 0 ]
         sampan runtime kill quota KILL
         eventually 'sampan runtime state quota | grep -q stopped'
         sampan runtime delete quota",
    );
    bundle(guest, "pids", "( for i in 1 2 3 4 5 6 7 8 9 10; do sleep 60 & done ); exec sleep 60", |config| {
        config["linux"]["resources"]["pids"] = json!({"limit": 6});
    });
    check(
        guest,
        "forks_past_the_limit_fail",
        "set +e
         sampan runtime run -b /bundles/pids pids > out 2>&1 &
         dir=/sys/fs/cgroup/vm/pids
         eventually \"grep -q 'max [1-9]' $dir/pids.events 2>/dev/null\"
         equal $(cat $dir/pids.max) 6 pids.max
         within $(cat $dir/pids.current) 1 6 pids.current
         sampan runtime kill pids KILL; wait; grep -i fork out",
    );
    bundle(
        guest,
        "devices",
        "set +e
         head -c 1 /dev/zero | wc -c
         mknod /tmp/serial c 4 64 && echo made
         ( : < /tmp/serial ) 2>&1 && echo opened
         echo x > /dev/null && echo null",
        |_| {},
    );
    check(
        guest,
        "devices_are_denied_but_the_allowed_ones",
        "sampan runtime run -b /bundles/devices devices > out 2>&1 || true; cat out
         grep -qx 1 out; grep -qx made out; grep -qi 'operation not permitted' out; grep -qx null out; ! grep -qx opened out",
    );
    bundle(guest, "privileged", "mknod /tmp/serial c 4 64; ( : < /tmp/serial ) && echo opened", |config| {
        config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
    });
    check(
        guest,
        "all_devices_when_all_are_allowed",
        "sampan runtime run -b /bundles/privileged privileged > out; equal $(cat out) opened 'the serial line'",
    );
    bundle(guest, "impossible", "true", |config| {
        config["linux"]["resources"]["network"] = json!({"classID": 1});
    });
    check(
        guest,
        "a_limit_that_v2_cannot_hold_is_refused",
        "if sampan runtime run -b /bundles/impossible impossible > out 2>&1; then fail 'it ran'; fi
         cat out; grep -q net_cls out; [ ! -e /sys/fs/cgroup/vm/impossible ]",
    );
    bundle(guest, "unified", "sleep 60", |config| {
        config["linux"]["resources"]["unified"] = json!({"memory.high": "50331648"});
    });
    check(
        guest,
        "files_of_the_unified_hierarchy_are_written",
        "sampan runtime run -d -b /bundles/unified unified
         equal $(cat /sys/fs/cgroup/vm/unified/memory.high) 50331648 memory.high
         sampan runtime delete -f unified",
    );
}

fn life(guest: &mut Guest) {
    bundle(guest, "life", "trap 'echo asked; exit 7' TERM; echo up; while :; do usleep 20000; done", |_| {});
    check(
        guest,
        "create_start_exec_kill_delete",
        "sampan runtime create -b /bundles/life --pid-file pid life > out 2>&1
         sampan runtime state life | grep -q '\"status\": *\"created\"'
         equal \"$(cat out)\" '' 'nothing runs before start'
         grep -q 0::/vm/life /proc/$(cat pid)/cgroup
         sampan runtime start life
         eventually 'grep -q up out'
         sampan runtime state life | grep -q '\"status\": *\"running\"'
         equal \"$(sampan runtime exec life sh -c 'echo $((6 * 7)); hostname' | tr '\\n' ' ')\" '42 life ' exec
         set +e; sampan runtime exec life sh -c 'exit 3'; equal $? 3 'exit code of exec'; set -e
         sampan runtime ps life | grep -q usleep || sampan runtime ps life | grep -q sh
         sampan runtime list | grep -q life
         sampan runtime kill life TERM
         eventually 'sampan runtime state life | grep -q stopped'
         grep -q asked out
         sampan runtime delete life
         if sampan runtime state life 2> error; then fail 'still there'; fi
         grep -q 'does not exist' error",
    );
    check(
        guest,
        "pause_stands_still_and_resume_goes_on",
        "sampan runtime run -d -b /bundles/quota paused > /dev/null
         dir=/sys/fs/cgroup/vm/quota
         sampan runtime pause paused
         sampan runtime state paused | grep -q paused
         equal $(cat $dir/cgroup.freeze) 1 cgroup.freeze
         usage() { sed -n 's/^usage_usec //p' $dir/cpu.stat; }
         before=$(usage); sleep 1; equal $(usage) $before 'processor time while paused'
         sampan runtime resume paused
         sampan runtime state paused | grep -q running
         sleep 1; [ $(usage) -gt $before ]
         sampan runtime pause paused
         sampan runtime delete -f paused
         [ ! -e $dir ]",
    );
    check(
        guest,
        "kill_all_takes_every_process",
        "sampan runtime run -d -b /bundles/pids all > out 2>&1
         eventually '[ $(cat /sys/fs/cgroup/vm/pids/pids.current) -ge 5 ]'
         sampan runtime kill --all all KILL
         eventually 'sampan runtime state all | grep -q stopped'
         sampan runtime delete all",
    );
    bundle(guest, "code", "exit 42", |_| {});
    check(
        guest,
        "exit_codes_are_handed_on",
        "set +e
         sampan runtime run -b /bundles/code code; equal $? 42 'exit code'
         sampan runtime run -b /bundles/nosuch nosuch 2> error; [ $? -ne 0 ] || fail 'ran without a bundle'; cat error",
    );
    bundle(guest, "missing", "", |config| config["process"]["args"] = json!(["/no/such/command"]));
    check(
        guest,
        "a_missing_command_leaves_nothing",
        "set +e
         sampan runtime run -b /bundles/missing missing 2> error; [ $? -ne 0 ] || fail 'it ran'
         cat error; grep -q 'no such file' error || grep -qi 'not found' error
         [ ! -e /sys/fs/cgroup/vm/missing ]; equal $? 0 'cgroup gone'
         equal \"$(sampan runtime list -q)\" '' 'no state'",
    );
    bundle(guest, "update", "sleep 60", |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 67108864});
    });
    check(
        guest,
        "nested_groups_are_removed_with_the_container",
        "sampan runtime run -d -b /bundles/update nested
         dir=/sys/fs/cgroup/vm/update
         mkdir -p $dir/a/b
         sampan runtime delete -f nested
         [ ! -e $dir ]",
    );
}

fn isolation(guest: &mut Guest) {
    bundle(
        guest,
        "inside",
        "set +e
         cat /proc/self/cgroup; ls /sys/fs/cgroup | head -1
         touch /sys/fs/cgroup/x 2>/dev/null || echo cgroup read-only
         touch /x 2>/dev/null || echo root read-only
         echo 1 2>/dev/null > /proc/sys/kernel/dmesg_restrict || echo proc read-only
         mount -t tmpfs x /tmp 2>/dev/null || echo no mount
         ps | wc -l",
        |_| {},
    );
    check(
        guest,
        "the_container_sees_its_own_group_only",
        "sampan runtime run -b /bundles/inside inside > out; cat out
         grep -qx 0::/ out; grep -q '^cgroup.controllers' out
         grep -qx 'cgroup read-only' out; grep -qx 'root read-only' out; grep -qx 'proc read-only' out
         grep -qx 'no mount' out",
    );
}

/// What only a pure v2 tree shows of events, groups within groups, and a tree that is delegated to a user.
fn groups(guest: &mut Guest) {
    check(
        guest,
        "events_and_groups_beneath_the_containers",
        "sampan runtime run -d -b /bundles/unified watched
         sampan runtime events --stats watched > out; cat out
         grep -q '\"pids\":{\"current\":1' out; grep -q '\"type\":\"stats\"' out
         dir=/sys/fs/cgroup/vm/unified
         mkdir $dir/sub
         sampan runtime exec --cgroup sub watched cat /proc/self/cgroup > out; cat out; grep -q /sub out
         if sampan runtime exec --cgroup ../.. watched true 2> error; then fail 'it left the group'; fi
         mkdir $dir/moved
         for pid in $(cat $dir/cgroup.procs); do echo $pid > $dir/moved/cgroup.procs; done
         echo +memory > $dir/cgroup.subtree_control
         equal \"$(sampan runtime exec watched echo inside)\" inside 'exec beside a first process that has moved'
         sampan runtime delete -f watched; [ ! -e $dir ]",
    );
    bundle(guest, "user", "id -u; cat /proc/self/cgroup; while :; do usleep 50000; done", |config| {
        let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
        let linux = &mut config["linux"];
        linux["uidMappings"] = map.clone();
        linux["gidMappings"] = map;
        linux["cgroupsPath"] = json!("/user/box");
        linux["resources"] = json!({"memory": {"limit": 33554432}, "pids": {"limit": 20}});
        linux["namespaces"].as_array_mut().expect("namespaces").push(json!({"type": "user"}));
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
        mounts.iter_mut().find(|mount| mount["destination"] == "/dev/pts").expect("pts")["options"] =
            json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]);
    });
    check(
        guest,
        "a_user_limits_its_containers_where_groups_are_delegated",
        "tree=/sys/fs/cgroup/user
         mkdir -p $tree/shell /run/user
         echo '+memory +pids' > /sys/fs/cgroup/cgroup.subtree_control
         echo '+memory +pids' > $tree/cgroup.subtree_control
         chown -R 1000:1000 $tree /run/user
         chmod 755 /bundles /bundles/user
         grep -q user: /etc/passwd || echo user:x:1000:1000::/:/bin/sh >> /etc/passwd
         as() { ( echo 0 > $tree/shell/cgroup.procs; exec su user -c \"exec /bin/sampan runtime --root /run/user/state $*\" ); }
         as create -b /bundles/user box > out 2>&1 || { cat out; false; }
         as start box
         eventually 'grep -q user/box out || grep -qx 0::/ out'
         cat out; equal $(head -1 out) 0 'the user as root'
         equal $(cat $tree/box/memory.max) 33554432 memory.max
         equal $(cat $tree/box/pids.max) 20 pids.max
         equal \"$(as exec box cat /proc/self/uid_map | tr -s ' ')\" ' 0 1000 1' 'map in exec'
         as pause box; equal $(cat $tree/box/cgroup.freeze) 1 freeze; as resume box
         as delete -f box; [ ! -e $tree/box ]
         echo 0 > /sys/fs/cgroup/cgroup.procs; rmdir $tree/shell $tree",
    );
}

/// Commands that are killed at many moments: what they leave can be deleted, and nothing stays.
fn death(guest: &mut Guest) {
    check(
        guest,
        "commands_killed_at_any_moment_leave_nothing_after_delete",
        "set +e
         for delay in 0 10000 30000 60000 90000 120000 160000 200000 250000 300000 400000; do
             for command in create 'run -d'; do
                 sampan runtime $command -b /bundles/life killed > /dev/null 2>&1 & victim=$!
                 usleep $delay; kill -9 $victim 2>/dev/null; wait $victim 2>/dev/null
                 sampan runtime delete --force killed || fail \"delete after $command killed at $delay\"
                 sampan runtime state killed 2>/dev/null && fail \"still there: $command killed at $delay\"
                 [ ! -e /sys/fs/cgroup/vm/life ] || fail \"group after $command killed at $delay\"
             done
         done
         eventually '! grep -q runtim[e] /proc/[0-9]*/cmdline 2>/dev/null'",
    );
}

fn nothing_left(guest: &mut Guest) {
    check(
        guest,
        "nothing_is_left_behind",
        "equal \"$(sampan runtime list -q)\" '' containers
         equal \"$(find /sys/fs/cgroup/vm -mindepth 1 -type d 2>/dev/null)\" '' groups
         equal \"$(grep -c rootfs /proc/mounts)\" 0 mounts",
    );
}

/// The daemon with the stock client, which is a static program and so runs in the guest too.
fn daemon(guest: &mut Guest) {
    let client = ["/usr/local/bin/docker", "/usr/bin/docker"].into_iter().find(|path| Path::new(path).exists());
    let Some(client) = client else {
        eprintln!("skipped: checks of the daemon need the docker CLI");
        return;
    };
    guest.files.push(("/bin/docker".to_owned(), std::fs::read(client).expect("read the docker CLI"), 0o755));
    check(
        guest,
        "daemon_starts_and_takes_an_image",
        "( cd /; exec setsid sampan daemon --data-root /var/lib/sampan --exec-root /run/sampan --pidfile /run/sampan.pid \\
             > /run/daemon.log 2>&1 < /dev/null & )
         eventually '[ -S /var/run/docker.sock ]'
         docker version --format '{{.Server.APIVersion}}'
         equal $(docker info --format '{{.CgroupVersion}}') 2 'version of control groups'
         tar -C /rootfs -c . | docker import - box:1",
    );
    check(
        guest,
        "daemon_reports_the_kill_of_a_memory_limit",
        "set +e
         docker run --name hog --network none --memory 32m --memory-swap 32m box:1 sh -c 'x=aaaaaaaa; while :; do x=$x$x; done'
         equal $? 137 'exit code'
         equal \"$(docker inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' hog)\" 'true 137' state
         docker rm hog",
    );
    check(
        guest,
        "daemon_holds_processor_and_processes",
        "docker run -d --name busy --network none --cpus 0.2 --pids-limit 30 box:1 sh -c 'while :; do :; done'
         pid=$(docker inspect --format '{{.State.Pid}}' busy)
         dir=/sys/fs/cgroup$(cut -d: -f3 /proc/$pid/cgroup)
         equal \"$(cat $dir/cpu.max)\" '20000 100000' cpu.max
         equal $(cat $dir/pids.max) 30 pids.max
         share=$(docker stats --no-stream --format '{{.CPUPerc}}' busy | cut -d. -f1)
         within $share 5 26 'share in docker stats'
         docker pause busy; equal $(cat $dir/cgroup.freeze) 1 cgroup.freeze
         docker unpause busy; equal $(cat $dir/cgroup.freeze) 0 cgroup.freeze
         docker update --cpus 0.5 busy; equal \"$(cat $dir/cpu.max)\" '50000 100000' 'cpu.max after update'
         equal \"$(docker exec busy echo hello)\" hello exec",
    );
    check(
        guest,
        "daemon_killed_and_started_again_adopts",
        "before=$(docker inspect --format '{{.State.Pid}}' busy)
         kill -9 $(cat /run/sampan.pid)
         ( cd /; exec setsid sampan daemon --data-root /var/lib/sampan --exec-root /run/sampan --pidfile /run/sampan.pid \\
             >> /run/daemon.log 2>&1 < /dev/null & )
         eventually 'docker version > /dev/null 2>&1'
         equal $(docker inspect --format '{{.State.Pid}}' busy) $before pid
         docker rm -f busy; [ ! -e /proc/$before ]",
    );
    check(
        guest,
        "daemon_publishes_a_port",
        "mkdir -p /tmp/www; echo served > /tmp/www/index.html
         docker run -d --name web -p 127.0.0.1:8080:80 -v /tmp/www:/www:ro box:1 busybox httpd -f -p 80 -h /www
         eventually 'wget -q -O - http://127.0.0.1:8080/ | grep -q served'
         docker rm -f web",
    );
    quota(guest);
    check(
        guest,
        "daemon_leaves_nothing_behind",
        "equal \"$(docker ps -aq)\" '' containers
         eventually '[ -z \"$(find /sys/fs/cgroup -path \"*sampan*\" -name \"[0-9a-f]*[0-9a-f]\" -type d | grep -E \"[0-9a-f]{64}\")\" ]'
         equal \"$(grep -c /var/lib/sampan /proc/mounts)\" 0 mounts
         docker rmi -f $(docker images -aq); equal \"$(docker images -q)\" '' images
         tail -3 /run/daemon.log",
    );
}

/// A data root on a file system that enforces project quotas, and a second daemon on it.
fn quota(guest: &mut Guest) {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    let made = std::process::Command::new("mkfs.ext4")
        .args(["-q", "-O", "quota,project", "-E", "quotatype=prjquota", "-b", "4096"])
        .arg(&disk)
        .arg("32M")
        .status();
    assert!(made.is_ok_and(|status| status.success()), "mkfs.ext4 makes a file system with project quotas");
    guest.files.push(("/vm/disk".to_owned(), std::fs::read(&disk).expect("read the disk"), 0o644));
    check(
        guest,
        "daemon_holds_the_size_of_the_writable_layer",
        "mkdir -p /mnt/quota
         mount -t ext4 -o loop,prjquota /vm/disk /mnt/quota
         ( cd /; exec setsid sampan daemon -H unix:///run/quota.sock --data-root /mnt/quota/data --exec-root /run/quota \\
             --pidfile /run/quota.pid --bridge none > /run/quota.log 2>&1 < /dev/null & )
         export DOCKER_HOST=unix:///run/quota.sock
         eventually 'docker version > /dev/null 2>&1'
         tar -C /rootfs -c . | docker import - box:1
         fill='dd if=/dev/zero of=/big bs=64k count=96 2>&1; echo $?; stat -c %s /big'
         said=$(docker run --rm --network none --storage-opt size=4m box:1 sh -c \"$fill\")
         echo \"$said\" | grep -q -E 'No space left|quota exceeded' || fail \"nothing stopped it: $said\"
         within $(echo \"$said\" | tail -1) 3000000 4194304 'bytes written at 4 MiB'
         said=$(docker run --rm --network none --storage-opt size=8m box:1 sh -c \"$fill\")
         equal $(echo \"$said\" | tail -1) 6291456 'bytes written at 8 MiB'
         docker run -d --name kept --network none --storage-opt size=4m box:1 sleep 100
         equal $(docker inspect --format '{{index .HostConfig.StorageOpt \"size\"}}' kept) 4m 'size in inspect'
         docker rm -f kept; docker rmi -f box:1
         kill $(cat /run/quota.pid); eventually '[ ! -e /run/quota.pid ]'
         eventually 'umount /mnt/quota'",
    );
}

#[test]
fn outcomes_need_a_binary_that_exists() {
    let guest = Guest { binary: "/nonexistent".into(), files: vec![], checks: vec![], modules: vec![] };
    if let Ok(host) = Host::find() {
        let error = host.run(&guest, Duration::from_secs(1)).expect_err("no binary");
        assert!(format!("{error:#}").contains("/nonexistent"), "{error:#}");
    }
}
