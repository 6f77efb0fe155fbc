//! What access control has to say about objects on their way to the store: rights that are granted, tokens in secrets.

use k8s_types::status::ApiError;
use serde_json::Value;

use super::rbac::{self, Write};
use super::tokens::TokenError;
use crate::admission::{Attributes, Operation};
use crate::registry::Registry;

/// Refuses roles and bindings that grant what their author does not have.
pub fn check_escalation(registry: &Registry, attributes: &Attributes<'_>) -> Result<(), ApiError> {
    let resource = &attributes.row.resource;
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if resource.group != rbac::GROUP || !attributes.subresource.is_empty() || !writes {
        return Ok(());
    }
    let (Some(access), Some(new)) = (registry.access(), attributes.object.as_deref()) else {
        return match attributes.identity.in_group("system:masters") {
            true => Ok(()),
            false => Err(ApiError::internal("access control is not there yet")),
        };
    };
    access.rbac().check_escalation(&Write {
        identity: attributes.identity,
        plural: &resource.plural,
        namespace: attributes.namespace,
        name: attributes.name,
        old: attributes.old,
        new,
    })
}

/// Fills in secrets of type `kubernetes.io/service-account-token` whose account is there.
pub async fn fill_secret(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !attributes.is("", "secrets") || !writes {
        return Ok(());
    }
    let (namespace, name) = (attributes.namespace.to_owned(), attributes.name.to_owned());
    let (Some(access), Some(secret)) = (registry.access(), attributes.object.as_deref_mut()) else { return Ok(()) };
    let name = match name.is_empty() {
        true => secret["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        false => name,
    };
    let ending = !matches!(secret["metadata"]["deletionTimestamp"], Value::Null);
    if ending {
        return Ok(());
    }
    access.tokens().fill_secret(secret, &namespace, &name).await.map_err(|error| match error {
        TokenError::Unchecked(error) => error,
        TokenError::Refused(why) => ApiError::internal(why),
    })
}
