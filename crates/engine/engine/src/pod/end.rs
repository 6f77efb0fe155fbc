//! Stopping and removing a sandbox; each may be asked for again after it was cut short.

use std::sync::Arc;

use super::run::leave;
use super::table::{Entry, Sandbox};
use crate::Engine;
use crate::containers::Handle;
use crate::engine::{Inner, blocking};
use crate::error::{Error, Kind, Result};
use crate::keeper::{Command, Why};
use crate::model::pod::{SandboxSpec, SandboxView};
use crate::model::view::{RemoveOptions, StopOptions};

impl Engine {
    /// Every sandbox.
    pub fn sandboxes(&self) -> Vec<SandboxView> {
        self.inner.sandboxes.all().iter().map(|record| record.view()).collect()
    }

    /// One sandbox.
    pub fn sandbox(&self, id: &str) -> Result<SandboxView> {
        Ok(self.inner.sandboxes.find(id)?.record().view())
    }

    /// Kills its containers and gives its network back; nothing happens where that was done.
    pub async fn sandbox_stop(&self, id: &str) -> Result<()> {
        let Some(entry) = self.inner.sandboxes.get(id) else {
            return Ok(());
        };
        let _busy = entry.busy.lock().await;
        self.stop_sandbox(&entry).await
    }

    /// Removes it with its containers; nothing happens where there is none.
    pub async fn sandbox_remove(&self, id: &str) -> Result<()> {
        let Some(entry) = self.inner.sandboxes.get(id) else {
            return Ok(());
        };
        let _busy = entry.busy.lock().await;
        if self.inner.sandboxes.get(id).is_none() {
            return Ok(());
        }
        self.stop_sandbox(&entry).await?;
        let mut removing = tokio::task::JoinSet::new();
        for handle in self.inner.members_of(id) {
            let engine = self.clone();
            removing.spawn(async move {
                let options = RemoveOptions { force: true, volumes: true, link: false };
                engine.remove(&handle.id, options).await
            });
        }
        while let Some(removed) = removing.join_next().await {
            match removed.map_err(|error| Error::because(Kind::Internal, "a task of the engine ended", error))? {
                Err(error) if error.kind() != Kind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.inner.journal.delete_sandbox(id).await?;
        let record = entry.record();
        self.inner.sandboxes.remove(id);
        let inner = self.inner.clone();
        blocking(move || {
            inner.clear_sandbox(&record.id, &record.spec);
            Ok(())
        })
        .await
    }

    /// From the first step on nothing joins it any more; its place on the network is recorded until it is given back, so
    /// that a stop that was cut short can be asked for again.
    async fn stop_sandbox(&self, entry: &Arc<Entry>) -> Result<()> {
        let inner = &self.inner;
        if !entry.record().stopped {
            let stopped = Sandbox { stopped: true, ..Sandbox::clone(&entry.record()) };
            inner.journal.put_sandbox(&stopped).await?;
            entry.set(stopped);
        }
        let record = entry.record();
        self.kill_members(&record.id).await?;
        inner.end_pause(&record.id).await;
        if let Some(endpoint) = record.endpoint.clone() {
            let (leaving, engine) = (endpoint, self.inner.clone());
            blocking(move || {
                leave(&engine, &leaving);
                Ok(())
            })
            .await?;
            let left = Sandbox { endpoint: None, ..Sandbox::clone(&record) };
            inner.journal.put_sandbox(&left).await?;
            entry.set(left);
        }
        Ok(inner.supervisor.let_go(&record.id).await?)
    }

    async fn kill_members(&self, sandbox: &str) -> Result<()> {
        let mut ending = tokio::task::JoinSet::new();
        for handle in self.inner.members_of(sandbox) {
            let engine = self.clone();
            ending.spawn(async move {
                // A start that has joined the sandbox already comes to its end first.
                handle.ask(Command::Settle).await?;
                let options = StopOptions { signal: Some("KILL".to_owned()), timeout: Some(10) };
                engine.end(&handle, options, Why::Stop).await
            });
        }
        while let Some(ended) = ending.join_next().await {
            match ended.map_err(|error| Error::because(Kind::Internal, "a task of the engine ended", error))? {
                Err(error) if error.kind() != Kind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Containers of a sandbox.
    pub fn members_of(&self, sandbox: &str) -> Vec<Arc<Handle>> {
        let is_member = |handle: &Arc<Handle>| handle.record().pod.as_ref().is_some_and(|pod| pod.sandbox == sandbox);
        self.containers.all().into_iter().filter(is_member).collect()
    }

    /// Removes the control group and the folder of a sandbox that is in no table (any more). Goes on after errors: what is
    /// left is collected at the next start.
    pub(super) fn clear_sandbox(&self, id: &str, spec: &SandboxSpec) {
        self.remove_sandbox_cgroup(id, spec);
        let folder = self.sandbox_folder(id);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(folder = %folder.display(), %error, "the folder of a sandbox could not be removed");
            }
            _ => {}
        }
    }
}
