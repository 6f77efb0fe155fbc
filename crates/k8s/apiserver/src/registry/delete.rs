//! Delete: at once, after a grace period, or when the last finalizer is gone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_store::{At, Entry, Expect, Write, WriteError};
use k8s_types::field::{Errors, Path};
use k8s_types::object::{self, GroupKind};
use k8s_types::status::ApiError;
use serde_json::Value;

use super::admit::Asked;
use super::{Call, Registry, errors, metadata};
use crate::admission::{DryRun, Operation};
use crate::catalog::Row;
use crate::stored;

/// Holds an object until its dependents are gone.
const FOREGROUND: &str = "foregroundDeletion";
/// Holds an object until its dependents know it no longer.
const ORPHAN: &str = "orphan";

/// How something is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds it may take.
    pub grace: Option<i64>,
    /// What becomes of dependents.
    pub propagation: Option<Propagation>,
    /// `orphanDependents: false` was said instead of a propagation policy.
    pub not_orphan: bool,
    /// Only this one.
    pub uid: Option<String>,
    /// Only as of this revision.
    pub resource_version: Option<String>,
}

/// What becomes of the dependents of a deleted object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go first.
    Foreground,
    /// They go later.
    Background,
    /// They stay.
    Orphan,
}

/// What a deletion answers.
pub struct Deleted {
    /// The object: as it was, or as it waits for its end. Of the row's version.
    pub object: Value,
    /// Whether it is gone.
    pub gone: bool,
}

enum Step {
    /// It goes now.
    Now,
    /// It stays, changed, until something happens.
    Later(Box<Value>),
    /// It waits already.
    Waits,
}

impl DeleteOptions {
    /// Whether dependents were asked to go before the answer counts as done.
    pub fn asks_to_wait(&self) -> bool {
        self.not_orphan || self.propagation == Some(Propagation::Foreground)
    }

    /// Reads a `DeleteOptions` object; null is none.
    pub fn read(options: &Value) -> Result<DeleteOptions, ApiError> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let orphan = options["orphanDependents"].as_bool();
        let named = text(&options["propagationPolicy"]);
        let mut errors = Errors::new();
        let path = Path::new("propagationPolicy");
        if orphan.is_some() && named.is_some() {
            let value = named.clone().unwrap_or_default();
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(k8s_types::field::Error::invalid(&path, value, detail));
        }
        let propagation = match named.as_deref() {
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Background") => Some(Propagation::Background),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let supported = &["Foreground", "Background", "Orphan"];
                errors.push(k8s_types::field::Error::not_supported(&path, other, supported));
                None
            }
            None => match orphan {
                Some(true) => Some(Propagation::Orphan),
                Some(false) => Some(Propagation::Background),
                None => None,
            },
        };
        if !errors.is_empty() {
            return Err(ApiError::invalid(&GroupKind::new("meta.k8s.io", "DeleteOptions"), "", &errors));
        }
        Ok(DeleteOptions {
            // a negative one counts as a second
            grace: options["gracePeriodSeconds"].as_i64().map(|s| if s < 0 { 1 } else { s }),
            propagation,
            not_orphan: orphan == Some(false),
            uid: text(&options["preconditions"]["uid"]),
            resource_version: text(&options["preconditions"]["resourceVersion"]),
        })
    }
}

impl Registry {
    /// Deletes an object, or begins to.
    pub async fn delete_object(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let key = row.key(namespace, name);
        loop {
            let found = self.store().get(&key, At::Latest).await.map_err(errors::read)?.entry;
            let entry = found.ok_or_else(|| ApiError::not_found(&row.group_resource(), name))?;
            let old = stored::parse(&entry.value, entry.revision)?;
            preconditions(row, name, &old, options)?;
            let (operation, old_object) = (Operation::Delete, Some(&old));
            let asked = Asked { row, subresource: "", operation, namespace, name, object: None, old: old_object };
            self.admit_at_once(call, asked).await?;
            let step = step(row, &old, options);
            if let Some(deleted) = self.take(call, row, &entry, old, step).await? {
                return Ok(deleted);
            }
        }
    }

    /// Takes the step; `None` when the object is another by now.
    async fn take(
        &self,
        call: &Call,
        row: &Arc<Row>,
        entry: &Entry,
        old: Value,
        step: Step,
    ) -> Result<Option<Deleted>, ApiError> {
        let expect = Expect::Revision(entry.revision);
        let (write, mut object, gone) = match step {
            Step::Waits => (None, old, false),
            Step::Now => (Some(Write::delete(&*entry.key, expect)), old, true),
            Step::Later(new) => {
                let bytes = stored::encode(&new);
                let write = (bytes != entry.value).then(|| Write::put(&*entry.key, expect, bytes));
                (write, *new, false)
            }
        };
        if let Some(write) = write.filter(|_| call.dry_run == DryRun::No) {
            let mut writes = vec![write];
            if gone {
                writes.extend(self.released_by(row, &object));
            }
            match self.store().commit(writes).await {
                Ok(written) if gone => {
                    self.after_delete(row, &object);
                    object::set_metadata(&mut object, "resourceVersion", written.revision.to_string());
                }
                Ok(written) => {
                    object::set_metadata(&mut object, "resourceVersion", written.revision.to_string());
                }
                Err(WriteError::Conflict { .. }) => return Ok(None),
                Err(error) => return Err(errors::write(error)),
            }
        }
        row.from_stored(&mut object);
        Ok(Some(Deleted { object, gone }))
    }
}

fn preconditions(row: &Row, name: &str, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let resource = object::GroupResource::new(row.resource.group.as_str(), row.resource.kind.as_str());
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object::uid(old)) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            object::uid(old)
        );
        return Err(ApiError::conflict(&resource, name, why));
    }
    if let Some(version) = options.resource_version.as_deref().filter(|v| *v != object::resource_version(old)) {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            object::resource_version(old)
        );
        return Err(ApiError::conflict(&resource, name, why));
    }
    Ok(())
}

/// What a deletion does to an object.
fn step(row: &Row, old: &Value, options: &DeleteOptions) -> Step {
    let mut new = old.clone();
    let grace = match graceful(row, &mut new, options) {
        Grace::Waits => return Step::Waits,
        Grace::None => None,
        Grace::Seconds(seconds) => Some(seconds),
    };
    settle_finalizers(row, &mut new, options);
    let held = object::finalizers(&new).next().is_some() || row.held(&new);
    match grace {
        Some(seconds) if seconds > 0 => {}
        _ if !held => return Step::Now,
        _ => mark(&mut new),
    }
    if object::deletion(old).is_none() {
        row.on_delete(&mut new);
    }
    Step::Later(Box::new(new))
}

enum Grace {
    /// This kind, or this object, goes without one.
    None,
    /// It goes after so many seconds; marked already.
    Seconds(i64),
    /// It is on its way and nothing changes.
    Waits,
}

fn graceful(row: &Row, new: &mut Value, options: &DeleteOptions) -> Grace {
    let Some(wanted) = row.grace(new, options.grace) else { return Grace::None };
    let Some(deletion) = object::deletion(new) else {
        begin_deletion(new, Timestamp::now(), wanted);
        return Grace::Seconds(wanted);
    };
    let current = object::deletion_grace(new).unwrap_or(0);
    if current == 0 {
        return Grace::None;
    }
    match options.grace {
        Some(shorter) if shorter < current => {
            let began = deletion.parse::<Timestamp>().unwrap_or_else(|_| Timestamp::now());
            let end = began + SignedDuration::from_secs(shorter - current);
            object::set_metadata(new, "deletionTimestamp", metadata::at(end));
            object::set_metadata(new, "deletionGracePeriodSeconds", shorter);
            Grace::Seconds(shorter)
        }
        _ => Grace::Waits,
    }
}

fn begin_deletion(new: &mut Value, now: Timestamp, seconds: i64) {
    let end = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    object::set_metadata(new, "deletionTimestamp", metadata::at(end));
    object::set_metadata(new, "deletionGracePeriodSeconds", seconds);
    let generation = object::generation(new);
    if generation > 0 {
        object::set_metadata(new, "generation", generation + 1);
    }
}

/// Marks what only finalizers hold: it is due now.
fn mark(new: &mut Value) {
    let now = Timestamp::now();
    match object::deletion(new).map(|text| text.parse::<Timestamp>()) {
        None => begin_deletion(new, now, 0),
        Some(Ok(due)) if due <= now => object::set_metadata(new, "deletionGracePeriodSeconds", 0),
        Some(_) => {
            object::set_metadata(new, "deletionTimestamp", metadata::at(now));
            object::set_metadata(new, "deletionGracePeriodSeconds", 0);
        }
    }
}

/// Says by finalizers what becomes of the dependents.
fn settle_finalizers(row: &Row, new: &mut Value, options: &DeleteOptions) {
    let all: Vec<String> = object::finalizers(new).map(str::to_owned).collect();
    let has = |name: &str| all.iter().any(|f| f == name);
    let propagation = options.propagation.unwrap_or_else(|| match () {
        () if has(ORPHAN) => Propagation::Orphan,
        () if has(FOREGROUND) => Propagation::Foreground,
        () if row.orphans() => Propagation::Orphan,
        () => Propagation::Background,
    });
    let mut wanted: Vec<String> = all.iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).cloned().collect();
    match propagation {
        Propagation::Orphan => wanted.push(ORPHAN.to_owned()),
        Propagation::Foreground => wanted.push(FOREGROUND.to_owned()),
        Propagation::Background => {}
    }
    let same = wanted.len() == all.len() && wanted.iter().all(|f| has(f));
    if same {
        return;
    }
    if wanted.is_empty() {
        object::remove_metadata(new, "finalizers");
    } else {
        object::set_metadata(new, "finalizers", wanted);
    }
}
