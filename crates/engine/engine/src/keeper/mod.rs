//! The task that owns a container: it alone changes the record, one command after the other.
//!
//! Commands are short: whoever wants to wait for an exit watches what this task publishes. A changed state is stored
//! before it is published, with two exceptions: a start is stored while the program is executed, and an exit is not
//! stored at all when the removal follows at once.

mod launch;
mod networking;
mod release;
mod sandbox;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::containers::{Handle, Live, no_such};
use crate::engine::Inner;
use crate::error::{Error, Result};
use crate::lifecycle::restart::{self, Afterwards, Run};
use crate::lifecycle::{Action, Effect, Hold, Refusal, State, Told, step};
use crate::model::host::UpdateSpec;
use crate::model::network::EndpointSpec;
use crate::model::view::{Health, RemoveOptions};
use crate::record::Record;

type Reply = oneshot::Sender<Result<()>>;

/// What the task can be asked.
pub enum Command {
    Start(Reply),
    /// Answers when whatever was asked before is done: a container may be seen to run before its start is.
    Settle(Reply),
    Pause(Hold, Reply),
    Unpause(Reply),
    /// No restart after the next exit, and none that is being waited for.
    Forsake {
        why: Why,
        reply: Reply,
    },
    Rename {
        name: String,
        reply: Reply,
    },
    Update {
        update: Box<UpdateSpec>,
        reply: Reply,
    },
    Remove {
        options: RemoveOptions,
        reply: Reply,
    },
    Connect {
        network: String,
        spec: EndpointSpec,
        reply: Reply,
    },
    Disconnect {
        network: String,
        force: bool,
        reply: Reply,
    },
    /// From the supervisor.
    Exited(supervisor::Exit),
    OutOfMemory,
    /// From the probe of the present run.
    Health(Health),
}

/// Why a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The user's word counts for the restart policy, now and when the daemon starts again.
    Stop,
    /// A start follows: nothing is removed.
    Restart,
    /// The daemon goes; what is to run always runs again when it comes back.
    Shutdown,
}

/// The task's own things.
pub struct Keeper {
    inner: Arc<Inner>,
    record: Record,
    /// The state on disk.
    stored: State,
    publish: watch::Sender<Arc<Live>>,
    commands: mpsc::UnboundedReceiver<Command>,
    handle: Arc<Handle>,
    exits: u64,
    wake: Option<Instant>,
    probe: Option<AbortHandle>,
    removal: RemoveOptions,
    removed: bool,
    /// Why the present run is being ended, if it is.
    ending: Option<Why>,
}

/// Makes the task of a container and enters it into the table.
pub fn spawn(inner: &Arc<Inner>, record: Record) -> Arc<Handle> {
    let live = Live { record: Arc::new(record.clone()), exits: 0, removed: false };
    let (publish, live) = watch::channel(Arc::new(live));
    let (send, commands) = mpsc::unbounded_channel();
    let handle = Arc::new(Handle { id: record.id.clone(), live, commands: send, attaching: Default::default() });
    let keeper = Keeper {
        inner: inner.clone(),
        stored: record.state.clone(),
        record,
        publish,
        commands,
        handle: handle.clone(),
        exits: 0,
        wake: None,
        probe: None,
        removal: RemoveOptions::default(),
        removed: false,
        ending: None,
    };
    inner.containers.insert(handle.clone());
    tokio::spawn(keeper.run());
    handle
}

impl Keeper {
    async fn run(mut self) {
        if self.record.state.is_live() {
            self.begin_probing();
        }
        while !self.removed {
            let wake = self.wake;
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                () = timer => {
                    self.wake = None;
                    self.restart().await;
                }
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        // Whoever asked may have gone away; what was asked is done all the same.
        match command {
            Command::Start(reply) => {
                self.record.restarts = 0;
                self.record.waited = Duration::ZERO;
                let _ = reply.send(self.act(Action::Start).await);
            }
            Command::Pause(held, reply) => {
                let _ = reply.send(self.act(Action::Pause(held)).await);
            }
            Command::Unpause(reply) => {
                let _ = reply.send(self.act(Action::Unpause).await);
            }
            Command::Settle(reply) => {
                let _ = reply.send(Ok(()));
            }
            Command::Forsake { why, reply } => {
                self.record.stopped |= why != Why::Shutdown;
                self.ending = Some(why);
                let waiting = matches!(self.record.state, State::Restarting(_));
                let outcome = if waiting { self.act(Action::GiveUp).await } else { Ok(()) };
                let _ = reply.send(outcome);
            }
            Command::Rename { name, reply } => {
                let _ = reply.send(self.rename(name).await);
            }
            Command::Update { update, reply } => {
                let _ = reply.send(self.update(*update).await);
            }
            Command::Remove { options, reply } => {
                self.removal = options;
                let _ = reply.send(self.act(Action::Remove).await);
            }
            Command::Connect { network, spec, reply } => {
                let _ = reply.send(self.connect(network, spec).await);
            }
            Command::Disconnect { network, force, reply } => {
                let _ = reply.send(self.disconnect(&network, force).await);
            }
            Command::Exited(exit) => self.exited(exit).await,
            Command::OutOfMemory => self.inner.tell(&self.record, "oom", &[]),
            Command::Health(health) => self.health(health),
        }
    }

    async fn exited(&mut self, exit: supervisor::Exit) {
        let code = exit.status.code();
        let action = Action::Exited { code, oom: exit.oom, at: exit.at, then: self.afterwards(code, exit.at) };
        if let Err(error) = self.act(action).await {
            tracing::debug!(container = self.record.id, %error, "an exit that came too late");
        }
    }

    async fn restart(&mut self) {
        self.record.restarts += 1;
        if let Err(error) = self.act(Action::Start).await {
            tracing::warn!(container = self.record.id, %error, "restart failed");
        }
    }

    fn afterwards(&self, code: i32, at: Timestamp) -> Afterwards {
        let lasted = self.record.state.started().map(|started| at.duration_since(started));
        let lasted = lasted.and_then(|it| Duration::try_from(it).ok()).unwrap_or_default();
        let run = Run {
            code,
            lasted,
            stopped: self.record.stopped || self.ending.is_some(),
            restarts: self.record.restarts,
            waited: self.record.waited,
        };
        let auto_remove = self.record.host.auto_remove && self.ending != Some(Why::Restart);
        restart::decide(self.record.host.restart, auto_remove, run)
    }

    /// Takes a step and does what it entails, and what that entails.
    async fn act(&mut self, action: Action) -> Result<()> {
        let mut outcome = Ok(());
        let mut queue = VecDeque::from([action]);
        while let Some(action) = queue.pop_front() {
            let (state, effects) = step(&self.record.state, action).map_err(|it| self.refusal(it))?;
            let before = std::mem::replace(&mut self.record.state, state);
            if let Err(error) = self.settle(&effects).await {
                self.record.state = before;
                return Err(error);
            }
            for effect in effects {
                match self.perform(effect).await {
                    Ok(Some(next)) => queue.push_back(next),
                    Ok(None) => {}
                    Err((error, next)) => {
                        outcome = Err(error);
                        queue.extend(next);
                    }
                }
            }
        }
        outcome
    }

    /// Stores and publishes the new state; what ended is released first, so that who sees the end finds it free.
    async fn settle(&mut self, effects: &[Effect]) -> Result<()> {
        if effects.contains(&Effect::Freeze) {
            self.inner.supervisor.pause(&self.record.id).await.map_err(|error| self.cannot("pause", error))?;
        }
        if effects.contains(&Effect::Thaw) {
            self.inner.supervisor.resume(&self.record.id).await.map_err(|error| self.cannot("unpause", error))?;
        }
        let removing = effects.contains(&Effect::AutoRemove) || matches!(self.record.state, State::Removing(_));
        if effects.contains(&Effect::Release) {
            self.exits += 1;
            let released = self.release_parts();
            let (_, stored) = tokio::join!(released, self.store_unless(removing));
            self.record.networks.values_mut().for_each(|it| it.endpoint = None);
            stored?;
        } else {
            self.store_unless(removing).await?;
        }
        self.stored = self.record.state.clone();
        if !effects.contains(&Effect::Launch) {
            self.publish();
        }
        Ok(())
    }

    async fn store_unless(&self, skip: bool) -> Result<()> {
        if skip || self.record.state == self.stored {
            return Ok(());
        }
        let mut record = self.record.clone();
        if !record.state.is_live() {
            record.networks.values_mut().for_each(|it| it.endpoint = None);
        }
        self.inner.journal.put(&record).await
    }

    async fn perform(&mut self, effect: Effect) -> Result<Option<Action>, (Error, Option<Action>)> {
        match effect {
            Effect::Launch => return self.launch().await.map(Some).map_err(|(error, next)| (error, Some(next))),
            // Done before the new state was published.
            Effect::Freeze | Effect::Thaw | Effect::Release => {}
            Effect::Wake(delay) => {
                self.record.waited = delay;
                self.wake = Some(Instant::now() + delay);
            }
            Effect::CancelWake => self.wake = None,
            Effect::ProbeHealth => self.begin_probing(),
            Effect::StopProbing => self.end_probing(),
            Effect::Dismantle => {
                if let Err(error) = self.dismantle().await {
                    let next = Action::RemoveFailed { error: error.message().to_owned() };
                    return Err((error, Some(next)));
                }
            }
            Effect::AutoRemove => {
                self.removal = RemoveOptions { volumes: true, ..RemoveOptions::default() };
                return Ok(Some(Action::Remove));
            }
            Effect::Tell(told) => self.tell(told),
        }
        Ok(None)
    }

    fn tell(&self, told: Told) {
        let record = &self.record;
        match told {
            Told::Start => self.inner.tell(record, "start", &[]),
            Told::Pause => self.inner.tell(record, "pause", &[]),
            Told::Unpause => self.inner.tell(record, "unpause", &[]),
            Told::Die { code } => {
                let ended = record.state.ended();
                let seconds = match (ended.started, ended.finished) {
                    (Some(started), Some(finished)) => finished.duration_since(started).as_secs(),
                    _ => 0,
                };
                let more = [("exitCode", code.to_string()), ("execDuration", seconds.to_string())];
                self.inner.tell(record, "die", &more);
            }
        }
    }

    fn publish(&self) {
        let record = Arc::new(self.record.clone());
        self.publish.send_replace(Arc::new(Live { record, exits: self.exits, removed: self.removed }));
    }

    fn refusal(&self, refusal: Refusal) -> Error {
        refusal.error(&self.record.id, &self.record.name)
    }

    fn cannot(&self, what: &str, error: supervisor::Error) -> Error {
        Error::from(error).prefixed(&format!("cannot {what} container {}: ", self.record.id))
    }

    async fn rename(&mut self, name: String) -> Result<()> {
        if self.removed {
            return Err(no_such(&self.record.id));
        }
        self.inner.containers.reserve(&name, &self.record.id)?;
        let old = std::mem::replace(&mut self.record.name, name);
        if let Err(error) = self.inner.journal.put(&self.record).await {
            let name = std::mem::replace(&mut self.record.name, old);
            self.inner.containers.release(&name, &self.record.id);
            return Err(error);
        }
        self.inner.containers.release(&old, &self.record.id);
        self.inner.networks.rename(&self.record.id, &self.record.name);
        self.publish();
        self.inner.tell(&self.record, "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }

    async fn update(&mut self, update: UpdateSpec) -> Result<()> {
        let mut host = self.record.host.clone();
        crate::update::merge(&mut host.resources, &update.resources);
        if let Some(restart) = update.restart {
            if host.auto_remove && restart.name() != "no" {
                return Err(Error::invalid(
                    "Restart policy cannot be updated because AutoRemove is enabled for the container",
                ));
            }
            host.restart = restart;
        }
        if self.record.state.is_live() {
            let limits = crate::compose::resources::limits(&host.resources)?;
            let limits =
                runtime::limits(&limits).map_err(|error| Error::because(crate::Kind::Invalid, "limits", error))?;
            self.inner.supervisor.update(&self.record.id, limits).await.map_err(|error| {
                Error::from(error).prefixed(&format!("Cannot update container {}: ", self.record.id))
            })?;
        }
        self.record.host = host;
        self.inner.journal.put(&self.record).await?;
        self.publish();
        self.inner.tell(&self.record, "update", &[]);
        Ok(())
    }

    fn health(&mut self, health: Health) {
        if !self.record.state.is_live() {
            return;
        }
        let before = self.record.health.as_ref().map(|it| it.status);
        if before != Some(health.status) {
            let action = format!("health_status: {}", health.status.as_str());
            self.inner.tell(&self.record, action, &[]);
        }
        self.record.health = Some(health);
        self.publish();
    }

    fn begin_probing(&mut self) {
        self.end_probing();
        self.record.health = crate::health::initial(&self.record.config);
        if self.record.health.is_some() {
            self.publish();
            let probe = crate::health::probe(self.inner.clone(), self.handle.clone());
            self.probe = Some(tokio::spawn(probe).abort_handle());
        }
    }

    fn end_probing(&mut self) {
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
    }
}
