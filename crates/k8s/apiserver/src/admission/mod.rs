//! The admission chain: every plug-in in its order, those that come later marked by their place.

use std::sync::Arc;

use k8s_types::status::ApiError;
use serde_json::Value;

use crate::catalog::Row;
use crate::registry::Registry;
use crate::{Identity, auth};

/// What is being done to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new object, or a subresource that is created (`pods/binding`, `pods/eviction`).
    Create,
    /// A change: update, patch, apply.
    Update,
    /// A deletion; `old` is what goes, `object` is absent.
    Delete,
    /// A connection (`pods/exec`).
    Connect,
}

/// Whether the change is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// It is stored.
    No,
    /// It is computed and answered only.
    All,
}

/// A request on its way through the chain.
pub struct Attributes<'a> {
    /// Resource it is about.
    pub row: &'a Arc<Row>,
    /// Subresource, empty for the object itself.
    pub subresource: &'a str,
    /// What is done.
    pub operation: Operation,
    /// Namespace, empty for objects of the cluster.
    pub namespace: &'a str,
    /// Name; empty when it is still to be generated.
    pub name: &'a str,
    /// The object as it will be, in the hub version; absent for deletions. Validating plug-ins must not change it.
    pub object: Option<&'a mut Value>,
    /// The object as it is.
    pub old: Option<&'a Value>,
    /// Whether it is kept.
    pub dry_run: DryRun,
    /// Who asks.
    pub identity: &'a Identity,
    /// Warnings for the client.
    pub warnings: &'a mut Vec<String>,
}

impl Attributes<'_> {
    /// Whether it is about this resource of this group, not one of its subresources.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.subresource.is_empty() && self.row.is(group, plural)
    }
}

/// One plug-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// Nothing is created in a namespace that is missing or ends; namespaces of the cluster stay.
    NamespaceLifecycle,
    /// Defaults and bounds of limit ranges.
    LimitRanger,
    /// Pods get a service account and its token.
    ServiceAccount,
    /// Taints new nodes as not ready.
    TaintNodesByCondition,
    /// Pods get the number of their priority class.
    Priority,
    /// Pods get tolerations for nodes that are away.
    DefaultTolerationSeconds,
    /// Claims get the default storage class.
    DefaultStorageClass,
    /// Claims and volumes in use are kept.
    StorageObjectInUseProtection,
    /// Owner references that block deletion need a right.
    OwnerReferences,
    /// Claims grow only where their class allows it.
    ClaimResize,
    /// Pods get the overhead of their runtime class.
    RuntimeClass,
    /// Approving and signing need a right for the signer.
    CertificateRights,
    /// Nobody asks for `system:masters`.
    CertificateSubject,
    /// Ingresses get the default class.
    DefaultIngressClass,
    /// Node names limit what a node may write.
    NodeRestriction,
    /// Roles give no more than who writes them has.
    RbacEscalation,
    /// Quotas, last, when the object is final.
    ResourceQuota,
}

/// Plug-ins in the order they run. Mutating policies and webhooks will run after the last mutating plug-in, validating ones before the quota.
pub const CHAIN: &[Plugin] = &[
    Plugin::NamespaceLifecycle,
    Plugin::LimitRanger,
    Plugin::ServiceAccount,
    Plugin::NodeRestriction,
    Plugin::TaintNodesByCondition,
    Plugin::Priority,
    Plugin::DefaultTolerationSeconds,
    Plugin::DefaultStorageClass,
    Plugin::StorageObjectInUseProtection,
    Plugin::OwnerReferences,
    Plugin::ClaimResize,
    Plugin::RuntimeClass,
    Plugin::CertificateRights,
    Plugin::CertificateSubject,
    Plugin::DefaultIngressClass,
    Plugin::RbacEscalation,
    // MutatingAdmissionPolicy, MutatingAdmissionWebhook, ValidatingAdmissionPolicy, ValidatingAdmissionWebhook: their place, not there yet.
    Plugin::ResourceQuota,
];

/// Lets every plug-in change the object; the first refusal ends it.
pub async fn mutate(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    for plugin in CHAIN {
        plugin.mutate(registry, attributes).await?;
    }
    Ok(())
}

/// Asks every plug-in about the final object; the first refusal ends it.
pub async fn validate(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    for plugin in CHAIN {
        plugin.validate(registry, attributes).await?;
    }
    Ok(())
}

impl Plugin {
    async fn mutate(self, registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
        match self {
            Plugin::ServiceAccount => auth::admission::fill_secret(registry, attributes).await,
            _ => Ok(()),
        }
    }

    async fn validate(self, registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
        match self {
            Plugin::RbacEscalation => auth::admission::check_escalation(registry, attributes),
            _ => Ok(()),
        }
    }
}
