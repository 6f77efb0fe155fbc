//! Create.

use std::sync::Arc;

use k8s_store::{Expect, Write, WriteError};
use k8s_types::field::Errors;
use k8s_types::status::ApiError;
use k8s_types::{codec, object};
use serde_json::Value;

use super::owned::Owner;
use super::{Call, Registry, errors, metadata};
use crate::admission::{self, Attributes, DryRun, Operation, quota};
use crate::catalog::Row;
use crate::stored::{self, Stored};

/// How often a create is tried again because what it needs beside its name was taken by somebody else.
const ATTEMPTS: usize = 64;

impl Registry {
    /// Creates an object of the row's version, decoded; tries other names where the server makes the name.
    pub async fn create_object(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        mut object: Value,
    ) -> Result<Stored, ApiError> {
        if !object::resource_version(&object).is_empty() {
            let text = "resourceVersion should not be set on objects to be created";
            return Err(ApiError::new(500, k8s_types::status::Reason::InternalError, text));
        }
        metadata::settle_namespace(row, &mut object, namespace)?;
        codec::default(&mut object, &row.resource.ty());
        Owner::new(self, call, row, "").update(None, &mut object);
        row.to_stored(&mut object);
        row.defaults(&mut object);
        let base = object::generate_name(&object).to_owned();
        if base.is_empty() || !object::name(&object).is_empty() {
            return self.create_once(call, row, namespace, object).await;
        }
        let mut last = ApiError::internal("no name was tried");
        for _ in 0..metadata::NAME_ATTEMPTS {
            let mut attempt = object.clone();
            object::set_metadata(&mut attempt, "name", metadata::generate_name(&base)?);
            match self.create_once(call, row, namespace, attempt).await {
                Err(error) if error.reason == k8s_types::status::Reason::AlreadyExists => last = error,
                done => return done,
            }
        }
        let name = last.details.as_ref().map(|d| d.name.clone()).unwrap_or_default();
        Err(ApiError::generate_name_conflict(&row.group_resource(), &name, 1))
    }

    /// One attempt; the object is of the stored version, with defaults.
    pub(super) async fn create_once(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        mut object: Value,
    ) -> Result<Stored, ApiError> {
        let name = object::name(&object).to_owned();
        let mut warnings = Vec::new();
        {
            let mut attributes = Attributes {
                row,
                subresource: "",
                operation: Operation::Create,
                namespace,
                name: &name,
                object: Some(&mut object),
                old: None,
                dry_run: call.dry_run,
                identity: &call.identity,
                warnings: &mut warnings,
            };
            admission::mutate(self, &mut attributes).await?;
        }
        metadata::begin(&mut object)?;
        row.prepare_create(&mut object);
        let as_asked = row.is("", "services").then(|| object.clone());
        for _ in 0..ATTEMPTS {
            if let Some(stored) = self.place(call, row, namespace, &mut object, &mut warnings).await? {
                return Ok(stored);
            }
            if let Some(service) = &as_asked {
                object.clone_from(service);
            }
        }
        Err(ApiError::server_timeout(&row.group_resource(), "create", 1))
    }

    /// Takes what a service needs, checks and stores; `None` where somebody else took the same meanwhile.
    async fn place(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        object: &mut Value,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Stored>, ApiError> {
        let name = object::name(object).to_owned();
        let reservation = match row.is("", "services") {
            true => Some(self.allocator().reserve(self, object, None, call.dry_run).await?),
            false => None,
        };
        let mut errors = Errors::new();
        row.check_create(object, &mut errors);
        if !errors.is_empty() {
            return Err(ApiError::invalid(&row.group_kind(), &name, &errors));
        }
        {
            let mut attributes = Attributes {
                row,
                subresource: "",
                operation: Operation::Create,
                namespace,
                name: &name,
                object: Some(&mut *object),
                old: None,
                dry_run: call.dry_run,
                identity: &call.identity,
                warnings: &mut *warnings,
            };
            admission::validate(self, &mut attributes).await?;
        }
        let change = quota::Change { row, subresource: "", namespace, name: &name, new: object, old: None };
        let charge = quota::charge(self, change).await?;
        let claims = reservation.as_ref().map_or(&[][..], |reservation| reservation.writes());
        let alongside = [claims, &charge.writes].concat();
        match self.store_new(call, row, namespace, &name, object, alongside).await? {
            Placed::Stored(stored) => {
                warnings.extend(row.warnings(object, None));
                warnings.drain(..).for_each(|warning| call.warn(warning));
                if let Some(reservation) = reservation.filter(|_| call.dry_run == DryRun::No) {
                    reservation.keep();
                }
                Ok(Some(stored))
            }
            Placed::Taken(key) => {
                drop(reservation);
                self.allocator().note_taken(&key);
                Ok(None)
            }
        }
    }

    async fn store_new(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        name: &str,
        object: &Value,
        alongside: Vec<Write>,
    ) -> Result<Placed, ApiError> {
        let key = row.key(namespace, name);
        let bytes = stored::encode(object);
        if call.dry_run == DryRun::All {
            let found = self.store().get(&key, k8s_store::At::Latest).await.map_err(errors::read)?;
            return match found.entry {
                Some(entry) => Err(taken(row, name, &entry.value)),
                None => Ok(Placed::Stored(Stored { row: row.clone(), bytes, revision: 0 })),
            };
        }
        let mut writes = vec![self.lasting(row, Write::put(key, Expect::Absent, bytes.clone()))];
        writes.extend(alongside);
        match self.store().commit(writes).await {
            Ok(written) => Ok(Placed::Stored(Stored { row: row.clone(), bytes, revision: written.revision })),
            Err(WriteError::Conflict { write: 0, current, .. }) => {
                Err(taken(row, name, current.as_ref().map(|entry| &*entry.value).unwrap_or_default()))
            }
            Err(WriteError::Conflict { key, .. }) => Ok(Placed::Taken(key)),
            Err(error) => Err(errors::write(error)),
        }
    }
}

/// What became of an attempt to store a new object.
enum Placed {
    Stored(Stored),
    /// What it needs beside its name is another's, by this key.
    Taken(String),
}

fn taken(row: &Row, name: &str, there: &[u8]) -> ApiError {
    let mut error = ApiError::already_exists(&row.group_resource(), name);
    if stored::parse(there, 0).is_ok_and(|object| object::deletion(&object).is_some()) {
        error.message = format!("object is being deleted: {}", error.message);
    }
    error
}
