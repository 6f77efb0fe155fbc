//! Metadata that the server writes: times, uids, generated names, and what an update keeps.

use std::sync::LazyLock;

use jiff::Timestamp;
use k8s_types::object;
use k8s_types::status::ApiError;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

use crate::catalog::Row;

/// How often a generated name is tried again.
pub const NAME_ATTEMPTS: usize = 8;

static RANDOM: LazyLock<SystemRandom> = LazyLock::new(SystemRandom::new);

/// The time as metadata has it: to the second.
pub fn now() -> String {
    at(Timestamp::now())
}

/// A time as metadata has it.
pub fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A random uid (UUID version 4).
pub fn uid() -> Result<String, ApiError> {
    let mut bytes = [0; 16];
    RANDOM.fill(&mut bytes).map_err(|_| ApiError::internal("the kernel gives no random bytes"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let n = u128::from_be_bytes(bytes);
    Ok(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        n >> 96,
        (n >> 80) & 0xffff,
        (n >> 64) & 0xffff,
        (n >> 48) & 0xffff,
        n & 0xffff_ffff_ffff
    ))
}

/// A name that begins with `base`: at most 63 characters, the last five random.
pub fn generate_name(base: &str) -> Result<String, ApiError> {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bytes = [0; 5];
    RANDOM.fill(&mut bytes).map_err(|_| ApiError::internal("the kernel gives no random bytes"))?;
    let base: String = base.chars().take(58).collect();
    let suffix = bytes.iter().map(|b| LETTERS[usize::from(*b) % LETTERS.len()] as char);
    Ok(base.chars().chain(suffix).collect())
}

/// The namespace of an object must be that of the URL; where it says nothing it gets it.
pub fn settle_namespace(row: &Row, new: &mut Value, namespace: &str) -> Result<(), ApiError> {
    let own = object::namespace(new);
    if own == namespace {
        return Ok(());
    }
    if !row.resource.namespaced && namespace.is_empty() {
        // validation tells that it must not be there
        return Ok(());
    }
    if own.is_empty() {
        object::set_metadata(new, "namespace", namespace);
        return Ok(());
    }
    Err(ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// The name of an object must be that of the URL; where it says nothing it gets it.
pub fn settle_name(new: &mut Value, name: &str) -> Result<(), ApiError> {
    let own = object::name(new);
    if own == name {
        return Ok(());
    }
    if own.is_empty() {
        object::set_metadata(new, "name", name);
        return Ok(());
    }
    Err(ApiError::bad_request(format!("the name of the object ({own}) does not match the name on the URL ({name})")))
}

/// What the server says about a new object.
pub fn begin(new: &mut Value) -> Result<(), ApiError> {
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"] {
        object::remove_metadata(new, field);
    }
    object::set_metadata(new, "creationTimestamp", now());
    object::set_metadata(new, "uid", uid()?);
    Ok(())
}

/// What an update cannot change comes back from the old object.
pub fn keep(new: &mut Value, old: &Value) {
    const KEPT: &[&str] = &["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];
    for field in KEPT {
        match old["metadata"].get(field) {
            Some(value) => object::set_metadata(new, field, value.clone()),
            None => {
                object::remove_metadata(new, field);
            }
        }
    }
    if object::uid(new).is_empty() {
        object::set_metadata(new, "uid", object::uid(old));
    }
    object::remove_metadata(new, "selfLink");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_and_uids() {
        let name = generate_name(&"x".repeat(80)).unwrap();
        assert_eq!(name.len(), 63);
        let uid = uid().unwrap();
        assert_eq!((uid.len(), uid.as_bytes()[14]), (36, b'4'), "{uid}");
        assert_eq!(at(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
