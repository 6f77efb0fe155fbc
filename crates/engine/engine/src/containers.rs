//! The table of containers: by id, by name, by the beginning of an id.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Error, Result};
use crate::keeper::Command;
use crate::record::Record;

/// What everybody may see of a container at a moment.
#[derive(Debug, Clone)]
pub struct Live {
    pub record: Arc<Record>,
    /// Runs that ended, for who waits for the next.
    pub exits: u64,
    /// It is gone.
    pub removed: bool,
}

/// A client that waits for the next run to attach to.
pub struct Attaching {
    pub streams: supervisor::Streams,
    pub ready: oneshot::Sender<supervisor::Attachment>,
}

/// Handle on a container: what it is, and the way to the task that owns it.
pub struct Handle {
    pub id: String,
    pub live: watch::Receiver<Arc<Live>>,
    pub commands: mpsc::UnboundedSender<Command>,
    /// Taken by the next start.
    pub attaching: Mutex<Vec<Attaching>>,
}

impl Handle {
    /// The record as it is now.
    pub fn record(&self) -> Arc<Record> {
        self.live.borrow().record.clone()
    }

    /// Asks the container's task and waits for its answer.
    pub async fn ask(&self, command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let gone = || no_such(&self.id);
        self.commands.send(command(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Docker's words for a container that is not there.
pub fn no_such(name: &str) -> Error {
    Error::not_found(format!("No such container: {name}"))
}

#[derive(Default)]
struct Table {
    by_id: BTreeMap<String, Arc<Handle>>,
    /// Name to id; a name is reserved before its container exists.
    names: HashMap<String, String>,
}

/// The table. Its lock is held only for look-ups and changes of the table itself.
#[derive(Default)]
pub struct Containers(RwLock<Table>);

impl Containers {
    /// By full id, by name (with or without its slash), or by the beginning of exactly one id.
    pub fn find(&self, text: &str) -> Result<Arc<Handle>> {
        let table = self.read();
        if let Some(handle) = table.by_id.get(text) {
            return Ok(handle.clone());
        }
        let name = text.strip_prefix('/').unwrap_or(text);
        if let Some(handle) = table.names.get(name).and_then(|id| table.by_id.get(id)) {
            return Ok(handle.clone());
        }
        if text.is_empty() {
            return Err(no_such(text));
        }
        let mut matches = table.by_id.range(text.to_owned()..).take_while(|(id, _)| id.starts_with(text));
        match (matches.next(), matches.next()) {
            (Some((_, handle)), None) => Ok(handle.clone()),
            (None, _) => Err(no_such(text)),
            (Some(_), Some(_)) => Err(Error::invalid(format!("multiple IDs found with provided prefix: {text}"))),
        }
    }

    pub fn get(&self, id: &str) -> Option<Arc<Handle>> {
        self.read().by_id.get(id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Handle>> {
        self.read().by_id.values().cloned().collect()
    }

    /// Takes a name for an id; fails in docker's words when another has it.
    pub fn reserve(&self, name: &str, id: &str) -> Result<()> {
        let mut table = self.write();
        if let Some(owner) = table.names.get(name) {
            return Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
            )));
        }
        table.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Gives a name back, if it is still that id's.
    pub fn release(&self, name: &str, id: &str) {
        let mut table = self.write();
        if table.names.get(name).is_some_and(|owner| owner == id) {
            table.names.remove(name);
        }
    }

    pub fn insert(&self, handle: Arc<Handle>) {
        self.write().by_id.insert(handle.id.clone(), handle);
    }

    /// Forgets a container and its name.
    pub fn remove(&self, id: &str, name: &str) {
        let mut table = self.write();
        table.by_id.remove(id);
        if table.names.get(name).is_some_and(|owner| owner == id) {
            table.names.remove(name);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
