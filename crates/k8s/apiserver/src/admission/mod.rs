//! The admission chain: every plug-in in its order, those that come later marked by their place.
//!
//! `mutate` runs before a kind's own preparation and validation, `validate` after them, on the object as it will be. Quotas are no plug-in:
//! they are counted by [`quota::charge`] in the transaction that stores the object.

mod certificates;
mod default_classes;
mod limit_ranger;
pub mod lookup;
mod namespace_lifecycle;
mod node_restriction;
pub mod pod_security;
mod pods;
mod priority;
pub mod quota;
mod service_account;
#[cfg(test)]
mod tests;

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
    /// Node names limit what a node may write.
    NodeRestriction,
    /// Taints new nodes as not ready.
    TaintNodesByCondition,
    /// What a namespace's labels allow its pods.
    PodSecurity,
    /// Pods get the number of their priority class.
    Priority,
    /// Pods get tolerations for nodes that are away.
    DefaultTolerationSeconds,
    /// Claims get the default storage class.
    DefaultStorageClass,
    /// Claims grow only where their class allows it.
    ClaimResize,
    /// Pods get the overhead of their runtime class.
    RuntimeClass,
    /// Approving and signing need a right for the signer.
    CertificateRights,
    /// Who asks for a certificate is noted; nobody asks for `system:masters`.
    CertificateSubject,
    /// Ingresses get the default class.
    DefaultIngressClass,
    /// Roles give no more than who writes them has.
    RbacEscalation,
}

/// Plug-ins in the order they run. Owner references that block deletion need no right, as by Kubernetes' default.
pub const CHAIN: &[Plugin] = &[
    Plugin::NamespaceLifecycle,
    Plugin::LimitRanger,
    Plugin::ServiceAccount,
    Plugin::NodeRestriction,
    Plugin::TaintNodesByCondition,
    Plugin::PodSecurity,
    Plugin::Priority,
    Plugin::DefaultTolerationSeconds,
    Plugin::DefaultStorageClass,
    // StorageObjectInUseProtection: its place; nobody would take its finalizers away yet.
    Plugin::ClaimResize,
    Plugin::RuntimeClass,
    Plugin::CertificateRights,
    Plugin::CertificateSubject,
    Plugin::DefaultIngressClass,
    Plugin::RbacEscalation,
    // MutatingAdmissionPolicy, MutatingAdmissionWebhook, ValidatingAdmissionPolicy, ValidatingAdmissionWebhook: their place, not there yet.
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
            Plugin::NamespaceLifecycle => namespace_lifecycle::check(registry, attributes).await?,
            Plugin::LimitRanger => limit_ranger::mutate(registry, attributes).await?,
            Plugin::ServiceAccount => {
                service_account::mutate(registry, attributes).await?;
                auth::admission::fill_secret(registry, attributes).await?;
            }
            Plugin::NodeRestriction => node_restriction::check(registry, attributes).await?,
            Plugin::TaintNodesByCondition => pods::taint_node(attributes),
            Plugin::Priority => priority::mutate(registry, attributes).await?,
            Plugin::DefaultTolerationSeconds => pods::default_tolerations(attributes),
            Plugin::DefaultStorageClass => default_classes::claims(registry, attributes).await?,
            Plugin::RuntimeClass => pods::runtime_class(registry, attributes).await?,
            Plugin::CertificateSubject => certificates::note_requester(attributes),
            Plugin::DefaultIngressClass => default_classes::ingresses(registry, attributes).await?,
            Plugin::PodSecurity | Plugin::ClaimResize | Plugin::CertificateRights | Plugin::RbacEscalation => {}
        }
        Ok(())
    }

    async fn validate(self, registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
        match self {
            Plugin::LimitRanger => limit_ranger::validate(registry, attributes).await,
            Plugin::PodSecurity => pod_security::validate(registry, attributes).await,
            Plugin::Priority => priority::validate(registry, attributes).await,
            Plugin::ClaimResize => default_classes::claim_growth(registry, attributes).await,
            Plugin::CertificateRights => certificates::check_rights(registry, attributes).await,
            Plugin::CertificateSubject => certificates::check_subject(attributes),
            Plugin::RbacEscalation => auth::admission::check_escalation(registry, attributes),
            Plugin::NamespaceLifecycle
            | Plugin::ServiceAccount
            | Plugin::NodeRestriction
            | Plugin::TaintNodesByCondition
            | Plugin::DefaultTolerationSeconds
            | Plugin::DefaultStorageClass
            | Plugin::RuntimeClass
            | Plugin::DefaultIngressClass => Ok(()),
        }
    }
}
