//! The node's lease: a small object whose renewal says that the node lives.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::ResourceExt;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::context::Context;

/// Seconds after which a node whose lease was not renewed counts as lost.
const SECONDS: i32 = 40;
const LIMIT: Duration = Duration::from_secs(5);

pub struct Lease {
    api: Api<Object>,
    name: String,
    owner: OwnerReference,
}

impl Lease {
    pub fn new(context: &Context, node: &Node) -> Lease {
        let name = context.config.node_name.clone();
        Lease {
            api: Api::namespaced(context.client.clone(), "kube-node-lease"),
            owner: OwnerReference {
                api_version: "v1".into(),
                kind: "Node".into(),
                name: name.clone(),
                uid: node.uid().unwrap_or_default(),
                ..OwnerReference::default()
            },
            name,
        }
    }

    /// Says that the node lives; made where it is not there.
    pub async fn renew(&mut self) {
        match tokio::time::timeout(LIMIT, self.try_renew()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the node's lease is not renewed"),
            Err(_) => tracing::debug!("the node's lease is not renewed: the API does not answer"),
        }
    }

    async fn try_renew(&self) -> kube::Result<()> {
        let spec = LeaseSpec {
            holder_identity: Some(self.name.clone()),
            lease_duration_seconds: Some(SECONDS),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        };
        let patch = json!({ "spec": spec });
        match self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(kube::Error::Api(answer)) if answer.code == 404 => {
                let metadata = ObjectMeta {
                    name: Some(self.name.clone()),
                    owner_references: Some(vec![self.owner.clone()]),
                    ..ObjectMeta::default()
                };
                let lease = Object { metadata, spec: Some(spec) };
                self.api.create(&PostParams::default(), &lease).await.map(drop)
            }
            other => other.map(drop),
        }
    }
}
