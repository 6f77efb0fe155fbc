//! The checks of the baseline level: what is known to reach out of a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Violation;
use super::level::Grade;
use super::pod::{Pod, items, name, named_containers, plural, quoted, setters, text};

/// Capabilities that a container may add.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub fn app_armor(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let forbidden = |context: &Value| {
        let kind = context.pointer("/appArmorProfile/type").and_then(Value::as_str);
        kind.filter(|kind| !matches!(*kind, "RuntimeDefault" | "Localhost" | "")).map(str::to_owned)
    };
    let mut kinds = BTreeSet::new();
    let by_pod = forbidden(pod.context()).map(|kind| kinds.insert(kind)).is_some();
    let mut names = Vec::new();
    for container in pod.containers() {
        if let Some(kind) = forbidden(context(container)) {
            kinds.insert(kind);
            names.push(name(container));
        }
    }
    let mut details = Vec::new();
    if !kinds.is_empty() {
        details.push(format!("{} must not set AppArmor profile type to {}", setters(by_pod, &names), quoted(&kinds)));
    }
    let annotations = pod.metadata.get("annotations").and_then(Value::as_object);
    let mut annotated = Vec::new();
    for (key, value) in annotations.into_iter().flatten() {
        let value = value.as_str().unwrap_or("");
        let allowed = value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") && !allowed {
            annotated.push(format!("{key}={value:?}"));
        }
    }
    let count = annotated.len() + names.len() + usize::from(by_pod);
    if !annotated.is_empty() {
        details.push(format!("{} {}", plural("annotation", "annotations", annotated.len()), annotated.join(", ")));
    }
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", count);
    (!details.is_empty()).then(|| Violation::new(reason, details.join("; ")))
}

pub fn capabilities(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let mut names = Vec::new();
    let mut added = BTreeSet::new();
    for container in pod.containers() {
        let bad: Vec<&str> = added_capabilities(container).filter(|cap| !CAPABILITIES.contains(cap)).collect();
        if !bad.is_empty() {
            names.push(name(container));
            added.extend(bad);
        }
    }
    (!names.is_empty()).then(|| {
        let who = named_containers(&names);
        Violation::new(
            "non-default capabilities",
            format!("{who} must not include {} in securityContext.capabilities.add", quoted(&added)),
        )
    })
}

/// The names in `securityContext.capabilities.add`.
pub fn added_capabilities(container: &Value) -> impl Iterator<Item = &str> {
    let capabilities = context(container).get("capabilities").unwrap_or(&Value::Null);
    items(capabilities, "add").iter().filter_map(Value::as_str)
}

pub fn host_namespaces(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let set = |field: &&&str| pod.spec.get(**field).and_then(Value::as_bool) == Some(true);
    let used: Vec<String> =
        ["hostNetwork", "hostPID", "hostIPC"].iter().filter(set).map(|f| format!("{f}=true")).collect();
    (!used.is_empty()).then(|| Violation::new("host namespaces", used.join(", ")))
}

pub fn host_path_volumes(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let volumes: Vec<&str> = items(pod.spec, "volumes")
        .iter()
        .filter(|v| v.get("hostPath").is_some_and(Value::is_object))
        .map(|v| text(v, "name"))
        .collect();
    (!volumes.is_empty()).then(|| {
        Violation::new(
            "hostPath volumes",
            format!("{} {}", plural("volume", "volumes", volumes.len()), quoted(volumes)),
        )
    })
}

pub fn host_ports(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let mut names = Vec::new();
    let mut ports = BTreeSet::new();
    for container in pod.containers() {
        let used: Vec<i64> = items(container, "ports")
            .iter()
            .filter_map(|p| p.get("hostPort")?.as_i64())
            .filter(|port| *port != 0)
            .collect();
        if !used.is_empty() {
            names.push(name(container));
            ports.extend(used);
        }
    }
    (!names.is_empty()).then(|| {
        let list = ports.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let reason = plural("hostPort", "hostPorts", ports.len());
        let verb = plural("uses", "use", names.len());
        Violation::new(reason, format!("{} {verb} {reason} {list}", named_containers(&names)))
    })
}

pub fn host_probes(pod: Pod<'_>, grade: Grade) -> Option<Violation> {
    if !grade.since(34) {
        return None;
    }
    let places = ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    let mut names = Vec::new();
    let mut hosts = BTreeSet::new();
    for container in pod.containers() {
        let handlers = places.iter().filter_map(|place| container.pointer(place));
        let found: Vec<&str> = handlers
            .flat_map(|h| [h.pointer("/httpGet/host"), h.pointer("/tcpSocket/host")])
            .filter_map(|host| host?.as_str())
            .filter(|host| !matches!(*host, "" | "127.0.0.1" | "::1"))
            .collect();
        if !found.is_empty() {
            names.push(name(container));
            hosts.extend(found);
        }
    }
    (!names.is_empty()).then(|| {
        let (verb, noun) = (plural("uses", "use", names.len()), plural("host", "hosts", hosts.len()));
        Violation::new(
            "probe or lifecycle host",
            format!("{} {verb} probe or lifecycle {noun} {}", named_containers(&names), quoted(hosts)),
        )
    })
}

pub fn privileged(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let names: Vec<&str> = pod
        .containers()
        .filter(|c| context(c).get("privileged").and_then(Value::as_bool) == Some(true))
        .map(name)
        .collect();
    (!names.is_empty()).then(|| {
        Violation::new(
            "privileged",
            format!("{} must not set securityContext.privileged=true", named_containers(&names)),
        )
    })
}

pub fn proc_mount(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let mut names = Vec::new();
    let mut kinds = BTreeSet::new();
    for container in pod.containers() {
        let kind = text(context(container), "procMount");
        if !matches!(kind, "" | "Default") {
            names.push(name(container));
            kinds.insert(kind);
        }
    }
    (!names.is_empty()).then(|| {
        Violation::new(
            "procMount",
            format!("{} must not set securityContext.procMount to {}", named_containers(&names), quoted(kinds)),
        )
    })
}

pub fn selinux(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let (mut types, mut user, mut role) = (BTreeSet::new(), false, false);
    let mut bad = |context: &'_ Value| {
        let Some(options) = context.get("seLinuxOptions").filter(|o| o.is_object()) else { return false };
        let kind = text(options, "type");
        let bad_type =
            !matches!(kind, "" | "container_t" | "container_init_t" | "container_kvm_t" | "container_engine_t");
        if bad_type {
            types.insert(kind.to_owned());
        }
        let (bad_user, bad_role) = (!text(options, "user").is_empty(), !text(options, "role").is_empty());
        user |= bad_user;
        role |= bad_role;
        bad_type || bad_user || bad_role
    };
    let by_pod = bad(pod.context());
    let names: Vec<&str> = pod.containers().filter(|c| bad(context(c))).map(name).collect();
    if !by_pod && names.is_empty() {
        return None;
    }
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    if user {
        what.push("user may not be set".to_owned());
    }
    if role {
        what.push("role may not be set".to_owned());
    }
    let who = setters(by_pod, &names);
    Some(Violation::new(
        "seLinuxOptions",
        format!("{who} set forbidden securityContext.seLinuxOptions: {}", what.join("; ")),
    ))
}

pub fn seccomp(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let mut kinds = BTreeSet::new();
    let mut bad = |context: &Value| {
        let kind = context.pointer("/seccompProfile/type").and_then(Value::as_str).unwrap_or("");
        let bad = !matches!(kind, "" | "RuntimeDefault" | "Localhost");
        if bad {
            kinds.insert(kind.to_owned());
        }
        bad
    };
    let by_pod = bad(pod.context());
    let names: Vec<&str> = pod.containers().filter(|c| bad(context(c))).map(name).collect();
    (by_pod || !names.is_empty()).then(|| {
        let who = setters(by_pod, &names);
        Violation::new(
            "seccompProfile",
            format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&kinds)),
        )
    })
}

pub fn sysctls(pod: Pod<'_>, grade: Grade) -> Option<Violation> {
    let allowed = |sysctl: &str| match sysctl {
        "kernel.shm_rmid_forced"
        | "net.ipv4.ip_local_port_range"
        | "net.ipv4.tcp_syncookies"
        | "net.ipv4.ping_group_range"
        | "net.ipv4.ip_unprivileged_port_start" => true,
        "net.ipv4.ip_local_reserved_ports" => grade.since(27),
        "net.ipv4.tcp_keepalive_time"
        | "net.ipv4.tcp_fin_timeout"
        | "net.ipv4.tcp_keepalive_intvl"
        | "net.ipv4.tcp_keepalive_probes" => grade.since(29),
        "net.ipv4.tcp_rmem" | "net.ipv4.tcp_wmem" => grade.since(32),
        _ => false,
    };
    let bad: Vec<&str> =
        items(pod.context(), "sysctls").iter().map(|s| text(s, "name")).filter(|s| !allowed(s)).collect();
    (!bad.is_empty()).then(|| Violation::new("forbidden sysctls", bad.join(", ")))
}

pub fn windows_host_process(pod: Pod<'_>, _: Grade) -> Option<Violation> {
    let set = |context: &Value| context.pointer("/windowsOptions/hostProcess").and_then(Value::as_bool) == Some(true);
    let by_pod = set(pod.context());
    let names: Vec<&str> = pod.containers().filter(|c| set(context(c))).map(name).collect();
    (by_pod || !names.is_empty()).then(|| {
        Violation::new(
            "hostProcess",
            format!("{} must not set securityContext.windowsOptions.hostProcess=true", setters(by_pod, &names)),
        )
    })
}

/// A container's security context, `Null` if there is none.
pub fn context(container: &Value) -> &Value {
    container.get("securityContext").unwrap_or(&Value::Null)
}
