//! Default roles and bindings: read from their table, made when missing, given back what they lost.

use serde_json::{Value, json};

use crate::auth::rbac::{GROUP, Rule};

const TABLE: &str = include_str!("default.roles");
/// Objects with this set to `false` are left alone.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// An object that should be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// `clusterroles`, `clusterrolebindings`, `roles` or `rolebindings`.
    pub plural: &'static str,
    /// Empty for the cluster.
    pub namespace: String,
    /// The object.
    pub object: Value,
}

/// The rules of the role `system:node`, which nobody is bound to: the authorizer of nodes goes by them.
pub fn of_nodes() -> Vec<Rule> {
    let role = defaults()
        .into_iter()
        .find(|wanted| wanted.plural == "clusterroles" && k8s_types::object::name(&wanted.object) == "system:node");
    role.map(|wanted| Rule::all_of(&wanted.object)).unwrap_or_default()
}

/// What to do about an object that should be there.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It is as it should be, or somebody wants it otherwise.
    Keep,
    /// It is written.
    Update(Value),
    /// It is deleted and made anew: what it refers to cannot be changed.
    Replace,
}

/// All default roles and bindings, roles first.
pub fn defaults() -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut bindings = Vec::new();
    for line in TABLE.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(' ') {
            if let Some(role) = wanted.last_mut()
                && let Some(rules) = role.object["rules"].as_array_mut()
            {
                rules.push(rule(&words));
            }
            continue;
        }
        match *words {
            ["cluster", name, ref labels @ ..] => wanted.push(cluster_role(name, labels)),
            ["controller", name] => {
                let full = format!("system:controller:{name}");
                wanted.push(cluster_role(&full, &[]));
                bindings.push(cluster_binding(&full, &[&format!("account:kube-system/{name}")]));
            }
            ["role", namespace, name] => wanted.push(object("roles", "Role", namespace, name, json!({ "rules": [] }))),
            ["bind", name, ref subjects @ ..] => bindings.push(cluster_binding(name, subjects)),
            ["bind-in", namespace, name, role, ref subjects @ ..] => {
                let parts = binding("Role", role, subjects);
                bindings.push(object("rolebindings", "RoleBinding", namespace, name, parts));
            }
            _ => debug_assert!(false, "default.roles: {line}"),
        }
    }
    wanted.extend(bindings);
    wanted
}

/// What to do about `existing`, by what is wanted.
pub fn reconcile(existing: &Value, wanted: &Value) -> Step {
    if existing["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return Step::Keep;
    }
    if existing["roleRef"] != wanted["roleRef"] {
        return Step::Replace;
    }
    let mut result = existing.clone();
    for field in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][field].as_object().into_iter().flatten() {
            if result["metadata"][field][key].is_null() {
                result["metadata"][field][key] = value.clone();
            }
        }
    }
    if wanted["aggregationRule"].is_object() {
        add_selectors(&mut result, wanted);
    } else if wanted["rules"].is_array() {
        add_rules(&mut result, wanted);
    }
    add_subjects(&mut result, wanted);
    match result == *existing {
        true => Step::Keep,
        false => Step::Update(result),
    }
}

/// Adds the rights that the rules lack; what was added by others stays.
fn add_rules(result: &mut Value, wanted: &Value) {
    let own = Rule::all_of(result);
    let parts = Rule::all_of(wanted).into_iter().flat_map(|rule| rule.parts());
    let missing: Vec<_> =
        parts.filter(|part| !own.iter().any(|own| own.covers(part))).map(|part| part.to_value()).collect();
    if missing.is_empty() {
        return;
    }
    if own.is_empty() {
        result["rules"] = wanted["rules"].clone();
        return;
    }
    if let Some(rules) = result["rules"].as_array_mut() {
        rules.extend(missing);
    }
}

fn add_selectors(result: &mut Value, wanted: &Value) {
    let missing =
        missing(&result["aggregationRule"]["clusterRoleSelectors"], &wanted["aggregationRule"]["clusterRoleSelectors"]);
    if missing.is_empty() {
        return;
    }
    let mut all = result["aggregationRule"]["clusterRoleSelectors"].as_array().cloned().unwrap_or_default();
    all.extend(missing);
    result["aggregationRule"] = json!({ "clusterRoleSelectors": all });
}

fn add_subjects(result: &mut Value, wanted: &Value) {
    let missing = missing(&result["subjects"], &wanted["subjects"]);
    if !missing.is_empty() {
        let mut all = result["subjects"].as_array().cloned().unwrap_or_default();
        all.extend(missing);
        result["subjects"] = all.into();
    }
}

fn missing(own: &Value, wanted: &Value) -> Vec<Value> {
    let own = own.as_array().map(Vec::as_slice).unwrap_or_default();
    wanted.as_array().into_iter().flatten().filter(|item| !own.contains(item)).cloned().collect()
}

fn cluster_role(name: &str, labels: &[&str]) -> Wanted {
    let label = |whereto: &str| format!("rbac.authorization.k8s.io/aggregate-to-{whereto}");
    let mut wanted = object("clusterroles", "ClusterRole", "", name, json!({ "rules": [] }));
    for pair in labels.chunks_exact(2) {
        match pair[0] {
            "to" => wanted.object["metadata"]["labels"][label(pair[1])] = "true".into(),
            _ => {
                let selector = json!({ "matchLabels": { label(pair[1]): "true" } });
                wanted.object["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
            }
        }
    }
    wanted
}

fn cluster_binding(name: &str, subjects: &[&str]) -> Wanted {
    object("clusterrolebindings", "ClusterRoleBinding", "", name, binding("ClusterRole", name, subjects))
}

fn binding(kind: &str, role: &str, subjects: &[&str]) -> Value {
    let subjects: Vec<_> = subjects
        .iter()
        .map(|subject| match subject.split_once(':').unwrap_or_default() {
            ("group", name) => json!({ "apiGroup": GROUP, "kind": "Group", "name": name }),
            ("account", name) => {
                let (namespace, name) = name.split_once('/').unwrap_or_default();
                json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
            }
            (_, name) => json!({ "apiGroup": GROUP, "kind": "User", "name": name }),
        })
        .collect();
    let mut parts = json!({ "roleRef": { "apiGroup": GROUP, "kind": kind, "name": role } });
    if !subjects.is_empty() {
        parts["subjects"] = subjects.into();
    }
    parts
}

fn object(plural: &'static str, kind: &str, namespace: &str, name: &str, parts: Value) -> Wanted {
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": {
            "name": name,
            "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
            "annotations": { AUTOUPDATE: "true" },
        },
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    for (key, value) in parts.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    Wanted { plural, namespace: namespace.to_owned(), object }
}

fn rule(words: &[&str]) -> Value {
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let verbs = |text: &str| match text {
        "read" => list("get,list,watch"),
        "write" => list("create,delete,deletecollection,patch,update"),
        text => list(text),
    };
    match *words {
        ["events"] => json!({
            "verbs": ["create", "patch", "update"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"],
        }),
        [allowed, "url", ref paths @ ..] => json!({ "verbs": verbs(allowed), "nonResourceURLs": paths }),
        [allowed, groups, ref rest @ ..] => {
            let groups: Vec<_> =
                list(groups).into_iter().map(|g| if g == "core" { String::new() } else { g }).collect();
            let (resources, names) = match rest.iter().position(|word| *word == "=") {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &[][..]),
            };
            let mut rule = json!({ "verbs": verbs(allowed), "apiGroups": groups, "resources": resources });
            if !names.is_empty() {
                rule["resourceNames"] = json!(names);
            }
            rule
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(plural: &str, name: &str) -> Value {
        let found = defaults().into_iter().find(|w| w.plural == plural && w.object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {plural} {name}")).object
    }

    #[test]
    fn the_table_is_read_as_meant() {
        let admin = named("clusterroles", "cluster-admin");
        assert_eq!(Rule::all_of(&admin), [Rule::all_resources(), Rule::all_paths()]);
        let edit = named("clusterroles", "edit");
        assert_eq!(edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
        let label = "rbac.authorization.k8s.io/aggregate-to-edit";
        assert_eq!(edit["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"][label], "true");
        let approver = named("clusterroles", "system:certificates.k8s.io:kubelet-serving-approver");
        assert_eq!(approver["rules"][0]["resourceNames"], json!(["kubernetes.io/kubelet-serving"]));
        let controller = named("clusterrolebindings", "system:controller:job-controller");
        let account = json!({"kind": "ServiceAccount", "namespace": "kube-system", "name": "job-controller"});
        assert_eq!(controller["subjects"], json!([account]));
        let viewer = named("clusterrolebindings", "system:public-info-viewer");
        assert_eq!(viewer["subjects"][1]["name"], "system:unauthenticated");
        let reader = named("rolebindings", "system::extension-apiserver-authentication-reader");
        assert_eq!(reader["roleRef"]["name"], "extension-apiserver-authentication-reader");
    }

    #[test]
    fn every_binding_has_its_role_and_every_rule_its_parts() {
        let all = defaults();
        for wanted in &all {
            let object = &wanted.object;
            for rule in object["rules"].as_array().into_iter().flatten() {
                assert!(!Rule::read(rule).parts().is_empty(), "{rule} of {}", object["metadata"]["name"]);
            }
            if object["roleRef"].is_object() {
                let plural = if object["roleRef"]["kind"] == "Role" { "roles" } else { "clusterroles" };
                let found = all.iter().any(|other| {
                    other.plural == plural
                        && other.namespace == wanted.namespace
                        && other.object["metadata"]["name"] == object["roleRef"]["name"]
                });
                assert!(found, "{}", object["metadata"]);
            }
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_kept() {
        for wanted in defaults() {
            assert_eq!(reconcile(&wanted.object, &wanted.object), Step::Keep);
        }
    }

    #[test]
    fn lost_rights_subjects_and_labels_come_back_and_added_ones_stay() {
        let wanted = named("clusterroles", "system:node-bootstrapper");
        let mut existing = wanted.clone();
        existing["rules"][0]["verbs"] = json!(["create", "get", "delete"]);
        existing["metadata"]["labels"] = json!({"own": "x"});
        let Step::Update(result) = reconcile(&existing, &wanted) else { panic!("not updated") };
        let rules = Rule::all_of(&result);
        assert_eq!(rules[0].verbs, ["create", "get", "delete"]);
        assert!(rules[1..].iter().map(|rule| rule.verbs[0].as_str()).eq(["list", "watch"]));
        assert_eq!(result["metadata"]["labels"], json!({"own": "x", "kubernetes.io/bootstrapping": "rbac-defaults"}));
        let wanted = named("clusterrolebindings", "cluster-admin");
        let mut existing = wanted.clone();
        existing["subjects"] = json!([{"kind": "User", "name": "me"}]);
        let Step::Update(result) = reconcile(&existing, &wanted) else { panic!("not updated") };
        assert_eq!(result["subjects"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn who_switched_updates_off_is_left_alone() {
        let wanted = named("clusterrolebindings", "system:public-info-viewer");
        let mut existing = wanted.clone();
        existing["subjects"] = json!([]);
        existing["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        assert_eq!(reconcile(&existing, &wanted), Step::Keep);
    }

    #[test]
    fn a_binding_to_another_role_is_made_anew() {
        let wanted = named("clusterrolebindings", "cluster-admin");
        let mut existing = wanted.clone();
        existing["roleRef"]["name"] = "view".into();
        assert_eq!(reconcile(&existing, &wanted), Step::Replace);
    }
}
