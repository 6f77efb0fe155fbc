//! All roles and bindings by whom they are bound to, so that a question looks only at what concerns who asks.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::rule::Rule;
use crate::Identity;
use crate::authorize::{Attributes, Decision};

/// Names of service accounts as users.
pub const ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// The state of access control at one moment.
#[derive(Debug, Default)]
pub struct Index {
    cluster: Bindings,
    namespaces: HashMap<String, Bindings>,
    cluster_roles: HashMap<String, Arc<Vec<Rule>>>,
    roles: HashMap<String, HashMap<String, Arc<Vec<Rule>>>>,
}

#[derive(Debug, Default)]
struct Bindings {
    users: HashMap<String, Vec<Arc<Grant>>>,
    groups: HashMap<String, Vec<Arc<Grant>>>,
}

/// One subject of one binding.
#[derive(Debug)]
pub struct Grant {
    /// `RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "b" to Group "c"`.
    reason: Arc<str>,
    /// The rules, or which role there is not.
    rules: Result<Arc<Vec<Rule>>, String>,
}

/// Rules of roles that were read already, by where their object is, so that only what changed is read again.
#[derive(Default)]
pub struct Memory {
    /// The object is held, so that its place is not taken by another one.
    rules: HashMap<usize, (Arc<Value>, Arc<Vec<Rule>>)>,
}

impl Memory {
    fn rules(&mut self, next: &mut Memory, role: &Arc<Value>) -> Arc<Vec<Rule>> {
        let key = Arc::as_ptr(role) as usize;
        let entry = self.rules.remove(&key).unwrap_or_else(|| (role.clone(), Arc::new(Rule::all_of(role))));
        let rules = entry.1.clone();
        next.rules.insert(key, entry);
        rules
    }
}

/// The objects an index is made of.
#[derive(Debug, Default, Clone)]
pub struct Objects {
    /// `roles`.
    pub roles: Vec<Arc<Value>>,
    /// `clusterroles`.
    pub cluster_roles: Vec<Arc<Value>>,
    /// `rolebindings`.
    pub bindings: Vec<Arc<Value>>,
    /// `clusterrolebindings`.
    pub cluster_bindings: Vec<Arc<Value>>,
}

impl Index {
    /// Makes an index.
    pub fn new(objects: &Objects, memory: &mut Memory) -> Index {
        let (mut index, mut next) = (Index::default(), Memory::default());
        for role in &objects.cluster_roles {
            let rules = memory.rules(&mut next, role);
            index.cluster_roles.insert(name(role).to_owned(), rules);
        }
        for role in &objects.roles {
            let rules = memory.rules(&mut next, role);
            index.roles.entry(namespace(role).to_owned()).or_default().insert(name(role).to_owned(), rules);
        }
        *memory = next;
        for binding in &objects.cluster_bindings {
            let rules = index.rules_of(&binding["roleRef"], "");
            index.cluster.add(binding, "", &rules);
        }
        for binding in &objects.bindings {
            let namespace = namespace(binding);
            let rules = index.rules_of(&binding["roleRef"], namespace);
            index.namespaces.entry(namespace.to_owned()).or_default().add(binding, namespace, &rules);
        }
        index
    }

    /// The rules of a `roleRef` of a binding in `namespace` (empty: of the cluster), or which role there is not.
    pub fn rules_of(&self, reference: &Value, namespace: &str) -> Result<Arc<Vec<Rule>>, String> {
        let name = reference["name"].as_str().unwrap_or_default();
        let missing = |kind: &str| format!("{kind}.rbac.authorization.k8s.io \"{name}\" not found");
        match reference["kind"].as_str().unwrap_or_default() {
            "ClusterRole" => self.cluster_roles.get(name).cloned().ok_or_else(|| missing("clusterrole")),
            "Role" => {
                self.roles.get(namespace).and_then(|roles| roles.get(name)).cloned().ok_or_else(|| missing("role"))
            }
            kind => Err(format!("unsupported role reference kind: {}", k8s_types::field::quote(kind))),
        }
    }

    /// Whether it is allowed, and by what.
    pub fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        let mut errors = Vec::new();
        for grant in self.grants(attributes.identity, attributes.namespace()) {
            match &grant.rules {
                Ok(rules) if rules.iter().any(|rule| rule.allows(attributes.verb, &attributes.target)) => {
                    return Decision::Allow(grant.reason.clone());
                }
                Ok(_) => {}
                Err(error) if !errors.contains(error) => errors.push(error.clone()),
                Err(_) => {}
            }
        }
        Decision::Deny(match errors.as_slice() {
            [] => String::new(),
            [error] => format!("RBAC: {error}"),
            errors => format!("RBAC: [{}]", errors.join(", ")),
        })
    }

    /// All rules that apply to somebody in a namespace (empty: in the cluster as a whole), and which roles there are not.
    pub fn rules_for(&self, identity: &Identity, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        let mut seen = std::collections::HashSet::new();
        for grant in self.grants(identity, namespace) {
            match &grant.rules {
                Ok(found) if seen.insert(Arc::as_ptr(found)) => rules.extend(found.iter().cloned()),
                Ok(_) => {}
                Err(error) => errors.push(error.clone()),
            }
        }
        (rules, errors)
    }

    fn grants<'a>(&'a self, identity: &'a Identity, namespace: &str) -> impl Iterator<Item = &'a Arc<Grant>> {
        let local = (!namespace.is_empty()).then(|| self.namespaces.get(namespace)).flatten();
        std::iter::once(&self.cluster).chain(local).flat_map(move |bindings| {
            let by_name = bindings.users.get(&identity.name);
            let by_group = identity.groups.iter().filter_map(|group| bindings.groups.get(group));
            by_name.into_iter().chain(by_group).flatten()
        })
    }
}

impl Bindings {
    fn add(&mut self, binding: &Value, namespace: &str, rules: &Result<Arc<Vec<Rule>>, String>) {
        let subjects = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        for subject in subjects {
            let (kind, name) = (text(subject, "kind"), text(subject, "name"));
            let grant = || Arc::new(Grant { reason: reason(binding, namespace, subject).into(), rules: rules.clone() });
            match kind {
                "User" => self.users.entry(name.to_owned()).or_default().push(grant()),
                "Group" => self.groups.entry(name.to_owned()).or_default().push(grant()),
                "ServiceAccount" => {
                    let namespace = Some(text(subject, "namespace")).filter(|own| !own.is_empty()).unwrap_or(namespace);
                    if !namespace.is_empty() {
                        let user = format!("{ACCOUNT_PREFIX}{namespace}:{name}");
                        self.users.entry(user).or_default().push(grant());
                    }
                }
                _ => {}
            }
        }
    }
}

fn reason(binding: &Value, namespace: &str, subject: &Value) -> String {
    let quote = k8s_types::field::quote;
    let (kind, own) = match namespace {
        "" => ("ClusterRoleBinding", quote(name(binding))),
        namespace => ("RoleBinding", quote(&format!("{}/{namespace}", name(binding)))),
    };
    let reference = &binding["roleRef"];
    let subject_name = match (text(subject, "kind"), text(subject, "namespace")) {
        ("ServiceAccount", "") => format!("{}/{namespace}", text(subject, "name")),
        ("ServiceAccount", own) => format!("{}/{own}", text(subject, "name")),
        _ => text(subject, "name").to_owned(),
    };
    format!(
        "RBAC: allowed by {kind} {own} of {} {} to {} {}",
        text(reference, "kind"),
        quote(text(reference, "name")),
        text(subject, "kind"),
        quote(&subject_name),
    )
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn name(object: &Value) -> &str {
    text(&object["metadata"], "name")
}

fn namespace(object: &Value) -> &str {
    text(&object["metadata"], "namespace")
}
