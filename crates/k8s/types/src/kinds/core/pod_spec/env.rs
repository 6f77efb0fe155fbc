//! Environment variables of a container and where their values come from.

use super::volumes::Volumes;
use crate::field::{Error, Errors};
use crate::names;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;
use crate::quantity::Quantity;

/// Fields of a pod that a variable can have, without labels and annotations.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields of a pod that a file can have.
pub const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// Checks `env` and `envFrom` of a container.
pub fn validate(container: &At, volumes: &Volumes, errors: &mut Errors) {
    for variable in container.get("env").each() {
        let name = variable.get("name");
        if name.needed(errors) {
            check::messages(&name, names::env_var_name(name.text()), errors);
        }
        value_from(&variable, volumes, errors);
    }
    let list = container.get("envFrom");
    for source in list.each() {
        let prefix = source.get("prefix");
        if !prefix.is_unset() {
            check::messages(&prefix, names::env_var_name(prefix.text()), errors);
        }
        let mut sources = 0;
        for field in ["configMapRef", "secretRef"] {
            let reference = source.get(field);
            if reference.is_set() {
                sources += 1;
                let name = reference.get("name");
                if name.needed(errors) {
                    check::dns_subdomain(&name, errors);
                }
            }
        }
        match sources {
            0 => list.invalid_value(errors, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => list.invalid_value(errors, "", "may not have more than one field specified at a time"),
        }
    }
}

fn value_from(variable: &At, volumes: &Volumes, errors: &mut Errors) {
    let from = variable.get("valueFrom");
    if from.is_null() {
        return;
    }
    let mut sources = 0;
    let field = from.get("fieldRef");
    if field.is_set() {
        sources += 1;
        field_selector(&field, FIELDS, errors);
    }
    let resource = from.get("resourceFieldRef");
    if resource.is_set() {
        sources += 1;
        resource_selector(&resource, false, errors);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let selector = from.get(kind);
        if selector.is_set() {
            sources += 1;
            check::dns_subdomain(&selector.get("name"), errors);
            let key = selector.get("key");
            if key.needed(errors) {
                check::config_key(&key, errors);
            }
        }
    }
    let file = from.get("fileKeyRef");
    if file.is_set() {
        sources += 1;
        file_selector(&file, volumes, errors);
    }
    let detail = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if !variable["value"].is_unset() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    from.invalid_value(errors, "", detail);
}

fn file_selector(file: &At, volumes: &Volumes, errors: &mut Errors) {
    let key = file.get("key");
    if key.needed(errors) {
        check::messages(&key, names::env_var_name(key.text()), errors);
    }
    let volume = file.get("volumeName");
    if volume.needed(errors) {
        match volumes.get(volume.text()) {
            None => volume.not_found(errors),
            Some(source) if source["emptyDir"].is_null() => {
                volume.invalid(errors, "referenced volume must be of type emptyDir");
            }
            Some(_) => {}
        }
    }
    let path = file.get("path");
    if path.needed(errors) {
        check::unreserved_path(&path, errors);
    }
}

/// Checks a reference to a field of the pod.
pub fn field_selector(selector: &At, fields: &[&str], errors: &mut Errors) {
    if !selector.get("apiVersion").needed(errors) || !selector.get("fieldPath").needed(errors) {
        return;
    }
    let at = selector.get("fieldPath");
    let version = selector["apiVersion"].text();
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        return at.invalid(errors, detail);
    }
    let path = if at.text() == "spec.host" { "spec.nodeName" } else { at.text() };
    if let Some((whole, key)) = subscripted(path) {
        match whole {
            "metadata.annotations" => subscript(selector, &key.to_lowercase(), errors),
            "metadata.labels" => subscript(selector, key, errors),
            _ if KNOWN.contains(&whole) => selector.invalid_value(errors, whole, "does not support subscript"),
            _ => at.invalid(errors, format!("error converting fieldPath: field label not supported: {path}")),
        }
    } else if !KNOWN.contains(&path) {
        at.invalid(errors, format!("error converting fieldPath: field label not supported: {path}"));
    } else if !fields.contains(&path) {
        errors.push(Error::not_supported(&at.path(), path, fields));
    }
}

/// Every field of a pod that can be referred to at all.
const KNOWN: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

fn subscripted(path: &str) -> Option<(&str, &str)> {
    let (whole, rest) = path.split_once("['")?;
    Some((whole, rest.strip_suffix("']")?))
}

fn subscript(at: &At, key: &str, errors: &mut Errors) {
    for message in names::qualified_name(key) {
        at.invalid_value(errors, key, message);
    }
}

/// Checks a reference to a container's resource; files must name the container.
pub fn resource_selector(selector: &At, file: bool, errors: &mut Errors) {
    let at = selector.get("resource");
    let resource = at.text();
    let huge = resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-");
    if file && selector["containerName"].is_unset() {
        selector.get("containerName").required(errors, "");
    } else if resource.is_empty() {
        at.required(errors, "");
    } else if !RESOURCES.contains(&resource) && !huge {
        at.not_supported(errors, RESOURCES);
    }
    divisor(selector, resource, errors);
}

fn divisor(selector: &At, resource: &str, errors: &mut Errors) {
    const SIZES: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let divisor = selector.get("divisor");
    let Ok(amount) = Quantity::from_value(divisor.value()) else { return };
    if amount.is_zero() {
        return;
    }
    let text = amount.to_string();
    let (what, values) = match resource.split_once('.') {
        Some((_, "cpu")) => ("cpu", "1m, 1"),
        Some((_, "memory")) => ("memory", SIZES),
        Some((_, "ephemeral-storage")) => ("local ephemeral storage", SIZES),
        Some((_, other)) if other.starts_with("hugepages-") => ("hugepages", SIZES),
        _ => return,
    };
    if !values.split(", ").any(|value| value == text) {
        let values = if what == "cpu" { "1m and 1" } else { SIZES };
        let detail = format!("only divisor's values {values} are supported with the {what} resource");
        divisor.invalid_value(errors, resource, detail);
    }
}
