//! Defaults of a schema must themselves be good values.

use serde_json::Value;

use super::node::Node;
use super::rows;
use super::rules::Rules;
use super::{check, lists};
use crate::codec;
use crate::field::{Error, Errors, Path};

/// Checks all defaults in `node`, which is at `path`.
pub(super) fn check_defaults(node: &Node, path: &Path) -> Errors {
    let mut errors = Errors::new();
    walk(node, true, false, path, &mut errors);
    errors
}

fn walk(node: &Node, root: bool, inside_meta: bool, path: &Path, errors: &mut Errors) {
    if let Some(default) = &node.default {
        one(node, default, inside_meta, &path.child("default"), errors);
    }
    if let Some(items) = &node.items {
        walk(items, false, inside_meta, &path.child("items"), errors);
    }
    for (name, property) in &node.properties {
        let meta = (root || node.embedded) && matches!(name.as_str(), "metadata" | "apiVersion" | "kind");
        walk(property, false, inside_meta && !node.embedded || meta, &path.child("properties").key(name), errors);
    }
}

fn one(node: &Node, default: &Value, inside_meta: bool, path: &Path, errors: &mut Errors) {
    if !inside_meta {
        let mut pruned = default.clone();
        codec::prune(&mut pruned, &rows::value(node));
        if pruned != *default {
            errors.push(Error::invalid(path, default.clone(), "must not have unknown fields"));
        }
    }
    let before = errors.len();
    lists::check_embedded(node, default, path, errors);
    check::check(node, default, None, path, errors);
    if errors.len() == before
        && let Some(rules) = Rules::compile(node, node.embedded)
    {
        rules.check(default, Some(default), path, errors);
        if errors.len() == before {
            rules.check(default, None, path, errors);
        }
    }
}
