//! Sources of volumes that pods and persistent volumes share: what each of them needs.

use crate::field::Errors;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// Who has the source: persistent volumes name the namespace of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum In {
    /// A pod's volume.
    Pod,
    /// A persistent volume.
    Persistent,
}

/// Checks a source of a kind, which is the name of its field.
pub fn validate(kind: &str, source: &At, inside: In, errors: &mut Errors) {
    for field in needed(kind) {
        source.get(field).needed(errors);
    }
    match kind {
        "hostPath" => host_path(source, errors),
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            check::within(&source.get("partition"), 0, 255, errors);
        }
        "nfs" => {
            let path = source.get("path");
            if !path.text().starts_with('/') {
                path.invalid_value(errors, path.text(), "must be an absolute path");
            }
        }
        "iscsi" => iscsi(source, inside, errors),
        "flocker" => flocker(source, errors),
        "cinder" | "storageos" => secret(&source.get("secretRef"), inside, errors),
        "quobyte" => quobyte(source, errors),
        "fc" => fibre_channel(source, errors),
        "flexVolume" => flex(source, errors),
        "azureFile" if source["secretNamespace"].is_set() => {
            source.get("secretNamespace").needed(errors);
        }
        "azureDisk" => azure_disk(source, errors),
        "glusterfs" if inside == In::Persistent && source["endpointsNamespace"].is_set() => {
            check::dns_label(&source.get("endpointsNamespace"), errors);
        }
        "local" if !source["path"].is_unset() => check::no_backsteps(&source.get("path"), errors),
        _ => {}
    }
}

fn needed(kind: &str) -> &'static [&'static str] {
    match kind {
        "hostPath" | "local" => &["path"],
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "nfs" => &["server", "path"],
        "iscsi" => &["targetPortal", "iqn"],
        "glusterfs" => &["endpoints", "path"],
        "rbd" => &["monitors", "image"],
        "cephfs" => &["monitors"],
        "quobyte" => &["volume"],
        "flexVolume" => &["driver"],
        "azureFile" => &["secretName", "shareName"],
        "azureDisk" => &["diskName", "diskURI"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        "storageos" => &["volumeName"],
        _ => &[],
    }
}

fn host_path(source: &At, errors: &mut Errors) {
    const TYPES: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    if source["path"].is_unset() {
        return;
    }
    check::no_backsteps(&source.get("path"), errors);
    check::one_of(&source.get("type"), TYPES, errors);
}

fn secret(reference: &At, inside: In, errors: &mut Errors) {
    if reference.is_null() {
        return;
    }
    reference.get("name").needed(errors);
    if inside == In::Persistent {
        reference.get("namespace").needed(errors);
    }
}

fn iscsi(source: &At, inside: In, errors: &mut Errors) {
    const FORMAT: &str = "must be valid format";
    let start = match inside {
        In::Pod => "must be valid format starting with iqn, eui, or naa",
        In::Persistent => FORMAT,
    };
    let name = |at: &At, errors: &mut Errors| match iscsi_name(at.text()) {
        Some(true) => {}
        Some(false) => at.invalid(errors, FORMAT),
        None => at.invalid(errors, start),
    };
    if !source["iqn"].is_unset() {
        name(&source.get("iqn"), errors);
    }
    check::within(&source.get("lun"), 0, 255, errors);
    let authenticates = source["chapAuthDiscovery"].yes() || source["chapAuthSession"].yes();
    let secret_ref = source.get("secretRef");
    if authenticates && secret_ref.is_null() {
        secret_ref.required(errors, "");
    }
    if inside == In::Persistent && secret_ref.is_set() {
        secret_ref.get("name").needed(errors);
    }
    let initiator = source.get("initiatorName");
    if initiator.is_set() {
        name(&source.named("initiatorname", initiator.value()), errors);
    }
}

/// Whether a name of iSCSI is well formed; `None` when it is not even of one of the three kinds.
fn iscsi_name(name: &str) -> Option<bool> {
    let alphanumeric = |rest: &str, length: usize| {
        rest.len() == length + 1 && rest.is_char_boundary(1) && rest[1..].bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if let Some(rest) = name.strip_prefix("iqn") {
        return Some(iqn(rest));
    }
    if let Some(rest) = name.strip_prefix("eui") {
        return Some(alphanumeric(rest, 16));
    }
    name.strip_prefix("naa").map(|rest| alphanumeric(rest, 32))
}

/// `.2001-04.com.example:storage` after `iqn`.
fn iqn(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix('.') else { return false };
    let (Some(date), Some(host)) = (rest.get(..7), rest.get(7..)) else { return false };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let dated = digits(&date[..4]) && date.as_bytes()[4] == b'-' && digits(&date[5..]);
    let Some((host, target)) = host.strip_prefix('.').and_then(|h| h.split_once(':')) else { return false };
    let host_good = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let target_good = !target.is_empty() && !target.contains([',', ';', '*', '&', '$', '|', ' ', '\t', '\n']);
    dated && host_good && target_good
}

fn flocker(source: &At, errors: &mut Errors) {
    let (name, id) = (source.get("datasetName"), source.get("datasetUUID"));
    match (name.is_unset(), id.is_unset()) {
        (true, true) => source.required(errors, "one of datasetName and datasetUUID is required"),
        (false, false) => {
            let detail = "datasetName and datasetUUID can not be specified simultaneously";
            source.invalid_value(errors, "resource", detail);
        }
        _ => {}
    }
    if name.text().contains('/') {
        name.invalid(errors, "must not contain '/'");
    }
}

fn quobyte(source: &At, errors: &mut Errors) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = source.get("registry");
    if registry.is_unset() {
        registry.required(errors, PAIRS);
    } else if source["tenant"].text().len() >= 65 {
        source.get("tenant").required(errors, "must be a UUID and may not exceed a length of 64 characters");
    } else if registry.text().split(',').any(|pair| !pair.contains(':')) {
        registry.invalid(errors, PAIRS);
    }
}

fn fibre_channel(source: &At, errors: &mut Errors) {
    let (targets, ids, lun) = (source.get("targetWWNs"), source.get("wwids"), source.get("lun"));
    match (targets.is_unset(), ids.is_unset()) {
        (true, true) => targets.required(errors, "must specify either targetWWNs or wwids, but not both"),
        (false, false) => targets.invalid(errors, "targetWWNs and wwids can not be specified simultaneously"),
        _ => {}
    }
    if !targets.is_unset() {
        match lun.is_null() {
            true => lun.required(errors, "lun is required if targetWWNs is specified"),
            false => check::within(&lun, 0, 255, errors),
        }
    }
}

fn flex(source: &At, errors: &mut Errors) {
    for (key, at) in source.get("options").entries() {
        let domain = format!(".{}", key.split('/').next().unwrap_or(key).to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            at.invalid_value(errors, key, "kubernetes.io and k8s.io namespaces are reserved");
        }
    }
}

fn azure_disk(source: &At, errors: &mut Errors) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    check::one_of(&source.get("cachingMode"), &["None", "ReadOnly", "ReadWrite"], errors);
    check::one_of(&source.get("kind"), &["Dedicated", "Managed", "Shared"], errors);
    let uri = source.get("diskURI");
    match source["kind"].text() {
        "" => {}
        "Managed" if uri.text().starts_with("/subscriptions/") => {}
        "Managed" => uri.not_supported(errors, &[MANAGED]),
        _ if uri.text().starts_with("https://") => {}
        _ => uri.not_supported(errors, &[BLOB]),
    }
}

/// The name of a driver of the container storage interface.
pub fn csi_driver(driver: &At, errors: &mut Errors) {
    driver.needed(errors);
    if driver.text().len() > 63 {
        driver.too_long(errors, 63);
    }
    for message in crate::names::dns1123_subdomain(&driver.text().to_lowercase()) {
        driver.invalid_value(errors, driver.text(), message);
    }
}
