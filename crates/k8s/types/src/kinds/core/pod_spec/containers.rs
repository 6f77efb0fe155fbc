//! The containers of a pod: regular, init, sidecar and ephemeral ones.

use std::collections::HashSet;

use super::volumes::Volumes;
use super::{env, mounts, probes, resources, security};
use crate::field::Errors;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// The lists of containers in a pod's specification.
pub const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// What the containers of a pod need to know of it.
struct Pod<'a> {
    volumes: &'a Volumes<'a>,
    claims: Vec<&'a str>,
    restart_policy: &'a str,
    grace: Option<i64>,
    host_users: bool,
}

/// Checks all containers.
pub fn validate(spec: &At, volumes: &Volumes, errors: &mut Errors) {
    let pod = Pod {
        volumes,
        claims: spec["resourceClaims"].items().iter().map(|c| c["name"].text()).filter(|n| !n.is_empty()).collect(),
        restart_policy: spec["restartPolicy"].text(),
        grace: spec["terminationGracePeriodSeconds"].int(),
        host_users: spec["hostUsers"].as_bool().unwrap_or(true),
    };
    regular(&spec.get("containers"), &pod, errors);
    init(&spec.get("initContainers"), spec, &pod, errors);
    ephemeral(&spec.get("ephemeralContainers"), spec, &pod, errors);
}

/// Whether an init container goes on beside the others.
pub fn is_sidecar(container: &serde_json::Value) -> bool {
    container["restartPolicy"].text() == "Always"
}

fn regular(list: &At, pod: &Pod, errors: &mut Errors) {
    if !list.needed(errors) {
        return;
    }
    let mut names = HashSet::new();
    for container in list.each() {
        of_any_kind(&container, pod, errors);
        let name = container.get("name");
        if !names.insert(name.text().to_owned()) {
            name.duplicate(errors);
        }
        probes::validate(&container, pod.grace, errors);
        restart_rules(&container, errors);
    }
    let mut ports = HashSet::new();
    for container in list.each() {
        host_ports(&container, &mut ports, errors);
    }
}

fn init(list: &At, spec: &At, pod: &Pod, errors: &mut Errors) {
    let mut names: HashSet<&str> = spec["containers"].items().iter().map(|c| c["name"].text()).collect();
    let items = list.value().items();
    for (container, value) in list.each().zip(items) {
        of_any_kind(&container, pod, errors);
        let name = container.get("name");
        if !name.is_unset() && !names.insert(value["name"].text()) {
            name.duplicate(errors);
        }
        // they run one after another, so each has the ports for itself
        host_ports(&container, &mut HashSet::new(), errors);
        restart_rules(&container, errors);
        if is_sidecar(&container) {
            probes::validate(&container, pod.grace, errors);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container[field].is_set() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                container.get(field).forbidden(errors, detail);
            }
        }
    }
}

/// Fields an ephemeral container may have.
const EPHEMERAL: &[&str] = &[
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "name",
    "securityContext",
    "stdin",
    "stdinOnce",
    "targetContainerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

fn ephemeral(list: &At, spec: &At, pod: &Pod, errors: &mut Errors) {
    const DETAIL: &str = "cannot be set for an Ephemeral Container";
    let others = ["containers", "initContainers"].iter().flat_map(|list| spec[*list].items());
    let others: HashSet<&str> = others.map(|c| c["name"].text()).collect();
    let mut names = others.clone();
    let items = list.value().items();
    for (container, value) in list.each().zip(items) {
        of_any_kind(&container, pod, errors);
        image_text(&container, errors);
        if !names.insert(value["name"].text()) {
            container.get("name").duplicate(errors);
        }
        let target = container.get("targetContainerName");
        if !target.is_unset() && !others.contains(target.text()) {
            target.not_found(errors);
        }
        for (field, value) in container.fields() {
            if !EPHEMERAL.contains(&field.as_str()) && !value.is_unset() {
                container.get(field).forbidden(errors, DETAIL);
            }
        }
        for mount in container.get("volumeMounts").each() {
            for field in ["subPath", "subPathExpr"] {
                if !mount[field].is_unset() {
                    mount.get(field).forbidden(errors, DETAIL);
                }
            }
        }
    }
}

fn of_any_kind(container: &At, pod: &Pod, errors: &mut Errors) {
    let name = container.get("name");
    if name.needed(errors) {
        check::dns_label(&name, errors);
    }
    container.get("image").needed(errors);
    let policy = container.get("terminationMessagePolicy");
    if policy.needed(errors) {
        check::one_of(&policy, &["File", "FallbackToLogsOnError"], errors);
    }
    ports(&container.get("ports"), errors);
    env::validate(container, pod.volumes, errors);
    mounts::validate(container, pod.volumes, errors);
    let policy = container.get("imagePullPolicy");
    if policy.needed(errors) {
        check::one_of(&policy, &["Always", "IfNotPresent", "Never"], errors);
    }
    resources::requirements(&container.get("resources"), resources::Of::Container, &pod.claims, errors);
    resize_policy(&container.get("resizePolicy"), pod.restart_policy, errors);
    security::of_container(&container.get("securityContext"), pod.host_users, errors);
}

/// A pod's image may not have white space around it; templates may, for compatibility.
pub fn image_text(container: &At, errors: &mut Errors) {
    let image = container.get("image");
    if image.text().trim().len() != image.text().len() {
        image.invalid(errors, "must not have leading or trailing whitespace");
    }
}

fn ports(list: &At, errors: &mut Errors) {
    let mut names = HashSet::new();
    for port in list.each() {
        let name = port.get("name");
        if !name.is_unset() {
            let messages = crate::names::port_name(name.text());
            if !messages.is_empty() {
                check::messages(&name, messages, errors);
            } else if !names.insert(name.text().to_owned()) {
                name.duplicate(errors);
            }
        }
        let number = port.get("containerPort");
        match number.int().unwrap_or(0) {
            0 => number.required(errors, ""),
            _ => check::port_number(&number, errors),
        }
        let host = port.get("hostPort");
        if host.int().is_some_and(|p| p != 0) {
            check::port_number(&host, errors);
        }
        let protocol = port.get("protocol");
        if protocol.needed(errors) {
            check::one_of(&protocol, &["SCTP", "TCP", "UDP"], errors);
        }
    }
}

fn host_ports(container: &At, taken: &mut HashSet<String>, errors: &mut Errors) {
    for port in container.get("ports").each() {
        let host = port["hostPort"].int().unwrap_or(0);
        if host == 0 {
            continue;
        }
        let what = format!("{}/{}/{}", port["protocol"].text(), port["hostIP"].text(), host);
        if !taken.insert(what.clone()) {
            port.get("hostPort").duplicate_value(errors, what);
        }
    }
}

fn resize_policy(list: &At, restart_policy: &str, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for policy in list.each() {
        let resource = policy["resourceName"].text();
        if !seen.insert(resource.to_owned()) {
            policy.duplicate_value(errors, resource);
        }
        for (field, supported) in
            [("resourceName", ["cpu", "memory"]), ("restartPolicy", ["NotRequired", "RestartContainer"])]
        {
            let value = &policy[field];
            if value.is_unset() {
                list.required(errors, "");
            } else if !supported.contains(&value.text()) {
                errors.push(crate::field::Error::not_supported(&list.path(), value.clone(), &supported));
            }
        }
        let restart = &policy["restartPolicy"];
        if restart_policy == "Never" && restart.text() != "NotRequired" {
            list.invalid_value(errors, restart.clone(), "must be 'NotRequired' when `restartPolicy` is 'Never'");
        }
    }
}

/// A container's own restart policy with its rules.
fn restart_rules(container: &At, errors: &mut Errors) {
    let policy = container.get("restartPolicy");
    check::one_of(&policy, &["Always", "Never", "OnFailure"], errors);
    let rules = container.get("restartPolicyRules");
    if rules.is_unset() {
        return;
    }
    if policy.is_unset() {
        policy.required(errors, "must specify restartPolicy when restart rules are used");
    }
    if rules.items().len() > 20 {
        errors.push(crate::field::Error::too_many(&rules.path(), rules.items().len(), 20));
    }
    for rule in rules.each() {
        let action = rule.get("action");
        if action.needed(errors) {
            check::one_of(&action, &["Restart", "RestartAllContainers"], errors);
        }
        let codes = rule.get("exitCodes");
        if codes.is_null() {
            codes.required(errors, "must be specified");
            continue;
        }
        let operator = codes.get("operator");
        if operator.needed(errors) {
            check::one_of(&operator, &["In", "NotIn"], errors);
        }
        let values = codes.get("values");
        if values.items().len() > 255 {
            errors.push(crate::field::Error::too_many(&values.path(), values.items().len(), 255));
        }
    }
}
