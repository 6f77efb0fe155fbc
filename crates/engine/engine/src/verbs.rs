//! Start, stop, kill, pause and their kin: each asks the container's task and, where needed, watches for the end.

use std::sync::Arc;
use std::time::Duration;

use supervisor::{ProcessKey, WindowSize};

use crate::containers::{Handle, no_such};
use crate::error::{Error, Kind, Result};
use crate::keeper::{Command, Why};
use crate::lifecycle::{Hold, State};
use crate::model::view::{RemoveOptions, Status, StopOptions, WaitCondition};
use crate::signals;
use crate::{Engine, names};

/// How long a killed process may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(10);

impl Engine {
    /// Not modified when it runs already.
    pub async fn start(&self, container: &str) -> Result<()> {
        self.inner.containers.find(container)?.ask(Command::Start).await
    }

    /// Not modified when it does not run.
    pub async fn stop(&self, container: &str, options: StopOptions) -> Result<()> {
        let handle = self.inner.containers.find(container)?;
        let record = handle.record();
        if !record.state.is_live() && !matches!(record.state, State::Restarting(_)) {
            return Err(Error::new(Kind::NotModified, "container is already stopped"));
        }
        self.end(&handle, options, Why::Stop)
            .await
            .map_err(|error| error.prefixed(&format!("cannot stop container: {container}: ")))?;
        self.inner.tell(&handle.record(), "stop", &[]);
        Ok(())
    }

    pub async fn restart(&self, container: &str, options: StopOptions) -> Result<()> {
        let handle = self.inner.containers.find(container)?;
        let live = handle.record().state.is_live();
        if live || matches!(handle.record().state, State::Restarting(_)) {
            self.end(&handle, options, Why::Restart)
                .await
                .map_err(|error| error.prefixed(&format!("Cannot restart container {container}: ")))?;
        }
        handle
            .ask(Command::Start)
            .await
            .map_err(|error| error.prefixed(&format!("Cannot restart container {container}: ")))?;
        self.inner.tell(&handle.record(), "restart", &[]);
        Ok(())
    }

    /// `signal` is a name with or without SIG, or a number; empty means KILL.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<()> {
        let signal = if signal.is_empty() { signals::KILL } else { signals::parse(signal)? };
        let handle = self.inner.containers.find(container)?;
        let cannot = |error: Error| error.prefixed(&format!("cannot kill container: {container}: "));
        let mut record = handle.record();
        if !record.state.is_live() {
            handle.ask(Command::Settle).await.map_err(cannot)?;
            record = handle.record();
        }
        let stops = match record.config.stop_signal.as_str() {
            "" => true,
            own => signal == signals::KILL || signals::parse(own).is_ok_and(|own| own == signal),
        };
        if matches!(record.state, State::Restarting(_)) && stops {
            return handle.ask(|reply| Command::Forsake { why: Why::Stop, reply }).await.map_err(cannot);
        }
        if !record.state.is_live() {
            return Err(cannot(Error::conflict(format!("container {} is not running", record.id))));
        }
        if stops {
            handle.ask(|reply| Command::Forsake { why: Why::Stop, reply }).await.map_err(cannot)?;
        }
        self.signal(&handle, signal).await.map_err(cannot)?;
        self.inner.tell(&record, "kill", &[("signal", signal.to_string())]);
        if signal == signals::KILL && !self.ended_within(&handle, AFTER_KILL).await {
            return Err(cannot(Error::internal("tried to kill container, but did not receive an exit event")));
        }
        Ok(())
    }

    pub async fn pause(&self, container: &str) -> Result<()> {
        self.inner.containers.find(container)?.ask(|reply| Command::Pause(Hold::User, reply)).await
    }

    pub async fn unpause(&self, container: &str) -> Result<()> {
        self.inner.containers.find(container)?.ask(Command::Unpause).await
    }

    pub async fn rename(&self, container: &str, name: &str) -> Result<()> {
        let name = name.strip_prefix('/').unwrap_or(name);
        if container.is_empty() || name.is_empty() {
            return Err(Error::invalid("Neither old nor new names may be empty"));
        }
        let handle = self.inner.containers.find(container)?;
        if handle.record().name == name {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        names::check(name).map_err(|error| error.prefixed("Error when allocating new name: "))?;
        let name = name.to_owned();
        handle
            .ask(|reply| Command::Rename { name, reply })
            .await
            .map_err(|error| error.prefixed("Error when allocating new name: "))
    }

    pub async fn remove(&self, container: &str, options: RemoveOptions) -> Result<()> {
        let handle = self.inner.containers.find(container)?;
        if options.link {
            return Err(Error::conflict("Conflict, cannot remove the default link name of the container"));
        }
        if options.force {
            self.kill_for_removal(&handle).await.map_err(|error| {
                error.prefixed(&format!("cannot remove container \"{container}\": could not kill container: "))
            })?;
        }
        let auto_remove = handle.record().host.auto_remove;
        match handle.ask(|reply| Command::Remove { options, reply }).await {
            // Its own removal was faster: that is what was asked for.
            Err(error) if error.kind() == Kind::NotFound && (auto_remove || options.force) => Ok(()),
            outcome => outcome,
        }
    }

    pub async fn resize(&self, container: &str, height: u16, width: u16) -> Result<()> {
        let handle = self.inner.containers.find(container)?;
        let record = handle.record();
        if !record.state.is_live() {
            return Err(Error::conflict(format!("container {} is not running", record.id)));
        }
        let key = ProcessKey::container(record.id.clone());
        self.inner.supervisor.resize(&key, WindowSize { rows: height, columns: width }).await?;
        let more = [("height", height.to_string()), ("width", width.to_string())];
        self.inner.tell(&record, "resize", &more);
        Ok(())
    }

    /// Ends what runs: the stop signal, then, when the time is over, KILL. Returns when it has ended.
    pub(crate) async fn end(&self, handle: &Arc<Handle>, options: StopOptions, why: Why) -> Result<()> {
        handle.ask(|reply| Command::Forsake { why, reply }).await?;
        let record = handle.record();
        if !record.state.is_live() {
            return Ok(());
        }
        let signal = match options.signal.as_deref() {
            Some(signal) if !signal.is_empty() => signals::parse(signal)?,
            _ => match record.config.stop_signal.as_str() {
                "" => signals::TERM,
                own => signals::parse(own)?,
            },
        };
        self.signal(handle, signal).await?;
        self.inner.tell(&record, "kill", &[("signal", signal.to_string())]);
        let timeout = options.timeout.unwrap_or_else(|| record.stop_timeout());
        match u64::try_from(timeout) {
            Ok(seconds) => {
                if self.ended_within(handle, Duration::from_secs(seconds)).await {
                    return Ok(());
                }
            }
            Err(_) => {
                self.ended(handle).await;
                return Ok(());
            }
        }
        self.signal(handle, signals::KILL).await?;
        self.inner.tell(&record, "kill", &[("signal", signals::KILL.to_string())]);
        if self.ended_within(handle, AFTER_KILL).await {
            return Ok(());
        }
        Err(Error::internal("tried to kill container, but did not receive an exit event"))
    }

    async fn kill_for_removal(&self, handle: &Arc<Handle>) -> Result<()> {
        let record = handle.record();
        if !record.state.is_live() && !matches!(record.state, State::Restarting(_)) {
            return Ok(());
        }
        match handle.ask(|reply| Command::Forsake { why: Why::Stop, reply }).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            outcome => outcome?,
        }
        if !handle.record().state.is_live() {
            return Ok(());
        }
        self.signal(handle, signals::KILL).await?;
        self.inner.tell(&record, "kill", &[("signal", signals::KILL.to_string())]);
        if self.ended_within(handle, AFTER_KILL).await {
            return Ok(());
        }
        Err(Error::internal("tried to kill container, but did not receive an exit event"))
    }

    /// Sends a signal; a paused container is let go for those that end it.
    async fn signal(&self, handle: &Arc<Handle>, signal: i32) -> Result<()> {
        let key = ProcessKey::container(handle.id.clone());
        let sent = self.inner.supervisor.kill(&key, signal).await;
        if let Err(error) = sent {
            // It ended on its own meanwhile.
            if !handle.record().state.is_live() || self.has_exited(&key) {
                return Ok(());
            }
            return Err(error.into());
        }
        if handle.record().state.status() == Status::Paused {
            match handle.ask(Command::Unpause).await {
                Err(error) if error.kind() != Kind::Conflict && error.kind() != Kind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn has_exited(&self, key: &ProcessKey) -> bool {
        !matches!(
            self.inner.supervisor.state(key),
            Some(supervisor::ProcessState::Running { .. } | supervisor::ProcessState::Created { .. })
        )
    }

    async fn ended_within(&self, handle: &Arc<Handle>, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.ended(handle)).await.is_ok()
    }

    async fn ended(&self, handle: &Arc<Handle>) {
        let mut live = handle.live.clone();
        // An error means that the container's task is gone: it has ended, too.
        let _ = live.wait_for(|it| it.removed || !it.record.state.is_live()).await;
    }
}

/// How waiting for containers is answered.
mod waiting {
    use super::{Arc, Engine, Handle, Result, State, WaitCondition, no_such};
    use crate::model::view::WaitResult;

    impl Engine {
        /// Resolves the container before it returns (an unknown one fails at once); await the result for the exit.
        pub async fn wait(&self, container: &str, condition: WaitCondition) -> Result<WaitResult> {
            Ok(self.begin_wait(container, condition).await?.await)
        }

        /// Like [`Engine::wait`] in two steps: when this returns, the waiting has begun, and no exit can be missed.
        pub async fn begin_wait(
            &self,
            container: &str,
            condition: WaitCondition,
        ) -> Result<impl Future<Output = WaitResult> + Send + 'static + use<>> {
            let handle = self.inner.containers.find(container)?;
            let exits = handle.live.borrow().exits;
            Ok(until(handle, condition, exits))
        }
    }

    async fn until(handle: Arc<Handle>, condition: WaitCondition, exits: u64) -> WaitResult {
        let mut live = handle.live.clone();
        let reached = live.wait_for(|it| {
            let idle = !it.record.state.is_live() && !matches!(it.record.state, State::Restarting(_));
            match condition {
                WaitCondition::NotRunning => it.removed || idle,
                WaitCondition::NextExit => it.removed || it.exits > exits,
                WaitCondition::Removed => it.removed || matches!(it.record.state, State::Dead(_)),
            }
        });
        let last = match reached.await {
            Ok(last) => last.clone(),
            Err(_) => {
                let error = Some(no_such(&handle.id).message().to_owned());
                return WaitResult { exit_code: -1, error };
            }
        };
        let ended = last.record.state.ended();
        // Why a start failed is told to who started; only a removal that failed is told here.
        let failed = matches!(last.record.state, State::Dead(_));
        let error = failed.then(|| ended.error.clone());
        WaitResult { exit_code: ended.code, error }
    }
}
