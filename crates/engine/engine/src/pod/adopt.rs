//! Sandboxes when a daemon starts: those that somebody held go on, the others are not ready any more.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use network::Live;

use super::namespaces::role;
use super::table::Sandbox;
use crate::engine::Inner;
use crate::error::Result;
use crate::model::pod::Processes;

/// Endpoints of sandboxes that go on.
pub type Adopted = Vec<Live>;

/// Enters what was recorded; what is held for no record is let go.
pub async fn adopt(inner: &Arc<Inner>, records: Vec<Sandbox>) -> Result<Adopted> {
    let known: HashSet<String> = records.iter().map(|it| it.id.clone()).collect();
    for name in inner.supervisor.kept_names() {
        if !known.contains(&name) {
            tracing::info!(sandbox = name, "a sandbox that was not finished goes");
            inner.supervisor.let_go(&name).await?;
        }
    }
    let mut live = Vec::new();
    for mut record in records {
        let mut held = inner.supervisor.kept(&record.id).filter(|_| !record.stopped);
        if record.spec.processes == Processes::Shared && inner.pause_of(&record.id).is_none() {
            held = None;
        }
        if held.is_none() {
            inner.end_pause(&record.id).await;
            inner.supervisor.let_go(&record.id).await?;
        }
        match held {
            Some(held) => {
                let netns = held.into_iter().find(|(what, _)| what == role::NET);
                if let (Some((_, netns)), Some(endpoint)) = (netns, record.endpoint.clone()) {
                    live.push(Live { endpoint, netns, dns: Vec::new() });
                }
            }
            None if !record.stopped => {
                tracing::warn!(sandbox = record.id, "nobody held a sandbox's namespaces: it is not ready any more");
                record.stopped = true;
                record.endpoint = None;
                inner.journal.put_sandbox(&record).await?;
            }
            None => record.endpoint = None,
        }
        inner.sandboxes.insert(record);
    }
    Ok(live)
}

/// Removes folders of sandboxes that do not exist.
pub fn collect(inner: &Inner) {
    let folders = inner.config.data_root.join("sandboxes");
    for entry in fs::read_dir(&folders).into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        if inner.sandboxes.get(&id).is_none()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(folder = %entry.path().display(), %error, "the folder of a sandbox could not be removed");
        }
    }
}
