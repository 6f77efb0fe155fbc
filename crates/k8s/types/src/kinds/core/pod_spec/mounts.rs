//! Where a container has its volumes: mounts and block devices.

use std::collections::HashSet;

use super::volumes::Volumes;
use crate::field::Errors;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// Checks `volumeMounts` and `volumeDevices` of a container.
pub fn validate(container: &At, volumes: &Volumes, errors: &mut Errors) {
    let mut paths = HashSet::new();
    let list = container.get("volumeMounts");
    for mount in list.each() {
        of_volume(&mount, container, volumes, &mut paths, errors);
        sub_paths(&mount, &list, volumes, errors);
        propagation(&mount, &list, container, errors);
    }
    devices(container, volumes, errors);
}

fn has(container: &At, list: &str, field: &str, value: &str) -> bool {
    container[list].items().iter().any(|item| item[field].text() == value)
}

fn of_volume(mount: &At, container: &At, volumes: &Volumes, paths: &mut HashSet<String>, errors: &mut Errors) {
    let (name, path) = (mount.get("name"), mount.get("mountPath"));
    name.needed(errors);
    if !volumes.contains_key(name.text()) {
        errors.push(crate::field::Error::not_found(&name.path(), name.text()));
    }
    path.needed(errors);
    if !paths.insert(path.text().to_owned()) {
        path.invalid_value(errors, path.text(), "must be unique");
    }
    if has(container, "volumeDevices", "name", name.text()) {
        name.invalid(errors, "must not already exist in volumeDevices");
    }
    if has(container, "volumeDevices", "devicePath", path.text()) {
        path.invalid(errors, "must not already exist as a path in volumeDevices");
    }
}

/// Errors of these fields are told without the place of the mount, as Kubernetes does.
fn sub_paths(mount: &At, list: &At, volumes: &Volumes, errors: &mut Errors) {
    let (path, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
    if volumes.get(mount["name"].text()).is_some_and(|source| source["image"].is_set()) && !expression.is_unset() {
        expression.invalid(errors, "not allowed in image volume sources");
    }
    if !path.is_unset() {
        check::descending_path(&list.named("subPath", path.value()), errors);
    }
    if !expression.is_unset() {
        if !path.is_unset() {
            expression.invalid(errors, "subPathExpr and subPath are mutually exclusive");
        }
        check::descending_path(&list.named("subPathExpr", expression.value()), errors);
    }
}

fn propagation(mount: &At, list: &At, container: &At, errors: &mut Errors) {
    let (kind, recursive) = (mount.get("mountPropagation"), mount.get("recursiveReadOnly"));
    let at = list.named("mountPropagation", kind.value());
    check::one_of(&at, &["Bidirectional", "HostToContainer", "None"], errors);
    if kind.text() == "Bidirectional" && !container["securityContext"]["privileged"].yes() {
        at.forbidden(errors, "Bidirectional mount propagation is available only to privileged containers");
    }
    let at = list.named("recursiveReadOnly", recursive.value());
    if !check::one_of(&at, &["Disabled", "Enabled", "IfPossible"], errors) {
        return;
    }
    if matches!(recursive.text(), "Enabled" | "IfPossible") {
        if !mount["readOnly"].yes() {
            at.forbidden(errors, "may only be specified when readOnly is true");
        }
        if kind.is_set() && kind.text() != "None" {
            at.forbidden(errors, "may only be specified when mountPropagation is None or not specified");
        }
    }
}

fn devices(container: &At, volumes: &Volumes, errors: &mut Errors) {
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for device in container.get("volumeDevices").each() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        if name.needed(errors) && !names.insert(name.text().to_owned()) {
            name.invalid(errors, "must be unique");
        }
        match volumes.get(name.text()) {
            None => errors.push(crate::field::Error::not_found(&name.path(), name.text())),
            Some(source) if source["persistentVolumeClaim"].is_null() && source["ephemeral"].is_null() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                name.invalid(errors, detail);
            }
            Some(_) => {}
        }
        path.needed(errors);
        if check::has_backsteps(path.text()) {
            path.invalid(errors, "can not contain backsteps ('..')");
        } else if !paths.insert(path.text().to_owned()) {
            path.invalid_value(errors, path.text(), "must be unique");
        }
        if has(container, "volumeMounts", "name", name.text()) {
            name.invalid(errors, "must not already exist in volumeMounts");
        }
        if has(container, "volumeMounts", "mountPath", path.text()) {
            path.invalid(errors, "must not already exist as a path in volumeMounts");
        }
    }
}
