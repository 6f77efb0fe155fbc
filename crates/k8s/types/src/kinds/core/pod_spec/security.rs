//! Security contexts of pods and containers.

use std::collections::HashSet;

use crate::field::Errors;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// Checks `securityContext` of a pod.
pub fn of_pod(spec: &At, errors: &mut Errors) {
    let context = spec.get("securityContext");
    if context.is_null() {
        return;
    }
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        check::user_id(&context.get(field), errors);
    }
    for group in context.get("supplementalGroups").each() {
        check::user_id(&group, errors);
    }
    if spec["shareProcessNamespace"].yes() && spec["hostPID"].yes() {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        context.get("shareProcessNamespace").invalid_value(errors, true, detail);
    }
    sysctls(spec, &context.get("sysctls"), errors);
    check::one_of(&context.get("fsGroupChangePolicy"), &["Always", "OnRootMismatch"], errors);
    seccomp(&context.get("seccompProfile"), errors);
    windows(&context.get("windowsOptions"), errors);
    app_armor(&context.get("appArmorProfile"), errors);
    check::one_of(&context.get("supplementalGroupsPolicy"), &["Merge", "Strict"], errors);
    check::one_of(&context.get("seLinuxChangePolicy"), &["MountOption", "Recursive"], errors);
}

/// Checks `securityContext` of a container.
pub fn of_container(context: &At, host_users: bool, errors: &mut Errors) {
    if context.is_null() {
        return;
    }
    check::user_id(&context.get("runAsUser"), errors);
    check::user_id(&context.get("runAsGroup"), errors);
    let proc = context.get("procMount");
    check::one_of(&proc, &["Default", "Unmasked"], errors);
    if host_users && proc.text() == "Unmasked" {
        proc.invalid(errors, "`hostUsers` must be false to use `Unmasked`");
    }
    seccomp(&context.get("seccompProfile"), errors);
    if context["allowPrivilegeEscalation"].as_bool() == Some(false) {
        if context["privileged"].yes() {
            context.invalid(errors, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        if context["capabilities"]["add"].items().iter().any(|c| c.text() == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            context.invalid(errors, detail);
        }
    }
    windows(&context.get("windowsOptions"), errors);
    app_armor(&context.get("appArmorProfile"), errors);
}

const PROFILE_TYPES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(profile: &At, errors: &mut Errors) {
    if profile.is_null() {
        return;
    }
    let (kind, local) = (profile.get("type"), profile.get("localhostProfile"));
    match kind.is_unset() {
        true => kind.required(errors, "type is required when seccompProfile is set"),
        false => {
            check::one_of(&kind, PROFILE_TYPES, errors);
        }
    }
    match (kind.text() == "Localhost", local.is_set()) {
        (true, false) => local.required(errors, "must be set when seccomp type is Localhost"),
        (true, true) => check::descending_path(&local, errors),
        (false, true) => {
            let value = profile.value().clone();
            local.invalid_value(errors, value, "can only be set when seccomp type is Localhost");
        }
        (false, false) => {}
    }
}

fn app_armor(profile: &At, errors: &mut Errors) {
    const NEEDED: &str = "must be set when AppArmor type is Localhost";
    if profile.is_null() {
        return;
    }
    let (kind, local) = (profile.get("type"), profile.get("localhostProfile"));
    match kind.text() {
        "Localhost" => {
            let text = local.text();
            if local.is_null() || text.is_empty() {
                local.required(errors, NEEDED);
            } else if text.trim() != text {
                local.invalid(errors, "must not be padded with whitespace");
            }
            if text.len() > 4095 {
                local.too_long(errors, 4095);
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if local.is_set() {
                local.invalid(errors, "can only be set when AppArmor type is Localhost");
            }
        }
        "" => kind.required(errors, "type is required when appArmorProfile is set"),
        _ => kind.not_supported(errors, PROFILE_TYPES),
    }
}

const SYSCTL_NAME: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

fn sysctls(spec: &At, list: &At, errors: &mut Errors) {
    let mut names = HashSet::new();
    for sysctl in list.each() {
        let name = sysctl.get("name");
        if !name.needed(errors) {
            continue;
        }
        if !is_sysctl(name.text()) {
            name.invalid(errors, format!("must have at most 253 characters and match regex {SYSCTL_NAME}"));
        } else if !names.insert(name.text().to_owned()) {
            name.duplicate(errors);
        }
        let plain = name.text().replace('/', ".");
        if spec["hostNetwork"].yes() && plain.starts_with("net.") {
            name.invalid(errors, "may not be specified when 'hostNetwork' is true");
        }
        let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|start| plain.starts_with(start));
        if spec["hostIPC"].yes() && (ipc || plain == "kernel.sem") {
            name.invalid(errors, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let segment = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = part.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| inner(*b))
    };
    name.len() <= 253 && name.split(['.', '/']).all(segment)
}

fn windows(options: &At, errors: &mut Errors) {
    if options.is_null() {
        return;
    }
    let name = options.get("gmsaCredentialSpecName");
    if name.is_set() {
        check::dns_subdomain(&name, errors);
    }
    let spec = options.get("gmsaCredentialSpec");
    if spec.is_set() && spec.text().is_empty() {
        spec.invalid(errors, "gmsaCredentialSpec cannot be an empty string");
    } else if spec.text().len() > 64 * 1024 {
        spec.invalid(errors, "gmsaCredentialSpec size must be under 64 KiB");
    }
    let user = options.get("runAsUserName");
    if user.is_set() {
        windows_user(&user, errors);
    }
}

fn windows_user(at: &At, errors: &mut Errors) {
    let text = at.text();
    let parts: Vec<&str> = text.split('\\').collect();
    if text.is_empty() {
        return at.invalid(errors, "runAsUserName cannot be an empty string");
    }
    if text.chars().any(char::is_control) {
        return at.invalid(errors, "runAsUserName cannot contain control characters");
    }
    let (domain, user) = match parts.as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return at.invalid(errors, "runAsUserName cannot contain more than one backslash"),
    };
    if let Some(domain) = domain {
        if domain.len() >= 256 {
            at.invalid(errors, "runAsUserName's Domain length must be under 256 characters");
        }
        if !is_net_bios(domain) && !is_windows_dns(domain) {
            at.invalid(errors, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
        }
    }
    if user.is_empty() {
        at.invalid(errors, "runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        at.invalid(errors, "runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        at.invalid(errors, "runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        let detail = r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#;
        at.invalid(errors, detail);
    }
}

fn is_net_bios(domain: &str) -> bool {
    let bad = ['\\', '/', ':', '*', '?', '"', '<', '>', '|'];
    (1..=15).contains(&domain.chars().count()) && !domain.starts_with('.') && !domain.contains(bad)
}

fn is_windows_dns(domain: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    domain.split('.').all(label)
}
