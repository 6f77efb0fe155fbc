//! The daemon's side: finds or starts the supervisor, holds duplicates, asks and listens.

mod attachment;
mod held;
mod keep;
mod link;
mod locate;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cgroup::{Cgroup, Freezer, Limits, Stats, Warning};
use spec::runtime::{LinuxSeccomp, Process, Spec};
use tokio::sync::mpsc;

pub use self::attachment::{Attachment, AttachmentInput};
use self::link::Shared;
use crate::error::{Error, Result};
use crate::stdio::Role;
use crate::types::{Event, Exit, Io, LogConfig, Namespace, ProcessKey, ProcessState, Streams, WindowSize};
use crate::wire::{CreateHead, ExecHead, Reply, Request};

/// How long an answer may take that depends on no container.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the supervisor lives and how to start one.
#[derive(Clone, Debug)]
pub struct SupervisorConfig {
    /// Folder of its socket, lock and log; exists. One supervisor per folder.
    pub exec_root: PathBuf,
    /// The `sampan` binary.
    pub binary: PathBuf,
}

/// A container to make. Its process sleeps until [`Client::start`].
#[derive(Debug)]
pub struct CreateRequest {
    pub id: String,
    pub spec: Spec,
    /// Detached mount of the root file system.
    pub root: OwnedFd,
    /// Network namespace to join; `None`: as the specification says.
    pub netns: Option<OwnedFd>,
    /// Further namespaces to join; the specification lists their kinds.
    pub joined: Vec<(Namespace, OwnedFd)>,
    /// Detached trees by the sources of the binds that they are for.
    pub trees: Vec<(PathBuf, OwnedFd)>,
    /// Path of its control group beneath the mounts, such as `/sampan/<instance>/<id>`.
    pub cgroup: String,
    pub io: Io,
    pub log: LogConfig,
    /// An attachment that sees everything from the first byte on.
    pub attach: Option<Streams>,
}

/// A process to execute in a running container; it starts at once.
#[derive(Debug)]
pub struct ExecRequest {
    pub container: String,
    pub exec: String,
    pub process: Process,
    /// The container's filter, which this process gets too.
    pub seccomp: Option<LinuxSeccomp>,
    pub io: Io,
    /// An attachment that sees everything from the first byte on.
    pub attach: Option<Streams>,
}

/// A process that was made.
#[derive(Debug)]
pub struct Created {
    pub pid: i32,
    /// As asked for in the request.
    pub attachment: Option<Attachment>,
    /// What could not be done exactly as asked and was not worth a failure.
    pub warnings: Vec<String>,
}

/// A process the supervisor held when the client connected.
#[derive(Clone, Debug)]
pub struct Found {
    pub key: ProcessKey,
    pub state: ProcessState,
    pub cgroup: String,
    pub io: Io,
    pub log: LogConfig,
}

/// Cloneable handle to the supervisor. All clones share one connection and one table of held descriptors.
///
/// Should the supervisor die, the connection's task starts another one and hands it everything; calls meanwhile wait
/// for that, those that were under way fail with [`Error::Lost`].
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

/// Events from the moment of the call on; none is lost.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::UnboundedReceiver<Event>,
}

impl EventStream {
    /// The next event; `None` when the client is gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

impl Client {
    /// Connects to the supervisor of `config.exec_root`, or starts one where none lives; tells what it holds.
    /// Exits that happened meanwhile are among them, until they are deleted. A supervisor that runs another program than
    /// `config.binary` is upgraded.
    pub async fn connect_or_spawn(config: SupervisorConfig) -> Result<(Client, Vec<Found>)> {
        let (shared, outdated) = Shared::connect(config).await?;
        let client = Client { shared };
        if outdated && let Err(error) = client.upgrade().await {
            tracing::warn!(%error, "the supervisor runs another version and could not be upgraded");
        }
        if let Err(error) = client.share_mounts().await {
            tracing::warn!(%error, "the supervisor does not see the mounts of this process");
        }
        let found = client.shared.found();
        Ok((client, found))
    }

    /// Makes a container; its process sleeps before exec.
    pub async fn create(&self, request: CreateRequest) -> Result<Created> {
        let key = ProcessKey::container(&request.id);
        let attach = request.attach;
        let (joined, namespaces): (Vec<_>, Vec<_>) = request.joined.into_iter().unzip();
        let (sources, trees): (Vec<_>, Vec<_>) = request.trees.into_iter().unzip();
        let head = CreateHead {
            id: request.id,
            spec: request.spec,
            netns: request.netns.is_some(),
            joined,
            trees: sources,
            cgroup: request.cgroup,
            io: request.io,
            log: request.log,
            attach,
        };
        let fds = std::iter::once(request.root).chain(request.netns).chain(namespaces).chain(trees).collect();
        let group = head.cgroup.clone();
        let made = self.make(&key, Request::Create(Box::new(head)), fds, attach).await;
        if let Err(Error::Lost) = made {
            self.undo(&key, Some(group)).await;
        }
        made
    }

    /// Executes a created container's program. An error tells that this failed; the process has then ended.
    pub async fn start(&self, container: &str) -> Result<()> {
        let key = ProcessKey::container(container);
        let container = container.to_owned();
        match self.shared.call(Request::Start { container }, Vec::new(), None).await {
            // It may have been told to start all the same; the next supervisor knows.
            Err(Error::Lost) => match self.state_after_take_over(&key).await {
                Some(ProcessState::Running { .. }) => Ok(()),
                _ => Err(Error::Lost),
            },
            other => other.map(drop),
        }
    }

    /// Executes a further process in a running container.
    pub async fn exec(&self, request: ExecRequest) -> Result<Created> {
        let key = ProcessKey::exec(&request.container, &request.exec);
        let attach = request.attach;
        let head = ExecHead {
            container: request.container,
            exec: request.exec,
            process: request.process,
            seccomp: request.seccomp,
            io: request.io,
            attach,
        };
        let made = self.make(&key, Request::Exec(Box::new(head)), Vec::new(), attach).await;
        if let Err(Error::Lost) = made {
            self.undo(&key, None).await;
        }
        made
    }

    /// Sends a signal to one process.
    pub async fn kill(&self, key: &ProcessKey, signal: i32) -> Result<()> {
        let pidfd = self.shared.duplicate(key, Role::Pidfd)?;
        sys::pidfd::send_signal(&pidfd, signal).map_err(|source| Error::Held {
            step: "send a signal",
            key: key.clone(),
            source,
        })
    }

    /// Sets the size of a process's terminal.
    pub async fn resize(&self, key: &ProcessKey, size: WindowSize) -> Result<()> {
        let master = self.shared.duplicate(key, Role::Terminal)?;
        let size = rustix::termios::Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(master.as_fd(), size).map_err(|error| Error::Held {
            step: "set the size of the terminal",
            key: key.clone(),
            source: error.into(),
        })
    }

    /// Freezes every process of a container.
    pub async fn pause(&self, container: &str) -> Result<()> {
        self.with_cgroup(container, |group| group.freeze()).await
    }

    /// Thaws them.
    pub async fn resume(&self, container: &str) -> Result<()> {
        self.with_cgroup(container, |group| group.thaw()).await
    }

    /// Whether they are frozen, or about to be.
    pub async fn is_paused(&self, container: &str) -> Result<bool> {
        self.with_cgroup(container, |group| group.freezer()).await.map(|freezer| freezer != Freezer::Thawed)
    }

    /// Changes a container's limits.
    pub async fn update(&self, container: &str, limits: Limits) -> Result<Vec<Warning>> {
        self.with_cgroup(container, move |group| group.apply(&limits)).await
    }

    /// What a container uses.
    pub async fn stats(&self, container: &str) -> Result<Stats> {
        self.with_cgroup(container, |group| group.stats()).await
    }

    /// Host process ids of everything in a container.
    pub async fn pids(&self, container: &str) -> Result<Vec<i32>> {
        self.with_cgroup(container, |group| group.pids()).await
    }

    /// Has descriptors held under a name, here and by the supervisor, until [`Client::let_go`]: they outlive either.
    pub async fn keep(&self, name: &str, what: Vec<(String, OwnedFd)>) -> Result<()> {
        self.shared.keep(name, what).await
    }

    /// Duplicates of what is held under a name; `None` where nothing is.
    pub fn kept(&self, name: &str) -> Option<Vec<(String, OwnedFd)>> {
        self.shared.kept(name)
    }

    /// Names under which something is held.
    pub fn kept_names(&self) -> Vec<String> {
        self.shared.kept_names()
    }

    /// Lets go of what is held under a name; nothing happens where nothing is.
    pub async fn let_go(&self, name: &str) -> Result<()> {
        self.shared.let_go(name).await
    }

    /// Begins a new log file at its path, after somebody has moved the old one.
    pub async fn reopen_log(&self, container: &str) -> Result<()> {
        let container = container.to_owned();
        self.shared.call(Request::ReopenLog { container }, Vec::new(), Some(PATIENCE)).await?;
        Ok(())
    }

    /// Observes a process from now on (a created one: from its first byte on).
    pub async fn attach(&self, key: &ProcessKey, streams: Streams) -> Result<Attachment> {
        let request = Request::Attach { key: key.clone(), streams };
        let (_, fds) = self.shared.call(request, Vec::new(), Some(PATIENCE)).await?;
        Attachment::new(&self.shared, key, streams, fds)
    }

    /// Ends a process's standard input for good, whoever else writes to it.
    pub async fn close_stdin(&self, key: &ProcessKey) -> Result<()> {
        self.shared.close_stdin(key).await
    }

    /// Waits for the end of a process; at once where it has ended.
    pub async fn wait(&self, key: &ProcessKey) -> Result<Exit> {
        let mut state = self.shared.watch(key)?;
        loop {
            if let ProcessState::Exited(exit) = *state.borrow_and_update() {
                return Ok(exit);
            }
            if state.changed().await.is_err() {
                return match *state.borrow() {
                    ProcessState::Exited(exit) => Ok(exit),
                    _ => Err(Error::NoSuchProcess(key.clone())),
                };
            }
        }
    }

    /// What state a process is in, from the client's own table.
    pub fn state(&self, key: &ProcessKey) -> Option<ProcessState> {
        let state = self.shared.watch(key).ok()?;
        let now = *state.borrow();
        Some(now)
    }

    /// Forgets an ended or created process and removes its control group; acknowledges its exit. A created one is killed.
    /// Attachments still get what is left for them. A container's execs go with it.
    pub async fn delete(&self, key: &ProcessKey) -> Result<()> {
        let ended = matches!(self.state(key), Some(ProcessState::Exited(_)));
        let group = self.shared.cgroup_of(key);
        if ended && key.exec.is_none() {
            // First, so that a daemon that dies in between finds the container and comes here again.
            self.remove_cgroup(key, group.clone()).await?;
        }
        let deleted = self.acknowledge(key).await;
        let deleted = match deleted {
            // It may or may not have been done; the next supervisor holds what was not.
            Err(Error::Lost) => self.acknowledge(key).await.or_else(Error::unless_gone),
            other => other,
        };
        deleted?;
        if !ended && key.exec.is_none() {
            self.remove_cgroup(key, group).await?;
        }
        Ok(())
    }

    /// Events from now on.
    pub fn events(&self) -> EventStream {
        EventStream { receiver: self.shared.subscribe() }
    }

    /// Has a supervisor that another mount namespace's daemon had started go on in this one's: paths shall mean the same to both.
    async fn share_mounts(&self) -> Result<()> {
        let namespace = |process: &str| std::fs::File::open(format!("/proc/{process}/ns/mnt"));
        let unknown = |source| Error::System { step: "look at the mount namespaces of daemon and supervisor", source };
        let own = namespace("thread-self").map_err(unknown)?;
        let theirs = namespace(&self.supervisor_pid().to_string()).map_err(unknown)?;
        let [ours, theirs] = [&own, &theirs].map(|file| rustix::fs::fstat(file).map(|stat| (stat.st_dev, stat.st_ino)));
        if ours.map_err(|errno| unknown(errno.into()))? != theirs.map_err(|errno| unknown(errno.into()))? {
            self.shared.call(Request::Enter, vec![own.into()], Some(PATIENCE)).await?;
        }
        Ok(())
    }

    /// Process id of the supervisor.
    pub fn supervisor_pid(&self) -> i32 {
        self.shared.supervisor_pid()
    }

    /// Has the supervisor execute the configured binary over itself, with every descriptor kept.
    pub async fn upgrade(&self) -> Result<()> {
        let binary = self.shared.binary();
        self.shared.call(Request::Upgrade { binary }, Vec::new(), Some(PATIENCE)).await?;
        Ok(())
    }

    async fn make(
        &self,
        key: &ProcessKey,
        request: Request,
        fds: Vec<OwnedFd>,
        attach: Option<Streams>,
    ) -> Result<Created> {
        let (reply, fds) = self.shared.call(request, fds, None).await?;
        let Reply::Created { pid, warnings, .. } = reply else {
            return Err(Error::Lost);
        };
        let attachment = attach.map(|streams| Attachment::new(&self.shared, key, streams, fds)).transpose()?;
        Ok(Created { pid, attachment, warnings })
    }

    async fn acknowledge(&self, key: &ProcessKey) -> Result<()> {
        let request = Request::Delete { key: key.clone() };
        self.shared.call(request, Vec::new(), Some(PATIENCE)).await?;
        Ok(())
    }

    /// Removes what may be left of a process whose making was lost with its supervisor.
    async fn undo(&self, key: &ProcessKey, group: Option<String>) {
        let state = self.state_after_take_over(key).await;
        let undone = match (state, group) {
            (None, group) => self.remove_cgroup(key, group).await,
            (Some(_), _) => {
                // ESRCH and the like: it has ended by itself.
                let _ = self.kill(key, 9).await;
                match self.wait(key).await {
                    Ok(_) => self.delete(key).await,
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = undone {
            tracing::warn!(%key, %error, "something is left of a process that was not made");
        }
    }

    async fn state_after_take_over(&self, key: &ProcessKey) -> Option<ProcessState> {
        self.shared.connected().await;
        self.state(key)
    }

    async fn with_cgroup<T: Send + 'static>(
        &self,
        container: &str,
        what: impl FnOnce(Cgroup) -> cgroup::Result<T> + Send + 'static,
    ) -> Result<T> {
        let key = ProcessKey::container(container);
        let path = self.shared.cgroup_of(&key).ok_or_else(|| Error::NoSuchProcess(key.clone()))?;
        let hierarchy = self.shared.hierarchy();
        let done = tokio::task::spawn_blocking(move || what(Cgroup::open(&hierarchy, &path)?)).await;
        match done {
            Ok(outcome) => outcome.map_err(|source| Error::Cgroup { key, source }),
            Err(_) => Err(Error::Lost),
        }
    }

    async fn remove_cgroup(&self, key: &ProcessKey, path: Option<String>) -> Result<()> {
        let Some(path) = path else {
            return Ok(());
        };
        let hierarchy = self.shared.hierarchy();
        let done = tokio::task::spawn_blocking(move || {
            let group = match Cgroup::open(&hierarchy, &path) {
                Err(cgroup::Error::NotFound(_)) => return Ok(()),
                other => other?,
            };
            // Processes that outlived the first one, in a process namespace that is not the container's own.
            group.kill_all()?;
            group.delete()
        });
        match done.await {
            Ok(outcome) => outcome.map_err(|source| Error::Cgroup { key: key.clone(), source }),
            Err(_) => Err(Error::Lost),
        }
    }
}

#[cfg(test)]
mod tests;
