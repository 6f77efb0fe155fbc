//! The connection to the supervisor: calls, answers, notices; and a new supervisor when the old one has died.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cgroup::Hierarchy;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};

use super::attachment::StdinSlot;
use super::held::Table;
use super::keep::Keeping;
use super::locate::{locate, peer, program_of};
use super::{Found, PATIENCE, SupervisorConfig};
use crate::error::{Error, Result};
use crate::stdio::Role;
use crate::types::{Event, ProcessKey, ProcessState};
use crate::wire::{self, Call, Notice, PROTOCOL, Packet, Reply, Request};

type Answer = Result<(Reply, Vec<OwnedFd>)>;

/// What all clones of a client share. The lock is never held over an await.
#[derive(Debug)]
pub(super) struct Shared {
    config: SupervisorConfig,
    hierarchy: Arc<Hierarchy>,
    state: Mutex<State>,
    /// The connection that calls may use; `None` while a new supervisor takes over.
    link: watch::Sender<Option<Arc<Link>>>,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    keeping: Keeping,
    calls: HashMap<u64, oneshot::Sender<Answer>>,
    last_number: u64,
    /// Counts connections; the last one's number.
    epoch: u64,
    /// The last connection that is known to be dead.
    dead: u64,
    /// A task is bringing up another supervisor.
    replacing: bool,
    supervisor: i32,
    subscribers: Vec<mpsc::UnboundedSender<Event>>,
}

/// One connection.
#[derive(Debug)]
struct Link {
    socket: AsyncFd<OwnedFd>,
    /// Readable once the supervisor is dead, whoever else holds the other end.
    peer: AsyncFd<OwnedFd>,
    /// Where the supervisor is a child of this process, so that it can be reaped.
    child: Mutex<Option<Child>>,
    epoch: u64,
}

impl Shared {
    /// Connects for the first time; also tells whether the supervisor runs another program.
    pub(super) async fn connect(config: SupervisorConfig) -> Result<(Arc<Shared>, bool)> {
        let hierarchy = Hierarchy::detect()
            .map_err(|error| Error::System { step: "find the control groups", source: io::Error::other(error) })?;
        let shared = Arc::new(Shared {
            config,
            hierarchy: Arc::new(hierarchy),
            state: Mutex::new(State { replacing: true, ..State::default() }),
            link: watch::Sender::new(None),
        });
        let outdated = match shared.establish().await {
            // It had nothing to do and left while we knocked.
            Err(Error::Lost) => shared.establish().await?,
            other => other?,
        };
        let died_already = {
            let mut state = shared.lock();
            state.replacing = state.dead >= state.epoch;
            state.replacing
        };
        if died_already {
            tokio::spawn(replace(Arc::downgrade(&shared)));
        }
        Ok((shared, outdated))
    }

    /// Asks and waits for the answer; `patience` bounds the wait where nothing slow is asked for.
    pub(super) async fn call(&self, request: Request, fds: Vec<OwnedFd>, patience: Option<Duration>) -> Answer {
        let asking = async {
            let mut links = self.link.subscribe();
            let link = links.wait_for(Option::is_some).await;
            let link = link.ok().and_then(|link| link.clone()).ok_or(Error::Lost)?;
            let answer = self.call_on(&link, request, fds).await;
            if let Err(Error::Lost) = answer {
                self.withdraw(&link);
            }
            answer
        };
        match patience {
            None => asking.await,
            Some(patience) => {
                let seconds = patience.as_secs();
                let answer = tokio::time::timeout(patience, asking).await;
                answer.unwrap_or(Err(Error::TimedOut { seconds }))
            }
        }
    }

    pub(super) async fn close_stdin(&self, key: &ProcessKey) -> Result<()> {
        self.lock().table.close_stdin(key);
        let request = Request::CloseStdin { key: key.clone() };
        match self.call(request, Vec::new(), Some(PATIENCE)).await {
            // The next supervisor was not given what is closed here.
            Ok(_) | Err(Error::Lost) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until calls are let through.
    pub(super) async fn connected(&self) {
        // It fails only when nobody is left to ask.
        let _ = self.link.subscribe().wait_for(Option::is_some).await;
    }

    pub(super) fn subscribe(&self) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().subscribers.push(sender);
        receiver
    }

    pub(super) fn duplicate(&self, key: &ProcessKey, role: Role) -> Result<OwnedFd> {
        self.lock().table.duplicate(key, role)
    }

    pub(super) fn stdin(&self, key: &ProcessKey) -> Result<Arc<StdinSlot>> {
        self.lock().table.stdin(key)
    }

    pub(super) fn watch(&self, key: &ProcessKey) -> Result<watch::Receiver<ProcessState>> {
        self.lock().table.watch(key)
    }

    pub(super) fn found(&self) -> Vec<Found> {
        self.lock().table.found()
    }

    pub(super) fn cgroup_of(&self, key: &ProcessKey) -> Option<String> {
        self.lock().table.cgroup(key)
    }

    pub(super) fn hierarchy(&self) -> Arc<Hierarchy> {
        self.hierarchy.clone()
    }

    /// Looks at, or changes, what is held under a name.
    pub(super) fn keeping<T>(&self, with: impl FnOnce(&mut Keeping) -> T) -> T {
        with(&mut self.lock().keeping)
    }

    /// Number of the last connection.
    pub(super) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    pub(super) fn supervisor_pid(&self) -> i32 {
        self.lock().supervisor
    }

    pub(super) fn binary(&self) -> PathBuf {
        self.config.binary.clone()
    }

    /// Finds or starts a supervisor, learns what it holds, gives it what it does not, and only then lets calls through.
    async fn establish(self: &Arc<Self>) -> Result<bool> {
        let located = locate(&self.config).await?;
        let (pid, handle) = peer(&located.socket).map_err(system("look at the supervisor"))?;
        let (former, epoch) = {
            let mut state = self.lock();
            state.epoch += 1;
            (std::mem::replace(&mut state.supervisor, pid), state.epoch)
        };
        let unregistered = system("register the supervisor's socket");
        let link = Arc::new(Link {
            socket: register(located.socket, Interest::READABLE | Interest::WRITABLE).map_err(unregistered)?,
            peer: register(handle, Interest::READABLE).map_err(system("watch the supervisor"))?,
            child: Mutex::new(located.started),
            epoch,
        });
        tokio::spawn(listen(Arc::downgrade(self), link.clone()));
        let hello = Request::Hello { protocol: PROTOCOL };
        let (reply, _) = self.call_on(&link, hello, Vec::new()).await?;
        if former == pid {
            self.lock().table.forget_untold(epoch);
        }
        let untold = self.lock().table.untold(epoch);
        for (record, feeds, fds) in untold {
            let key = record.key.clone();
            let record = Box::new(record);
            let adopt = Request::Adopt { record, feeds };
            match self.call_on(&link, adopt, fds).await {
                Ok(_) => {}
                Err(Error::Lost) => return Err(Error::Lost),
                Err(error) => tracing::error!(%key, %error, "the new supervisor did not take a process over"),
            }
        }
        let untold = self.lock().keeping.untold(epoch);
        for (kept, fds) in untold {
            self.call_on(&link, Request::Keep(kept), fds).await?;
        }
        self.link.send_replace(Some(link));
        let current = program_of(&self.config).ok();
        Ok(match reply {
            Reply::Hello { program, .. } => current.is_some_and(|current| current != program),
            Reply::Done | Reply::Created { .. } => false,
        })
    }

    /// Lets no more calls through a connection that is dead, so that whoever asks again asks the next supervisor.
    fn withdraw(&self, link: &Link) {
        self.link.send_if_modified(|current| {
            let dead = current.as_ref().is_some_and(|current| current.epoch == link.epoch);
            if dead {
                *current = None;
            }
            dead
        });
    }

    async fn call_on(&self, link: &Link, request: Request, fds: Vec<OwnedFd>) -> Answer {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut state = self.lock();
            if state.epoch != link.epoch || state.dead >= link.epoch {
                return Err(Error::Lost);
            }
            state.last_number += 1;
            let number = state.last_number;
            state.calls.insert(number, sender);
            number
        };
        let sent = link.send(&Call { number, request }, fds).await;
        if let Err(error) = sent {
            self.lock().calls.remove(&number);
            return Err(error);
        }
        receiver.await.unwrap_or(Err(Error::Lost))
    }

    fn handle(&self, notice: Notice, fds: Vec<OwnedFd>, epoch: u64) {
        let mut state = self.lock();
        let event = match notice {
            Notice::Reply { number, outcome } => {
                if let Some(call) = state.calls.remove(&number) {
                    let answer = outcome
                        .map(|reply| (reply, fds))
                        .map_err(|failure| Error::Remote { kind: failure.kind, message: failure.message });
                    // Who asked may have stopped waiting.
                    let _ = call.send(answer);
                }
                None
            }
            Notice::Hold(record) => state.table.hold(*record, fds, epoch),
            Notice::HoldFeed { key, feed } => {
                if let Some(fd) = fds.into_iter().next() {
                    state.table.hold_feed(&key, feed, fd);
                }
                None
            }
            Notice::ReleaseFeed { key, id } => {
                state.table.release_feed(&key, id);
                None
            }
            Notice::Changed { key, state: new } => state.table.change(&key, new),
            Notice::StdinClosed { key } => {
                state.table.close_stdin(&key);
                None
            }
            Notice::Kept(kept) => {
                state.keeping.hold(kept, fds, epoch);
                None
            }
            Notice::Release { key } => {
                state.table.release(&key);
                None
            }
            Notice::OutOfMemory { container, kills } => {
                state.table.out_of_memory(&container, kills);
                Some(Event::OutOfMemory { container, kills })
            }
            Notice::LogDropped { container, bytes } => Some(Event::LogDropped { container, bytes }),
        };
        if let Some(event) = event {
            state.tell(&event);
        }
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, event: &Event) {
        self.subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }
}

impl Link {
    async fn send(&self, call: &Call, fds: Vec<OwnedFd>) -> Result<()> {
        let encode = system("encode a message");
        let packet = Packet::new(call, fds).map_err(encode)?;
        loop {
            let lost = |_: io::Error| Error::Lost;
            let mut ready = self.socket.writable().await.map_err(lost)?;
            match ready.try_io(|fd| Ok(packet.send(fd.as_fd())?)) {
                Err(_would_block) => {}
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                    return Err(system("send a message")(error));
                }
                Ok(Err(_)) => return Err(Error::Lost),
            }
        }
    }

    /// The next notice; `None` when the supervisor is gone and has nothing more to say.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(Notice, Vec<OwnedFd>)>> {
        let mut dead = false;
        loop {
            match wire::receive(self.socket.get_ref().as_fd(), buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && dead => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => return other,
            }
            tokio::select! {
                ready = self.socket.readable() => ready?.clear_ready(),
                ready = self.peer.readable() => {
                    ready?.retain_ready();
                    dead = true;
                }
            }
        }
    }
}

/// Takes what the supervisor says until it dies; then brings another one up, for as long as a client lives.
async fn listen(shared: Weak<Shared>, link: Arc<Link>) {
    let Some(mut clients) = shared.upgrade().map(|shared| shared.link.subscribe()) else {
        return;
    };
    let mut buffer = vec![0; wire::BUFFER];
    loop {
        let received = tokio::select! {
            received = link.receive(&mut buffer) => received,
            () = last_client_gone(&mut clients) => return,
        };
        match received {
            Ok(Some((notice, fds))) => match shared.upgrade() {
                Some(shared) => shared.handle(notice, fds, link.epoch),
                None => return,
            },
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "message of the supervisor");
                break;
            }
        }
    }
    let child = link.child.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut child) = child {
        // Reaps it, where it was started here; after a broken connection it may also live on.
        let _ = child.try_wait();
    }
    let Some(strong) = shared.upgrade() else {
        return;
    };
    let (calls, replace_it) = {
        let mut state = strong.lock();
        state.dead = state.dead.max(link.epoch);
        let current = state.epoch == link.epoch;
        let replace_it = current && !state.replacing;
        state.replacing |= replace_it;
        (std::mem::take(&mut state.calls), replace_it)
    };
    strong.withdraw(&link);
    drop(calls);
    if replace_it {
        tokio::spawn(replace(shared));
    }
}

/// Returns once nobody has a client any more.
async fn last_client_gone(clients: &mut watch::Receiver<Option<Arc<Link>>>) {
    while clients.changed().await.is_ok() {}
}

/// Starts another supervisor and hands everything over. Boxed, because it listens to a new connection, which may die too.
fn replace(shared: Weak<Shared>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut pause = Duration::from_millis(10);
        while let Some(shared) = shared.upgrade() {
            match shared.establish().await {
                Ok(_) => {
                    let mut state = shared.lock();
                    if state.dead < state.epoch {
                        state.replacing = false;
                        return state.tell(&Event::TakenOver);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "no supervisor");
                    let reason = error.to_string();
                    shared.lock().tell(&Event::Lost { reason });
                }
            }
            drop(shared);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    })
}

/// Has tokio tell when a descriptor is ready.
pub(super) fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        deprecated,
        reason = "an OwnedFd stays open and the same, which is all that the unsafe successor asks for"
    )]
    AsyncFd::with_interest(fd, interest)
}

fn system(step: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { step, source }
}
