//! What a pod may have on which operating system.

use serde_json::Value;

use super::containers::LISTS;
use crate::field::Errors;
use crate::policy::At;
use crate::policy::read::Read;

/// Checks `os`, and that nothing of another operating system is there.
pub fn validate(spec: &At, errors: &mut Errors) {
    let os = spec.get("os");
    if os.is_null() {
        return;
    }
    match os["name"].text() {
        "" => os.get("name").required(errors, "cannot be empty"),
        "linux" => linux(spec, errors),
        "windows" => windows(spec, errors),
        other => errors.push(crate::field::Error::not_supported(&os.path(), other, &["linux", "windows"])),
    }
}

fn linux(spec: &At, errors: &mut Errors) {
    const DETAIL: &str = "windows options cannot be set for a linux pod";
    let own = spec.down(&["securityContext", "windowsOptions"]);
    if own.is_set() {
        own.forbidden(errors, DETAIL);
    }
    each_container(spec, |container| {
        let options = container.down(&["securityContext", "windowsOptions"]);
        if options.is_set() {
            options.forbidden(errors, DETAIL);
        }
    });
}

const OF_POD: &[&[&str]] = &[
    &["securityContext", "appArmorProfile"],
    &["securityContext", "seLinuxOptions"],
    &["hostUsers"],
    &["hostPID"],
    &["hostIPC"],
    &["securityContext", "seccompProfile"],
    &["securityContext", "fsGroup"],
    &["securityContext", "fsGroupChangePolicy"],
    &["securityContext", "sysctls"],
    &["shareProcessNamespace"],
    &["securityContext", "runAsUser"],
    &["securityContext", "runAsGroup"],
    &["securityContext", "supplementalGroups"],
    &["securityContext", "supplementalGroupsPolicy"],
    &["securityContext", "seLinuxChangePolicy"],
];

const OF_CONTAINER: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

fn windows(spec: &At, errors: &mut Errors) {
    const DETAIL: &str = "cannot be set for a windows pod";
    for path in OF_POD {
        let at = spec.down(path);
        let host = matches!(path.last(), Some(&"hostPID" | &"hostIPC"));
        if !at.is_unset() && (!host || at.yes()) {
            at.forbidden(errors, DETAIL);
        }
    }
    each_container(spec, |container| {
        let context = container.get("securityContext");
        for field in OF_CONTAINER {
            if context[*field].is_set() {
                context.get(field).forbidden(errors, DETAIL);
            }
        }
    });
}

/// Containers of Windows that are processes of the host: all of a pod's, or none.
pub fn host_process(spec: &At, errors: &mut Errors) {
    let process = |value: &Value| value["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let of_pod = process(spec);
    let (mut all, mut host) = (0, 0);
    each_container(spec, |container| {
        all += 1;
        let own = process(container);
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let detail = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            let at = container.down(&["securityContext", "windowsOptions", "hostProcess"]);
            at.invalid(errors, detail);
        }
        host += usize::from(own.or(of_pod) == Some(true));
    });
    if host == 0 {
        return;
    }
    if host != all {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        spec.invalid_value(errors, "", detail);
    }
    if !spec["hostNetwork"].yes() {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        spec.get("hostNetwork").invalid_value(errors, false, detail);
    }
}

/// Calls `with` for every container of any kind.
pub fn each_container(spec: &At, mut with: impl FnMut(&At)) {
    for list in LISTS {
        for container in spec.get(list).each() {
            with(&container);
        }
    }
}
