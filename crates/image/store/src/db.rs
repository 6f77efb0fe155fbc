//! The tables of the store in the database that the daemon's parts share.
//!
//! Values are JSON, except configurations and manifests, which are kept byte for byte.

use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use spec::digest::{DiffId, ImageId};

use crate::{Error, Result};

/// A table of the store.
pub(crate) type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// Image id -> [`ImageRecord`].
pub(crate) const IMAGES: Table = TableDefinition::new("store.images");
/// Image id -> configuration.
pub(crate) const CONFIGS: Table = TableDefinition::new("store.configs");
/// Canonical reference with a tag -> image id.
pub(crate) const TAGS: Table = TableDefinition::new("store.tags");
/// Canonical reference with a digest -> image id.
pub(crate) const DIGESTS: Table = TableDefinition::new("store.digests");
/// `image id` space `canonical repository` -> manifest.
pub(crate) const MANIFESTS: Table = TableDefinition::new("store.manifests");
/// `diff id` space `canonical repository` -> [`crate::Distribution`].
pub(crate) const DISTRIBUTIONS: Table = TableDefinition::new("store.distributions");
/// Digest of a blob -> diff id of the layer it was.
pub(crate) const BLOBS: Table = TableDefinition::new("store.blobs");
/// Size and digest of the first bytes of a file of an image archive -> diff id of the layer it was.
pub(crate) const STARTS: Table = TableDefinition::new("store.starts");
/// Snapshot key -> [`SnapshotRecord`].
pub(crate) const SNAPSHOTS: Table = TableDefinition::new("store.snapshots");
/// Volume name -> [`crate::Volume`].
pub(crate) const VOLUMES: Table = TableDefinition::new("store.volumes");

const ALL: [Table; 10] = [BLOBS, IMAGES, CONFIGS, TAGS, DIGESTS, MANIFESTS, DISTRIBUTIONS, STARTS, SNAPSHOTS, VOLUMES];

/// What is known of an image beside its configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// Lowest first.
    pub layers: Vec<DiffId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ImageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_tagged: Option<jiff::Timestamp>,
}

/// What is known of a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotRecord {
    /// Lowest first.
    pub layers: Vec<DiffId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// The database, seen by the store.
#[derive(Clone)]
pub(crate) struct Db(Arc<Database>);

impl Db {
    /// Makes the tables that are not there yet.
    pub fn open(database: Arc<Database>) -> Result<Db> {
        let db = Db(database);
        db.write("create tables", |tx| {
            ALL.iter()
                .try_for_each(|table| tx.open_table(*table).map(drop).map_err(|e| failed("create tables")(e.into())))
        })?;
        Ok(db)
    }

    /// A consistent view.
    pub fn read(&self) -> Result<View> {
        let tx = self.0.begin_read().map_err(|e| failed("begin read")(e.into()))?;
        Ok(View(tx))
    }

    /// One change of several tables; nothing of it stays if `change` fails.
    pub fn write<T>(&self, action: &'static str, change: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        let tx = self.0.begin_write().map_err(|e| failed(action)(e.into()))?;
        let value = change(&tx)?;
        tx.commit().map_err(|e| failed(action)(e.into()))?;
        Ok(value)
    }
}

/// A consistent view of the tables.
pub(crate) struct View(ReadTransaction);

impl View {
    /// The bytes under a key.
    pub fn bytes(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        let table = self.0.open_table(table).map_err(|e| failed("open table")(e.into()))?;
        let value = table.get(key).map_err(|e| failed("read")(e.into()))?;
        Ok(value.map(|v| v.value().to_vec()))
    }

    /// The JSON under a key.
    pub fn get<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>> {
        self.bytes(table, key)?.map(|bytes| parse(key, &bytes)).transpose()
    }

    /// All rows whose keys start with `prefix`.
    pub fn rows(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let table = self.0.open_table(table).map_err(|e| failed("open table")(e.into()))?;
        let mut found = Vec::new();
        for row in table.range(prefix..).map_err(|e| failed("read")(e.into()))? {
            let (key, value) = row.map_err(|e| failed("read")(e.into()))?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok(found)
    }
}

/// Stores bytes under a key, in a change.
pub(crate) fn put(tx: &WriteTransaction, table: Table, key: &str, value: &[u8]) -> Result<()> {
    let mut table = tx.open_table(table).map_err(|e| failed("open table")(e.into()))?;
    table.insert(key, value).map_err(|e| failed("insert")(e.into()))?;
    Ok(())
}

/// Stores JSON under a key, in a change.
pub(crate) fn put_json(tx: &WriteTransaction, table: Table, key: &str, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(value).map_err(|source| Error::Json { what: key.to_owned(), source })?;
    put(tx, table, key, &bytes)
}

/// Reads bytes, in a change.
pub(crate) fn peek(tx: &WriteTransaction, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
    let table = tx.open_table(table).map_err(|e| failed("open table")(e.into()))?;
    let value = table.get(key).map_err(|e| failed("read")(e.into()))?;
    Ok(value.map(|v| v.value().to_vec()))
}

/// Removes a key, in a change.
pub(crate) fn delete(tx: &WriteTransaction, table: Table, key: &str) -> Result<()> {
    let mut table = tx.open_table(table).map_err(|e| failed("open table")(e.into()))?;
    table.remove(key).map_err(|e| failed("remove")(e.into()))?;
    Ok(())
}

/// Removes all keys with a prefix, in a change.
pub(crate) fn delete_prefix(tx: &WriteTransaction, table: Table, prefix: &str) -> Result<()> {
    let mut table = tx.open_table(table).map_err(|e| failed("open table")(e.into()))?;
    let starts = |key: &str, _: &[u8]| !key.starts_with(prefix);
    table.retain_in(prefix.., starts).map_err(|e| failed("remove")(e.into()))?;
    Ok(())
}

/// Reads JSON that this store wrote.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json { what: what.to_owned(), source })
}

fn failed(action: &'static str) -> impl FnOnce(redb::Error) -> Error {
    move |source| Error::Database { action, source: Box::new(source) }
}
