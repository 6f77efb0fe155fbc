//! PersistentVolumeClaim: what storage is asked for.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::resource_name as resource;
use super::volume_columns::{CLAIM, access_modes};
use crate::field::{Errors, Path};
use crate::names;
use crate::policy::read::{Read, age_cell, at_mut, name_cell, or_set, put, same, take};
use crate::policy::{At, Policy, check, prepare};
use crate::quantity::Quantity;

/// The annotation that named a class before there was a field.
pub const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Access modes of volumes.
pub const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// The policy of claims.
pub static POLICY: Policy = Policy {
    defaults,
    prepare_create: |new| {
        put(new, &["status"], json!({ "phase": "Pending" }));
        data_sources(new);
    },
    prepare_update: |new, old| {
        prepare::status_from(new, old);
        data_sources(new);
    },
    prepare_status: prepare::only_status,
    validate: |new, errors| spec(&At::root(new).get("spec"), errors),
    validate_update,
    validate_status,
    warnings: |new, old| match old {
        Some(_) => Vec::new(),
        None => warnings(&At::root(new).get("spec")),
    },
    columns: CLAIM,
    cells,
    ..Policy::NEUTRAL
};

fn defaults(claim: &mut Value) {
    if let Some(spec) = at_mut(claim, &["spec"]) {
        or_set(spec, "volumeMode", "Filesystem");
    }
    if claim["status"]["phase"].is_unset() {
        put(claim, &["status", "phase"], "Pending");
    }
}

/// `dataSource` and `dataSourceRef` say the same, unless the latter is in another namespace.
fn data_sources(claim: &mut Value) {
    let Some(spec) = at_mut(claim, &["spec"]) else { return };
    let (source, reference) = (spec["dataSource"].clone(), spec["dataSourceRef"].clone());
    if source.is_set() && reference.is_null() {
        put(spec, &["dataSourceRef"], source);
    } else if source.is_null() && reference.is_set() && reference["namespace"].is_unset() {
        let group = reference["apiGroup"].text();
        let known = matches!(
            (group, reference["kind"].text()),
            ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
        );
        if known {
            put(spec, &["dataSource"], reference);
        }
    }
}

/// Checks the template of a claim in a pod's volume: labels and annotations are all the metadata it may have.
pub fn template(template: &At, errors: &mut Errors) {
    let metadata = template.get("metadata");
    check::annotations(&metadata.get("annotations"), errors);
    check::labels(&metadata.get("labels"), errors);
    for (field, value) in metadata.fields() {
        if !["labels", "annotations"].contains(&field.as_str()) && !value.is_unset() {
            metadata.get(field).forbidden(errors, "cannot be set");
        }
    }
    spec(&template.get("spec"), errors);
}

/// Checks access modes, of claims and of volumes.
pub fn modes(modes: &At, errors: &mut Errors) {
    let of_one_pod = |mode: &Value| mode.text() == "ReadWriteOncePod";
    for mode in modes.items() {
        if !ACCESS_MODES.contains(&mode.text()) {
            errors.push(crate::field::Error::not_supported(&modes.path(), mode.clone(), ACCESS_MODES));
        }
    }
    let known = modes.items().iter().filter(|mode| ACCESS_MODES.contains(&mode.text()));
    if modes.items().iter().any(of_one_pod) && !known.clone().all(of_one_pod) {
        modes.forbidden(errors, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Checks the specification of a claim.
pub fn spec(spec: &At, errors: &mut Errors) {
    let list = spec.get("accessModes");
    if list.is_unset() {
        list.required(errors, "at least 1 access mode is required");
    }
    check::label_selector(&spec.get("selector"), errors);
    modes(&list, errors);
    let storage = &spec["resources"]["requests"]["storage"];
    let resources = spec.get("resources");
    let at = resources.key("storage");
    let at = at.with(storage);
    if at.is_null() {
        at.required(errors, "");
    } else if resource::positive_amount(&at, errors) {
        resource::amount(&at, "storage", errors);
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let class = spec.get(field);
        if !class.is_unset() {
            check::dns_subdomain(&class, errors);
        }
    }
    check::one_of(&spec.get("volumeMode"), &["Block", "Filesystem"], errors);
    let (source, reference) = (spec.get("dataSource"), spec.get("dataSourceRef"));
    for at in [&source, &reference] {
        if at.is_set() {
            data_source(at, errors);
        }
    }
    if source.is_null() || reference.is_null() {
        return;
    }
    let told = source.path().to_string();
    let foreign = !reference["namespace"].is_unset();
    let equal = ["apiGroup", "kind", "name"].iter().all(|field| same(&source[*field], &reference[*field]));
    match (foreign, equal) {
        (true, _) => spec.invalid_value(errors, told, "may not be specified when dataSourceRef.namespace is specified"),
        (false, false) => spec.invalid_value(errors, told, "must match dataSourceRef"),
        _ => {}
    }
}

fn data_source(at: &At, errors: &mut Errors) {
    at.get("name").needed(errors);
    at.get("kind").needed(errors);
    let group = at.get("apiGroup");
    if group.is_unset() {
        if at["kind"].text() != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            at.invalid_value(errors, at["kind"].text(), detail);
        }
    } else {
        check::dns_subdomain(&group, errors);
    }
    let namespace = at.get("namespace");
    if !namespace.is_unset() {
        check::messages(&namespace, names::dns1123_label(namespace.text()), errors);
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let (mut spec, mut before) = (new["spec"].clone(), old["spec"].clone());
    if before["volumeName"].is_unset() {
        copy(&mut before, &spec, &["volumeName"]);
    }
    class_upgrade(&root, old, &mut spec, &before, errors);
    let bound = new["status"]["phase"].text() == "Bound";
    if bound && spec["resources"]["requests"].is_set() {
        copy(&mut spec, &before, &["resources", "requests", "storage"]);
    }
    if bound && spec["volumeAttributesClassName"].is_set() {
        copy(&mut spec, &before, &["volumeAttributesClassName"]);
    }
    let at = root.get("spec");
    if !same(&spec, &before) {
        let what =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        at.forbidden(errors, format!("{what}\n{}", super::difference::between(&before, &spec)));
    }
    shrunk(&root, old, errors);
    if !same(&new["spec"]["volumeMode"], &old["spec"]["volumeMode"]) {
        root.named("volumeMode", new["spec"].get("volumeMode").unwrap_or(&Value::Null))
            .invalid(errors, check::IMMUTABLE);
    }
    attributes_class(&at, &old["spec"], errors);
}

/// A class may come from the old annotation, or be set once where there was none.
fn class_upgrade(root: &At, old: &Value, spec: &mut Value, before: &Value, errors: &mut Errors) {
    let annotation = |object: &Value| object["metadata"]["annotations"][CLASS_ANNOTATION].as_str().map(str::to_owned);
    let (was, is) = (annotation(old), annotation(root.value()));
    let class = spec["storageClassName"].as_str().map(str::to_owned);
    let had_none = before["storageClassName"].is_null();
    if was.is_some() && had_none && class == was && (is.is_none() || is == was) {
        take(spec, &["storageClassName"]);
        return;
    }
    if was.clone().unwrap_or_default() != is.clone().unwrap_or_default() {
        let path = Path::new("metadata").child("annotations").child(CLASS_ANNOTATION);
        errors.push(crate::field::Error::invalid(&path, is.unwrap_or_default(), check::IMMUTABLE));
    }
    if class.is_some() && had_none && (was.is_none() || was == class) {
        take(spec, &["storageClassName"]);
    }
}

fn shrunk(root: &At, old: &Value, errors: &mut Errors) {
    let size = |value: &Value| Quantity::from_value(value).unwrap_or(Quantity::ZERO);
    let wanted = size(&root["spec"]["resources"]["requests"]["storage"]);
    let wanted_before = size(&old["spec"]["resources"]["requests"]["storage"]);
    let has = size(&old["status"]["capacity"]["storage"]);
    if wanted < wanted_before && wanted <= has {
        let at = root.down(&["spec", "resources", "requests", "storage"]);
        at.forbidden(errors, "field can not be less than status.capacity");
    }
}

fn attributes_class(spec: &At, before: &Value, errors: &mut Errors) {
    let class = spec.get("volumeAttributesClassName");
    if before["volumeAttributesClassName"].is_null() || before["volumeAttributesClassName"] == *class.value() {
        return;
    }
    if class.is_null() {
        class.forbidden(errors, "update from non-nil value to nil is forbidden");
    } else if class.text().is_empty() {
        class.forbidden(errors, "update from non-nil value to an empty string is forbidden");
    }
}

fn copy(to: &mut Value, from: &Value, path: &[&str]) {
    match crate::policy::read::at(from, path) {
        Value::Null => {
            take(to, path);
        }
        value => put(to, path, value.clone()),
    }
}

const RESIZE: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

fn validate_status(new: &Value, _old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let status = root.get("status");
    for (_, at) in status.get("capacity").entries() {
        resource::basic_amount(&at, errors);
    }
    let statuses = status
        .named("allocatedResourceStatus", status.value().get("allocatedResourceStatuses").unwrap_or(&Value::Null));
    for (key, at) in statuses.entries() {
        resource_key(&statuses, key, errors);
        if !RESIZE.contains(&at.text()) {
            errors.push(crate::field::Error::not_supported(&statuses.path(), key, RESIZE));
        }
    }
    let allocated = status.get("allocatedResources");
    for (key, at) in allocated.entries() {
        resource_key(&allocated, key, errors);
        resource::basic_amount(&at, errors);
    }
}

fn resource_key(at: &At, key: &str, errors: &mut Errors) {
    let messages = names::qualified_name(key);
    if messages.is_empty() && resource::is_native(key) && key != "storage" {
        errors.push(crate::field::Error::not_supported(&at.path(), key, &["storage"]));
    }
    for message in messages {
        at.invalid_value(errors, key, message);
    }
}

/// Warnings of a claim's specification.
pub fn warnings(spec: &At) -> Vec<String> {
    let mut all = Vec::new();
    super::pod_spec::warnings::fraction(&spec.down(&["resources", "requests"]).key("storage"), &mut all);
    all
}

fn cells(claim: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&claim["spec"], &claim["status"]);
    let deleted = claim["metadata"]["deletionTimestamp"].is_set();
    let phase = if deleted { "Terminating" } else { status["phase"].text() };
    let bound = !spec["volumeName"].is_unset();
    let (modes, capacity) = match bound {
        true => (access_modes(&status["accessModes"]), status["capacity"]["storage"].text().to_owned()),
        false => (String::new(), String::new()),
    };
    let annotated = claim["metadata"]["annotations"][CLASS_ANNOTATION].as_str();
    let class = annotated.unwrap_or(spec["storageClassName"].text());
    vec![
        name_cell(claim),
        phase.into(),
        spec["volumeName"].text().into(),
        capacity.into(),
        modes.into(),
        class.into(),
        spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into(),
        age_cell(claim, now),
        spec["volumeMode"].as_str().unwrap_or("<unset>").into(),
    ]
}
