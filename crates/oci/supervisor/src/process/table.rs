//! The supervisor's state and its loop.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use cgroup::Hierarchy;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::child::Child;
use super::connection::{Connection, Sent};
use super::poll::{Poll, Token};
use super::setup::system;
use crate::error::{Error, Result};
use crate::types::ProcessKey;
use crate::wire::{self, Call, Kept, Notice, Packet, ProgramId};

/// When to accept connections again after that failed.
const ACCEPT: Duration = Duration::from_secs(1);
/// How long it stays with neither a process nor a daemon.
const IDLE: Duration = Duration::from_secs(5);

/// What makes this process the one supervisor of its exec-root.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) lock: File,
    pub(super) listener: OwnedFd,
    /// Soft limit of open files before it was raised.
    pub(super) descriptor_limit: Option<u64>,
}

/// Everything the process holds.
pub(super) struct Supervisor {
    pub(super) seat: Seat,
    pub(super) poll: Poll,
    pub(super) hierarchy: Hierarchy,
    pub(super) program: ProgramId,
    pub(super) children: HashMap<u32, Child>,
    pub(super) keys: HashMap<ProcessKey, u32>,
    pub(super) connections: HashMap<u32, Connection>,
    pub(super) timers: Vec<(Instant, Timer)>,
    pub(super) upgrade: Option<super::reexec::Upgrade>,
    pub(super) scratch: Vec<u8>,
    /// Descriptors that are held under a name.
    pub(super) kept: HashMap<String, (Kept, Vec<OwnedFd>)>,
    /// Control groups that those of containers were made in.
    pub(super) groups: BTreeSet<String>,
    /// It has nothing left to do.
    over: bool,
    /// Ids of children and connections are never used twice.
    last_id: u32,
    /// Ids of attachments are unique across successors.
    last_feed: u64,
    buffer: Vec<u8>,
}

/// What is looked at again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The process has ended, but somebody still holds its output open.
    Drain(u32),
    /// The process has ended, but its exit code cannot be had yet.
    Reap(u32),
    /// Output cannot be taken now: the terminal has hung up although the process lives, or memory is short.
    Output(u32),
    /// No connection could be accepted.
    Accept,
    /// There is nothing to do and nobody to do it for.
    Idle,
}

/// Who gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) connection: u32,
    pub(super) number: u64,
}

impl Supervisor {
    pub(super) fn new(seat: Seat) -> Result<Supervisor> {
        let poll = Poll::new().map_err(system("make the epoll"))?;
        poll.add(&seat.listener, Token::Listener, EventFlags::IN).map_err(system("poll the socket"))?;
        let hierarchy = Hierarchy::detect()
            .map_err(|error| Error::System { step: "find the control groups", source: std::io::Error::other(error) })?;
        let now = jiff::Timestamp::now().as_nanosecond();
        Ok(Supervisor {
            seat,
            poll,
            hierarchy,
            program: program()?,
            children: HashMap::new(),
            keys: HashMap::new(),
            connections: HashMap::new(),
            timers: Vec::new(),
            upgrade: None,
            scratch: vec![0; 64 << 10],
            kept: HashMap::new(),
            groups: BTreeSet::new(),
            over: false,
            last_id: 0,
            last_feed: u64::try_from(now).unwrap_or(0),
            buffer: vec![0; wire::BUFFER],
        })
    }

    /// Serves until nobody needs it any more, or the epoll itself fails.
    pub(super) fn run(&mut self) -> Result<()> {
        let mut ready = Vec::new();
        // Whoever started it may have gone at once.
        self.after(IDLE, Timer::Idle);
        while !self.over {
            let patience = self.patience();
            self.poll.wait(&mut ready, patience).map_err(system("wait for events"))?;
            for (token, flags) in ready.drain(..) {
                self.dispatch(token, flags);
            }
            self.fire_timers();
            self.upgrade_when_calm();
        }
        for group in &self.groups {
            self.hierarchy.prune(group);
        }
        Ok(())
    }

    /// Neither a process nor a daemon is left.
    fn is_idle(&self) -> bool {
        self.children.is_empty() && self.connections.is_empty() && self.kept.is_empty()
    }

    /// Ends after a while if nothing comes any more.
    pub(super) fn rest(&mut self) {
        if self.is_idle() {
            self.after(IDLE, Timer::Idle);
        }
    }

    pub(super) fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    pub(super) fn next_feed(&mut self) -> u64 {
        self.last_feed += 1;
        self.last_feed
    }

    /// An attachment of a predecessor: later ones are numbered after it.
    pub(super) fn seen_feed(&mut self, feed: u64) {
        self.last_feed = self.last_feed.max(feed);
    }

    /// The child of a key.
    pub(super) fn find(&mut self, key: &ProcessKey) -> Option<&mut Child> {
        self.children.get_mut(self.keys.get(key)?)
    }

    /// Has a timer fire once; one that is set already stays as it is.
    pub(super) fn after(&mut self, delay: Duration, timer: Timer) {
        if self.timers.iter().any(|(_, set)| *set == timer) {
            return;
        }
        self.timers.push((Instant::now() + delay, timer));
    }

    fn dispatch(&mut self, token: Token, flags: EventFlags) {
        match token {
            Token::Listener => self.accept(),
            Token::Connection(id) => self.serve(id, flags),
            Token::Pending(id) => self.advance(id),
            Token::Ended(id) => self.ended(id),
            Token::Output(id, _) => self.turn(id),
            Token::OutOfMemory(id) => self.out_of_memory(id),
            Token::Feed(id, slot) => self.feed_ready(id, slot, flags),
        }
    }

    fn patience(&self) -> Option<Duration> {
        let next = self.timers.iter().map(|(at, _)| *at).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn fire_timers(&mut self) {
        if self.timers.is_empty() {
            return;
        }
        let now = Instant::now();
        let (due, later) = self.timers.drain(..).partition(|(at, _)| *at <= now);
        self.timers = later;
        let due: Vec<(Instant, Timer)> = due;
        for (_, timer) in due {
            match timer {
                Timer::Drain(id) => self.drained(id, true),
                Timer::Reap(id) => self.ended(id),
                Timer::Output(id) => self.turn(id),
                Timer::Accept => self.listen(),
                Timer::Idle => {
                    // Whoever knocks now is let in.
                    self.accept();
                    self.over = self.is_idle();
                }
            }
        }
    }

    fn listen(&mut self) {
        if self.poll.add(&self.seat.listener, Token::Listener, EventFlags::IN).is_err() {
            self.after(ACCEPT, Timer::Accept);
        }
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            match accept_with(&self.seat.listener, flags) {
                Ok(socket) => drop(self.add_connection(Connection::new(socket))),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => {
                    eprintln!("sampan supervisor: accept a connection: {error}");
                    // No descriptor is free: those that wait stay in the queue.
                    self.poll.remove(self.seat.listener.as_fd());
                    return self.after(ACCEPT, Timer::Accept);
                }
            }
        }
    }

    pub(super) fn add_connection(&mut self, connection: Connection) -> u32 {
        let id = self.next_id();
        let interest = EventFlags::IN | EventFlags::RDHUP;
        match self.poll.add(connection.as_fd(), Token::Connection(id), interest) {
            Ok(()) => drop(self.connections.insert(id, connection)),
            Err(error) => eprintln!("sampan supervisor: poll a connection: {error}"),
        }
        id
    }

    fn serve(&mut self, id: u32, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush(id);
        }
        // A few at a time, so that one daemon does not starve the containers.
        for _ in 0..16 {
            let Some(connection) = self.connections.get(&id) else {
                return;
            };
            match wire::receive::<Call>(connection.as_fd(), &mut self.buffer) {
                Ok(Some((call, fds))) => {
                    let caller = Caller { connection: id, number: call.number };
                    self.handle(caller, call.request, fds);
                }
                Ok(None) => return self.hang_up(id),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    eprintln!("sampan supervisor: a daemon's message: {error}");
                    return self.hang_up(id);
                }
            }
        }
    }

    fn flush(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let sent = connection.flush();
        self.after_send(id, sent);
    }

    fn after_send(&mut self, id: u32, sent: Sent) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let interest = match sent {
            Sent::All => EventFlags::IN | EventFlags::RDHUP,
            Sent::Waiting => EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT,
            Sent::Dead => return self.hang_up(id),
        };
        if self.poll.add(connection.as_fd(), Token::Connection(id), interest).is_err() {
            self.hang_up(id);
        }
    }

    fn hang_up(&mut self, id: u32) {
        if let Some(connection) = self.connections.remove(&id) {
            self.poll.remove(connection.as_fd());
        }
        // Nobody would ever know of what it was having made.
        let its = |(child, of): (&u32, &Child)| of.is_prepared_for(id).then_some(*child);
        let orphans: Vec<u32> = self.children.iter().filter_map(its).collect();
        for orphan in orphans {
            self.discard(orphan);
        }
        self.rest();
    }

    /// Answers or tells one daemon.
    pub(super) fn send(&mut self, id: u32, notice: &Notice, fds: Vec<OwnedFd>) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let sent = match Packet::new(notice, fds) {
            Ok(packet) => connection.send(packet),
            Err(error) => {
                eprintln!("sampan supervisor: encode a message: {error}");
                Sent::Dead
            }
        };
        if sent != Sent::All {
            self.after_send(id, sent);
        }
    }

    /// Tells every daemon.
    pub(super) fn tell(&mut self, notice: &Notice) {
        for id in self.holders() {
            self.send(id, notice, Vec::new());
        }
    }

    /// The connections that hold duplicates.
    pub(super) fn holders(&self) -> Vec<u32> {
        let holds = |(id, connection): (&u32, &Connection)| connection.holder.then_some(*id);
        self.connections.iter().filter_map(holds).collect()
    }
}

/// Identity of the running program's file.
fn program() -> Result<ProgramId> {
    let (device, inode, modified) = runtime::seal::original().map_err(system("look at the own program"))?;
    Ok(ProgramId { device, inode, modified })
}

/// Identity of a program's file.
pub(crate) fn program_id(stat: &rustix::fs::Stat) -> ProgramId {
    ProgramId { device: stat.st_dev, inode: stat.st_ino, modified: stat.st_mtime }
}
