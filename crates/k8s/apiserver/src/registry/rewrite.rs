//! Changes that the server makes by itself, past admission and validation.

use std::sync::Arc;

use k8s_store::{At, Expect, Write, WriteError};
use k8s_types::status::ApiError;
use serde_json::Value;

use super::{Call, Registry, errors};
use crate::admission::DryRun;
use crate::catalog::Row;
use crate::stored::{self, Stored};

impl Registry {
    /// Changes a stored object in place; `change` is asked again when somebody else was faster.
    pub async fn rewrite(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        name: &str,
        mut change: impl FnMut(&mut Value) -> Result<(), ApiError>,
    ) -> Result<Stored, ApiError> {
        let key = row.key(namespace, name);
        loop {
            let found = self.store().get(&key, At::Latest).await.map_err(errors::read)?.entry;
            let entry = found.ok_or_else(|| ApiError::not_found(&row.group_resource(), name))?;
            let mut object = stored::parse(&entry.value, entry.revision)?;
            change(&mut object)?;
            let bytes = stored::encode(&object);
            if bytes == entry.value || call.dry_run == DryRun::All {
                return Ok(Stored { row: row.clone(), bytes, revision: entry.revision });
            }
            let write = self.lasting(row, Write::put(&*key, Expect::Revision(entry.revision), bytes.clone()));
            match self.store().write(write).await {
                Ok(written) => return Ok(Stored { row: row.clone(), bytes, revision: written.revision }),
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(errors::write(error)),
            }
        }
    }
}
