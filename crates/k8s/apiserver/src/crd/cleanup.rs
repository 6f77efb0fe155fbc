//! The end of a definition: its objects are deleted first, then the finalizer that holds it goes.

use std::sync::Arc;
use std::time::Duration;

use k8s_store::{ListOptions, WatchError};
use k8s_types::crd::{FINALIZER, condition, set_condition};
use k8s_types::object;
use k8s_types::status::{ApiError, Reason};
use serde_json::Value;

use crate::catalog::{Behaviour, Row};
use crate::registry::{Call, Registry};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Cleans up after the deleted definition `name`; goes on until that is done or the definition is gone.
pub(super) async fn run(registry: &Registry, row: &Arc<Row>, name: &str) {
    let mut pause = FIRST_PAUSE;
    loop {
        match clean(registry, row, name).await {
            Ok(()) => return,
            Err(error) if error.reason == Reason::NotFound => return,
            Err(error) if error.reason == Reason::Conflict => {}
            Err(error) => {
                tracing::warn!(definition = name, %error, "objects of a deleted definition cannot be deleted");
                let message = format!("could not issue all deletes: {error}");
                let _ = tell(registry, row, name, true, "InstanceDeletionFailed", &message).await;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn clean(registry: &Registry, row: &Arc<Row>, name: &str) -> Result<(), ApiError> {
    let definition = read(registry, row, name).await?;
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let objects = registry.catalog().stored(&group, &plural);
    if objects.as_ref().is_some_and(|row| matches!(row.behaviour, Behaviour::Builtin(_))) {
        let message = "instances overlap with built-in resources in storage";
        tell(registry, row, name, false, "OverlappingBuiltInResource", message).await?;
    } else if condition(&definition, "Established") == "True" {
        let message = "CustomResource deletion is in progress";
        tell(registry, row, name, true, "InstanceDeletionInProgress", message).await?;
        delete_all(registry, objects, &format!("{group}/{plural}/")).await?;
        tell(registry, row, name, false, "InstanceDeletionCompleted", "removed all instances").await?;
    } else {
        tell(registry, row, name, false, "NeverEstablished", "resource was never established").await?;
    }
    let mut definition = read(registry, row, name).await?;
    let left: Vec<String> = object::finalizers(&definition).filter(|f| *f != FINALIZER).map(str::to_owned).collect();
    object::set_metadata(&mut definition, "finalizers", left);
    registry.update(&Call::internal(), row, "", definition).await.map(drop)
}

async fn read(registry: &Registry, row: &Arc<Row>, name: &str) -> Result<Value, ApiError> {
    let found = registry.get(row, "", name).await?;
    found.ok_or_else(|| ApiError::not_found(&row.group_resource(), name))
}

/// Sets the condition `Terminating`.
async fn tell(
    registry: &Registry,
    row: &Arc<Row>,
    name: &str,
    status: bool,
    reason: &str,
    message: &str,
) -> Result<(), ApiError> {
    let mut definition = read(registry, row, name).await?;
    if set_condition(&mut definition, "Terminating", status, reason, message, &crate::registry::now()) {
        registry.update(&Call::internal(), row, "status", definition).await?;
    }
    Ok(())
}

/// Deletes all objects and waits until the last one is gone.
async fn delete_all(registry: &Registry, row: Option<Arc<Row>>, prefix: &str) -> Result<(), ApiError> {
    let failed = |error: &dyn std::fmt::Display| ApiError::internal(format_args!("{error}"));
    let listing = registry.store().list(prefix, ListOptions::default()).await.map_err(|error| failed(&error))?;
    let mut watcher = registry.store().watch(prefix, listing.revision).map_err(|error| failed(&error))?;
    for entry in &listing.entries {
        let Some(row) = &row else {
            // No version is served: nobody can ask for the objects, nobody can wait for their end.
            let write = k8s_store::Write::delete(&*entry.key, k8s_store::Expect::Revision(entry.revision));
            registry.store().write(write).await.map_err(|error| failed(&error))?;
            continue;
        };
        let (namespace, name) = row.split_key(&entry.key);
        match registry.delete(&Call::internal(), row, namespace, name, Value::Null).await {
            Err(error) if error.reason != Reason::NotFound => return Err(error),
            _ => {}
        }
    }
    while registry.store().count(prefix) > 0 {
        match watcher.next().await {
            Ok(_) => {}
            Err(WatchError::Closed) => return Err(failed(&WatchError::Closed)),
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(())
}
