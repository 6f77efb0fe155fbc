//! The thread that writes: it takes what waits, decides, makes durable, applies, answers.
//!
//! While one group is being synced the next one collects, so many clients share a sync and one client waits for one.
//! A group of relaxed writes only is applied at once; its changes wait in the frame that the next group, or the clock,
//! writes. That their revisions are never given out twice is written ahead of them: every frame says up to which
//! revision they may go.

use super::Options;
use super::expiry::{self, Expiry};
use super::frame::Encoder;
use super::journal::{Failure, Journal};
use crate::entry::error::WriteError;
use crate::entry::{Committed, Durability, Key, Op, Previous, Write};
use crate::index::{Change, Index};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::oneshot;

/// A group takes no more transactions when its frame is this long.
const GROUP: usize = 4 << 20;
/// So many revisions are set aside at once for relaxed writes.
const RESERVE: u64 = 10_000;

/// Transactions that wait for the writer.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Request>,
    closing: bool,
    failure: Option<String>,
}

/// What the writer wakes up for.
enum Work {
    Requests(Vec<Request>),
    /// Relaxed writes have waited long enough.
    Due,
    End,
}

type Answer = Result<Committed, WriteError>;

struct Request {
    writes: Vec<Write>,
    answer: oneshot::Sender<Answer>,
}

/// What the thread owns.
pub(super) struct Writer {
    index: Arc<Index>,
    inbox: Arc<Inbox>,
    options: Options,
    journal: Option<Journal>,
    /// The next frame; between groups, relaxed changes that were applied already.
    frame: Encoder,
    /// When the oldest of them has to be written.
    due: Option<Instant>,
    /// There have been relaxed writes.
    relaxed: bool,
    broken: Option<String>,
    expiry: Expiry,
}

/// Transactions that become durable together.
#[derive(Default)]
struct Group {
    changes: Vec<Change>,
    /// Refusals too: they tell what is not durable yet.
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// What keys hold after the changes so far.
    ahead: HashMap<Key, Option<Previous>>,
    revision: u64,
    synced: bool,
}

impl Inbox {
    /// Hands a transaction over; the answer comes when it is durable.
    pub(super) fn submit(&self, mut writes: Vec<Write>) -> oneshot::Receiver<Answer> {
        for write in &mut writes {
            if let Op::Put(value) = &mut write.op {
                // on its own: what the caller gave may be a small part of a large buffer
                *value = Bytes::copy_from_slice(value);
            }
        }
        let (answer, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        if !waiting.closing {
            waiting.requests.push(Request { writes, answer });
            self.wake.notify_one();
        }
        receiver
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    fn set_failure(&self, failure: Option<String>) {
        self.lock().failure = failure;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait(&self, due: Option<Instant>) -> Work {
        use std::sync::PoisonError;
        let mut waiting = self.lock();
        loop {
            if !waiting.requests.is_empty() {
                return Work::Requests(std::mem::take(&mut waiting.requests));
            }
            if waiting.closing {
                return Work::End;
            }
            waiting = match due.map(|due| due.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Work::Due,
                Some(left) => self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Writer {
    pub(super) fn new(index: Arc<Index>, inbox: Arc<Inbox>, journal: Option<Journal>, options: Options) -> Writer {
        let (frame, expiry) = (Encoder::new(), Expiry::of(&index));
        Writer { index, inbox, options, journal, frame, due: None, relaxed: false, broken: None, expiry }
    }

    pub(super) fn run(mut self) {
        loop {
            let due = self.due.into_iter().chain(self.expiry.due()).min();
            match self.inbox.wait(due) {
                Work::Requests(requests) => {
                    let mut requests = VecDeque::from(requests);
                    while !requests.is_empty() {
                        self.group(&mut requests);
                    }
                }
                Work::Due => {
                    self.expire();
                    if self.due.is_some_and(|due| due <= Instant::now()) && self.flush().is_err() {
                        self.due = Some(Instant::now() + self.options.relaxed_delay);
                    }
                }
                Work::End => break,
            }
        }
        self.relaxed = false;
        let reserved = self.journal.as_ref().map_or(0, Journal::reserved);
        if !self.frame.is_empty() || reserved > self.index.revision() {
            // an orderly end leaves no gap in the revisions
            let _told = self.flush();
        }
    }

    /// Deletes what goes by itself now.
    fn expire(&mut self) {
        let due = self.expiry.deletions(&self.index).into_iter();
        let mut requests: VecDeque<Request> =
            due.map(|writes| Request { writes, answer: oneshot::channel().0 }).collect();
        while !requests.is_empty() {
            self.group(&mut requests);
        }
        self.expiry.settle(&self.index);
    }

    /// Takes transactions as long as one frame holds them, and carries them out.
    fn group(&mut self, requests: &mut VecDeque<Request>) {
        let waiting = self.frame.len();
        let mut group = Group { revision: self.index.revision(), ..Group::default() };
        while self.frame.len() - waiting < GROUP {
            let Some(request) = requests.pop_front() else { break };
            match &self.broken {
                Some(why) => group.answers.push((request.answer, Err(WriteError::Failed { why: why.clone() }))),
                None => self.decide(request, &mut group),
            }
        }
        let ahead = self.journal.as_ref().is_some_and(|journal| group.revision > journal.reserved());
        // a synced transaction that changes nothing has seen what relaxed ones did: they have to be as safe as its answer
        if !self.frame.is_empty() && (group.synced || ahead) {
            if let Err(failure) = self.write(group.revision) {
                self.frame.truncate(waiting);
                for (answer, _) in group.answers {
                    let _gone = answer.send(Err(failure.error()));
                }
                return;
            }
        } else if !self.frame.is_empty() {
            self.due.get_or_insert(Instant::now() + self.options.relaxed_delay);
        }
        self.index.apply(group.changes, group.revision);
        for (answer, result) in group.answers {
            let _gone = answer.send(result);
        }
        if let Some(journal) = &mut self.journal {
            journal.tidy(&self.index, self.options.log);
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.broken.is_some() {
            self.due = None;
            return Ok(());
        }
        self.write(self.index.revision())
    }

    /// Makes the frame durable.
    fn write(&mut self, revision: u64) -> Result<(), Failure> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let reserved = if self.relaxed { revision + RESERVE } else { revision };
        let result = journal.append(&mut self.frame, revision, reserved);
        match &result {
            Ok(()) => {
                self.frame.clear();
                self.due = None;
                self.inbox.set_failure(None);
            }
            Err(failure) => {
                let why = failure.error().to_string();
                tracing::error!(why, "the cluster's store could not write");
                if let Failure::Broken(why) = failure {
                    self.broken = Some(why.clone());
                }
                self.inbox.set_failure(Some(why));
            }
        }
        result
    }

    /// Adds a transaction to the group, or the answer that it does not hold.
    fn decide(&mut self, request: Request, group: &mut Group) {
        let Request { writes, answer } = request;
        let previous = self.held(&writes, group);
        let unmet =
            |(write, held): (&Write, &Option<Previous>)| !write.expect.holds(held.as_ref().map(|held| held.revision));
        if let Some(at) = writes.iter().zip(&previous).position(unmet) {
            let key = writes[at].key.clone();
            let current = previous[at].as_ref().map(|held| Box::new(held.entry(Key::from(key.as_str()))));
            let conflict = WriteError::Conflict { write: at, key, current, revision: group.revision };
            group.answers.push((answer, Err(conflict)));
            return;
        }
        let revision = group.revision + 1;
        for (write, held) in writes.into_iter().zip(&previous) {
            let expires = write.lives.map_or(0, expiry::after);
            let synced = write.durability == Durability::Synced;
            group.synced |= synced;
            let value = match write.op {
                Op::Put(value) => Some(value),
                Op::Delete if held.is_some() => None,
                Op::Delete | Op::Check => continue,
            };
            self.relaxed |= !synced;
            group.revision = revision;
            let key = Key::from(write.key);
            let created = held.as_ref().map_or(revision, |held| held.created);
            let item = value.clone().map(|value| Previous { created, revision, expires, value });
            group.ahead.insert(key.clone(), item);
            self.expiry.note(expires, &key);
            let change = Change { revision, key, value, expires };
            if self.journal.is_some() {
                self.frame.push(&change);
            }
            group.changes.push(change);
        }
        group.answers.push((answer, Ok(Committed { revision: group.revision, previous })));
    }

    /// What the keys of a transaction hold.
    fn held(&self, writes: &[Write], group: &Group) -> Vec<Option<Previous>> {
        let state = self.index.read();
        let held = |write: &Write| match group.ahead.get(write.key.as_str()) {
            Some(ahead) => ahead.clone(),
            None => state.get(&write.key).map(|(_, item)| item.clone()),
        };
        writes.iter().map(held).collect()
    }
}

impl Failure {
    fn error(&self) -> WriteError {
        match self {
            Failure::Full(path) => WriteError::Full { path: path.clone() },
            Failure::Broken(why) => WriteError::Failed { why: why.clone() },
        }
    }
}
