//! APIService objects: one for every group version that is served here.

use std::collections::BTreeMap;

use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::ensure::Place;
use crate::catalog::Behaviour;
use crate::registry::Registry;

const GROUP: &str = "apiregistration.k8s.io";
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// How long the name of a group version lives: as long as this program serves it, or a definition of a custom resource does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Builtin,
    Custom,
}

impl Origin {
    fn label(self) -> &'static str {
        match self {
            Origin::Builtin => "onstart",
            Origin::Custom => "true",
        }
    }
}

/// Keeps the objects up to date with the catalog, until it is dropped.
pub async fn follow(registry: Registry) {
    let mut changes = registry.catalog().changes();
    // The first look is for what changed before.
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        if let Err(error) = sync(&registry).await {
            tracing::warn!(%error, "the APIService objects do not tell what is served");
        }
    }
}

/// Creates the objects that are missing, and removes those of group versions that are not served any more. Called at the
/// start, when the definitions of custom resources are known, and whenever the catalog has changed.
pub async fn sync(registry: &Registry) -> Result<(), ApiError> {
    let row = registry.row(GROUP, "apiservices")?;
    let mut existing: BTreeMap<String, Value> = BTreeMap::new();
    for service in registry.list(&row, "").await? {
        existing.insert(service["metadata"]["name"].as_str().unwrap_or_default().to_owned(), service);
    }
    for ((group, version), origin) in served(registry) {
        let wanted = service(&group, &version, origin);
        let place = Place::of(registry, GROUP, "apiservices", &wanted)?;
        match existing.remove(&place.name) {
            // One that somebody pointed at a server of their own stays.
            Some(found) if !found["spec"]["service"].is_null() => {}
            Some(found) if found["status"]["conditions"].is_array() => {}
            Some(found) => place.update(registry, "status", with_status(found)).await?,
            None => {
                place.create(registry, wanted).await?;
                if let Some(found) = place.read(registry).await? {
                    place.update(registry, "status", with_status(found)).await?;
                }
            }
        }
    }
    for (_, stale) in existing {
        if stale["metadata"]["labels"][MANAGED].is_string() && stale["spec"]["service"].is_null() {
            Place::of(registry, GROUP, "apiservices", &stale)?.delete(registry).await?;
        }
    }
    Ok(())
}

fn served(registry: &Registry) -> BTreeMap<(String, String), Origin> {
    let mut served = BTreeMap::new();
    for row in registry.catalog().rows().iter().filter(|row| row.resource.group != GROUP) {
        let origin = match row.behaviour {
            Behaviour::Builtin(_) => Origin::Builtin,
            Behaviour::Custom(_) => Origin::Custom,
        };
        let key = (row.resource.group.to_string(), row.resource.version.to_string());
        let known = served.entry(key).or_insert(origin);
        *known = origin.min(*known);
    }
    served
}

fn service(group: &str, version: &str, origin: Origin) -> Value {
    let (minimum, priority) = match origin {
        Origin::Builtin => priorities(group, version),
        Origin::Custom => (1000, 100),
    };
    let mut spec = json!({ "version": version, "groupPriorityMinimum": minimum, "versionPriority": priority });
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "APIService",
        "metadata": { "name": format!("{version}.{group}"), "labels": { MANAGED: origin.label() } },
        "spec": spec,
    })
}

fn with_status(mut service: Value) -> Value {
    service["status"] = json!({ "conditions": [{
        "type": "Available", "status": "True", "reason": "Local",
        "message": "Local APIServices are always available",
        "lastTransitionTime": service["metadata"]["creationTimestamp"],
    }] });
    service
}

/// The order of groups, and of versions in them, as Kubernetes has it.
fn priorities(group: &str, version: &str) -> (i32, i32) {
    let minimum = match group {
        "" => return (18000, 1),
        "apps" => 17800,
        "events.k8s.io" => 17750,
        "authentication.k8s.io" => 17700,
        "authorization.k8s.io" => 17600,
        "autoscaling" => 17500,
        "batch" => 17400,
        "certificates.k8s.io" => 17300,
        "networking.k8s.io" => 17200,
        "policy" => 17100,
        "rbac.authorization.k8s.io" => 17000,
        "storage.k8s.io" => 16800,
        "apiextensions.k8s.io" | "admissionregistration.k8s.io" => 16700,
        "scheduling.k8s.io" => 16600,
        "coordination.k8s.io" => 16500,
        "node.k8s.io" => 16300,
        "discovery.k8s.io" => 16200,
        "flowcontrol.apiserver.k8s.io" => return (16100, 21),
        "resource.k8s.io" => return (15900, 20),
        "metrics.k8s.io" => return (100, 100),
        _ => 15000,
    };
    (minimum, if version == "v2" { 30 } else { 15 })
}
