//! The records of containers in the database: one writer that groups what comes together into one transaction.

use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Kind, Result};
use crate::record::Record;

const CONTAINERS: TableDefinition<&str, &[u8]> = TableDefinition::new("engine/containers");
const SETTINGS: TableDefinition<&str, &str> = TableDefinition::new("engine/settings");

enum Change {
    Put { id: String, record: Vec<u8> },
    Delete { id: String },
}

struct Request {
    change: Change,
    done: oneshot::Sender<Result<(), Arc<redb::Error>>>,
}

/// Handle on the writer; when the last one goes, the writer ends.
#[derive(Clone)]
pub struct Journal {
    requests: mpsc::UnboundedSender<Request>,
}

impl Journal {
    /// Starts the writer and gives every record that is there.
    pub fn open(db: Arc<Database>) -> Result<(Journal, Vec<Record>)> {
        prepare(&db).map_err(failed)?;
        let records = read(&db)?;
        let (requests, queue) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(&db, queue))
            .map_err(|error| Error::because(Kind::Internal, "start the journal's thread", error))?;
        Ok((Journal { requests }, records))
    }

    /// Stores a record; it is on disk when this returns.
    pub async fn put(&self, record: &Record) -> Result<()> {
        let id = record.id.clone();
        let record = serde_json::to_vec(record)
            .map_err(|error| Error::because(Kind::Internal, format_args!("record of container {id}"), error))?;
        self.send(Change::Put { id, record }).await
    }

    /// Forgets a record; that is on disk when this returns.
    pub async fn delete(&self, id: &str) -> Result<()> {
        self.send(Change::Delete { id: id.to_owned() }).await
    }

    async fn send(&self, change: Change) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let closed = || Error::internal("the journal is closed");
        self.requests.send(Request { change, done }).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?.map_err(failed)
    }
}

/// A setting that is made once and then stays: the identity of this engine.
pub fn setting(db: &Database, name: &str, make: impl FnOnce() -> String) -> Result<String> {
    let inner = || -> Result<String, redb::Error> {
        let transaction = db.begin_write()?;
        let value = {
            let mut table = transaction.open_table(SETTINGS)?;
            let stored = table.get(name)?.map(|value| value.value().to_owned());
            match stored {
                Some(value) => value,
                None => {
                    let value = make();
                    table.insert(name, value.as_str())?;
                    value
                }
            }
        };
        transaction.commit()?;
        Ok(value)
    };
    inner().map_err(failed_plain)
}

fn prepare(db: &Database) -> Result<(), Arc<redb::Error>> {
    let inner = || -> Result<(), redb::Error> {
        let transaction = db.begin_write()?;
        transaction.open_table(CONTAINERS)?;
        transaction.commit()?;
        Ok(())
    };
    inner().map_err(Arc::new)
}

fn read(db: &Database) -> Result<Vec<Record>> {
    let mut raw = Vec::new();
    let inner = |raw: &mut Vec<(String, Vec<u8>)>| -> Result<(), redb::Error> {
        let table = db.begin_read()?.open_table(CONTAINERS)?;
        for entry in table.iter()? {
            let (id, record) = entry?;
            raw.push((id.value().to_owned(), record.value().to_vec()));
        }
        Ok(())
    };
    inner(&mut raw).map_err(failed_plain)?;
    raw.into_iter()
        .map(|(id, record)| {
            serde_json::from_slice(&record)
                .map_err(|error| Error::because(Kind::Internal, format_args!("record of container {id}"), error))
        })
        .collect()
}

fn write_all(db: &Database, mut queue: mpsc::UnboundedReceiver<Request>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while let Ok(more) = queue.try_recv() {
            group.push(more);
        }
        let outcome = commit(db, &group).map_err(Arc::new);
        if let Err(error) = &outcome {
            tracing::error!(%error, "records of containers could not be stored");
        }
        for request in group {
            // Who asked may have gone away; the record is stored all the same.
            let _ = request.done.send(outcome.clone());
        }
    }
}

fn commit(db: &Database, group: &[Request]) -> Result<(), redb::Error> {
    let mut transaction = db.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut table = transaction.open_table(CONTAINERS)?;
        for request in group {
            match &request.change {
                Change::Put { id, record } => {
                    table.insert(id.as_str(), record.as_slice())?;
                }
                Change::Delete { id } => {
                    table.remove(id.as_str())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn failed(error: Arc<redb::Error>) -> Error {
    Error::internal(format!("database of containers: {error}"))
}

fn failed_plain(error: redb::Error) -> Error {
    Error::because(Kind::Internal, "database of containers", error)
}
