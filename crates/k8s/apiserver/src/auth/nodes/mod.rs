//! What a node may: what the role `system:node` says, and of that only what concerns the node itself or the pods that are bound to it.
//!
//! Secrets, config maps, claims, volumes and service accounts are a node's business when one of its pods refers to them ([`graph`] knows that);
//! pods when they are bound to it; nodes, leases and drivers when they are its own. What a node writes is looked at once more by the admission
//! plugin NodeRestriction.

mod graph;
mod references;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_types::status::ApiError;

use super::rbac::Rule;
use crate::Identity;
use crate::authorize::{Attributes, Decision, Resource, Target};
use crate::bootstrap;
use crate::registry::Registry;
use graph::Graph;
use references::Kind;

/// A pod may have been bound a moment ago: who is refused is looked at again after these pauses.
pub const PAUSES: [Duration; 5] = [
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
];

const LEASES: &str = "kube-node-lease";

/// The authorizer of nodes, a cheap handle.
#[derive(Clone)]
pub struct Nodes {
    rules: Arc<[Rule]>,
    graph: Arc<RwLock<Graph>>,
}

/// The node that a user is.
pub fn node_of(identity: &Identity) -> Option<&str> {
    identity.name.strip_prefix("system:node:").filter(|name| !name.is_empty() && identity.in_group("system:nodes"))
}

impl Nodes {
    /// Reads what pods refer to and keeps up with it.
    pub async fn start(registry: &Registry) -> Result<Nodes, ApiError> {
        let rules = bootstrap::node_rules().into();
        Ok(Nodes { rules, graph: graph::follow(registry).await? })
    }

    /// Whether a node may; `None` where that is not for this authorizer to say. The reason of a refusal is for RBAC to outvote.
    pub fn decide(&self, attributes: &Attributes<'_>) -> Option<Decision> {
        let node = node_of(attributes.identity)?;
        let Target::Resource(resource) = &attributes.target else { return None };
        if !self.rules.iter().any(|rule| rule.allows(attributes.verb, &attributes.target)) {
            return None;
        }
        let graph = self.graph.read().unwrap_or_else(PoisonError::into_inner);
        Some(match judge(&graph, node, attributes.verb, resource) {
            Ok(()) => Decision::Allow("".into()),
            Err(why) => Decision::Deny(why),
        })
    }
}

fn judge(graph: &Graph, node: &str, verb: &str, resource: &Resource<'_>) -> Result<(), String> {
    let name = resource.name;
    let place = format!("{}/{name}", resource.namespace);
    let related = |found: bool| match found {
        _ if name.is_empty() => Err("No Object name found".to_owned()),
        true => Ok(()),
        false => Err(format!("no relationship found between node '{node}' and this object")),
    };
    let own = |what: &str| match name == node {
        true => Ok(()),
        false => Err(format!("node '{node}' cannot access another {what}")),
    };
    let of_node = || match selects_node(resource.field_selector, node) {
        true => Ok(()),
        false => Err(format!("can only list/watch {} with spec.nodeName field selector", resource.resource)),
    };
    match (resource.group, resource.resource) {
        ("", "secrets") => related(graph.refers(node, Kind::Secret, &place) || graph.volume_secret(node, &place)),
        ("", "configmaps") => related(graph.refers(node, Kind::ConfigMap, &place)),
        ("", "persistentvolumeclaims") => related(graph.refers(node, Kind::Claim, &place)),
        ("", "persistentvolumes") => related(graph.volume(node, name)),
        ("", "serviceaccounts") => related(graph.refers(node, Kind::Account, &place)),
        ("resource.k8s.io", "resourceclaims") => related(graph.refers(node, Kind::ResourceClaim, &place)),
        ("storage.k8s.io", "volumeattachments") => related(graph.attachment(node, name)),
        ("", "nodes") if verb != "create" => own("node"),
        ("", "pods") if resource.subresource.is_empty() => match verb {
            "list" | "watch" if name.is_empty() => of_node(),
            "get" | "list" | "watch" => related(graph.bound(node, &place)),
            _ => Ok(()),
        },
        ("resource.k8s.io", "resourceslices") if matches!(verb, "list" | "watch" | "deletecollection") => of_node(),
        ("coordination.k8s.io", "leases") if resource.namespace != LEASES => {
            Err(format!("can only access leases in the \"{LEASES}\" namespace"))
        }
        ("coordination.k8s.io", "leases") if verb != "create" => own("node's lease"),
        ("storage.k8s.io", "csinodes") if verb != "create" => own("node's CSINode"),
        _ => Ok(()),
    }
}

/// Whether a field selector asks for what is on the node only.
fn selects_node(selector: &str, node: &str) -> bool {
    selector.split(',').any(|part| {
        let value = part.strip_prefix("spec.nodeName=");
        value.is_some_and(|value| value.strip_prefix('=').unwrap_or(value) == node)
    })
}
