//! Who manages which field: `metadata.managedFields` for every kind of write, and server-side apply on top of it.
//!
//! One [`Request`] says what the write is; [`Request::update`] is for create, update and the other patches, [`Request::apply`] for server-side apply. Both come
//! after decoding and static defaults and before admission; what admission or the registry sets later belongs to nobody, as in Kubernetes.

mod apply;
mod compare;
mod conflict;
mod conform;
mod key;
mod last_applied;
mod managers;
mod merge;
mod owned;
mod remove;
pub mod scale;
mod set;
mod shape;
#[cfg(test)]
mod tests;
mod update;

pub use last_applied::LAST_APPLIED;
pub use managers::ManagersError;
pub use set::{FieldsError, Set};

use crate::field::{self, Error, Errors, Path};
use crate::object;
use crate::schema::Type;
use crate::status::ApiError;
use serde_json::Value;

/// A write, as far as the management of fields is concerned.
pub struct Request<'a> {
    /// The version that the request speaks, `apps/v1`.
    pub api_version: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// What objects are in that version.
    pub ty: &'a Type,
    /// Who writes: [`manager_name`].
    pub manager: &'a str,
    /// `status`, `scale`, ...; empty for the object itself.
    pub subresource: &'a str,
    /// The time, as in metadata: `2026-01-02T03:04:05Z`.
    pub now: &'a str,
    /// Fields that this way of writing never changes (`status` for the object itself where it has that subresource, `spec` for the status), as pointers' segments.
    pub reset: &'a [&'a [&'a str]],
    /// Objects in other versions of the same kind.
    pub versions: &'a dyn Versions,
}

/// Gives objects in other versions, for managers that spoke those.
pub trait Versions {
    /// The object in another version and what it is there; `None` when that version is not served any more, whose managers are then forgotten.
    fn convert(&self, object: &Value, api_version: &str) -> Option<(Value, Type)>;
}

/// A kind with one version only.
pub struct OneVersion;

impl Versions for OneVersion {
    fn convert(&self, _: &Value, _: &str) -> Option<(Value, Type)> {
        None
    }
}

impl Request<'_> {
    /// Writes `metadata.managedFields` of `new`, which replaces `live` (`None` on create).
    ///
    /// Never fails: where fields cannot be told apart, those of `live` are kept.
    pub fn update(&self, live: Option<&Value>, new: &mut Value) {
        if self.try_update(live, new).is_err() {
            apply::restore(live, new);
        }
    }

    /// Applies a configuration: the merged object with its `metadata.managedFields`. Defaults are to be set again afterwards.
    ///
    /// # Errors
    /// 409 with a cause for every field that another manager has, unless `force`; 400 for another kind or version and for managed fields in the configuration; 500
    /// (as in Kubernetes) for fields that the type does not have and duplicate items.
    pub fn apply(&self, live: Option<&Value>, config: &Value, force: bool) -> Result<Value, ApiError> {
        self.try_apply(live, config, force)
    }
}

/// The most bytes of a manager's name.
pub const MOST_NAME: usize = 128;

/// The manager of a request: what the `fieldManager` parameter says, else the program of the `User-Agent` header.
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let program = user_agent.split('/').next().unwrap_or_default();
    let mut name = String::with_capacity(program.len().min(MOST_NAME));
    for c in program.chars().filter(|c| field::prints(*c)) {
        if name.len() + c.len_utf8() > MOST_NAME {
            break;
        }
        name.push(c);
    }
    name
}

/// Checks the `fieldManager` parameter of a request at `path`.
pub fn check_manager_name(name: &str, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if name.len() > MOST_NAME {
        errors.push(Error::too_long(path, MOST_NAME));
    }
    for (at, c) in name.char_indices().filter(|(_, c)| !field::prints(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {at})", c as u32);
        errors.push(Error::invalid(path, name, detail));
    }
    errors
}

/// Whether an object's `metadata.managedFields` can be read; after admission, for one.
///
/// # Errors
/// Why not.
pub fn check(object: &Value) -> Result<(), ManagersError> {
    managers::Managers::decode(object::managed_fields(object)).map(drop)
}

/// Takes the times of `old` over into `new` when nothing else differs, so that a write which changes nothing is seen as such.
pub fn keep_times(old: &Value, new: &mut Value) {
    let (before, after) = (object::managed_fields(old), object::managed_fields(new));
    let without_time = |entry: &Value| {
        let mut entry = entry.clone();
        if let Some(map) = entry.as_object_mut() {
            map.remove("time");
        }
        entry
    };
    let differs = |(a, b): (&Value, &Value)| a != b && without_time(a) != without_time(b);
    if before == after || before.len() != after.len() || before.iter().zip(after).any(differs) {
        return;
    }
    if equal_but_managers(old, new) {
        let before = before.to_vec();
        object::set_metadata(new, "managedFields", before);
    }
}

fn equal_but_managers(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return false };
    let metadata = |object: &serde_json::Map<String, Value>| {
        object.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let (mut before, mut after) = (metadata(old), metadata(new));
    before.remove("managedFields");
    after.remove("managedFields");
    let rest = |(key, _): &(&String, &Value)| *key != "metadata";
    before == after && old.iter().filter(rest).eq(new.iter().filter(rest))
}
