//! The records of containers in the database: one writer that groups what comes together into one transaction.

use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Kind, Result};
use crate::images::PodImage;
use crate::pod::Sandbox;
use crate::record::Record;

const CONTAINERS: TableDefinition<&str, &[u8]> = TableDefinition::new("engine/containers");
const SANDBOXES: TableDefinition<&str, &[u8]> = TableDefinition::new("engine/sandboxes");
const POD_IMAGES: TableDefinition<&str, &[u8]> = TableDefinition::new("engine/pod-images");
const SETTINGS: TableDefinition<&str, &str> = TableDefinition::new("engine/settings");

/// What records are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Container,
    Sandbox,
    /// Images that were pulled for pods.
    PodImage,
}

impl Of {
    fn table(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        match self {
            Of::Container => CONTAINERS,
            Of::Sandbox => SANDBOXES,
            Of::PodImage => POD_IMAGES,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Of::Container => "container",
            Of::Sandbox => "sandbox",
            Of::PodImage => "image",
        }
    }
}

enum Change {
    Put { of: Of, id: String, record: Vec<u8> },
    Delete { of: Of, id: String },
}

struct Request {
    change: Change,
    done: oneshot::Sender<Result<(), Arc<redb::Error>>>,
}

/// Everything that is recorded.
pub struct Records {
    pub containers: Vec<Record>,
    pub sandboxes: Vec<Sandbox>,
    pub pod_images: Vec<PodImage>,
}

/// Handle on the writer; when the last one goes, the writer ends.
#[derive(Clone)]
pub struct Journal {
    requests: mpsc::UnboundedSender<Request>,
}

impl Journal {
    /// Starts the writer and gives every record that is there.
    pub fn open(db: Arc<Database>) -> Result<(Journal, Records)> {
        prepare(&db).map_err(failed)?;
        let records = Records {
            containers: read(&db, Of::Container)?,
            sandboxes: read(&db, Of::Sandbox)?,
            pod_images: read(&db, Of::PodImage)?,
        };
        let (requests, queue) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(&db, queue))
            .map_err(|error| Error::because(Kind::Internal, "start the journal's thread", error))?;
        Ok((Journal { requests }, records))
    }

    /// Stores a record; it is on disk when this returns.
    pub async fn put(&self, record: &Record) -> Result<()> {
        self.put_one(Of::Container, &record.id, record).await
    }

    /// Stores a sandbox.
    pub async fn put_sandbox(&self, record: &Sandbox) -> Result<()> {
        self.put_one(Of::Sandbox, &record.id, record).await
    }

    /// Forgets a sandbox.
    pub async fn delete_sandbox(&self, id: &str) -> Result<()> {
        self.send(Change::Delete { of: Of::Sandbox, id: id.to_owned() }).await
    }

    /// Stores what is known of an image that was pulled for pods.
    pub async fn put_pod_image(&self, record: &PodImage) -> Result<()> {
        self.put_one(Of::PodImage, &record.id, record).await
    }

    /// Forgets that an image was pulled for pods.
    pub async fn delete_pod_image(&self, id: &str) -> Result<()> {
        self.send(Change::Delete { of: Of::PodImage, id: id.to_owned() }).await
    }

    async fn put_one(&self, of: Of, id: &str, record: &impl serde::Serialize) -> Result<()> {
        let what = of.name();
        let record = serde_json::to_vec(record)
            .map_err(|error| Error::because(Kind::Internal, format_args!("record of {what} {id}"), error))?;
        self.send(Change::Put { of, id: id.to_owned(), record }).await
    }

    /// Forgets a record; that is on disk when this returns.
    pub async fn delete(&self, id: &str) -> Result<()> {
        self.send(Change::Delete { of: Of::Container, id: id.to_owned() }).await
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
        for of in [Of::Container, Of::Sandbox, Of::PodImage] {
            transaction.open_table(of.table())?;
        }
        transaction.commit()?;
        Ok(())
    };
    inner().map_err(Arc::new)
}

fn read<T: serde::de::DeserializeOwned>(db: &Database, of: Of) -> Result<Vec<T>> {
    let mut raw = Vec::new();
    let inner = |raw: &mut Vec<(String, Vec<u8>)>| -> Result<(), redb::Error> {
        let table = db.begin_read()?.open_table(of.table())?;
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
                .map_err(|error| Error::because(Kind::Internal, format_args!("record of {} {id}", of.name()), error))
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
        // One table at a time may be open; changes of one record are in one table, in order.
        for of in [Of::Container, Of::Sandbox, Of::PodImage] {
            let its = |request: &&Request| match &request.change {
                Change::Put { of: it, .. } | Change::Delete { of: it, .. } => *it == of,
            };
            let mut changes = group.iter().filter(its).peekable();
            if changes.peek().is_none() {
                continue;
            }
            let mut table = transaction.open_table(of.table())?;
            for request in changes {
                match &request.change {
                    Change::Put { id, record, .. } => {
                        table.insert(id.as_str(), record.as_slice())?;
                    }
                    Change::Delete { id, .. } => {
                        table.remove(id.as_str())?;
                    }
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
