//! The entries of `metadata.managedFields`: who, how, in which version, when, which fields.

use super::set::{FieldsError, Set};
use serde_json::{Map, Value};

/// The most managers that have written by updates; the oldest are merged beyond that.
const MOST_UPDATERS: usize = 10;
/// The manager that the oldest are merged into.
const ANCIENT: &str = "ancient-changes";

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

/// What tells managers apart. Who applies is one manager whatever versions it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Empty for [`Operation::Apply`].
    pub(super) version: String,
    pub(super) subresource: String,
}

/// A manager's fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    /// The version in which the fields are named.
    pub(super) api_version: String,
    pub(super) time: Option<String>,
    pub(super) fields: Set,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Managers(pub(super) Vec<Entry>);

/// Why `metadata.managedFields` cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ManagersError {
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    #[error("apiVersion must not be empty")]
    Version,
    #[error("missing fieldsType in managed fields entry {0}")]
    NoType(usize),
    #[error("invalid fieldsType {} in managed fields entry {at}", crate::field::quote(.found))]
    Type { at: usize, found: String },
    #[error("error decoding set: {0}")]
    Fields(#[from] FieldsError),
}

impl Operation {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

impl Identity {
    pub(super) fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let version = if operation == Operation::Apply { String::new() } else { api_version.to_owned() };
        let name = if name.is_empty() { "unknown" } else { name };
        Self { name: name.to_owned(), operation, version, subresource: subresource.to_owned() }
    }
}

impl Managers {
    /// Reads the entries. Of several of one manager, the last counts.
    pub(super) fn decode(entries: &[Value]) -> Result<Self, ManagersError> {
        let mut managers = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            managers.put(decode(at, entry)?);
        }
        Ok(managers)
    }

    /// The JSON of the entries, in Kubernetes' order: appliers first, then by time.
    pub(super) fn encode(mut self) -> Vec<Value> {
        self.0.sort_by(|a, b| {
            let order = |entry: &Entry| (entry.identity.operation, seconds(entry));
            order(a)
                .cmp(&order(b))
                .then_with(|| a.identity.name.cmp(&b.identity.name))
                .then_with(|| a.api_version.cmp(&b.api_version))
                .then_with(|| a.identity.subresource.cmp(&b.identity.subresource))
        });
        self.0.into_iter().map(encode).collect()
    }

    pub(super) fn get(&self, identity: &Identity) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.identity == *identity)
    }

    /// Adds an entry, or replaces that of the same manager.
    pub(super) fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|other| other.identity == entry.identity) {
            Some(other) => *other = entry,
            None => self.0.push(entry),
        }
    }

    pub(super) fn take(&mut self, identity: &Identity) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.identity == *identity)?;
        Some(self.0.remove(at))
    }

    /// Merges the oldest updaters of a version into one, until there are few enough.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<Identity> = {
            let mut entries: Vec<&Entry> =
                self.0.iter().filter(|entry| entry.identity.operation == Operation::Update).collect();
            entries.sort_by(|a, b| seconds(a).cmp(&seconds(b)).then_with(|| sort_text(a).cmp(&sort_text(b))));
            entries.into_iter().map(|entry| entry.identity.clone()).collect()
        };
        let mut excess = updaters.len().saturating_sub(MOST_UPDATERS);
        let mut firsts: Vec<Identity> = Vec::new();
        for identity in updaters.drain(..) {
            if excess == 0 {
                break;
            }
            let Some(first) = firsts.iter().find(|first| first.version == identity.version).cloned() else {
                firsts.push(identity);
                continue;
            };
            let bucket = Identity::new(ANCIENT, Operation::Update, &identity.version, "");
            if self.get(&bucket).is_none()
                && let Some(entry) = self.0.iter_mut().find(|entry| entry.identity == first)
            {
                entry.identity = bucket.clone();
            }
            if let Some(Entry { fields, time, .. }) = self.take(&identity) {
                excess -= 1;
                if let Some(entry) = self.0.iter_mut().find(|entry| entry.identity == bucket) {
                    entry.fields.union_with(fields);
                    entry.time = time;
                }
            }
        }
    }
}

fn sort_text(entry: &Entry) -> (&str, &str, &str) {
    (&entry.identity.name, &entry.identity.version, &entry.identity.subresource)
}

/// The time in seconds; none is the oldest.
fn seconds(entry: &Entry) -> i64 {
    let time = entry.time.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    time.map_or(0, jiff::Timestamp::as_second)
}

fn decode(at: usize, entry: &Value) -> Result<Entry, ManagersError> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err(ManagersError::Operation),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err(ManagersError::Version);
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => return Err(ManagersError::NoType(at)),
        other => return Err(ManagersError::Type { at, found: other.to_owned() }),
    }
    let fields = match entry.get("fieldsV1") {
        None | Some(Value::Null) => Set::new(),
        Some(fields) => Set::from_value(fields)?,
    };
    let version = if operation == Operation::Apply { "" } else { api_version };
    let identity = Identity {
        name: text("manager").to_owned(),
        operation,
        version: version.to_owned(),
        subresource: text("subresource").to_owned(),
    };
    let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
    Ok(Entry { identity, api_version: api_version.to_owned(), time, fields })
}

fn encode(entry: Entry) -> Value {
    let mut map = Map::new();
    let mut put = |field: &str, text: String| {
        if !text.is_empty() {
            map.insert(field.to_owned(), Value::String(text));
        }
    };
    put("manager", entry.identity.name);
    put("operation", entry.identity.operation.as_str().to_owned());
    put("apiVersion", entry.api_version);
    put("time", entry.time.unwrap_or_default());
    put("fieldsType", "FieldsV1".to_owned());
    put("subresource", entry.identity.subresource);
    map.insert("fieldsV1".to_owned(), entry.fields.into_value());
    Value::Object(map)
}
