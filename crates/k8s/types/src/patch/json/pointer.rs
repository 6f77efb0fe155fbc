//! JSON pointers (RFC 6901) into an object that is being changed.

use serde_json::{Map, Value};

/// Why a pointer's last segment does not name a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    #[error("nonexistent key: {0}: missing value")]
    Key(String),
    #[error("value was not a proper array index: '{0}'")]
    NoIndex(String),
    #[error("Unable to access invalid index: {0}: invalid index referenced")]
    Index(i64),
}

/// The container that a pointer leads into and the last segment.
pub(super) enum Place<'a> {
    Member(&'a mut Map<String, Value>, String),
    Item(&'a mut Vec<Value>, String),
}

/// The segments of a pointer, unescaped. `None` when it does not start with a slash; the whole object cannot be named.
pub(super) fn segments(pointer: &str) -> Option<Vec<String>> {
    let rest = pointer.strip_prefix('/')?;
    Some(rest.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect())
}

/// Walks to the container of the last segment; `None` when the way there does not exist.
pub(super) fn locate(object: &mut Value, mut segments: Vec<String>) -> Option<Place<'_>> {
    let last = segments.pop()?;
    let mut at = object;
    for segment in segments {
        at = match at {
            Value::Object(map) => map.get_mut(&segment)?,
            Value::Array(items) => {
                let index = existing(items, &segment).ok()?;
                &mut items[index]
            }
            _ => return None,
        };
    }
    match at {
        Value::Object(map) => Some(Place::Member(map, last)),
        Value::Array(items) => Some(Place::Item(items, last)),
        _ => None,
    }
}

impl<'a> Place<'a> {
    /// What is there.
    pub(super) fn get_mut(self) -> Result<&'a mut Value, PointerError> {
        match self {
            Place::Member(map, key) => map.get_mut(&key).ok_or(PointerError::Key(key)),
            Place::Item(items, key) => {
                let index = existing(items, &key)?;
                Ok(&mut items[index])
            }
        }
    }

    /// Sets a member, or inserts an item before the index; `-` appends.
    pub(super) fn add(self, value: Value) -> Result<(), PointerError> {
        match self {
            Place::Member(map, key) => {
                map.insert(key, value);
            }
            Place::Item(items, key) if key == "-" => items.push(value),
            Place::Item(items, key) => {
                let index = index(&key, items.len() + 1)?;
                items.insert(index, value);
            }
        }
        Ok(())
    }

    /// Takes away what is there.
    pub(super) fn remove(self) -> Result<Value, PointerError> {
        match self {
            Place::Member(map, key) => map.remove(&key).ok_or(PointerError::Key(key)),
            Place::Item(items, key) => {
                let index = existing(items, &key)?;
                Ok(items.remove(index))
            }
        }
    }
}

fn existing(items: &[Value], key: &str) -> Result<usize, PointerError> {
    index(key, items.len())
}

/// An index below `bound`; a negative one counts from there.
fn index(key: &str, bound: usize) -> Result<usize, PointerError> {
    let number: i64 = key.parse().map_err(|_| PointerError::NoIndex(key.to_owned()))?;
    let from_start = if number < 0 { number.checked_add(bound as i64) } else { Some(number) };
    from_start
        .and_then(|index| usize::try_from(index).ok())
        .filter(|index| *index < bound)
        .ok_or(PointerError::Index(number))
}
