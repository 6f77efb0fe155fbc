//! Making processes: each one prepares itself in its own time, many at once, and nothing waits for any of them.
//!
//! ```text
//!  daemon            supervisor                       new process
//!    │── Create ────────▶│── clone ─────────────────────▶│ namespaces, mounts, limits …
//!    │                   │◀─ ready or failed (socket) ───│ sleeps
//!    │◀─ Hold, Reply ────│
//!    │── Start ─────────▶│── go ────────────────────────▶│ execve
//!    │◀─ Changed, Reply ─│◀─ socket closed by execve ────│
//! ```
//! An exec is the same, with the start following at once.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use cgroup::Cgroup;
use jiff::Timestamp;
use runtime::state::StateView;
use runtime::{Enter, Exec, Group, Keyring, Launch, Progress, Root, StartBy};
use rustix::event::epoll::EventFlags;
use spec::runtime::{Linux, LinuxNamespaceType, PosixRlimitBuilder, PosixRlimitType, Process, Spec};

use super::child::{Child, Stage};
use super::poll::Token;
use super::request::{failed, no_such, refused};
use super::table::{Caller, Supervisor};
use crate::error::ErrorKind;
use crate::stdio::Stdio;
use crate::types::{Io, LogConfig, Namespace, ProcessKey, ProcessState, Streams};
use crate::wire::{CreateHead, ExecHead, Failure, Notice, Reply};

/// A process that prepares itself, and who waits for it.
pub(super) struct Preparation {
    /// Taken out while it is asked to go on.
    pending: Option<runtime::Pending>,
    pub(super) caller: Caller,
    observer: Option<OwnedFd>,
}

/// A process that was told to start, and what is answered when it has.
pub(super) struct Starting {
    created: Box<runtime::Created>,
    caller: Caller,
    reply: Reply,
    fds: Vec<OwnedFd>,
}

impl Supervisor {
    /// Begins a container; the answer comes when it is ready.
    pub(super) fn create(&mut self, caller: Caller, mut head: CreateHead, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let key = ProcessKey::container(&head.id);
        self.check_free(&key)?;
        let mut fds = fds.into_iter();
        let root = fds.next().ok_or_else(|| missing("root file system"))?;
        let netns = match head.netns {
            true => Some(fds.next().ok_or_else(|| missing("network namespace"))?),
            false => None,
        };
        let joined = take(&mut fds, head.joined.len()).ok_or_else(|| missing("namespaces"))?;
        let trees = take(&mut fds, head.trees.len()).ok_or_else(|| missing("trees"))?;
        join(&mut head.spec, &head.joined, &joined);
        if let Some(process) = head.spec.process_mut() {
            self.limit_descriptors(process);
        }
        let (stdio, ends, observer) = self.streams(head.io, &head.log, head.attach)?;
        let pending = runtime::launch::spawn(Launch {
            id: &head.id,
            spec: &head.spec,
            root: Root::Mount(root),
            bundle: Path::new("/"),
            netns: netns.as_ref().map(AsFd::as_fd),
            trees: head.trees.into_iter().zip(trees).collect(),
            stdio: child_stdio(head.io, ends),
            hierarchy: &self.hierarchy,
            cgroup: Some(Group::At(&head.cgroup)),
            preserve_fds: 0,
            start: StartBy::Creator,
            keyring: Keyring::New,
            enter: Enter::Pivot,
        })
        .map_err(|error| failed(&error))?;
        let mut child = Child::new(key, head.io, head.log, stdio, preparing(pending, caller, observer));
        self.groups.extend(group_above(&head.cgroup));
        child.cgroup = head.cgroup;
        self.insert_pending(child)
    }

    /// Begins a process in a running container; the answer comes when it runs.
    pub(super) fn exec(&mut self, caller: Caller, mut head: ExecHead) -> Result<(), Failure> {
        let key = ProcessKey::exec(&head.container, &head.exec);
        self.check_free(&key)?;
        self.limit_descriptors(&mut head.process);
        let (stdio, ends, observer) = self.streams(head.io, &LogConfig::None, head.attach)?;
        let not_running = || {
            let message = format!("container {} is not running", head.container);
            refused(ErrorKind::Conflict, message)
        };
        let id = self.keys.get(&ProcessKey::container(&head.container));
        let container = id.and_then(|id| self.children.get(id)).ok_or_else(not_running)?;
        let (Stage::Running { .. }, Some(init)) = (&container.stage, &container.pidfd) else {
            return Err(not_running());
        };
        let cgroup = Cgroup::open(&self.hierarchy, &container.cgroup)
            .map_err(|error| refused(ErrorKind::Internal, error.to_string()))?;
        // Of the configuration the filter is all that matters here.
        let mut linux = Linux::default();
        linux.set_seccomp(head.seccomp);
        let pending = runtime::exec::spawn(Exec {
            init: init.as_fd(),
            init_pid: container.pid,
            cgroup: Some(&cgroup),
            process: &head.process,
            linux: Some(&linux),
            state: StateView::new(&head.container, "running", container.pid, Path::new("/"), None),
            stdio: child_stdio(head.io, ends),
            preserve_fds: 0,
        })
        .map_err(|error| failed(&error))?;
        let stage = preparing(pending, caller, observer);
        let mut child = Child::new(key, head.io, LogConfig::None, stdio, stage);
        child.cgroup = container.cgroup.clone();
        self.insert_pending(child)
    }

    /// A process that prepares itself has something to say.
    pub(super) fn advance(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let Stage::Preparing(preparation) = &mut child.stage else {
            return self.hear_start(id);
        };
        let Some(pending) = preparation.pending.take() else {
            return;
        };
        let caller = preparation.caller;
        self.poll.remove(pending.as_fd());
        match pending.advance() {
            Ok(Progress::Waiting(pending)) => {
                let added = self.poll.add(&pending, Token::Pending(id), EventFlags::IN);
                preparation.pending = Some(pending);
                if let Err(error) = added {
                    let message = format!("poll a new process: {error}");
                    self.abandon(id, caller, refused(ErrorKind::Internal, message));
                }
            }
            Ok(Progress::Created(created)) => {
                let observer = preparation.observer.take();
                self.created(id, caller, observer, created);
            }
            Err(error) => self.abandon(id, caller, failed(&error)),
        }
    }

    /// Begins to execute a created container's program; the answer comes when it has.
    pub(super) fn start(&mut self, caller: Caller, key: &ProcessKey) -> Result<(), Failure> {
        let id = self.keys.get(key).copied().ok_or_else(|| no_such(key))?;
        self.begin_start(id, caller, Reply::Done, Vec::new())
    }

    fn begin_start(&mut self, id: u32, caller: Caller, reply: Reply, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let Some(child) = self.children.get_mut(&id) else {
            return Err(refused(ErrorKind::NotFound, "no such process"));
        };
        let key = &child.key;
        let created = match &mut child.stage {
            Stage::Created(Some(created)) => created,
            Stage::Created(None) => {
                let message = format!("{key} was created by a supervisor that died before its start");
                return Err(refused(ErrorKind::Conflict, message));
            }
            Stage::Preparing(_) => return Err(refused(ErrorKind::Conflict, format!("{key} is not created yet"))),
            Stage::Starting(_) | Stage::Running { .. } | Stage::Ending { .. } => {
                return Err(refused(ErrorKind::Conflict, format!("{key} is started already")));
            }
            Stage::Exited(_) => return Err(refused(ErrorKind::Conflict, format!("{key} has ended"))),
        };
        // First, so that a successor does not take for asleep what is about to run.
        let marked = child.stdio.mark_start();
        marked.map_err(|error| refused(ErrorKind::Internal, format!("record the start of {key}: {error}")))?;
        created.begin_start().map_err(|error| failed(&error))?;
        self.poll
            .add(created.as_fd(), Token::Pending(id), EventFlags::IN)
            .map_err(|error| refused(ErrorKind::Internal, format!("poll {key}: {error}")))?;
        if let Stage::Created(Some(created)) = std::mem::replace(&mut child.stage, Stage::Created(None)) {
            child.stage = Stage::Starting(Box::new(Starting { created, caller, reply, fds }));
        }
        Ok(())
    }

    /// A process that was told to start has executed its program, or has failed to.
    pub(super) fn hear_start(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let Stage::Starting(starting) = &child.stage else {
            return;
        };
        let outcome = match starting.created.started() {
            Ok(false) => return,
            Ok(true) => Ok(()),
            Err(error) => Err(failed(&error)),
        };
        self.poll.remove(starting.created.as_fd());
        let Stage::Starting(starting) = std::mem::replace(&mut child.stage, Stage::Created(None)) else {
            return;
        };
        let Starting { caller, reply, fds, .. } = *starting;
        let key = child.key.clone();
        match outcome {
            Ok(()) => {
                let (pid, since) = (child.pid, Timestamp::now());
                child.stage = Stage::Running { since };
                self.tell(&Notice::Changed { key, state: ProcessState::Running { pid, since } });
                self.answer(caller, Ok(reply), fds);
            }
            Err(failure) => {
                // The end of the process itself is told by its handle.
                if key.exec.is_some() {
                    self.forget_at_exit(id);
                }
                self.answer(caller, Err(failure), Vec::new());
            }
        }
    }

    /// It sleeps before its start: from now on its end is watched and daemons hold duplicates.
    fn created(&mut self, id: u32, caller: Caller, observer: Option<OwnedFd>, mut created: runtime::Created) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        child.pid = created.pid;
        let mut warnings = std::mem::take(&mut created.warnings);
        let outcome = (|| {
            if let Some(master) = created.pty.take() {
                child.stdio.set_terminal(master)?;
            }
            child.pidfd = Some(created.pidfd.try_clone()?);
            match created.cgroup.as_ref().map(Cgroup::oom_watch) {
                Some(Ok(watch)) => child.oom = watch,
                Some(Err(error)) => warnings.push(error.to_string()),
                None => {}
            }
            child.register(id, &self.poll)
        })();
        let key = child.key.clone();
        let is_exec = key.exec.is_some();
        child.stage = Stage::Created(Some(Box::new(created)));
        if let Err(error) = outcome {
            return self.abandon(id, caller, refused(ErrorKind::Internal, format!("hold {key}: {error}")));
        }
        self.tell_hold(id);
        let pid = self.children.get(&id).map_or(0, |child| child.pid);
        let reply = Reply::Created { pid, attached: observer.is_some(), warnings };
        let fds = observer.into_iter().collect();
        if !is_exec {
            return self.answer(caller, Ok(reply), fds);
        }
        if let Err(failure) = self.begin_start(id, caller, reply, fds) {
            self.forget_at_exit(id);
            self.answer(caller, Err(failure), Vec::new());
        }
    }

    /// Gives a process up that never came to its start.
    fn abandon(&mut self, id: u32, caller: Caller, failure: Failure) {
        self.discard(id);
        self.answer(caller, Err(failure), Vec::new());
    }

    /// Kills and forgets a process that was not told of yet.
    pub(super) fn discard(&mut self, id: u32) {
        let Some(mut child) = self.children.remove(&id) else {
            return;
        };
        child.unregister(&self.poll);
        if let Stage::Preparing(preparation) = &child.stage
            && let Some(pending) = &preparation.pending
        {
            self.poll.remove(pending.as_fd());
        }
        if let (Stage::Created(_), Some(pidfd)) = (&child.stage, &child.pidfd) {
            // It may be gone already.
            let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
        }
        self.keys.remove(&child.key);
    }

    fn check_free(&self, key: &ProcessKey) -> Result<(), Failure> {
        match self.keys.contains_key(key) {
            true => Err(refused(ErrorKind::Conflict, format!("{key} exists already"))),
            false => Ok(()),
        }
    }

    fn insert_pending(&mut self, child: Child) -> Result<(), Failure> {
        let id = self.next_id();
        if let Stage::Preparing(preparation) = &child.stage
            && let Some(pending) = &preparation.pending
        {
            self.poll
                .add(pending, Token::Pending(id), EventFlags::IN)
                .map_err(|error| refused(ErrorKind::Internal, format!("poll a new process: {error}")))?;
        }
        self.keys.insert(child.key.clone(), id);
        self.children.insert(id, child);
        Ok(())
    }

    /// Pipes, and the observer's end of an attachment that sees everything.
    #[allow(clippy::type_complexity)]
    fn streams(
        &mut self,
        io: Io,
        log: &LogConfig,
        attach: Option<Streams>,
    ) -> Result<(Stdio, Option<[OwnedFd; 3]>, Option<OwnedFd>), Failure> {
        let internal =
            |error: std::io::Error| refused(ErrorKind::Internal, format!("make the standard streams: {error}"));
        let (mut stdio, ends) = Stdio::new(io, log).map_err(internal)?;
        let feed = self.next_feed();
        let observer = attach.map(|streams| stdio.attach(feed, streams)).transpose();
        Ok((stdio, ends, observer.map_err(internal)?))
    }

    /// The supervisor's own limit is raised; its children get the one it was started with, unless they ask.
    fn limit_descriptors(&self, process: &mut Process) {
        let Some(soft) = self.seat.descriptor_limit else {
            return;
        };
        let mut limits = process.rlimits().clone().unwrap_or_default();
        if limits.iter().any(|l| l.typ() == PosixRlimitType::RlimitNofile) {
            return;
        }
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let limit =
            PosixRlimitBuilder::default().typ(PosixRlimitType::RlimitNofile).soft(soft.min(hard)).hard(hard).build();
        if let Ok(limit) = limit {
            limits.push(limit);
            process.set_rlimits(Some(limits));
        }
    }
}

/// The next so many descriptors, if there are.
fn take(fds: &mut impl Iterator<Item = OwnedFd>, count: usize) -> Option<Vec<OwnedFd>> {
    let taken: Vec<OwnedFd> = fds.take(count).collect();
    (taken.len() == count).then_some(taken)
}

/// Puts descriptors of this process into the specification as the paths of namespaces, which it opens itself.
fn join(spec: &mut Spec, kinds: &[Namespace], fds: &[OwnedFd]) {
    let Some(list) = spec.linux_mut().as_mut().and_then(|linux| linux.namespaces_mut().as_mut()) else {
        return;
    };
    for (kind, fd) in kinds.iter().zip(fds) {
        let kind = match kind {
            Namespace::Ipc => LinuxNamespaceType::Ipc,
            Namespace::Uts => LinuxNamespaceType::Uts,
        };
        for namespace in list.iter_mut().filter(|it| it.typ() == kind) {
            namespace.set_path(Some(format!("/proc/self/fd/{}", fd.as_raw_fd()).into()));
        }
    }
}

fn preparing(pending: runtime::Pending, caller: Caller, observer: Option<OwnedFd>) -> Stage {
    Stage::Preparing(Box::new(Preparation { pending: Some(pending), caller, observer }))
}

fn child_stdio(io: Io, ends: Option<[OwnedFd; 3]>) -> runtime::Stdio {
    match (io, ends) {
        (Io::Pipes { .. }, Some(ends)) => runtime::Stdio::Fds(ends),
        (Io::Terminal { size }, _) => runtime::Stdio::Terminal { size: size.map(|size| (size.rows, size.columns)) },
        (Io::Pipes { .. }, None) => runtime::Stdio::Inherit,
    }
}

fn missing(what: &str) -> Failure {
    refused(ErrorKind::Invalid, format!("the request came without its {what}"))
}

/// The control group that a container's own is made in.
pub(super) fn group_above(cgroup: &str) -> Option<String> {
    let (above, _) = cgroup.rsplit_once('/')?;
    (!above.is_empty()).then(|| above.to_owned())
}
