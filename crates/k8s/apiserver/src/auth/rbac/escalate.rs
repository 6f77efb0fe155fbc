//! Nobody grants more than they have: roles and bindings are written only by who has all their rights, or may `escalate` or `bind`.

use k8s_types::object::GroupResource;
use k8s_types::status::ApiError;
use serde_json::Value;

use super::{GROUP, Index, Rule, quoted};
use crate::Identity;
use crate::authorize::{Attributes, Decision, Resource, Target};

/// A write of a role or binding.
pub struct Write<'a> {
    /// Who writes.
    pub identity: &'a Identity,
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
    pub plural: &'a str,
    /// Empty for the cluster.
    pub namespace: &'a str,
    /// Name of the object.
    pub name: &'a str,
    /// As it is.
    pub old: Option<&'a Value>,
    /// As it will be.
    pub new: &'a Value,
}

impl Index {
    /// Refuses a write that grants what its author does not have.
    pub fn check_escalation(&self, write: &Write<'_>) -> Result<(), ApiError> {
        if write.identity.in_group("system:masters") || write.old.is_some_and(|old| only_dependents(old, write.new)) {
            return Ok(());
        }
        match write.plural {
            "roles" | "clusterroles" => self.check_role(write),
            "rolebindings" | "clusterrolebindings" => self.check_binding(write),
            _ => Ok(()),
        }
    }

    fn check_role(&self, write: &Write<'_>) -> Result<(), ApiError> {
        if self.may(write, "escalate", write.plural, write.name) {
            return Ok(());
        }
        let aggregation = &write.new["aggregationRule"];
        let old = write.old.map_or(&Value::Null, |old| &old["aggregationRule"]);
        if write.plural == "clusterroles" && !aggregation.is_null() && aggregation != old {
            let everything = [Rule::all_resources(), Rule::all_paths()];
            if self.missing(write, &everything).is_some() {
                return Err(refused(write, "must have cluster-admin privileges to use the aggregationRule"));
            }
        }
        self.check_rules(write, &Rule::all_of(write.new))
    }

    fn check_binding(&self, write: &Write<'_>) -> Result<(), ApiError> {
        let reference = &write.new["roleRef"];
        let role = reference["name"].as_str().unwrap_or_default();
        let plural = match reference["kind"].as_str() {
            Some("ClusterRole") => "clusterroles",
            _ => "roles",
        };
        if self.may(write, "bind", plural, role) {
            return Ok(());
        }
        let rules = self
            .rules_of(reference, write.namespace)
            .map_err(|_| ApiError::not_found(&group_resource(plural), role))?;
        self.check_rules(write, &rules)
    }

    fn check_rules(&self, write: &Write<'_>, rules: &[Rule]) -> Result<(), ApiError> {
        match self.missing(write, rules) {
            None => Ok(()),
            Some(why) => Err(refused(write, &why)),
        }
    }

    fn may(&self, write: &Write<'_>, verb: &str, plural: &str, name: &str) -> bool {
        let resource =
            Resource { group: GROUP, resource: plural, namespace: write.namespace, name, ..Resource::default() };
        let attributes = Attributes { identity: write.identity, verb, target: Target::Resource(resource) };
        matches!(self.decide(&attributes), Decision::Allow(_))
    }

    /// What the author lacks of `rules`, as text.
    fn missing(&self, write: &Write<'_>, rules: &[Rule]) -> Option<String> {
        let (own, errors) = self.rules_for(write.identity, write.namespace);
        let parts = rules.iter().flat_map(Rule::parts);
        let missing: Vec<_> = parts.filter(|part| !own.iter().any(|own| own.covers(part))).collect();
        if missing.is_empty() {
            return None;
        }
        let mut lines: Vec<_> = compact(missing).iter().map(Rule::to_string).collect();
        lines.sort();
        lines.dedup();
        let Identity { name, groups, .. } = write.identity;
        let mut text = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            k8s_types::field::quote(name),
            quoted(groups),
            lines.join("\n"),
        );
        if !errors.is_empty() {
            text.push_str(&format!("; resolution errors: [{}]", errors.join(", ")));
        }
        Some(text)
    }
}

fn group_resource(plural: &str) -> GroupResource {
    GroupResource { group: GROUP.to_owned(), resource: plural.to_owned() }
}

fn refused(write: &Write<'_>, why: &str) -> ApiError {
    ApiError::forbidden(&group_resource(write.plural), write.name, why)
}

/// Joins the verbs of rules that are else the same.
fn compact(parts: Vec<Rule>) -> Vec<Rule> {
    let mut joined: Vec<Rule> = Vec::new();
    for part in parts {
        let same = |rule: &&mut Rule| {
            part.paths.is_empty()
                && rule.groups == part.groups
                && rule.resources == part.resources
                && rule.names == part.names
                && rule.paths.is_empty()
        };
        match joined.iter_mut().find(same) {
            Some(rule) => {
                for verb in part.verbs {
                    if !rule.verbs.contains(&verb) {
                        rule.verbs.push(verb);
                    }
                }
            }
            None => joined.push(part),
        }
    }
    joined
}

/// Whether only what the garbage collector writes differs: owner references and finalizers.
fn only_dependents(old: &Value, new: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation"] {
                metadata.remove(field);
            }
        }
        object
    };
    let dependents = |object: &Value| {
        let metadata = &object["metadata"];
        (metadata["ownerReferences"].clone(), metadata["finalizers"].clone())
    };
    dependents(old) != dependents(new) && bare(old) == bare(new)
}
