//! Pods get a service account, its token as a projected volume, and the secrets its images are pulled with.

use std::time::Duration;

use k8s_types::policy::read::{Read, put};
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::{Attributes, Operation, lookup};
use crate::registry::{Registry, generate_name};

/// Where containers find the token.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// The account of pods that name none; a controller makes it right after its namespace.
const DEFAULT: &str = "default";
const MIRROR: &str = "kubernetes.io/config.mirror";

pub async fn mutate(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    if !attributes.is("", "pods") || attributes.operation != Operation::Create {
        return Ok(());
    }
    let pod = attributes.after();
    if pod["metadata"]["annotations"][MIRROR].is_set() {
        return check_mirror(attributes, pod);
    }
    let name = match pod["spec"]["serviceAccountName"].text() {
        "" => DEFAULT.to_owned(),
        name => name.to_owned(),
    };
    let account = find(registry, attributes, &name).await?;
    let mounts = match pod["spec"]["automountServiceAccountToken"].as_bool() {
        Some(own) => own,
        None => account["automountServiceAccountToken"].as_bool().unwrap_or(true),
    };
    let Some(pod) = attributes.object.as_deref_mut() else { return Ok(()) };
    put(pod, &["spec", "serviceAccountName"], name.as_str());
    put(pod, &["spec", "serviceAccount"], name.as_str());
    if mounts {
        mount_token(pod)?;
    }
    if pod["spec"]["imagePullSecrets"].is_unset() && !account["imagePullSecrets"].is_unset() {
        put(pod, &["spec", "imagePullSecrets"], account["imagePullSecrets"].clone());
    }
    Ok(())
}

fn check_mirror(attributes: &Attributes<'_>, pod: &Value) -> Result<(), ApiError> {
    if !pod["spec"]["serviceAccountName"].is_unset() {
        return Err(attributes.forbidden("a mirror pod may not reference service accounts"));
    }
    let projects = |volume: &Value| {
        let sources = volume["projected"]["sources"].items();
        sources.iter().any(|source| source["serviceAccountToken"].is_set())
    };
    if pod["spec"]["volumes"].items().iter().any(projects) {
        return Err(attributes.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

async fn find(registry: &Registry, attributes: &Attributes<'_>, name: &str) -> Result<Value, ApiError> {
    let namespace = attributes.namespace;
    let attempts = if name == DEFAULT { 10 } else { 1 };
    for attempt in 0..attempts {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Some(account) = lookup::get(registry, "", "serviceaccounts", namespace, name).await? {
            return Ok(account);
        }
    }
    Err(attributes.forbidden(format_args!(
        "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
    )))
}

fn mount_token(pod: &mut Value) -> Result<(), ApiError> {
    let volumes = pod["spec"]["volumes"].items();
    let existing = volumes.iter().map(|v| v["name"].text()).find(|name| name.starts_with(VOLUME_PREFIX));
    let existing = existing.map(str::to_owned);
    let name = match &existing {
        Some(name) => name.clone(),
        None => generate_name(VOLUME_PREFIX)?,
    };
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let mut mounts = container["volumeMounts"].items().to_vec();
            if mounts.iter().any(|mount| mount["mountPath"] == MOUNT) {
                continue;
            }
            mounts.push(json!({"mountPath": MOUNT, "name": name, "readOnly": true}));
            put(container, &["volumeMounts"], mounts);
            mounted = true;
        }
    }
    if mounted && existing.is_none() {
        let mut volumes = pod["spec"]["volumes"].items().to_vec();
        volumes.push(token_volume(&name));
        put(pod, &["spec", "volumes"], volumes);
    }
    Ok(())
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}]}},
    ]}})
}
