//! Nothing is created in a namespace that is missing or ends, and the namespaces every cluster has stay.

use k8s_store::At;
use k8s_types::object::GroupResource;
use k8s_types::status::{ApiError, Cause};

use super::{Attributes, Operation, lookup};
use crate::registry::{self, Registry};
use crate::stored;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub async fn check(registry: &Registry, attributes: &Attributes<'_>) -> Result<(), ApiError> {
    if attributes.row.is("", "namespaces") {
        let refused = attributes.operation == Operation::Delete && IMMORTAL.contains(&attributes.name);
        return if refused { Err(attributes.forbidden("this namespace may not be deleted")) } else { Ok(()) };
    }
    if attributes.namespace.is_empty() || attributes.operation != Operation::Create || asks_only(attributes) {
        return Ok(());
    }
    match phase(registry, attributes.namespace).await? {
        Phase::Missing => Err(ApiError::not_found(&GroupResource::new("", "namespaces"), attributes.namespace)),
        Phase::Active => Ok(()),
        Phase::Ending => {
            let namespace = attributes.namespace;
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            Err(attributes.forbidden(why).with_cause(Cause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            }))
        }
    }
}

/// Reviews tell nothing of the namespace, so they need none.
fn asks_only(attributes: &Attributes<'_>) -> bool {
    attributes.row.is("authorization.k8s.io", "localsubjectaccessreviews")
}

enum Phase {
    Missing,
    Active,
    Ending,
}

/// The object is parsed only where it mentions an end.
async fn phase(registry: &Registry, namespace: &str) -> Result<Phase, ApiError> {
    let key = lookup::key("", "namespaces", "", namespace);
    for at in [At::Any, At::Latest] {
        let got = registry.store().get(&key, at).await.map_err(registry::read_error)?;
        let Some(entry) = got.entry else { continue };
        let ending = b"Terminating";
        if !entry.value.windows(ending.len()).any(|part| part == ending) {
            return Ok(Phase::Active);
        }
        let namespace = stored::parse(&entry.value, 0)?;
        let ends = namespace["status"]["phase"] == "Terminating";
        return Ok(if ends { Phase::Ending } else { Phase::Active });
    }
    Ok(Phase::Missing)
}
