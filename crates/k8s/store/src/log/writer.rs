//! The thread that writes: it takes what waits, decides, makes durable, applies, answers.

use super::Options;
use crate::entry::error::WriteError;
use crate::entry::{Committed, Durability, Key, Op, Previous, Write};
use crate::index::{Change, Index};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

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
    _options: Options,
}

/// Transactions that become durable together.
#[derive(Default)]
struct Group {
    changes: Vec<Change>,
    answers: Vec<(oneshot::Sender<Answer>, Committed)>,
    /// What keys hold after the changes so far.
    ahead: HashMap<Key, Option<(Previous, Option<Bytes>)>>,
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

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// All that waits; none: the end.
    fn take(&self) -> Option<Vec<Request>> {
        let mut waiting = self.lock();
        loop {
            if !waiting.requests.is_empty() {
                return Some(std::mem::take(&mut waiting.requests));
            }
            if waiting.closing {
                return None;
            }
            waiting = self.wake.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

impl Writer {
    pub(super) fn start(index: Arc<Index>, inbox: Arc<Inbox>, options: Options) {
        let writer = Writer { index, inbox, _options: options };
        std::thread::spawn(move || writer.run());
    }

    fn run(self) {
        while let Some(requests) = self.inbox.take() {
            let mut group = Group { revision: self.index.revision(), ..Group::default() };
            for request in requests {
                self.decide(request, &mut group);
            }
            let Group { changes, answers, revision, .. } = group;
            self.index.apply(changes, revision);
            for (answer, committed) in answers {
                let _gone = answer.send(Ok(committed));
            }
        }
    }

    /// Adds a transaction to the group, or answers that it does not hold.
    fn decide(&self, request: Request, group: &mut Group) {
        let state = self.index.read();
        let held = |key: &str| match group.ahead.get(key) {
            Some(ahead) => ahead.as_ref().map(|(item, _)| item.clone()),
            None => state.get(key).map(|(_, item)| item.clone()),
        };
        let previous: Vec<Option<Previous>> = request.writes.iter().map(|write| held(&write.key)).collect();
        let unmet = request
            .writes
            .iter()
            .zip(&previous)
            .position(|(write, held)| !write.expect.holds(held.as_ref().map(|held| held.revision)));
        if let Some(at) = unmet {
            let key = request.writes[at].key.clone();
            let current = previous[at].as_ref().map(|held| Box::new(held.entry(Key::from(key.as_str()))));
            let conflict = WriteError::Conflict { write: at, key, current, revision: group.revision };
            let _gone = request.answer.send(Err(conflict));
            return;
        }
        drop(state);
        let revision = group.revision + 1;
        let mut changed = false;
        for (write, held) in request.writes.iter().zip(&previous) {
            let value = match &write.op {
                Op::Put(value) => Some(value.clone()),
                Op::Delete if held.is_some() => None,
                Op::Delete | Op::Check => continue,
            };
            changed = true;
            group.synced |= write.durability == Durability::Synced;
            let key = Key::from(write.key.as_str());
            let created = held.as_ref().map_or(revision, |held| held.created);
            let item = value.clone().map(|value| (Previous { created, revision, value }, None));
            group.ahead.insert(key.clone(), item);
            group.changes.push(Change { revision, key, value });
        }
        if changed {
            group.revision = revision;
        }
        group.answers.push((request.answer, Committed { revision: group.revision, previous }));
    }
}
