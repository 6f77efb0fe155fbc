//! Every change of an object that is there: update, patch, apply, and their subresources.

use std::sync::Arc;

use k8s_store::{At, Entry, Expect, Write, WriteError};
use k8s_types::field::{Errors, Path};
use k8s_types::status::ApiError;
use k8s_types::{codec, object};
use serde_json::Value;

use super::owned::Owner;
use super::{Call, Registry, errors, metadata};
use crate::admission::{self, Attributes, DryRun, Operation, quota};
use crate::catalog::{Part, Row};
use crate::stored::{self, Stored};

/// How often a change is made again because somebody else was faster.
const ATTEMPTS: usize = 64;

/// What is to be changed.
pub struct Change<'a> {
    /// The request.
    pub call: &'a Call,
    /// Its row.
    pub row: &'a Arc<Row>,
    /// Namespace, empty for objects of the cluster.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// Subresource as admission sees it.
    pub subresource: &'a str,
    /// What may change.
    pub part: Part<'a>,
    /// What happens when it is not there.
    pub missing: Missing,
    /// Whether `make` has noted who owns which fields.
    pub owned: bool,
}

/// What happens to a change of an object that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is refused.
    Refuse,
    /// It is created where the kind allows that.
    AsKind,
    /// It is created.
    Create,
}

impl<'a> Change<'a> {
    /// A change of an object or of one of its subresources.
    pub fn of(call: &'a Call, row: &'a Arc<Row>, namespace: &'a str, name: &'a str, subresource: &'a str) -> Self {
        let part = match subresource {
            "" | "scale" => Part::Whole,
            "status" => Part::Status,
            other => Part::Named(other),
        };
        let missing = if subresource.is_empty() { Missing::AsKind } else { Missing::Refuse };
        Change { call, row, namespace, name, subresource, part, missing, owned: false }
    }
}

impl Registry {
    /// Changes an object: `make` gets what is there, in the row's version and with its resource version, and answers what shall be there; it is
    /// asked again when somebody else was faster. Tells whether the object was created.
    pub async fn modify(
        &self,
        change: &Change<'_>,
        mut make: impl FnMut(Option<&Value>) -> Result<Value, ApiError>,
    ) -> Result<(Stored, bool), ApiError> {
        let row = change.row;
        let key = row.key(change.namespace, change.name);
        for _ in 0..ATTEMPTS {
            let found = self.store().get(&key, At::Latest).await.map_err(errors::read)?.entry;
            let Some(entry) = found else {
                let allowed = match change.missing {
                    Missing::Refuse => false,
                    Missing::AsKind => row.create_on_update(),
                    Missing::Create => true,
                };
                if !allowed {
                    return Err(ApiError::not_found(&row.group_resource(), change.name));
                }
                let new = make(None)?;
                match self.create_by_update(change, new).await {
                    Err(e) if e.code == 409 && e.reason == k8s_types::status::Reason::AlreadyExists => continue,
                    done => return Ok((done?, true)),
                }
            };
            let old = stored::parse(&entry.value, entry.revision)?;
            let new = if row.stored.converted {
                let mut in_version = old.clone();
                row.from_stored(&mut in_version);
                make(Some(&in_version))?
            } else {
                make(Some(&old))?
            };
            if let Some(done) = self.attempt(change, &entry, &old, new).await? {
                return Ok((done, false));
            }
        }
        Err(ApiError::modified(&row.group_resource(), change.name))
    }

    async fn create_by_update(&self, change: &Change<'_>, mut new: Value) -> Result<Stored, ApiError> {
        metadata::settle_name(&mut new, change.name)?;
        if !object::resource_version(&new).is_empty() {
            // it was there when the client saw it
            return Err(ApiError::not_found(&change.row.group_resource(), change.name));
        }
        if change.owned {
            metadata::settle_namespace(change.row, &mut new, change.namespace)?;
            codec::default(&mut new, &change.row.resource.ty());
            change.row.to_stored(&mut new);
            change.row.defaults(&mut new);
            return self.create_once(change.call, change.row, change.namespace, new).await;
        }
        self.create_object(change.call, change.row, change.namespace, new).await
    }

    /// One attempt over what is stored; `None` when it is something else by now.
    async fn attempt(
        &self,
        change: &Change<'_>,
        entry: &Entry,
        old: &Value,
        mut new: Value,
    ) -> Result<Option<Stored>, ApiError> {
        let (call, row) = (change.call, change.row);
        metadata::settle_name(&mut new, change.name)?;
        metadata::settle_namespace(row, &mut new, change.namespace)?;
        self.check_version(change, entry, old, &new)?;
        codec::default(&mut new, &row.resource.ty());
        if !change.owned {
            self.note_owner(change, old, &mut new);
        }
        row.to_stored(&mut new);
        row.defaults(&mut new);
        let mut warnings = Vec::new();
        self.admit(change, &mut new, old, &mut warnings, Phase::Mutate).await?;
        metadata::keep(&mut new, old);
        row.prepare_update(change.part, &mut new, old);
        let reservation = match row.is("", "services") {
            true => Some(self.allocator().reserve(self, &mut new, Some(old), call.dry_run).await?),
            false => None,
        };
        k8s_types::managed::keep_times(old, &mut new);
        let mut errors = Errors::new();
        row.check_update(change.part, &new, old, &mut errors);
        if !errors.is_empty() {
            return Err(ApiError::invalid(&row.group_kind(), change.name, &errors));
        }
        self.admit(change, &mut new, old, &mut warnings, Phase::Validate).await?;
        warnings.extend(row.warnings(&new, Some(old)));
        warnings.into_iter().for_each(|warning| call.warn(warning));
        let done = {
            let counted = quota::Change {
                row,
                subresource: change.subresource,
                namespace: change.namespace,
                name: change.name,
                new: &new,
                old: Some(old),
            };
            let charge = quota::charge(self, counted).await?;
            let claims = reservation.as_ref().map_or(&[][..], |reservation| reservation.writes());
            self.store_change(change, entry, old, &new, [claims, &charge.writes].concat()).await?
        };
        if let (Some(reservation), Some(_), DryRun::No) = (reservation, &done, call.dry_run) {
            reservation.keep();
        }
        Ok(done)
    }

    fn check_version(&self, change: &Change<'_>, entry: &Entry, old: &Value, new: &Value) -> Result<(), ApiError> {
        let (row, name) = (change.row, change.name);
        let version = object::resource_version(new);
        if version.is_empty() || version == "0" {
            // an apply is of what is there
            if !row.unconditional_update() && change.part == Part::Whole && !change.owned {
                let mut errors = Errors::new();
                let path = Path::new("metadata").child("resourceVersion");
                errors.push(k8s_types::field::Error::invalid(&path, 0, "must be specified for an update"));
                return Err(ApiError::invalid(&row.group_kind(), name, &errors));
            }
        } else {
            let Ok(version) = version.parse::<u64>() else {
                return Err(ApiError::bad_request(format!("invalid resource version {version:?}")));
            };
            if version != entry.revision {
                return Err(ApiError::modified(&row.group_resource(), name));
            }
        }
        let (uid, old_uid) = (object::uid(new), object::uid(old));
        if !uid.is_empty() && uid != old_uid {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {old_uid}");
            return Err(ApiError::conflict(&row.group_resource(), name, why));
        }
        Ok(())
    }

    fn note_owner(&self, change: &Change<'_>, old: &Value, new: &mut Value) {
        let row = change.row;
        let owner = Owner::new(self, change.call, row, change.subresource);
        if row.stored.converted {
            let mut in_version = old.clone();
            row.from_stored(&mut in_version);
            owner.update(Some(&in_version), new);
        } else {
            owner.update(Some(old), new);
        }
    }

    async fn admit(
        &self,
        change: &Change<'_>,
        new: &mut Value,
        old: &Value,
        warnings: &mut Vec<String>,
        phase: Phase,
    ) -> Result<(), ApiError> {
        let mut attributes = Attributes {
            row: change.row,
            subresource: change.subresource,
            operation: Operation::Update,
            namespace: change.namespace,
            name: change.name,
            object: Some(new),
            old: Some(old),
            dry_run: change.call.dry_run,
            identity: &change.call.identity,
            warnings,
        };
        match phase {
            Phase::Mutate => admission::mutate(self, &mut attributes).await,
            Phase::Validate => admission::validate(self, &mut attributes).await,
        }
    }

    async fn store_change(
        &self,
        change: &Change<'_>,
        entry: &Entry,
        old: &Value,
        new: &Value,
        alongside: Vec<Write>,
    ) -> Result<Option<Stored>, ApiError> {
        let row = change.row;
        let bytes = stored::encode(new);
        let as_it_was = || Stored { row: row.clone(), bytes: entry.value.clone(), revision: entry.revision };
        if bytes == entry.value {
            return Ok(Some(as_it_was()));
        }
        if change.call.dry_run == DryRun::All {
            return Ok(Some(Stored { bytes, ..as_it_was() }));
        }
        let expect = Expect::Revision(entry.revision);
        let write = if ends(row, new, old) {
            Write::delete(&*entry.key, expect)
        } else {
            let write = self.lasting(row, Write::put(&*entry.key, expect, bytes.clone()));
            // renewed every few seconds, and worth nothing after a crash
            if row.is("coordination.k8s.io", "leases") { write.relaxed() } else { write }
        };
        let gone = matches!(write.op, k8s_store::Op::Delete);
        let mut writes = vec![write];
        writes.extend(if gone { self.released_by(row, old) } else { alongside });
        match self.store().commit(writes).await {
            Ok(_) if gone => {
                self.after_delete(row, new);
                Ok(Some(Stored { bytes, ..as_it_was() }))
            }
            Ok(written) => Ok(Some(Stored { bytes, revision: written.revision, row: row.clone() })),
            Err(WriteError::Conflict { .. }) => Ok(None),
            Err(error) => Err(errors::write(error)),
        }
    }

    /// What is written together with the end of an object.
    pub(super) fn released_by(&self, row: &Row, object: &Value) -> Vec<Write> {
        if row.is("", "services") { self.allocator().release_writes(object) } else { Vec::new() }
    }

    /// What is done when an object is gone.
    pub(super) fn after_delete(&self, row: &Row, object: &Value) {
        if row.is("", "services") {
            self.allocator().release(object);
        }
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Mutate,
    Validate,
}

/// Whether an update took away the last thing that held a deleted object.
fn ends(row: &Row, new: &Value, old: &Value) -> bool {
    let at_once = object::deletion_grace(old).is_none_or(|seconds| seconds == 0);
    object::deletion(old).is_some() && at_once && object::finalizers(new).next().is_none() && !row.held(new)
}
