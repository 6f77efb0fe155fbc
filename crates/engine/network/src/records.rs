//! Networks in the daemon's database: one row each, JSON by id.

use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::error::{Error, Result, database_error};
use crate::network::{Network, NetworkId};

const NETWORKS: TableDefinition<&str, &[u8]> = TableDefinition::new("network.networks");

/// The rows of one instance.
pub(crate) struct Records(pub Arc<Database>);

impl Records {
    pub fn load(&self) -> Result<Vec<Network>> {
        let read = self.0.begin_read().map_err(database_error)?;
        let table = match read.open_table(NETWORKS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(database_error(error)),
        };
        let mut networks = Vec::new();
        for row in table.iter().map_err(database_error)? {
            let (id, json) = row.map_err(database_error)?;
            let network = serde_json::from_slice(json.value())
                .map_err(|source| Error::Record { id: id.value().to_owned(), source })?;
            networks.push(network);
        }
        Ok(networks)
    }

    pub fn save(&self, network: &Network) -> Result<()> {
        let record = |source| Error::Record { id: network.id.to_string(), source };
        let json = serde_json::to_vec(network).map_err(record)?;
        self.change(|table| table.insert(network.id.0.as_str(), json.as_slice()).map(|_| ()))
    }

    pub fn delete(&self, id: &NetworkId) -> Result<()> {
        self.change(|table| table.remove(id.0.as_str()).map(|_| ()))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut redb::Table<'_, &str, &[u8]>) -> Result<(), redb::StorageError>,
    ) -> Result<()> {
        let write = self.0.begin_write().map_err(database_error)?;
        {
            let mut table = write.open_table(NETWORKS).map_err(database_error)?;
            change(&mut table).map_err(database_error)?;
        }
        write.commit().map_err(database_error)
    }
}
