//! Creates an object when it is missing, or writes what must differ.

use std::sync::Arc;

use k8s_types::status::{ApiError, Reason};
use serde_json::Value;

use crate::catalog::Row;
use crate::registry::{Call, Registry};

/// Where an object belongs.
pub struct Place {
    /// Its row.
    pub row: Arc<Row>,
    /// Empty for the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Place {
    /// The place of an object of a group's resource.
    pub fn of(registry: &Registry, group: &str, plural: &str, object: &Value) -> Result<Place, ApiError> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        Ok(Place { row: registry.row(group, plural)?, namespace: text("namespace"), name: text("name") })
    }

    /// The object that is there.
    pub async fn read(&self, registry: &Registry) -> Result<Option<Value>, ApiError> {
        registry.get(&self.row, &self.namespace, &self.name).await
    }

    /// Creates an object, unless somebody else just did.
    pub async fn create(&self, registry: &Registry, object: Value) -> Result<(), ApiError> {
        match registry.create(&Call::internal(), &self.row, &self.namespace, object).await {
            Ok(_) => Ok(()),
            Err(error) if error.reason == Reason::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes an object, or its `subresource`, unless somebody else just did.
    pub async fn update(&self, registry: &Registry, subresource: &str, object: Value) -> Result<(), ApiError> {
        match registry.update(&Call::internal(), &self.row, subresource, object).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes the object.
    pub async fn delete(&self, registry: &Registry) -> Result<(), ApiError> {
        match registry.delete(&Call::internal(), &self.row, &self.namespace, &self.name, Value::Null).await {
            Ok(_) => Ok(()),
            Err(error) if error.reason == Reason::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Creates `wanted` when it is missing; else writes what `change` makes of what is there, if anything.
pub async fn ensure(
    registry: &Registry,
    group: &str,
    plural: &str,
    wanted: Value,
    change: impl Fn(&Value, &Value) -> Option<Value>,
) -> Result<(), ApiError> {
    let place = Place::of(registry, group, plural, &wanted)?;
    match place.read(registry).await? {
        None => place.create(registry, wanted).await,
        Some(existing) => match change(&existing, &wanted) {
            None => Ok(()),
            Some(object) => place.update(registry, "", object).await,
        },
    }
}

/// For objects that are only made when missing.
pub fn keep(_existing: &Value, _wanted: &Value) -> Option<Value> {
    None
}

/// For objects whose `field` is ours: written where it differs.
pub fn own_field(field: &'static str) -> impl Fn(&Value, &Value) -> Option<Value> {
    move |existing, wanted| {
        (existing[field] != wanted[field]).then(|| {
            let mut object = existing.clone();
            object[field] = wanted[field].clone();
            object
        })
    }
}
