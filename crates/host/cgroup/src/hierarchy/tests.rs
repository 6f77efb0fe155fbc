//! Reading the table of mounts.

use super::*;

const V1: &str = "\
30 23 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/my\\040memory rw shared:9 - cgroup cgroup rw,memory
";

#[test]
fn v1_mounts_are_found_with_all_their_controllers() {
    let found = Hierarchy::from_mountinfo(V1).unwrap();
    assert_eq!(found.mode(), Mode::V1);
    assert_eq!(found.v1_mount(Controller::Cpuacct), found.v1_mount(Controller::Cpu));
    assert_eq!(found.v1_mount(Controller::Memory), Some(Path::new("/sys/fs/cgroup/my memory")));
    assert!(!found.has(Controller::Pids));
    let names: Vec<String> = found.v1_mounts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["cpu,cpuacct", "memory", "name=systemd"]);
}

#[test]
fn hybrid_keeps_what_v1_has() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cgroup.controllers"), "misc\n").unwrap();
    let v2 = format!("40 30 0:40 / {} rw - cgroup2 cgroup2 rw", dir.path().display());
    let found = Hierarchy::from_mountinfo(&format!("{V1}{v2}\n")).unwrap();
    assert_eq!(found.mode(), Mode::Hybrid);
    assert!(found.has_v2(Controller::Misc) && !found.has_v2(Controller::Memory));
    assert!(!found.has_v2(Controller::Devices), "v1 has none here, but the host is not pure v2");
}

#[test]
fn pure_v2_has_devices_and_freezer_without_controllers() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cgroup.controllers"), "cpuset cpu io memory hugetlb pids rdma\n").unwrap();
    let found = Hierarchy::v2_at(dir.path()).unwrap();
    assert_eq!(found.mode(), Mode::V2);
    for controller in [Controller::Blkio, Controller::Devices, Controller::Freezer, Controller::Memory] {
        assert!(found.has(controller), "{controller:?}");
    }
    assert!(!found.has(Controller::NetCls));
}

#[test]
fn nothing_mounted_is_an_error() {
    let error = Hierarchy::from_mountinfo("22 1 0:20 / /proc rw - proc proc rw\n").unwrap_err();
    assert!(matches!(error, Error::NotMounted));
}
