//! Defaults of pods' specifications that depend on something; the others are in the table.

use serde_json::{Value, json};

use super::containers::LISTS;
use crate::amounts::{amounts, of_spec};
use crate::kinds::core::resource_name as name;
use crate::policy::read::{Read, at_mut, each, or_set, put};
use crate::quantity::{Format, Quantity};

/// Sets the defaults of a specification, in a pod or a template.
pub fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    or_set(spec, "dnsPolicy", "ClusterFirst");
    or_set(spec, "restartPolicy", "Always");
    or_set(spec, "schedulerName", "default-scheduler");
    or_set(spec, "securityContext", json!({}));
    or_set(spec, "terminationGracePeriodSeconds", 30);
    let account = spec["serviceAccountName"].as_str().filter(|name| !name.is_empty());
    match account.or(spec["serviceAccount"].as_str()).map(str::to_owned) {
        Some(name) if !name.is_empty() => {
            put(spec, &["serviceAccountName"], name.clone());
            put(spec, &["serviceAccount"], name);
        }
        _ => {}
    }
    for list in LISTS {
        each(spec, &[list]).for_each(container);
    }
    each(spec, &["volumes"]).for_each(volume);
    if let Some(list) = at_mut(spec, &["overhead"]) {
        round(list);
    }
}

/// Sets what only pods get, not templates.
pub fn pod_only(spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in each(spec, &[list]) {
            if let Some(resources) = at_mut(container, &["resources"]) {
                requests_from_limits(resources);
            }
        }
    }
    pod_resources(spec);
    or_set(spec, "enableServiceLinks", true);
    if spec["hostNetwork"].yes() {
        for list in ["initContainers", "containers"] {
            for container in each(spec, &[list]) {
                for port in each(container, &["ports"]) {
                    if port["hostPort"].int().unwrap_or(0) == 0 {
                        let number = port["containerPort"].clone();
                        put(port, &["hostPort"], number);
                    }
                }
            }
        }
    }
}

fn container(container: &mut Value) {
    if !container.is_object() {
        return;
    }
    if container["imagePullPolicy"].is_unset() {
        let policy = pull_policy(container["image"].text());
        put(container, &["imagePullPolicy"], policy);
    }
    or_set(container, "terminationMessagePath", "/dev/termination-log");
    or_set(container, "terminationMessagePolicy", "File");
    or_set(container, "resources", json!({}));
    for port in each(container, &["ports"]) {
        or_set(port, "protocol", "TCP");
    }
    for variable in each(container, &["env"]) {
        if let Some(field) = at_mut(variable, &["valueFrom", "fieldRef"]) {
            or_set(field, "apiVersion", "v1");
        }
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = at_mut(container, &[kind]) {
            probe(found);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = at_mut(container, &["lifecycle", hook, "httpGet"]) {
            http_get(get);
        }
    }
    for list in ["limits", "requests"] {
        if let Some(list) = at_mut(container, &["resources", list]) {
            round(list);
        }
    }
}

fn probe(probe: &mut Value) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe[field].int().unwrap_or(0) == 0 {
            put(probe, &[field], value);
        }
    }
    if let Some(get) = at_mut(probe, &["httpGet"]) {
        http_get(get);
    }
    if let Some(grpc) = at_mut(probe, &["grpc"])
        && grpc["service"].is_null()
    {
        put(grpc, &["service"], "");
    }
}

fn http_get(get: &mut Value) {
    or_set(get, "path", "/");
    or_set(get, "scheme", "HTTP");
}

/// `Always` for what has the tag latest, said or not said; `IfNotPresent` for a digest, another tag, and what is no reference at all.
pub fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    let (repository, tag) = match last.split_once(':') {
        Some((_, tag)) => (&name[..name.len() - tag.len() - 1], Some(tag)),
        None => (name, None),
    };
    let first = repository.split('/').next().unwrap_or("");
    let path = repository.strip_prefix(first).filter(|_| first.contains(['.', ':']) || first == "localhost");
    let path = path.unwrap_or(repository);
    let well_formed = !path.is_empty() && !path.chars().any(|c| c.is_ascii_uppercase() || c.is_whitespace());
    let latest = well_formed && tag.map_or(digest.is_none(), |tag| tag == "latest");
    if latest { "Always" } else { "IfNotPresent" }
}

fn volume(volume: &mut Value) {
    let Some(fields) = volume.as_object_mut() else { return };
    if fields.iter().all(|(key, value)| key == "name" || value.is_null()) {
        fields.insert("emptyDir".to_owned(), json!({}));
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = fields.get_mut(kind) {
            or_set(source, "defaultMode", 0o644);
        }
    }
    if let Some(source) = fields.get_mut("hostPath")
        && source["type"].is_null()
    {
        put(source, &["type"], "");
    }
    if let Some(image) = fields.get_mut("image") {
        let policy = pull_policy(image["reference"].text());
        or_set(image, "pullPolicy", policy);
    }
    for (kind, source) in fields.iter_mut() {
        match kind.as_str() {
            "downwardAPI" => each(source, &["items"]).for_each(field_version),
            "projected" => {
                for source in each(source, &["sources"]) {
                    if let Some(token) = at_mut(source, &["serviceAccountToken"]) {
                        or_set(token, "expirationSeconds", 3600);
                    }
                    if let Some(certificate) = at_mut(source, &["podCertificate"]) {
                        or_set(certificate, "maxExpirationSeconds", 86400);
                    }
                    each(source, &["downwardAPI", "items"]).for_each(field_version);
                }
            }
            "ephemeral" => {
                if let Some(spec) = at_mut(source, &["volumeClaimTemplate", "spec"]) {
                    or_set(spec, "volumeMode", "Filesystem");
                }
            }
            _ => {}
        }
    }
}

fn field_version(file: &mut Value) {
    if let Some(field) = at_mut(file, &["fieldRef"]) {
        or_set(field, "apiVersion", "v1");
    }
}

fn requests_from_limits(resources: &mut Value) {
    let limits = resources["limits"].clone();
    if limits.fields().is_empty() {
        return;
    }
    if resources["requests"].is_null() {
        put(resources, &["requests"], json!({}));
    }
    if let Some(requests) = at_mut(resources, &["requests"]) {
        for (resource, amount) in limits.fields() {
            or_set(requests, resource, amount.clone());
        }
    }
}

/// Requests of the pod as a whole, where it has limits: what its containers ask for, else the limit.
fn pod_resources(spec: &mut Value) {
    let some = |list: &str| !spec["resources"][list].is_unset();
    if some("limits") || some("requests") {
        for (resource, amount) in of_spec(spec, "limits") {
            if name::is_huge_page(&resource) && spec["resources"]["limits"][&resource].is_null() {
                put(spec, &["resources", "limits", &resource], amount.to_string());
            }
        }
    }
    let limits = spec["resources"]["limits"].clone();
    if limits.fields().is_empty() {
        return;
    }
    let supported = |resource: &str| ["cpu", "memory"].contains(&resource) || name::is_huge_page(resource);
    let mut requests = spec["resources"]["requests"].fields().clone();
    for (resource, amount) in of_spec(spec, "requests") {
        if supported(&resource) && name::may_overcommit(&resource) {
            requests.entry(resource).or_insert_with(|| amount.to_string().into());
        }
    }
    for (resource, amount) in limits.fields().iter().filter(|(resource, _)| supported(resource)) {
        requests.entry(resource.clone()).or_insert_with(|| amount.clone());
    }
    put(spec, &["resources", "requests"], Value::Object(requests));
}

/// Rounds the amounts of a resource list up to thousandths.
pub fn round(list: &mut Value) {
    let finer = |value: &Value| value.text().ends_with(['n', 'u']) || value.text().contains('.');
    if !list.fields().values().any(finer) {
        return;
    }
    for (resource, amount) in amounts(list) {
        if !amount.is_exact(-3) {
            let rounded = Quantity::from_milli(amount.milli_value(), Format::DecimalSi).to_string();
            put(list, &[&resource], rounded);
        }
    }
}

/// Sets the defaults of a template's specification.
pub fn template(template: &mut Value) {
    if let Some(spec) = at_mut(template, &["spec"]) {
        pod_spec(spec);
    }
}
