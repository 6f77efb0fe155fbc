//! Fields that an apply would take from other managers.

use super::managers::{Identity, Operation};
use super::set::Set;
use crate::field::quote;
use crate::status::{ApiError, Cause};

/// A manager and its fields that are contested.
pub(super) type Conflicts = Vec<(Identity, Set)>;

/// The refusal: a message, and a cause for every field.
pub(super) fn refuse(mut conflicts: Conflicts) -> ApiError {
    conflicts.sort_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
    let contested: Vec<(String, Vec<String>)> =
        conflicts.iter().map(|(identity, set)| (spoken(identity), set.paths())).collect();
    let number: usize = contested.iter().map(|(_, paths)| paths.len()).sum();
    let message = match contested.as_slice() {
        [(manager, paths)] if number == 1 => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", paths[0])
        }
        _ => {
            let lines = contested.iter().flat_map(|(manager, paths)| {
                let head = std::iter::once(format!("conflicts with {manager}:"));
                head.chain(paths.iter().map(|path| format!("- {path}")))
            });
            format!("Apply failed with {number} conflicts: {}", lines.collect::<Vec<_>>().join("\n"))
        }
    };
    let causes = contested.iter().flat_map(|(manager, paths)| {
        paths.iter().map(move |path| Cause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {manager}"),
            field: path.clone(),
        })
    });
    ApiError::apply_conflict(message, causes.collect())
}

/// `"kubectl" with subresource "scale" using apps/v1`
fn spoken(identity: &Identity) -> String {
    let mut text = quote(&identity.name);
    if !identity.subresource.is_empty() {
        text.push_str(&format!(" with subresource {}", quote(&identity.subresource)));
    }
    if identity.operation == Operation::Update {
        text.push_str(&format!(" using {}", identity.version));
    }
    text
}

fn order(identity: &Identity) -> (&str, Operation, &str, &str) {
    (&identity.name, identity.operation, &identity.version, &identity.subresource)
}
