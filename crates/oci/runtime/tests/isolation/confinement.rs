//! What a container must not be able to do.

use crate::bundle::Bundle;
use serde_json::json;

crate::tests![
    every_namespace_is_new,
    the_default_filter_refuses_and_allows,
    the_filter_is_there_with_no_new_privileges_too,
    devices_but_the_usual_ones_are_denied,
    masked_and_read_only_paths_hold,
    a_user_namespace_maps_ids,
    a_sealed_program_cannot_be_written,
    limits_of_the_group_are_set,
    capabilities_without_configuration_are_none,
];

fn every_namespace_is_new() {
    let bundle = Bundle::new("for n in pid net ipc uts mnt cgroup; do readlink /proc/self/ns/$n; done");
    for inside in bundle.run().expect_ok().lines() {
        let kind = inside.split(':').next().unwrap();
        let outside = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(outside.to_str().unwrap(), inside);
    }
}

fn the_default_filter_refuses_and_allows() {
    let mut bundle = Bundle::new(
        "grep Seccomp: /proc/self/status; unshare -U true || echo no userns; \
         mount -t tmpfs none /tmp || echo no mount; mkdir /tmp/x && echo fine",
    );
    // The filter must refuse what capabilities would allow.
    let caps = json!(runtime::profile::all_capabilities());
    bundle.config["process"]["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    let run = bundle.run();
    assert_eq!(run.out, "Seccomp:\t2\nno userns\nno mount\nfine\n", "{}", run.err);
}

fn the_filter_is_there_with_no_new_privileges_too() {
    let mut bundle = Bundle::new("grep -E 'Seccomp:|NoNew' /proc/self/status; unshare -U true || echo refused");
    bundle.config["process"]["noNewPrivileges"] = json!(true);
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(bundle.run().out, "NoNewPrivs:\t1\nSeccomp:\t2\nrefused\n");
}

fn devices_but_the_usual_ones_are_denied() {
    let bundle = Bundle::new(
        "mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg || echo denied; mknod /tmp/disk b 7 0 && head -c 1 /tmp/disk || echo denied; \
         head -c 3 /dev/zero | wc -c; echo x >/dev/null && echo fine; head -c 2 /dev/urandom | wc -c",
    );
    assert_eq!(bundle.run().out, "denied\ndenied\n3\nfine\n2\n");
}

fn masked_and_read_only_paths_hold() {
    let bundle = Bundle::new(
        "wc -c </proc/keys; ls /sys/firmware | wc -l; echo 1 2>/dev/null >/proc/sys/kernel/panic || echo refused; \
         umount /proc/keys 2>/dev/null || echo stays; touch /sys/firmware/x 2>/dev/null || echo read-only",
    );
    assert_eq!(bundle.run().out, "0\n0\nrefused\nstays\nread-only\n");
}

fn a_user_namespace_maps_ids() {
    let mut bundle = Bundle::new(
        "cat /proc/self/uid_map; id -u; touch /tmp/file; echo >/dev/null && echo device; \
         readlink /proc/self/ns/user; grep CapEff /proc/self/status; ls /sys/fs/cgroup | wc -l",
    );
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": 200_000, "size": 1000}]);
    bundle.config["linux"]["uidMappings"] = map.clone();
    bundle.config["linux"]["gidMappings"] = map;
    let owner = Some(200_000);
    for path in ["", "tmp", "etc", "proc", "sys", "dev"] {
        std::os::unix::fs::chown(bundle.rootfs().join(path), owner, owner).unwrap();
    }
    let out = bundle.run().expect_ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["0", "200000", "1000"]);
    assert_eq!(lines[1..3], ["0", "device"]);
    assert_ne!(lines[3], std::fs::read_link("/proc/self/ns/user").unwrap().to_str().unwrap());
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(bundle.rootfs().join("tmp/file")).unwrap().uid(), 200_000);
}

fn a_sealed_program_cannot_be_written() {
    // The container's program is a link to whatever executes it: the launcher's own file.
    let bundle = Bundle::new("");
    let mut bundle = bundle;
    bundle.config["process"]["args"] = json!(["/proc/self/exe", "launch", "/nowhere", "x"]);
    let run = bundle.run();
    // It runs itself inside, and finds itself protected: it fails only for want of a bundle.
    assert_ne!(run.code, 0);
    let before = std::fs::metadata(std::env::current_exe().unwrap()).unwrap().len();
    bundle.config["process"]["args"] = json!([
        "/bin/sh",
        "-c",
        "for i in 1 2 3; do for p in /proc/[0-9]*; do echo x 2>/dev/null >>$p/exe; done; done; true"
    ]);
    bundle.run().expect_ok();
    assert_eq!(before, std::fs::metadata(std::env::current_exe().unwrap()).unwrap().len());
}

fn limits_of_the_group_are_set() {
    let mut bundle = Bundle::new(
        "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || \
         cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max; cut -d: -f3 /proc/self/cgroup | sort -u",
    );
    bundle.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    assert_eq!(bundle.run().expect_ok(), "100\n67108864\n/\n");
}

fn capabilities_without_configuration_are_none() {
    let mut bundle = Bundle::new("grep -E 'Cap(Eff|Bnd|Prm)' /proc/self/status | cut -f2 | sort -u");
    bundle.config["process"].as_object_mut().unwrap().remove("capabilities");
    bundle.config["process"]["noNewPrivileges"] = json!(true);
    assert_eq!(bundle.run().expect_ok(), "0000000000000000\n");
}
