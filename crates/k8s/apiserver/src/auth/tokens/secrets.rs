//! Token secrets follow their account: filled in when it comes, gone when it goes.
//!
//! This is a controller; it is here because tokens are made where their key is.

use std::time::Duration;

use k8s_store::{Event, ListOptions, WatchError};
use k8s_types::status::{ApiError, Reason};
use serde_json::{Value, json};

use super::legacy::{NAME, SECRET_TYPE, UID};
use crate::registry::{Call, Registry};
use crate::stored;

/// Until the next attempt after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// Follows all service accounts until the registry closes.
pub async fn run(registry: Registry) {
    loop {
        match follow(&registry).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "token secrets do not follow their accounts"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(registry: &Registry) -> Result<(), ApiError> {
    let accounts = registry.row("", "serviceaccounts")?;
    let from = registry.store().revision();
    let mut watcher = registry
        .store()
        .watch(&accounts.prefix(""), from)
        .map_err(|error| ApiError::internal(format_args!("service accounts cannot be followed: {error}")))?;
    for secret in secrets(registry, "").await? {
        fill(registry, secret).await?;
    }
    loop {
        let event = match watcher.next().await {
            Ok(event) => event,
            Err(WatchError::Closed) => return Ok(()),
            Err(error) => return Err(ApiError::internal(format_args!("service accounts cannot be followed: {error}"))),
        };
        if event.value.is_some() && event.previous.is_some() {
            continue;
        }
        let (namespace, name) = accounts.split_key(&event.key);
        for secret in secrets(registry, namespace).await? {
            if secret["metadata"]["annotations"][NAME] != name {
                continue;
            }
            match event.value {
                Some(_) => fill(registry, secret).await?,
                None => remove(registry, &secret, &event).await?,
            }
        }
    }
}

/// Secrets of the type in a namespace, or in all where it is empty; others are not even parsed.
async fn secrets(registry: &Registry, namespace: &str) -> Result<Vec<Value>, ApiError> {
    let row = registry.row("", "secrets")?;
    let listing = registry.store().list(&row.prefix(namespace), ListOptions::default()).await;
    let listing = listing.map_err(|error| ApiError::internal(format_args!("secrets cannot be listed: {error}")))?;
    let mut secrets = Vec::new();
    for entry in &listing.entries {
        if std::str::from_utf8(&entry.value).is_ok_and(|text| text.contains(SECRET_TYPE)) {
            let secret = stored::parse(&entry.value, entry.revision)?;
            if secret["type"] == SECRET_TYPE {
                secrets.push(secret);
            }
        }
    }
    Ok(secrets)
}

/// Writes a secret without a token again; admission fills it in, if its account is there.
async fn fill(registry: &Registry, secret: Value) -> Result<(), ApiError> {
    if secret["data"]["token"].is_string() {
        return Ok(());
    }
    let row = registry.row("", "secrets")?;
    settled(registry.update(&Call::internal(), &row, "", secret).await)
}

async fn remove(registry: &Registry, secret: &Value, event: &Event) -> Result<(), ApiError> {
    let account =
        event.previous.as_ref().map(|previous| stored::parse(&previous.value, previous.revision)).transpose()?;
    let uid = &secret["metadata"]["annotations"][UID];
    if uid.is_string() && account.is_some_and(|account| account["metadata"]["uid"] != *uid) {
        return Ok(());
    }
    let text = |field: &str| secret["metadata"][field].as_str().unwrap_or_default();
    let options = json!({ "preconditions": { "uid": text("uid") } });
    let row = registry.row("", "secrets")?;
    settled(registry.delete(&Call::internal(), &row, text("namespace"), text("name"), options).await)
}

/// Somebody who was faster is no failure.
fn settled(result: Result<Value, ApiError>) -> Result<(), ApiError> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}
