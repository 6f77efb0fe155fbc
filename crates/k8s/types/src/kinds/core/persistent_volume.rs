//! PersistentVolume: storage that there is.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::persistent_volume_claim::{CLASS_ANNOTATION, modes};
use super::pod_spec::{affinity, warnings as pod_warnings};
use super::volume_columns::{VOLUME, access_modes};
use super::{difference, resource_name as resource, volume_source};
use crate::field::{Error, Errors};
use crate::policy::read::{Read, age_cell, at_mut, name_cell, or_set, put, same, take};
use crate::policy::{At, Policy, check, prepare};

/// The policy of persistent volumes.
pub static POLICY: Policy = Policy {
    defaults: |volume| {
        if let Some(spec) = at_mut(volume, &["spec"]) {
            or_set(spec, "persistentVolumeReclaimPolicy", "Retain");
            or_set(spec, "volumeMode", "Filesystem");
            if let Some(source) = at_mut(spec, &["hostPath"])
                && source["type"].is_null()
            {
                put(source, &["type"], "");
            }
        }
        if volume["status"]["phase"].is_unset() {
            put(volume, &["status", "phase"], "Pending");
        }
    },
    prepare_create: |volume| put(volume, &["status"], json!({ "phase": "Pending" })),
    prepare_update: prepare::status_from,
    prepare_status: prepare::only_status,
    validate: |volume, errors| {
        let root = At::root(volume);
        validate_spec(&root.get("spec"), volume["metadata"]["name"].text(), errors);
    },
    validate_update,
    warnings,
    columns: VOLUME,
    cells,
    ..Policy::NEUTRAL
};

/// The sources in the order in which a second one is refused.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

fn validate_spec(spec: &At, name: &str, errors: &mut Errors) {
    let list = spec.get("accessModes");
    list.needed(errors);
    modes(&list, errors);
    capacity(&spec.get("capacity"), errors);
    check::one_of(&spec.get("persistentVolumeReclaimPolicy"), &["Delete", "Recycle", "Retain"], errors);
    let nodes = spec.get("nodeAffinity");
    if nodes.is_set() {
        let required = nodes.get("required");
        match required.is_null() {
            true => required.required(errors, "must specify required node constraints"),
            false => affinity::node_selector(&required, errors),
        }
    }
    sources(spec, name, errors);
    let root = spec["hostPath"]["path"].text().split('/').all(|part| part.is_empty() || part == ".");
    if spec["hostPath"].is_set() && root && spec["persistentVolumeReclaimPolicy"].text() == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        spec.get("persistentVolumeReclaimPolicy").forbidden(errors, detail);
    }
    let class = spec.get("storageClassName");
    if !class.is_unset() {
        check::dns_subdomain(&class, errors);
    }
    check::one_of(&spec.get("volumeMode"), &["Block", "Filesystem"], errors);
    let attributes = spec.get("volumeAttributesClassName");
    if attributes.is_set() {
        match attributes.text().is_empty() {
            true => attributes.required(errors, "an empty string is disallowed"),
            false => check::dns_subdomain(&attributes, errors),
        }
        if spec["csi"].is_null() {
            spec.get("csi").required(errors, "has to be specified when using volumeAttributesClassName");
        }
    }
}

fn capacity(list: &At, errors: &mut Errors) {
    list.needed(errors);
    if list["storage"].is_null() || list.fields().len() > 1 {
        errors.push(Error::not_supported(&list.path(), list.value().clone(), &["storage"]));
    }
    for (_, at) in list.entries() {
        resource::basic_amount(&at, errors);
        resource::positive_amount(&at, errors);
    }
}

fn sources(spec: &At, name: &str, errors: &mut Errors) {
    let mut first = true;
    for kind in SOURCES {
        let source = spec.get(kind);
        if source.is_null() {
            continue;
        }
        if !std::mem::take(&mut first) {
            source.forbidden(errors, "may not specify more than 1 volume type");
            continue;
        }
        match *kind {
            "csi" => csi(&source, errors),
            _ => volume_source::validate(kind, &source, volume_source::In::Persistent, errors),
        }
        if *kind == "local" && spec["nodeAffinity"].is_null() {
            spec.get("nodeAffinity").required(errors, "Local volume requires node affinity");
        }
        let portal = source["targetPortal"].text();
        if *kind == "iscsi" && source["initiatorName"].is_set() && name.len() + 1 + portal.len() > 64 {
            let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                iscsi.initiatorName is specified.";
            source.get("targetportal").invalid_value(errors, portal, detail);
        }
    }
    if first {
        spec.required(errors, "must specify a volume type");
    }
}

fn csi(source: &At, errors: &mut Errors) {
    volume_source::csi_driver(&source.get("driver"), errors);
    source.get("volumeHandle").needed(errors);
    for field in
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"]
    {
        let secret = source.get(field);
        if secret.is_null() {
            continue;
        }
        let (name, namespace) = (secret.get("name"), secret.get("namespace"));
        if name.needed(errors) {
            check::dns_subdomain(&name, errors);
        }
        if namespace.needed(errors) {
            check::dns_label(&namespace, errors);
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let of = |volume: &Value| {
        let mut sources = json!({});
        for kind in SOURCES {
            if let Some(source) = volume["spec"].get(kind) {
                put(&mut sources, &[kind], source.clone());
            }
        }
        sources
    };
    let (mut sources, before) = (of(new), of(old));
    if before["csi"].is_set() && before["csi"]["controllerExpandSecretRef"].is_null() {
        take(&mut sources, &["csi", "controllerExpandSecretRef"]);
    }
    if !same(&sources, &before) {
        let changes = difference::between(&before, &sources);
        let at = root.down(&["spec", "persistentvolumesource"]);
        at.forbidden(errors, format!("spec.persistentvolumesource is immutable after creation\n{changes}"));
    }
    let (spec, was) = (&new["spec"], &old["spec"]);
    if !same(&spec["volumeMode"], &was["volumeMode"]) {
        root.named("volumeMode", &spec["volumeMode"]).invalid(errors, check::IMMUTABLE);
    }
    if was["nodeAffinity"].is_set() && !same(&spec["nodeAffinity"], &was["nodeAffinity"]) {
        let detail = format!("{}, except for updating from beta label to GA", check::IMMUTABLE);
        root.named("nodeAffinity", &spec["nodeAffinity"]).invalid(errors, detail);
    }
    if was["volumeAttributesClassName"].is_set() && spec["volumeAttributesClassName"].is_null() {
        let at = root.down(&["spec", "volumeAttributesClassName"]);
        at.forbidden(errors, "update from non-nil value to nil is forbidden");
    }
}

fn warnings(volume: &Value, _old: Option<&Value>) -> Vec<String> {
    let (root, mut all) = (At::root(volume), Vec::new());
    let class = "volume.beta.kubernetes.io/storage-class";
    if volume["metadata"]["annotations"][class].is_set() {
        all.push(format!(
            "metadata.annotations[{class}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
        ));
    }
    if volume["spec"]["persistentVolumeReclaimPolicy"].text() == "Recycle" {
        all.push(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended \
             approach is to use dynamic provisioning."
                .to_owned(),
        );
    }
    let spec = root.get("spec");
    let capacity = spec.get("capacity");
    pod_warnings::fraction(&capacity.key("storage"), &mut all);
    all
}

fn cells(volume: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status, claim) = (&volume["spec"], &volume["status"], &volume["spec"]["claimRef"]);
    let deleted = volume["metadata"]["deletionTimestamp"].is_set();
    let claimed = match claim.is_set() {
        true => format!("{}/{}", claim["namespace"].text(), claim["name"].text()),
        false => String::new(),
    };
    let annotated = volume["metadata"]["annotations"][CLASS_ANNOTATION].as_str();
    vec![
        name_cell(volume),
        spec["capacity"]["storage"].text().into(),
        access_modes(&spec["accessModes"]).into(),
        spec["persistentVolumeReclaimPolicy"].text().into(),
        if deleted { "Terminating" } else { status["phase"].text() }.into(),
        claimed.into(),
        annotated.unwrap_or(spec["storageClassName"].text()).into(),
        spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into(),
        status["reason"].text().into(),
        age_cell(volume, now),
        spec["volumeMode"].as_str().unwrap_or("<unset>").into(),
    ]
}
