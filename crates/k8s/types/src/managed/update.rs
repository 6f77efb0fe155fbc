//! Creates, updates and patches: who writes owns what it changes, whoever owned that before does so no more.

use super::Request;
use super::compare::{Changes, NoKey, compare};
use super::conflict::Conflicts;
use super::managers::{Entry, Identity, Managers, Operation};
use super::owned;
use super::set::Set;
use super::shape::At;
use crate::object;
use crate::schema::{Presence, Struct, Type};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Fields that nobody owns.
static STRIPPED: LazyLock<Set> = LazyLock::new(|| {
    Set::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

/// What an update does to the managers of others.
pub(super) enum Taking {
    /// What it changes is taken from others.
    Force,
    /// What it changes and others own is refused.
    Ask,
}

impl Request<'_> {
    pub(super) fn try_update(&self, live: Option<&Value>, new: &mut Value) -> Result<(), NoKey> {
        let given = object::managed_fields(new);
        let managers = match () {
            // a subresource cannot write them
            () if !self.subresource.is_empty() => kept(live),
            () if asks_for_reset(new) => Managers::default(),
            () => Managers::decode(given).ok().filter(|managers| !managers.0.is_empty()).unwrap_or_else(|| kept(live)),
        };
        object::remove_metadata(new, "managedFields");
        if managers.0.is_empty() && live.is_some() {
            // nobody was tracked, and so it remains until the first apply
            return Ok(());
        }
        let managers = self.updated(live, new, managers, self.manager)?;
        write(new, managers);
        Ok(())
    }

    /// The managers after `new` has replaced `live` by the hand of `manager`.
    pub(super) fn updated(
        &self,
        live: Option<&Value>,
        new: &Value,
        managers: Managers,
        manager: &str,
    ) -> Result<Managers, NoKey> {
        let nothing;
        let old = match live {
            Some(live) => live,
            None => {
                nothing = zero(self.ty);
                &nothing
            }
        };
        let managers = self.fitted(old, managers);
        let reset = Set::of_fields(self.reset);
        let changes = compare(At::new(self.ty), Some(old), Some(new))?.without(&reset);
        let (mut managers, _) = self.taken(old, new, &changes, managers, None, &Taking::Force)?;
        let Changes { modified, added, .. } = changes;
        let mut fields = modified;
        fields.union_with(added);
        let fields = fields.recursive_difference(&reset).difference(&STRIPPED);
        if !fields.is_empty() {
            let identity = Identity::new(manager, Operation::Update, self.api_version, self.subresource);
            let mut entry = managers.take(&identity).unwrap_or_else(|| Entry {
                identity,
                api_version: self.api_version.to_owned(),
                time: None,
                fields: Set::new(),
            });
            entry.fields.union_with(fields);
            entry.time = Some(self.now.to_owned());
            managers.put(entry);
        }
        managers.cap();
        Ok(managers)
    }

    /// Takes what changed from all managers but one; the conflicts are those fields that others own and that change or come.
    pub(super) fn taken(
        &self,
        live: &Value,
        new: &Value,
        changes: &Changes,
        managers: Managers,
        own: Option<&Identity>,
        taking: &Taking,
    ) -> Result<(Managers, Conflicts), NoKey> {
        let mut conflicts = Conflicts::new();
        let mut others: Vec<(String, Changes)> = Vec::new();
        let mut result = Managers::default();
        for mut entry in managers.0 {
            if own == Some(&entry.identity) {
                result.0.push(entry);
                continue;
            }
            let changes = match entry.api_version == self.api_version {
                true => changes,
                false => match self.changes_in(&entry.api_version, live, new, &mut others)? {
                    Some(changes) => changes,
                    // its version is not served any more
                    None => continue,
                },
            };
            if !changes.is_empty() {
                let mut contested = entry.fields.intersection(&changes.modified);
                contested.union_with(entry.fields.intersection(&changes.added));
                entry.fields = entry.fields.difference(&contested).difference(&changes.removed);
                if matches!(taking, Taking::Ask) && !contested.is_empty() {
                    conflicts.push((entry.identity.clone(), contested));
                }
            }
            if !entry.fields.is_empty() {
                result.0.push(entry);
            }
        }
        Ok((result, conflicts))
    }

    fn changes_in<'c>(
        &self,
        version: &str,
        live: &Value,
        new: &Value,
        known: &'c mut Vec<(String, Changes)>,
    ) -> Result<Option<&'c Changes>, NoKey> {
        if !known.iter().any(|(known, _)| known == version) {
            let (Some((old, ty)), Some((new, _))) =
                (self.versions.convert(live, version), self.versions.convert(new, version))
            else {
                return Ok(None);
            };
            known.push((version.to_owned(), compare(At::new(&ty), Some(&old), Some(&new))?));
        }
        Ok(known.iter().find(|(known, _)| known == version).map(|(_, changes)| changes))
    }

    /// The managers' fields as the types have it now.
    pub(super) fn fitted(&self, live: &Value, mut managers: Managers) -> Managers {
        managers.0.retain_mut(|entry| {
            let ty = match self.in_version(live, &entry.api_version) {
                Some((_, ty)) => ty,
                None => return false,
            };
            if let Some(fitted) = owned::fitted(&entry.fields, At::new(&ty)) {
                entry.fields = fitted;
            }
            true
        });
        managers
    }

    /// An object in another version and its type there; its own version costs nothing.
    pub(super) fn in_version<'v>(&self, object: &'v Value, version: &str) -> Option<(Cow<'v, Value>, Cow<'_, Type>)> {
        if version == self.api_version {
            return Some((Cow::Borrowed(object), Cow::Borrowed(self.ty)));
        }
        self.versions.convert(object, version).map(|(object, ty)| (Cow::Owned(object), Cow::Owned(ty)))
    }

    pub(super) fn stripped(&self, fields: Set) -> Set {
        fields.recursive_difference(&Set::of_fields(self.reset)).difference(&STRIPPED)
    }
}

/// The managers of the live object; none when they cannot be read.
pub(super) fn kept(live: Option<&Value>) -> Managers {
    live.and_then(|live| Managers::decode(object::managed_fields(live)).ok()).unwrap_or_default()
}

/// Writes the managers into an object.
pub(super) fn write(object: &mut Value, managers: Managers) {
    if managers.0.is_empty() {
        object::remove_metadata(object, "managedFields");
    } else {
        object::set_metadata(object, "managedFields", managers.encode());
    }
}

/// An empty list of managers, or one empty manager, forgets all of them.
fn asks_for_reset(object: &Value) -> bool {
    let given = object::metadata(object).and_then(|metadata| metadata.get("managedFields")).and_then(Value::as_array);
    match given.map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

/// An object of which nothing was said: the parts that are always there.
pub(super) fn zero(ty: &Type) -> Value {
    ty.as_struct().map_or(Value::Null, |of| Value::Object(zero_fields(of)))
}

fn zero_fields(of: &Struct) -> Map<String, Value> {
    let always = of.fields.iter().filter(|field| field.presence == Presence::Always);
    always
        .map(|field| {
            let value = match &field.ty {
                Type::Struct(of) => Value::Object(zero_fields(of)),
                Type::Bool => Value::Bool(false),
                Type::Int32 | Type::Int64 | Type::Number => Value::from(0),
                Type::String(_) => Value::from(""),
                _ => Value::Null,
            };
            (field.name.to_string(), value)
        })
        .collect()
}
