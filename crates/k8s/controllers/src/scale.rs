//! The `scale` subresource of whatever kind has one.

use k8s_openapi::api::autoscaling::v1::Scale;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, ApiResource};
use serde_json::json;

/// An object that can be scaled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub namespace: String,
    /// Empty is `v1`.
    pub api_version: String,
    pub kind: String,
    pub name: String,
}

impl Target {
    /// Reads how many replicas it has and should have.
    ///
    /// # Errors
    /// When there is no such object, or its kind has no scale.
    pub async fn read(&self, client: &Client) -> kube::Result<Scale> {
        self.api(client).await?.get_scale(&self.name).await
    }

    /// Says how many replicas it should have.
    pub async fn write(&self, client: &Client, replicas: i32) -> kube::Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        self.api(client).await?.patch_scale(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn api(&self, client: &Client) -> kube::Result<Api<DynamicObject>> {
        let (group, version) = match self.api_version.split_once('/') {
            Some(parts) => parts,
            None if self.api_version.is_empty() => ("", "v1"),
            None => ("", self.api_version.as_str()),
        };
        let kind = GroupVersionKind::gvk(group, version, &self.kind);
        let built_in = matches!(self.kind.as_str(), "Deployment" | "ReplicaSet" | "StatefulSet") && group == "apps"
            || self.kind == "ReplicationController" && group.is_empty();
        let resource = match built_in {
            true => ApiResource::from_gvk(&kind),
            false => discovery::pinned_kind(client, &kind).await?.0,
        };
        Ok(Api::namespaced_with(client.clone(), &self.namespace, &resource))
    }
}
