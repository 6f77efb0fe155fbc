//! A start: root file system and sandbox side by side, then the process, asleep; then its program, while the new
//! state is being stored. Whatever step fails, everything before it is undone.

use std::path::PathBuf;
use std::sync::PoisonError;

use jiff::Timestamp;
use supervisor::{CreateRequest, Io, ProcessKey, WindowSize};

use super::Keeper;
use super::networking::Network;
use super::sandbox::{self, Prepared};
use crate::compose::document::{self, Found};
use crate::engine::{blocking, file_error};
use crate::error::{Error, Result};
use crate::lifecycle::restart::Afterwards;
use crate::lifecycle::{Action, step};
use crate::model::host::Ulimit;
use crate::model::mode::{IpcMode, NetworkMode, PidMode};
use crate::pod::SHM;
use crate::record::Folder;

impl Keeper {
    /// Starts the container; what it tells is the next action either way.
    pub(super) async fn launch(&mut self) -> Result<Action, (Error, Action)> {
        match self.try_launch().await {
            Ok((pid, at)) => Ok(Action::Started { pid, at }),
            Err(error) => {
                tracing::info!(container = self.record.id, %error, "start failed");
                let then = if self.record.host.auto_remove { Afterwards::Remove } else { Afterwards::Stay };
                let code = error.exit_code().unwrap_or(128);
                let action = Action::StartFailed { code, error: error.message().to_owned(), then };
                Err((error, action))
            }
        }
    }

    async fn try_launch(&mut self) -> Result<(i32, Timestamp)> {
        self.record.stopped = false;
        self.ending = None;
        let (root, network) = tokio::join!(self.prepare_root(), self.join_network());
        let mut network = network.map_err(|error| error.prefixed("failed to set up container networking: "))?;
        let outcome = match root {
            Ok(root) => self.execute(root, &mut network).await,
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.leave_network(&network).await;
        }
        outcome
    }

    async fn prepare_root(&self) -> Result<Prepared> {
        let store = self.inner.store.clone();
        let record = self.record.clone();
        blocking(move || sandbox::prepare(&store, &record)).await
    }

    async fn execute(&mut self, root: Prepared, network: &mut Network) -> Result<(i32, Timestamp)> {
        let id = self.record.id.clone();
        let spec = self.compose(&root, network)?;
        let cgroup = self.inner.cgroup(&self.record);
        let tag = self.record.short_id().to_owned();
        let path = self.inner.log_path(&self.record);
        let log = match &self.record.pod {
            Some(_) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(|error| file_error("create", folder, error))?;
                }
                supervisor::LogConfig::Cri(path)
            }
            None => crate::logs::options::for_supervisor(&self.record.host.log, path, &self.record.config, &tag)?,
        };
        let netns = network.netns.as_ref().map(|fd| fd.try_clone()).transpose();
        let netns = netns.map_err(|error| Error::because(crate::Kind::Internal, "dup", error))?;
        let (joined, shm) = match &mut network.pod {
            Some(pod) => (std::mem::take(&mut pod.namespaces), pod.shm.take()),
            None => (Vec::new(), None),
        };
        let request = CreateRequest {
            id: id.clone(),
            spec,
            root: root.root,
            netns,
            joined,
            trees: shm.map(|shm| (PathBuf::from(SHM), shm)).into_iter().collect(),
            cgroup,
            io: self.io(),
            log,
            attach: None,
        };
        let created = self.inner.supervisor.create(request).await;
        let created = created.map_err(|error| failed(error.into()))?;
        let outcome = self.run_program(created.pid, network).await;
        if outcome.is_err() {
            let key = ProcessKey::container(id);
            if let Err(error) = self.inner.supervisor.delete(&key).await {
                tracing::warn!(container = key.container, %error, "a failed start could not be undone");
            }
        }
        outcome
    }

    async fn run_program(&mut self, pid: i32, network: &Network) -> Result<(i32, Timestamp)> {
        self.serve_waiting().await?;
        let at = Timestamp::now();
        let mut record = self.record.clone();
        network.enter(&mut record);
        record.ran = true;
        let (state, _) = step(&record.state, Action::Started { pid, at }).map_err(|refusal| self.refusal(refusal))?;
        record.state = state;
        let started = self.inner.supervisor.start(&record.id);
        let (started, stored) = tokio::join!(started, self.inner.journal.put(&record));
        if let Err(error) = started {
            // What was stored ahead of the failure is put right by the step that follows.
            self.stored = record.state;
            return Err(failed(error.into()));
        }
        stored?;
        self.stored = record.state.clone();
        self.record.networks = record.networks;
        self.record.sandbox = record.sandbox;
        self.record.ran = true;
        self.tell_networks("connect");
        Ok((pid, at))
    }

    /// Gives clients that attached before the start their streams, from the first byte on.
    async fn serve_waiting(&self) -> Result<()> {
        let waiting = std::mem::take(&mut *self.handle.attaching.lock().unwrap_or_else(PoisonError::into_inner));
        let key = ProcessKey::container(self.record.id.clone());
        for client in waiting {
            if client.ready.is_closed() {
                continue;
            }
            let attachment = self.inner.supervisor.attach(&key, client.streams).await?;
            // A client that went away meanwhile drops its attachment.
            let _ = client.ready.send(attachment);
        }
        Ok(())
    }

    fn io(&self) -> Io {
        let [height, width] = self.record.host.console_size;
        let size = match (u16::try_from(height), u16::try_from(width)) {
            (Ok(rows), Ok(columns)) if rows > 0 && columns > 0 => Some(WindowSize { rows, columns }),
            _ => None,
        };
        match self.record.tty() {
            true => Io::Terminal { size },
            false => Io::Pipes { stdin: self.record.config.open_stdin },
        }
    }

    fn compose(&self, root: &Prepared, network: &Network) -> Result<spec::runtime::Spec> {
        let inner = &self.inner;
        let host = &self.record.host;
        let cgroup = inner.cgroup(&self.record);
        let defaults: Vec<Ulimit> = inner.config.default_ulimits.values().cloned().collect();
        let init = host.init.unwrap_or(inner.config.init);
        let files = match &host.network_mode {
            _ if network.pod.is_some() => inner.folder(&self.record.id),
            NetworkMode::Container(other) => inner.folder(&inner.containers.find(other)?.id),
            _ => inner.folder(&self.record.id),
        };
        let files = match &network.pod {
            Some(pod) => Folder::at(pod.folder.clone()),
            None => files,
        };
        if !matches!(host.network_mode, NetworkMode::Container(_)) && network.pod.is_none() {
            sandbox::write_files(inner, &self.record, network, &files)?;
        }
        let found = Found {
            who: root.who.clone(),
            hosts: files.hosts(),
            hostname: files.hostname(),
            resolv_conf: files.resolv_conf(),
            init: init.then_some(inner.config.binary.as_path()),
            ipc_of: match &host.ipc {
                IpcMode::Container(other) if network.pod.is_none() => Some(self.joined(other, "IPC")?),
                _ => None,
            },
            pid_of: match &host.pid {
                PidMode::Container(other) => match network.pod.as_ref().and_then(|pod| pod.pause) {
                    Some(pause) if self.is_own_sandbox(other) => Some(pause),
                    _ => Some(self.joined(other, "PID")?),
                },
                _ => None,
            },
            pod: network.pod.as_ref(),
            default_ulimits: &defaults,
            no_new_privileges: inner.config.no_new_privileges,
            seccomp_profile: inner.seccomp_profile.as_deref(),
            unified: inner.facts.unified,
            cgroup: &cgroup,
            shm_size: inner.config.default_shm_size,
        };
        document::compose(&self.record, &self.record.mounts, &found)
    }

    fn is_own_sandbox(&self, id: &str) -> bool {
        self.record.pod.as_ref().is_some_and(|member| member.sandbox == id)
    }

    /// Process id of a container whose namespace is joined.
    fn joined(&self, other: &str, what: &str) -> Result<i32> {
        let joining = format!("failed to join {what} namespace: ");
        let other = self.inner.containers.find(other).map_err(|error| error.prefixed(&joining))?;
        let record = other.record();
        if record.id == self.record.id {
            return Err(Error::invalid(format!("{joining}cannot join own {what} namespace")));
        }
        record.state.pid().ok_or_else(|| {
            Error::conflict(format!(
                "{joining}cannot join {what} namespace of a non running container: container {} is {}",
                record.name,
                record.state.status().as_str()
            ))
        })
    }
}

/// Docker's words before the runtime's.
fn failed(error: Error) -> Error {
    error.prefixed("failed to create task for container: ")
}
