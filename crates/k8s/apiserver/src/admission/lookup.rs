//! Looking up objects that decide about others: straight from the store's memory, no request.

use std::sync::Arc;

use k8s_store::{At, ListOptions};
use k8s_types::object::GroupResource;
use k8s_types::status::ApiError;
use serde_json::Value;

use super::Attributes;
use crate::registry::Registry;
use crate::{registry, stored};

/// An object of a built-in kind; `namespace` is empty for objects of the cluster. What memory does not know is asked for once more.
pub async fn get(
    registry: &Registry,
    group: &str,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>, ApiError> {
    let key = key(group, plural, namespace, name);
    for at in [At::Any, At::Latest] {
        let got = registry.store().get(&key, at).await.map_err(registry::read_error)?;
        if let Some(entry) = got.entry {
            return stored::parse(&entry.value, entry.revision).map(Some);
        }
    }
    Ok(None)
}

/// All objects of a built-in kind in a namespace, or of the cluster.
pub async fn list(registry: &Registry, group: &str, plural: &str, namespace: &str) -> Result<Vec<Value>, ApiError> {
    let prefix = key(group, plural, namespace, "");
    let options = ListOptions { at: At::Any, ..ListOptions::default() };
    let listing = registry.store().list(&prefix, options).await.map_err(registry::read_error)?;
    listing.entries.iter().map(|entry| stored::parse(&entry.value, entry.revision)).collect()
}

/// The key of a built-in kind's object in the store; with an empty name the prefix of all.
pub fn key(group: &str, plural: &str, namespace: &str, name: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    match namespace {
        "" => format!("{group}/{plural}/{name}"),
        namespace => format!("{group}/{plural}/{namespace}/{name}"),
    }
}

impl Attributes<'_> {
    /// The refusal of this request: `pods "x" is forbidden: why`.
    pub fn forbidden(&self, why: impl std::fmt::Display) -> ApiError {
        ApiError::forbidden(&self.resource(), self.name, why)
    }

    /// Group and plural name of what it is about.
    pub fn resource(&self) -> GroupResource {
        self.row.group_resource()
    }

    /// The object, or null where there is none.
    pub fn after(&self) -> &Value {
        self.object.as_deref().unwrap_or(&Value::Null)
    }

    /// The object as it was, or null where there was none.
    pub fn before(&self) -> &Value {
        self.old.unwrap_or(&Value::Null)
    }
}

/// The class that is the default one: of those whose annotation says so the youngest, of equally old ones the first by name.
pub fn default_class(classes: Vec<Value>, annotations: &[&str]) -> Option<Arc<Value>> {
    let is_default = |class: &Value| annotations.iter().any(|key| class["metadata"]["annotations"][*key] == "true");
    let text = |class: &Value, field: &str| class["metadata"][field].as_str().unwrap_or_default().to_owned();
    let mut defaults: Vec<Value> = classes.into_iter().filter(is_default).collect();
    defaults.sort_by(|a, b| {
        let by_age = text(b, "creationTimestamp").cmp(&text(a, "creationTimestamp"));
        by_age.then_with(|| text(a, "name").cmp(&text(b, "name")))
    });
    defaults.into_iter().next().map(Arc::new)
}
