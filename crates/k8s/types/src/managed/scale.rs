//! Managers of `spec.replicas` through the `scale` subresource.

use super::managers::{Entry, Managers, ManagersError};
use super::set::Set;
use serde_json::Value;

const SCALE_VERSION: &str = "autoscaling/v1";
const SCALE_REPLICAS: &[&str] = &["spec", "replicas"];

/// Where a kind keeps its number of replicas, in each of its versions: `("apps/v1", ["spec", "replicas"])`.
pub type Paths<'a> = &'a [(&'a str, &'a [&'a str])];

/// The `managedFields` of the `Scale` of an object, from those of the object.
///
/// # Errors
/// When they cannot be read.
pub fn to_scale(parent: &[Value], paths: Paths<'_>) -> Result<Vec<Value>, ManagersError> {
    let managers = Managers::decode(parent)?.0.into_iter();
    let of_replicas =
        managers.filter(|entry| replicas(paths, &entry.api_version).is_some_and(|path| has(&entry.fields, path)));
    let in_scale = of_replicas.map(|entry| Entry {
        api_version: SCALE_VERSION.to_owned(),
        fields: Set::of_fields(&[SCALE_REPLICAS]),
        ..entry
    });
    Ok(Managers(in_scale.collect()).encode())
}

/// The `managedFields` of the object after its `Scale` was written: who took the replicas there has them here.
///
/// # Errors
/// When they cannot be read.
pub fn to_parent(
    parent: &[Value],
    scale: &[Value],
    paths: Paths<'_>,
    api_version: &str,
) -> Result<Vec<Value>, ManagersError> {
    let mut in_scale = Managers::decode(scale)?;
    let mut result = Managers::default();
    for mut entry in Managers::decode(parent)?.0 {
        let Some(path) = replicas(paths, &entry.api_version) else { continue };
        if has(&entry.fields, path) {
            // kubectl's managers are told apart without the version that the scale speaks
            let same = in_scale.0.iter().position(|other| is_same(other, &entry));
            match same {
                Some(at) => {
                    in_scale.0.remove(at);
                }
                None => entry.fields = entry.fields.difference(&Set::of_fields(&[path])),
            }
        }
        if !entry.fields.is_empty() {
            result.put(entry);
        }
    }
    for mut entry in in_scale.0 {
        let Some(path) = replicas(paths, api_version).filter(|_| has(&entry.fields, SCALE_REPLICAS)) else { continue };
        entry.fields = Set::of_fields(&[path]);
        entry.api_version = api_version.to_owned();
        if !entry.identity.version.is_empty() {
            entry.identity.version = api_version.to_owned();
        }
        result.put(entry);
    }
    Ok(result.encode())
}

fn replicas<'a>(paths: Paths<'a>, api_version: &str) -> Option<&'a [&'a str]> {
    paths.iter().find(|(version, _)| *version == api_version).map(|(_, path)| *path)
}

fn has(fields: &Set, path: &[&str]) -> bool {
    let steps: Vec<String> = path.iter().map(|name| format!("f:{name}")).collect();
    fields.has(steps.iter().map(String::as_str))
}

/// The manager in the scale is that of the object: it was made from it by [`to_scale`].
fn is_same(in_scale: &Entry, parent: &Entry) -> bool {
    let (a, b) = (&in_scale.identity, &parent.identity);
    a.name == b.name && a.operation == b.operation && a.subresource == b.subresource && in_scale.time == parent.time
}
