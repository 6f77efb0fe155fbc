//! Docker's defaults and profiles in docker's JSON.

use spec::runtime::{Capability, LinuxSeccompAction};

use super::*;

#[test]
fn numbers_of_capabilities_are_in_order() {
    let all = all_capabilities();
    assert!(!all.is_empty());
    assert_eq!(BY_NUMBER[21], Capability::SysAdmin);
    assert_eq!(BY_NUMBER[40], Capability::CheckpointRestore);
}

#[test]
fn conditions_of_a_docker_profile_are_decided() {
    let text = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": null}
        ],
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
            {"name": "mount", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["unshare"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN"]}},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
            {"names": ["swapcontext"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["ppc64le"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]}
        ]
    }"#;
    let decided = seccomp_from_docker_json(text, &[Capability::Chown]).unwrap();
    let names: Vec<&str> =
        decided.syscalls().iter().flatten().flat_map(|rule| rule.names()).map(String::as_str).collect();
    assert_eq!(names, ["read", "write", "ptrace", "clone"]);
    assert!(!decided.architectures().as_ref().unwrap().is_empty());
    assert_eq!(decided.default_action(), LinuxSeccompAction::ScmpActErrno);
    crate::seccomp::compile(&decided).unwrap();
}

#[test]
fn broken_docker_profiles_are_told() {
    let error = |text| seccomp_from_docker_json(text, &[]).unwrap_err().to_string();
    assert!(error("{").starts_with("decoding seccomp profile failed: "));
    let both = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW"}]}"#;
    assert!(error(both).ends_with("use either 'name' or 'names'"));
    let both = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}"#;
    assert!(error(both).ends_with("use either 'architectures' or 'archMap'"));
}

#[test]
fn kernel_versions_are_read() {
    for (text, version) in
        [("6.1.0-18-cloud-amd64", Some((6, 1))), ("4.8", Some((4, 8))), ("6.18.44-fc-v657", Some((6, 18))), ("x", None)]
    {
        assert_eq!(super::seccomp::parse_kernel(text), version, "{text}");
    }
}

#[test]
fn defaults_have_what_docker_has() {
    assert_eq!(default_capabilities().len(), 14);
    let mounts = default_mounts(64 << 20);
    assert_eq!(mounts.last().unwrap().options().as_ref().unwrap()[4], "size=67108864");
    assert_eq!(default_devices().len(), 6);
    assert!(masked_paths().contains(&"/proc/kcore".to_owned()));
}
