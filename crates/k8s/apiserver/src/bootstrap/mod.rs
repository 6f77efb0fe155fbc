//! Objects that exist from the start: namespaces, default roles and bindings, priority classes, flow schemas, the `kubernetes` service.
//!
//! Every start looks after them: what is missing is made, what must not differ is written, and what somebody may change stays changed.
//! Clients learn the cluster's authority from the config map `extension-apiserver-authentication` in kube-system (`client-ca-file`); what is published
//! as `kube-root-ca.crt` in every namespace comes from there too.

pub mod api_services;
mod ensure;
mod flow;
mod kubernetes;
mod roles;
pub mod servers;
#[cfg(test)]
mod tests;

use futures_util::stream::{self, StreamExt};
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use crate::auth::rbac;
use crate::pki::Pki;
use crate::registry::Registry;
use crate::{Config, OpenError};
use ensure::{Place, ensure, keep, own_field};

pub use kubernetes::{advertise, follow};
pub use roles::of_nodes as node_rules;

/// Writes in flight together; the store collects them into few syncs.
const TOGETHER: usize = 64;

const FLOW: &str = "flowcontrol.apiserver.k8s.io";

/// Creates what is missing and repairs what must not differ. What depends on the port comes with [`advertise`],
/// what depends on the definitions of custom resources with [`api_services::sync`].
pub async fn run(registry: &Registry, pki: &Pki, config: &Config) -> Result<(), OpenError> {
    let failed = |error: ApiError| OpenError::Bootstrap(error.to_string());
    all(namespaces().into_iter().map(|object| ensure(registry, "", "namespaces", object, keep)))
        .await
        .map_err(failed)?;
    all(roles::defaults().into_iter().map(|wanted| role(registry, wanted))).await.map_err(failed)?;
    all(flow::defaults().into_iter().map(|wanted| flow_object(registry, wanted))).await.map_err(failed)?;
    let classes = priority_classes().into_iter();
    all(classes.map(|object| ensure(registry, "scheduling.k8s.io", "priorityclasses", object, keep)))
        .await
        .map_err(failed)?;
    ensure(registry, "", "configmaps", authentication(pki), own_field("data")).await.map_err(failed)?;
    service_cidr(registry, config).await.map_err(failed)
}

/// Does many things, several at a time; the first failure is told after all are through.
async fn all(steps: impl Iterator<Item = impl Future<Output = Result<(), ApiError>>>) -> Result<(), ApiError> {
    let results: Vec<_> = stream::iter(steps).buffer_unordered(TOGETHER).collect().await;
    results.into_iter().collect()
}

fn namespaces() -> Vec<Value> {
    ["default", "kube-system", "kube-public", "kube-node-lease"]
        .map(|name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }))
        .to_vec()
}

async fn role(registry: &Registry, wanted: roles::Wanted) -> Result<(), ApiError> {
    let place = Place::of(registry, rbac::GROUP, wanted.plural, &wanted.object)?;
    let Some(existing) = place.read(registry).await? else { return place.create(registry, wanted.object).await };
    match roles::reconcile(&existing, &wanted.object) {
        roles::Step::Keep => Ok(()),
        roles::Step::Update(object) => place.update(registry, "", object).await,
        roles::Step::Replace => {
            place.delete(registry).await?;
            place.create(registry, wanted.object).await
        }
    }
}

async fn flow_object(registry: &Registry, wanted: flow::Wanted) -> Result<(), ApiError> {
    let place = Place::of(registry, FLOW, wanted.plural, &wanted.object)?;
    match place.read(registry).await? {
        Some(existing) => {
            if let Some(object) = flow::reconcile(&existing, &wanted) {
                place.update(registry, "", object).await?;
            }
        }
        None => place.create(registry, wanted.object).await?,
    }
    if wanted.plural != "flowschemas" {
        return Ok(());
    }
    match place.read(registry).await? {
        Some(mut schema) if schema["status"]["conditions"].as_array().is_none_or(Vec::is_empty) => {
            schema["status"] = flow::schema_status(&schema);
            place.update(registry, "status", schema).await
        }
        _ => Ok(()),
    }
}

fn priority_classes() -> Vec<Value> {
    let class = |name: &str, value: i32, description: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": { "name": name }, "value": value, "description": description,
        })
    };
    vec![
        class("system-node-critical", 2_000_001_000, "Pods without which their node does not work."),
        class(
            "system-cluster-critical",
            2_000_000_000,
            "Pods without which the cluster does not work, on whatever node.",
        ),
    ]
}

/// What API servers of others need to know whom this server lets in and in whose name it speaks.
fn authentication(pki: &Pki) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "extension-apiserver-authentication", "namespace": "kube-system" },
        "data": {
            "client-ca-file": pki.authority_pem(),
            "requestheader-allowed-names": r#"["front-proxy-client"]"#,
            "requestheader-client-ca-file": pki.front_proxy_authority_pem(),
            "requestheader-extra-headers-prefix": r#"["X-Remote-Extra-"]"#,
            "requestheader-group-headers": r#"["X-Remote-Group"]"#,
            "requestheader-uid-headers": r#"["X-Remote-Uid"]"#,
            "requestheader-username-headers": r#"["X-Remote-User"]"#,
        },
    })
}

/// The ranges that services get their addresses from.
async fn service_cidr(registry: &Registry, config: &Config) -> Result<(), ApiError> {
    let wanted = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": { "name": "kubernetes" }, "spec": { "cidrs": config.service_cidrs },
    });
    let place = Place::of(registry, "networking.k8s.io", "servicecidrs", &wanted)?;
    if place.read(registry).await?.is_none() {
        place.create(registry, wanted).await?;
    }
    match place.read(registry).await? {
        Some(mut found) if found["status"]["conditions"].as_array().is_none_or(Vec::is_empty) => {
            found["status"] = json!({ "conditions": [{
                "type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready",
                "lastTransitionTime": found["metadata"]["creationTimestamp"],
            }] });
            place.update(registry, "status", found).await
        }
        _ => Ok(()),
    }
}
