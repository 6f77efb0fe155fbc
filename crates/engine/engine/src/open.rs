//! Opening the engine: what runs is taken over, what was half done is undone, what is nobody's is collected.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use network::{Live, Networks};
use redb::Database;
use store::{SnapshotterChoice, Store, StoreOptions};
use supervisor::{Exit, ExitStatus, Found, ProcessKey, ProcessState, SupervisorConfig};

use crate::containers::{Containers, Handle};
use crate::engine::{Inner, blocking, file_error};
use crate::error::{Error, Kind, Result};
use crate::events::Events;
use crate::facts::Facts;
use crate::journal::{self, Journal};
use crate::keeper::{self, Command, Why};
use crate::lifecycle::{Hold, State, restart};
use crate::names;
use crate::pod::{self, Sandboxes};
use crate::record::Record;
use crate::settings::EngineConfig;
use crate::{Engine, StopOptions};

impl Engine {
    /// Opens the state, takes over what still runs, finishes or undoes what was half done, and starts what is to be
    /// restarted.
    pub async fn open(mut config: EngineConfig) -> Result<Engine> {
        let facts = Facts::find()?;
        for folder in [&config.data_root, &config.exec_root, &config.data_root.join("containers")] {
            fs::create_dir_all(folder).map_err(|error| file_error("create", folder, error))?;
        }
        let db = open_database(&config.data_root)?;
        let id = journal::setting(&db, "id", || names::random_id().unwrap_or_default())?;
        let instance = match config.instance.as_str() {
            "" => id[..8.min(id.len())].to_owned(),
            given => given.to_owned(),
        };
        if config.network.instance.is_empty() {
            config.network.instance.clone_from(&instance);
        }
        let (journal, records) = Journal::open(db.clone())?;
        let (store, networks) = open_parts(&db, &config).await?;
        let at = SupervisorConfig { exec_root: config.exec_root.clone(), binary: config.binary.clone() };
        let (supervisor, found) = supervisor::Client::connect_or_spawn(at).await?;
        let seccomp_profile = read_profile(&config)?;
        let registry = registry::Client::new(registry::ClientConfig {
            mirrors: config.registry_mirrors.clone(),
            insecure: config.insecure_registries.clone(),
            downloads: config.max_concurrent_downloads,
            uploads: config.max_concurrent_uploads,
            ..registry::ClientConfig::default()
        })?;
        let inner = Arc::new(Inner {
            config,
            id,
            instance,
            facts,
            journal,
            store,
            networks,
            registry,
            supervisor,
            events: Events::new(),
            containers: Containers::default(),
            sandboxes: Sandboxes::default(),
            pod_images: Mutex::new(records.pod_images.into_iter().map(|it| (it.id.clone(), it)).collect()),
            execs: Arc::default(),
            seccomp_profile,
        });
        // Before anything is looked at, so that no exit is missed.
        let events = inner.supervisor.events();
        let sandboxes = pod::adopt(&inner, records.sandboxes).await?;
        let adopted = adopt(&inner, records.containers, found, sandboxes).await?;
        tokio::spawn(listen(inner.clone(), events));
        for (handle, command) in adopted {
            // The task has just been made.
            let _ = handle.commands.send(command);
        }
        collect(&inner).await;
        Ok(Engine { inner })
    }

    /// Stops containers unless they are to live on, and puts everything away.
    pub async fn shutdown(&self) {
        if self.inner.config.live_restore {
            return;
        }
        let timeout = self.inner.config.shutdown_timeout;
        let mut stopping = tokio::task::JoinSet::new();
        for handle in self.inner.containers.all() {
            let record = handle.record();
            if record.state.is_live() || matches!(record.state, State::Restarting(_)) {
                let engine = self.clone();
                stopping.spawn(async move {
                    let options = StopOptions { signal: None, timeout: Some(record.stop_timeout().min(timeout)) };
                    if let Err(error) = engine.end(&handle, options, Why::Shutdown).await {
                        tracing::warn!(container = handle.id, %error, "could not be stopped");
                    }
                });
            }
        }
        while stopping.join_next().await.is_some() {}
        for sandbox in self.sandboxes() {
            if let Err(error) = self.sandbox_stop(&sandbox.id).await {
                tracing::warn!(sandbox = sandbox.id, %error, "could not be stopped");
            }
        }
        if let Err(error) = self.inner.networks.shutdown() {
            tracing::warn!(%error, "networks could not be put away");
        }
        let parent = format!("/sampan/{}", self.inner.instance);
        if let Ok(group) = cgroup::Cgroup::open(&self.inner.facts.hierarchy, &parent)
            && let Err(error) = group.delete()
        {
            tracing::debug!(%error, "the engine's control group stays");
        }
    }
}

fn open_database(data_root: &Path) -> Result<Arc<Database>> {
    let path = data_root.join("sampan.redb");
    Database::create(&path)
        .map(Arc::new)
        .map_err(|error| Error::because(Kind::Unavailable, format_args!("open {}", path.display()), error))
}

async fn open_parts(db: &Arc<Database>, config: &EngineConfig) -> Result<(Store, Networks)> {
    let snapshotter = match config.storage_driver.as_str() {
        "" => SnapshotterChoice::Auto,
        "erofs" => SnapshotterChoice::Erofs,
        "overlay" | "overlay2" | "overlayfs" => SnapshotterChoice::Directory,
        other => return Err(Error::invalid(format!("driver not supported: {other}"))),
    };
    let (db, root, network) = (db.clone(), config.data_root.clone(), config.network.clone());
    blocking(move || {
        let store = Store::open(db.clone(), &root, &StoreOptions { snapshotter })?;
        let networks = Networks::open(db, network)?;
        Ok((store, networks))
    })
    .await
}

fn read_profile(config: &EngineConfig) -> Result<Option<String>> {
    let Some(path) = &config.seccomp_profile else {
        return Ok(None);
    };
    fs::read_to_string(path).map(Some).map_err(|error| {
        let what = format!("opening seccomp profile ({}) failed", path.display());
        Error::because(Kind::Invalid, what, error)
    })
}

/// Matches records with what the supervisor holds; gives what each container's task is to be told first.
async fn adopt(
    inner: &Arc<Inner>,
    records: Vec<Record>,
    found: Vec<Found>,
    mut live: pod::Adopted,
) -> Result<Vec<(Arc<Handle>, Command)>> {
    let mut held: BTreeMap<String, ProcessState> = BTreeMap::new();
    for process in &found {
        if process.key.exec.is_none() {
            held.insert(process.key.container.clone(), process.state);
        }
    }
    let known: HashSet<&str> = records.iter().map(|it| it.id.as_str()).collect();
    for id in held.keys().filter(|id| !known.contains(id.as_str()) && inner.sandboxes.get(id).is_none()) {
        undo(inner, id).await;
    }
    let snapshots: HashSet<String> = inner.store.snapshots()?.into_iter().map(|it| it.key).collect();
    let mut adopted = Vec::new();
    for mut record in records {
        if !snapshots.contains(record.snapshot()) && !held.contains_key(&record.id) {
            // Its creation or its removal was cut short; its folder is collected with the rest.
            tracing::info!(container = record.id, "a container without a writable layer goes");
            inner.journal.delete(&record.id).await?;
            continue;
        }
        let state = held.get(&record.id).copied();
        let fate = fate(&mut record, state);
        match fate {
            Fate::Undo => undo(inner, &record.id).await,
            Fate::Adopt => settle_pause(inner, &mut record).await,
            Fate::Exited(_) | Fate::Rest => {}
        }
        if record.state.is_live() {
            live.extend(endpoints(&record));
        }
        if let Err(error) = inner.containers.reserve(&record.name, &record.id) {
            tracing::error!(container = record.id, %error, "two containers with one name");
        }
        let (policy, stopped, ran) = (record.host.restart, record.stopped, record.ran);
        let code = record.state.ended().code;
        let idle = !record.state.is_live();
        let handle = keeper::spawn(inner, record);
        match fate {
            Fate::Exited(exit) => adopted.push((handle, Command::Exited(exit))),
            Fate::Adopt | Fate::Undo | Fate::Rest => {
                if idle && restart::at_boot(policy, stopped, ran, code) {
                    adopted.push((handle, Command::Start(tokio::sync::oneshot::channel().0)));
                }
            }
        }
    }
    let networks = inner.networks.clone();
    let reconciled = blocking(move || Ok(networks.reconcile(live)?)).await?;
    for (endpoint, why) in reconciled.lost {
        tracing::warn!(%endpoint, why, "an endpoint could not go on");
    }
    Ok(adopted)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// It runs.
    Adopt,
    /// It ended while nobody looked.
    Exited(Exit),
    /// A start was under way; it is undone.
    Undo,
    /// Nothing runs and nothing should.
    Rest,
}

/// What became of a container while no daemon looked; the record's state is put right where that is all.
fn fate(record: &mut Record, held: Option<ProcessState>) -> Fate {
    let lost = Exit { status: ExitStatus::Unknown, oom: false, at: Timestamp::now() };
    match (&record.state, held) {
        (State::Running { .. } | State::Paused { .. }, Some(ProcessState::Running { .. })) => Fate::Adopt,
        (State::Running { .. } | State::Paused { .. }, Some(ProcessState::Exited(exit))) => Fate::Exited(exit),
        (State::Running { before, .. } | State::Paused { before, .. }, Some(ProcessState::Created { .. })) => {
            // Stored ahead of a start that did not come to be.
            let before = before.clone();
            record.state = if before.started.is_some() { State::Exited(before) } else { State::Created(before) };
            record.networks.values_mut().for_each(|it| it.endpoint = None);
            Fate::Undo
        }
        (State::Running { .. } | State::Paused { .. }, None) => Fate::Exited(lost),
        (State::Restarting(ended), held) => {
            record.state = State::Exited(ended.clone());
            if held.is_some() { Fate::Undo } else { Fate::Rest }
        }
        (State::Removing(ended), held) => {
            // The removal was interrupted before its record went: it can be asked for again.
            record.state = State::Exited(ended.clone());
            if held.is_some() { Fate::Undo } else { Fate::Rest }
        }
        (State::Created(_) | State::Exited(_) | State::Dead(_), Some(_)) => Fate::Undo,
        (State::Created(_) | State::Exited(_) | State::Dead(_), None) => Fate::Rest,
    }
}

/// Makes a container that runs frozen or not as it is meant to be: the daemon before may have died between a word and its
/// deed, or while it held the container still for a commit.
async fn settle_pause(inner: &Inner, record: &mut Record) {
    let frozen = match inner.supervisor.is_paused(&record.id).await {
        Ok(frozen) => frozen,
        Err(error) => {
            tracing::warn!(container = record.id, %error, "whether it is paused cannot be seen");
            return;
        }
    };
    let by_user = matches!(record.state, State::Paused { held: Hold::User, .. });
    if frozen
        && !by_user
        && let Err(error) = inner.supervisor.resume(&record.id).await
    {
        tracing::warn!(container = record.id, %error, "it stays paused");
        return;
    }
    if let State::Paused { pid, started, before, .. } = &record.state
        && !(frozen && by_user)
    {
        record.state = State::Running { pid: *pid, started: *started, before: before.clone() };
    }
}

/// Ends and forgets what the supervisor holds for a container.
async fn undo(inner: &Inner, id: &str) {
    let key = ProcessKey::container(id);
    if let Some(ProcessState::Running { .. }) = inner.supervisor.state(&key) {
        if let Err(error) = inner.supervisor.kill(&key, crate::signals::KILL).await {
            tracing::warn!(container = id, %error, "a leftover could not be killed");
        }
        if let Err(error) = inner.supervisor.wait(&key).await {
            tracing::warn!(container = id, %error, "a leftover did not end");
        }
    }
    if let Err(error) = inner.supervisor.delete(&key).await {
        tracing::warn!(container = id, %error, "a leftover could not be deleted");
    }
}

fn endpoints(record: &Record) -> Vec<Live> {
    let Some(pid) = record.state.pid() else {
        return Vec::new();
    };
    let mut live = Vec::new();
    for endpoint in record.networks.values().filter_map(|it| it.endpoint.clone()) {
        match File::open(format!("/proc/{pid}/ns/net")) {
            Ok(netns) => live.push(Live {
                endpoint,
                netns: netns.into(),
                dns: record.host.dns.iter().filter_map(|it| it.parse().ok()).collect(),
            }),
            Err(error) => tracing::warn!(container = record.id, %error, "no network namespace"),
        }
    }
    live
}

/// Passes the supervisor's events on to the tasks they are for.
async fn listen(inner: Arc<Inner>, mut events: supervisor::EventStream) {
    while let Some(event) = events.next().await {
        match event {
            supervisor::Event::Exited { key, exit } => match &key.exec {
                None if inner.sandboxes.get(&key.container).is_some() => inner.pause_ended(&key.container),
                None => tell(&inner, &key.container, Command::Exited(exit)),
                Some(exec) => inner.exec_ended(exec, exit),
            },
            supervisor::Event::OutOfMemory { container, .. } => tell(&inner, &container, Command::OutOfMemory),
            supervisor::Event::LogDropped { container, bytes } => {
                tracing::warn!(container, bytes, "log output was dropped");
            }
            supervisor::Event::TakenOver => tracing::warn!("the supervisor died; a new one has taken over"),
            supervisor::Event::Lost { reason } => tracing::error!(reason, "the supervisor is gone"),
            supervisor::Event::Started { .. } => {}
        }
    }
}

fn tell(inner: &Inner, container: &str, command: Command) {
    if let Some(handle) = inner.containers.get(container) {
        // The container may have gone meanwhile.
        let _ = handle.commands.send(command);
    }
}

/// Removes writable layers, folders and control groups of containers that do not exist.
async fn collect(inner: &Arc<Inner>) {
    let inner = inner.clone();
    let collected = blocking(move || {
        for snapshot in inner.store.snapshots()? {
            if inner.containers.get(&snapshot.key).is_none() {
                tracing::info!(snapshot = snapshot.key, "a writable layer without a container goes");
                inner.store.remove_snapshot(&snapshot.key)?;
            }
        }
        let folders = inner.config.data_root.join("containers");
        for entry in fs::read_dir(&folders).map_err(|error| file_error("read", &folders, error))? {
            let entry = entry.map_err(|error| file_error("read", &folders, error))?;
            let id = entry.file_name().to_string_lossy().into_owned();
            if inner.containers.get(&id).is_none() {
                fs::remove_dir_all(entry.path()).map_err(|error| file_error("remove", &entry.path(), error))?;
            }
        }
        pod::collect(&inner);
        pod::collect_cgroups(&inner);
        Ok(())
    });
    if let Err(error) = collected.await {
        tracing::warn!(%error, "leftovers could not be collected");
    }
}
