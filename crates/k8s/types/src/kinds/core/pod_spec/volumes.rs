//! The volumes of a pod: where each of them comes from. The sources that persistent volumes have too are in [`super::super::volume_source`].

use std::collections::HashMap;

use serde_json::Value;

use super::Owner;
use super::env::{FILE_FIELDS, field_selector, resource_selector};
use crate::field::{Error, Errors};
use crate::kinds::core::{persistent_volume_claim as claim, volume_source};
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// The valid volumes of a pod by name.
pub type Volumes<'a> = HashMap<&'a str, &'a Value>;

const MORE_THAN_ONE: &str = "may not specify more than 1 volume type";

/// Checks all volumes and returns the valid ones.
pub fn validate<'a>(list: &At<'a>, owner: Owner, errors: &mut Errors) -> Volumes<'a> {
    let pod_name = match owner {
        Owner::Pod(metadata) => metadata["name"].text(),
        Owner::Template => "",
    };
    let mut volumes = Volumes::new();
    let values = list.value().items();
    for (volume, value) in list.each().zip(values) {
        let mut found = Errors::new();
        source(&volume, owner, pod_name, &mut found);
        let name = volume.get("name");
        if name.needed(&mut found) {
            check::dns_label(&name, &mut found);
        }
        if volumes.contains_key(name.text()) {
            name.duplicate(&mut found);
        }
        if found.is_empty() {
            volumes.insert(value["name"].text(), value);
        } else {
            errors.append(found);
        }
        let claimed = volume.down(&["persistentVolumeClaim", "claimName"]);
        if !pod_name.is_empty() && claimed.is_set() && makes_claim(values, pod_name, claimed.text()) {
            claimed.invalid(errors, "must not reference a PVC that gets created for an ephemeral volume");
        }
    }
    volumes
}

fn makes_claim(volumes: &[Value], pod_name: &str, claim: &str) -> bool {
    let made = claim.strip_prefix(pod_name).and_then(|rest| rest.strip_prefix('-'));
    made.is_some_and(|name| volumes.iter().any(|v| v["ephemeral"].is_set() && v["name"].text() == name))
}

fn source(volume: &At, owner: Owner, pod_name: &str, errors: &mut Errors) {
    let mut first = true;
    for kind in KINDS {
        let source = volume.get(kind);
        if source.is_null() {
            continue;
        }
        if !std::mem::take(&mut first) {
            source.forbidden(errors, MORE_THAN_ONE);
            continue;
        }
        of_kind(kind, &source, owner, errors);
        if *kind == "ephemeral" && !pod_name.is_empty() && !volume["name"].is_unset() {
            let made = format!("{pod_name}-{}", volume["name"].text());
            for message in crate::names::dns1123_subdomain(&made) {
                volume.get("name").invalid(errors, format!("PVC name \"{made}\": {message}"));
            }
        }
    }
    if first {
        volume.required(errors, "must specify a volume type");
    }
}

/// The sources in the order in which a second one is refused.
const KINDS: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

fn of_kind(kind: &str, source: &At, owner: Owner, errors: &mut Errors) {
    match kind {
        "emptyDir" => empty_dir(source, errors),
        "gitRepo" => {
            source.get("repository").needed(errors);
            check::descending_path(&source.get("directory"), errors);
        }
        "secret" => keys(source, "secretName", errors),
        "configMap" => keys(source, "name", errors),
        "persistentVolumeClaim" => {
            source.get("claimName").needed(errors);
        }
        "downwardAPI" => {
            check::file_mode(&source.get("defaultMode"), errors);
            for file in source.get("items").each() {
                downward_file(&file, source, errors);
            }
        }
        "projected" => projected(source, errors),
        "csi" => csi(source, errors),
        "ephemeral" => {
            let template = source.get("volumeClaimTemplate");
            if template.needed(errors) {
                claim::template(&template, errors);
            }
        }
        "image" => {
            if matches!(owner, Owner::Pod(_)) {
                source.get("reference").needed(errors);
            }
            let policy = source.get("pullPolicy");
            if policy.needed(errors) {
                check::one_of(&policy, &["Always", "IfNotPresent", "Never"], errors);
            }
        }
        _ => volume_source::validate(kind, source, volume_source::In::Pod, errors),
    }
}

fn empty_dir(source: &At, errors: &mut Errors) {
    let limit = source.get("sizeLimit");
    if crate::quantity::Quantity::from_value(limit.value()).is_ok_and(|q| q.sign() < 0) {
        limit.forbidden(errors, "SizeLimit field must be a valid resource quantity");
    }
}

fn keys(source: &At, name: &str, errors: &mut Errors) {
    source.get(name).needed(errors);
    check::file_mode(&source.get("defaultMode"), errors);
    for item in source.get("items").each() {
        key_to_path(&item, errors);
    }
}

fn key_to_path(item: &At, errors: &mut Errors) {
    item.get("key").needed(errors);
    let path = item.get("path");
    path.needed(errors);
    check::unreserved_path(&path, errors);
    check::file_mode(&item.get("mode"), errors);
}

/// A file of the downward API; what concerns all of it is told of `whole`.
fn downward_file(file: &At, whole: &At, errors: &mut Errors) {
    let file = whole_as(file, whole);
    let path = file.get("path");
    path.needed(errors);
    check::unreserved_path(&path, errors);
    let (field, resource) = (file.get("fieldRef"), file.get("resourceFieldRef"));
    if field.is_set() {
        field_selector(&field, FILE_FIELDS, errors);
        if resource.is_set() {
            file.invalid_value(errors, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
        }
    } else if resource.is_set() {
        resource_selector(&resource, true, errors);
    } else {
        file.required(errors, "one of fieldRef and resourceFieldRef is required");
    }
    check::file_mode(&file.get("mode"), errors);
}

/// Kubernetes tells errors of such files without their place in the list.
fn whole_as<'a>(file: &'a At<'a>, whole: &'a At<'a>) -> At<'a> {
    whole.with(file.value())
}

fn csi(source: &At, errors: &mut Errors) {
    volume_source::csi_driver(&source.get("driver"), errors);
    let secret = source.get("nodePublishSecretRef");
    if secret.is_set() {
        let name = secret.get("name");
        if name.needed(errors) {
            for message in crate::names::dns1123_subdomain(name.text()) {
                source.get("name").invalid_value(errors, name.text(), message);
            }
        }
    }
}

fn projected(volume: &At, errors: &mut Errors) {
    check::file_mode(&volume.get("defaultMode"), errors);
    let mut paths = Vec::new();
    for source in volume.get("sources").each() {
        let mut sources = 0;
        for kind in
            ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"]
        {
            let from = source.get(kind);
            if from.is_null() {
                continue;
            }
            sources += 1;
            match kind {
                "secret" | "configMap" => projected_keys(&from, volume, &mut paths, errors),
                "downwardAPI" => {
                    for file in from.get("items").each() {
                        downward_file(&file, &from, errors);
                        let path = file["path"].text().to_owned();
                        unique(path.clone(), path, volume, &mut paths, errors);
                    }
                }
                "serviceAccountToken" => token(&from, volume, errors),
                "clusterTrustBundle" => trust_bundle(&from, volume, &mut paths, errors),
                _ => certificate(&from, volume, &mut paths, errors),
            }
        }
        if sources > 1 {
            source.forbidden(errors, "may not specify more than 1 volume type per source");
        }
    }
}

fn unique(path: String, told: String, volume: &At, paths: &mut Vec<String>, errors: &mut Errors) {
    if path.is_empty() {
        return;
    }
    if paths.contains(&path) {
        return volume.invalid_value(errors, told, "conflicting duplicate paths");
    }
    paths.push(path);
}

fn projected_keys(from: &At, volume: &At, paths: &mut Vec<String>, errors: &mut Errors) {
    from.get("name").needed(errors);
    for item in from.get("items").each() {
        key_to_path(&item, errors);
        unique(item["path"].text().to_owned(), from["name"].text().to_owned(), volume, paths, errors);
    }
}

fn token(from: &At, volume: &At, errors: &mut Errors) {
    let seconds = from.get("expirationSeconds");
    if seconds.int().unwrap_or(0) < 600 {
        seconds.invalid(errors, "may not specify a duration less than 10 minutes");
    }
    if seconds.int().unwrap_or(0) > 1 << 32 {
        seconds.invalid(errors, "may not specify a duration larger than 2^32 seconds");
    }
    // told of the volume's own path, as Kubernetes does
    let path = volume.named("path", from.value().get("path").unwrap_or(&Value::Null));
    if path.needed(errors) {
        check::unreserved_path(&path, errors);
    }
}

fn trust_bundle(from: &At, volume: &At, paths: &mut Vec<String>, errors: &mut Errors) {
    let (name, signer) = (from.get("name"), from.get("signerName"));
    match (name.is_set(), signer.is_set()) {
        (true, true) => from.invalid(errors, "only one of name and signerName may be used"),
        (false, false) => from.required(errors, "either name or signerName must be specified"),
        (true, false) => {
            if name.text().is_empty() {
                name.required(errors, "must be a valid object name");
            }
            if from["labelSelector"].is_set() {
                from.get("labelSelector").invalid(errors, "labelSelector must be unset if name is specified");
            }
        }
        (false, true) => {
            if signer.text().is_empty() {
                signer.required(errors, "must be a valid signer name");
            }
            check::label_selector(&from.get("labelSelector"), errors);
        }
    }
    let path = from.get("path");
    path.needed(errors);
    check::unreserved_path(&path, errors);
    unique(path.text().to_owned(), path.text().to_owned(), volume, paths, errors);
}

fn certificate(from: &At, volume: &At, paths: &mut Vec<String>, errors: &mut Errors) {
    const KEY_TYPES: &[&str] = &["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"];
    from.get("signerName").needed(errors);
    let key_type = from.get("keyType");
    if key_type.needed(errors) {
        check::one_of(&key_type, KEY_TYPES, errors);
    }
    let seconds = from.get("maxExpirationSeconds");
    if seconds.int().is_some_and(|s| !(3600..=91 * 24 * 3600).contains(&s)) {
        errors.push(Error::invalid(
            &seconds.path(),
            seconds.value().clone(),
            "if provided, maxExpirationSeconds must be >= 3600 and <= 7862400",
        ));
    }
    let fields = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    if fields.iter().all(|field| from[*field].is_unset()) {
        from.required(errors, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
    }
    for field in fields {
        let path = from.get(field);
        if !path.is_unset() {
            check::unreserved_path(&path, errors);
            unique(path.text().to_owned(), path.text().to_owned(), volume, paths, errors);
        }
    }
}
