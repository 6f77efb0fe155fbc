//! Checks of `metadata`, the same for every kind: names, labels, annotations, owners, finalizers, and what an update may not change.

use serde_json::Value;

use super::at::At;
use super::check::{self, IMMUTABLE};
use super::read::{Read, same};
use crate::field::Errors;
use crate::names;
use crate::schema::builtin;

/// What the name of an object of a kind must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// DNS subdomain (RFC 1123): most kinds.
    Subdomain,
    /// DNS label (RFC 1123): namespaces.
    Label,
    /// DNS label that starts with a letter (RFC 1035).
    Label1035,
    /// Anything that can stand in a URL's path: roles and bindings.
    PathSegment,
    /// The kind's `validate` checks its name itself.
    Own,
}

impl NameRule {
    fn messages(self, name: &str, prefix: bool) -> Vec<String> {
        let rule: names::Rule = match self {
            NameRule::Subdomain => names::dns1123_subdomain,
            NameRule::Label => names::dns1123_label,
            NameRule::Label1035 => names::dns1035_label,
            NameRule::PathSegment if prefix => return names::path_segment_prefix(name),
            NameRule::PathSegment => return names::path_segment(name),
            NameRule::Own => return Vec::new(),
        };
        if prefix { names::prefix(rule, name) } else { rule(name) }
    }
}

/// Checks the metadata of a new object.
pub fn validate(object: &Value, rule: NameRule, namespaced: bool, errors: &mut Errors) {
    let root = At::root(object);
    let metadata = root.get("metadata");
    let generate = metadata.get("generateName");
    if !generate.is_unset() {
        check::messages(&generate, rule.messages(generate.text(), true), errors);
    }
    let name = metadata.get("name");
    match name.is_unset() {
        true => name.required(errors, "name or generateName is required"),
        false => check::messages(&name, rule.messages(name.text(), false), errors),
    }
    let namespace = metadata.get("namespace");
    if !namespaced {
        if !namespace.is_unset() {
            namespace.forbidden(errors, "not allowed on this type");
        }
    } else if namespace.needed(errors) {
        check::dns_label(&namespace, errors);
    }
    check::nonnegative(&metadata.get("generation"), errors);
    every_time(&metadata, errors);
    finalizers(object, &metadata.get("finalizers"), errors);
}

/// Checks the metadata of an update. `(new, old)`
pub fn validate_update(new: &Value, old: &Value, _namespaced: bool, errors: &mut Errors) {
    let root = At::root(new);
    let metadata = root.get("metadata");
    let before = &old["metadata"];
    if before["deletionTimestamp"].is_set() {
        let mut extra: Vec<&str> = metadata["finalizers"].items().iter().map(Read::text).collect();
        extra.retain(|name| !before["finalizers"].items().iter().any(|old| old.text() == *name));
        extra.sort_unstable();
        if !extra.is_empty() {
            let extra: Vec<String> = extra.into_iter().map(crate::field::quote).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                extra.join(", ")
            );
            metadata.get("finalizers").forbidden(errors, detail);
        }
    }
    let generation = metadata.get("generation");
    check::nonnegative(&generation, errors);
    if generation.int().unwrap_or(0) < before["generation"].int().unwrap_or(0) {
        generation.invalid_value(errors, generation.int().unwrap_or(0), "must not be decremented");
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if !same(&metadata[field], &before[field]) {
            metadata.get(field).invalid(errors, IMMUTABLE);
        }
    }
    every_time(&metadata, errors);
    let list = metadata.get("finalizers");
    for finalizer in list.each() {
        strict_finalizer(new, &finalizer, errors);
    }
}

fn every_time(metadata: &At, errors: &mut Errors) {
    check::labels(&metadata.get("labels"), errors);
    check::annotations(&metadata.get("annotations"), errors);
    owners(&metadata.get("ownerReferences"), errors);
    managed(&metadata.get("managedFields"), errors);
}

fn owners(list: &At, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for owner in list.each() {
        let version = owner.get("apiVersion");
        match version.text() {
            "" => version.required(errors, "must not be empty"),
            text if text.matches('/').count() > 1 || text.ends_with('/') => {
                version.invalid(errors, "must be <group>/<version> or <version>");
            }
            _ => {}
        }
        for field in ["kind", "name", "uid"] {
            if owner[field].is_unset() {
                owner.get(field).required(errors, "must not be empty");
            }
        }
        if version.text() == "v1" && owner["kind"].text() == "Event" {
            owner.invalid(errors, "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner["controller"].yes() {
            let this = format!("{}/{}", owner["kind"].text(), owner["name"].text());
            match &controller {
                Some(first) => list.invalid(
                    errors,
                    format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    ),
                ),
                None => controller = Some(this),
            }
        }
    }
}

fn finalizers(object: &Value, list: &At, errors: &mut Errors) {
    for finalizer in list.each() {
        for message in names::qualified_name(finalizer.text()) {
            list.invalid_value(errors, finalizer.text(), message);
        }
        strict_finalizer(object, &finalizer, errors);
    }
    let has = |name: &str| list.items().iter().any(|f| f.text() == name);
    if has("orphan") && has("foregroundDeletion") {
        list.invalid(errors, "finalizer orphan and foregroundDeletion cannot be both set");
    }
}

/// Custom resources and their definitions may have finalizers of any name.
fn strict_finalizer(object: &Value, finalizer: &At, errors: &mut Errors) {
    if finalizer.text().contains('/') {
        return;
    }
    let kind = crate::object::gvk(object);
    if kind.group != "apiextensions.k8s.io" && builtin().kind(&kind.group, &kind.version, &kind.kind).is_some() {
        standard_finalizer(finalizer, finalizer, errors);
    }
}

/// A finalizer without a domain must be one of Kubernetes'; `told` is where that is told.
pub fn standard_finalizer(finalizer: &At, told: &At, errors: &mut Errors) {
    let name = finalizer.text();
    if !name.contains('/') && !["kubernetes", "orphan", "foregroundDeletion"].contains(&name) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        told.invalid_value(errors, name, detail);
    }
}

fn managed(list: &At, errors: &mut Errors) {
    for entry in list.each() {
        let operation = entry.get("operation");
        match operation.text() {
            "" => operation.required(errors, "must not be empty"),
            "Apply" | "Update" => {}
            _ => operation.not_supported(errors, &["Apply", "Update"]),
        }
        let kind = entry.get("fieldsType");
        if !kind.is_unset() && kind.text() != "FieldsV1" {
            kind.invalid(errors, "must be `FieldsV1`");
        }
        for (field, most) in [("manager", 128), ("subresource", 256)] {
            if entry[field].text().len() > most {
                entry.get(field).too_long(errors, most);
            }
        }
    }
}
