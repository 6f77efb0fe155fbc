//! The index against a plain reading of the rules, reasons and refusals, and who may write roles and bindings.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::authorize::{Resource, Target};

fn objects(list: Vec<Value>) -> Objects {
    let mut objects = Objects::default();
    for object in list {
        match object["kind"].as_str().unwrap() {
            "Role" => objects.roles.push(Arc::new(object)),
            "ClusterRole" => objects.cluster_roles.push(Arc::new(object)),
            "RoleBinding" => objects.bindings.push(Arc::new(object)),
            _ => objects.cluster_bindings.push(Arc::new(object)),
        }
    }
    objects
}

fn index(list: Vec<Value>) -> Index {
    Index::new(&objects(list), &mut Memory::default())
}

fn cluster_role(name: &str, rules: Value) -> Value {
    json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

fn role(namespace: &str, name: &str, rules: Value) -> Value {
    json!({"kind": "Role", "metadata": {"name": name, "namespace": namespace}, "rules": rules})
}

/// `namespace` empty: a cluster role binding.
fn binding(namespace: &str, name: &str, role: (&str, &str), subject: (&str, &str, &str)) -> Value {
    let mut subject_value = json!({"kind": subject.0, "name": subject.1});
    if !subject.2.is_empty() {
        subject_value["namespace"] = json!(subject.2);
    }
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let mut value = json!({
        "kind": kind, "metadata": {"name": name},
        "roleRef": {"kind": role.0, "name": role.1}, "subjects": [subject_value],
    });
    if !namespace.is_empty() {
        value["metadata"]["namespace"] = json!(namespace);
    }
    value
}

fn pods(verbs: &[&str]) -> Value {
    json!([{"verbs": verbs, "apiGroups": [""], "resources": ["pods"]}])
}

fn ask(index: &Index, user: &Identity, verb: &str, namespace: &str, resource: &str) -> Decision {
    let resource = Resource { resource, namespace, ..Resource::default() };
    index.decide(&Attributes { identity: user, verb, target: Target::Resource(resource) })
}

fn allowed(reason: &str) -> Decision {
    Decision::Allow(reason.into())
}

#[test]
fn reasons_name_binding_role_and_subject() {
    let index = index(vec![
        cluster_role("reader", pods(&["get", "list"])),
        role("a", "writer", pods(&["create"])),
        binding("", "all", ("ClusterRole", "reader"), ("Group", "team", "")),
        binding("a", "some", ("Role", "writer"), ("ServiceAccount", "robot", "")),
        binding("a", "far", ("ClusterRole", "reader"), ("ServiceAccount", "robot", "b")),
        binding("", "broken", ("ClusterRole", "reader"), ("ServiceAccount", "robot", "")),
    ]);
    let member = Identity::new("m", &["team"]);
    assert_eq!(
        ask(&index, &member, "get", "", "pods"),
        allowed(r#"RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to Group "team""#)
    );
    let robot = Identity::new("system:serviceaccount:a:robot", &[]);
    assert_eq!(
        ask(&index, &robot, "create", "a", "pods"),
        allowed(r#"RBAC: allowed by RoleBinding "some/a" of Role "writer" to ServiceAccount "robot/a""#)
    );
    assert_eq!(ask(&index, &robot, "create", "b", "pods"), Decision::Deny(String::new()));
    assert_eq!(ask(&index, &robot, "get", "", "pods"), Decision::Deny(String::new()));
    let far = Identity::new("system:serviceaccount:b:robot", &[]);
    assert_eq!(
        ask(&index, &far, "get", "a", "pods"),
        allowed(r#"RBAC: allowed by RoleBinding "far/a" of ClusterRole "reader" to ServiceAccount "robot/b""#)
    );
    assert_eq!(ask(&index, &far, "get", "", "pods"), Decision::Deny(String::new()));
}

#[test]
fn bindings_without_a_role_allow_nothing_and_say_so() {
    let index = index(vec![
        binding("a", "one", ("Role", "gone"), ("User", "u", "")),
        binding("", "two", ("ClusterRole", "lost"), ("User", "u", "")),
    ]);
    let user = Identity::new("u", &[]);
    let why = r#"RBAC: clusterrole.rbac.authorization.k8s.io "lost" not found"#;
    assert_eq!(ask(&index, &user, "get", "", "pods"), Decision::Deny(why.to_owned()));
    let why = r#"RBAC: [clusterrole.rbac.authorization.k8s.io "lost" not found, role.rbac.authorization.k8s.io "gone" not found]"#;
    assert_eq!(ask(&index, &user, "get", "a", "pods"), Decision::Deny(why.to_owned()));
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let mut objects = objects(vec![cluster_role("a", pods(&["get"])), cluster_role("b", pods(&["list"]))]);
    let mut memory = Memory::default();
    let first = Index::new(&objects, &mut memory);
    objects.cluster_roles[1] = Arc::new(cluster_role("b", pods(&["watch"])));
    let second = Index::new(&objects, &mut memory);
    let rules = |index: &Index, name: &str| index.rules_of(&json!({"kind": "ClusterRole", "name": name}), "").unwrap();
    assert!(Arc::ptr_eq(&rules(&first, "a"), &rules(&second, "a")));
    assert_eq!(rules(&second, "b")[0].verbs, ["watch"]);
}

struct Author(Identity);

impl Author {
    fn writes(&self, index: &Index, plural: &str, namespace: &str, new: Value) -> Result<(), String> {
        self.changes(index, plural, namespace, None, new)
    }

    fn changes(
        &self,
        index: &Index,
        plural: &str,
        namespace: &str,
        old: Option<&Value>,
        new: Value,
    ) -> Result<(), String> {
        let name = new["metadata"]["name"].as_str().unwrap();
        let write = Write { identity: &self.0, plural, namespace, name, old, new: &new };
        index.check_escalation(&write).map_err(|error| error.message)
    }
}

fn world() -> Index {
    index(vec![
        cluster_role("reader", pods(&["get", "list"])),
        cluster_role("all", json!([Rule::all_resources().to_value(), Rule::all_paths().to_value()])),
        cluster_role(
            "binder",
            json!([{"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["all"]}]),
        ),
        cluster_role("escalator", json!([{"verbs": ["escalate"], "apiGroups": [GROUP], "resources": ["roles"]}])),
        binding("", "1", ("ClusterRole", "reader"), ("User", "reader", "")),
        binding("", "2", ("ClusterRole", "all"), ("User", "root", "")),
        binding("", "3", ("ClusterRole", "binder"), ("User", "binder", "")),
        binding("a", "4", ("ClusterRole", "escalator"), ("User", "escalator", "")),
    ])
}

#[test]
fn nobody_grants_more_than_they_have() {
    let (index, reader) = (world(), Author(Identity::new("reader", &["dev"])));
    assert_eq!(reader.writes(&index, "roles", "a", role("a", "x", pods(&["get"]))), Ok(()));
    assert_eq!(
        reader.writes(&index, "clusterroles", "", cluster_role("x", pods(&["delete", "get", "watch"]))),
        Err("clusterroles.rbac.authorization.k8s.io \"x\" is forbidden: user \"reader\" (groups=[\"dev\" \
             \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
             {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"watch\"]}"
            .to_owned())
    );
    assert!(
        Author(Identity::new("root", &[])).writes(&index, "clusterroles", "", cluster_role("x", pods(&["*"]))).is_ok()
    );
    let masters = Author(Identity::new("x", &["system:masters"]));
    assert!(masters.writes(&index, "clusterroles", "", cluster_role("x", pods(&["*"]))).is_ok());
}

#[test]
fn who_may_escalate_or_bind_grants_anything_there() {
    let index = world();
    let escalator = Author(Identity::new("escalator", &[]));
    assert!(escalator.writes(&index, "roles", "a", role("a", "x", pods(&["*"]))).is_ok());
    assert!(escalator.writes(&index, "roles", "b", role("b", "x", pods(&["*"]))).is_err());
    assert!(escalator.writes(&index, "clusterroles", "", cluster_role("x", pods(&["*"]))).is_err());
    let binder = Author(Identity::new("binder", &[]));
    let to = |role: &str| binding("", "x", ("ClusterRole", role), ("User", "u", ""));
    assert!(binder.writes(&index, "clusterrolebindings", "", to("all")).is_ok());
    assert!(binder.writes(&index, "clusterrolebindings", "", to("reader")).is_err());
    let reader = Author(Identity::new("reader", &[]));
    assert!(reader.writes(&index, "clusterrolebindings", "", to("reader")).is_ok());
    assert!(
        reader.writes(&index, "clusterrolebindings", "", to("all")).unwrap_err().contains("{NonResourceURLs:[\"*\"]")
    );
    assert_eq!(
        reader.writes(&index, "clusterrolebindings", "", to("none")),
        Err("clusterroles.rbac.authorization.k8s.io \"none\" not found".to_owned())
    );
}

#[test]
fn only_administrators_aggregate() {
    let (index, reader) = (world(), Author(Identity::new("reader", &[])));
    let mut aggregating = cluster_role("x", json!([]));
    aggregating["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let refusal = reader.writes(&index, "clusterroles", "", aggregating.clone()).unwrap_err();
    assert!(refusal.ends_with("is forbidden: must have cluster-admin privileges to use the aggregationRule"));
    assert!(Author(Identity::new("root", &[])).writes(&index, "clusterroles", "", aggregating.clone()).is_ok());
    assert!(reader.changes(&index, "clusterroles", "", Some(&aggregating.clone()), aggregating).is_ok());
}

#[test]
fn finalizers_and_owners_are_changed_by_anyone_who_may_write() {
    let (index, reader) = (world(), Author(Identity::new("reader", &[])));
    let mut old = role("a", "x", pods(&["*"]));
    old["metadata"]["finalizers"] = json!(["a/b"]);
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!([]);
    assert!(reader.changes(&index, "roles", "a", Some(&old), new.clone()).is_ok());
    new["rules"][0]["verbs"] = json!(["*", "get"]);
    assert!(reader.changes(&index, "roles", "a", Some(&old), new).is_err());
}

/// A reading of the documentation, without any index.
fn naive(objects: &Objects, user: &Identity, verb: &str, target: &Target<'_>) -> bool {
    let namespace = match target {
        Target::Resource(resource) => resource.namespace,
        Target::Path(_) => "",
    };
    let local = objects.bindings.iter().filter(|b| !namespace.is_empty() && b["metadata"]["namespace"] == namespace);
    objects.cluster_bindings.iter().map(|b| (b, "")).chain(local.map(|b| (b, namespace))).any(|(binding, namespace)| {
        let applies = binding["subjects"].as_array().unwrap().iter().any(|subject| {
            let name = subject["name"].as_str().unwrap();
            match subject["kind"].as_str().unwrap() {
                "User" => user.name == name,
                "Group" => user.groups.iter().any(|group| group == name),
                _ => {
                    let own = subject["namespace"].as_str().unwrap_or(namespace);
                    !own.is_empty() && user.name == format!("system:serviceaccount:{own}:{name}")
                }
            }
        });
        let (kind, name) = (binding["roleRef"]["kind"].as_str().unwrap(), &binding["roleRef"]["name"]);
        let role = match kind {
            "Role" => {
                objects.roles.iter().find(|r| r["metadata"]["name"] == *name && r["metadata"]["namespace"] == namespace)
            }
            _ => objects.cluster_roles.iter().find(|r| r["metadata"]["name"] == *name),
        };
        applies
            && role
                .is_some_and(|role| role["rules"].as_array().unwrap().iter().any(|rule| naive_rule(rule, verb, target)))
    })
}

fn naive_rule(rule: &Value, verb: &str, target: &Target<'_>) -> bool {
    let list = |field: &str| -> Vec<String> {
        rule[field].as_array().map(|l| l.iter().map(|t| t.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
    };
    let has = |field: &str, wanted: &str| list(field).iter().any(|text| text == "*" || text == wanted);
    has("verbs", verb)
        && match target {
            Target::Path(path) => list("nonResourceURLs").iter().any(|rule| match rule.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => rule == path,
            }),
            Target::Resource(r) => {
                let whole = match r.subresource {
                    "" => r.resource.to_owned(),
                    subresource => format!("{}/{subresource}", r.resource),
                };
                let any = format!("*/{}", r.subresource);
                let resources = list("resources");
                let named = list("resourceNames");
                has("apiGroups", r.group)
                    && resources.iter().any(|x| x == "*" || *x == whole || !r.subresource.is_empty() && *x == any)
                    && (named.is_empty() || named.iter().any(|x| x == r.name))
            }
        }
}

fn texts(of: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(proptest::sample::select(of), least..3)
}

const VERBS: &[&str] = &["get", "list", "*"];
const GROUPS: &[&str] = &["", "apps", "*"];
const RESOURCES: &[&str] = &["pods", "pods/log", "*/scale", "deployments", "*", "pods/*"];
const NAMES: &[&str] = &["x", "y"];
const PATHS: &[&str] = &["/healthz", "/apis/*", "*"];
const NAMESPACES: &[&str] = &["", "a", "b"];
const USERS: &[&str] = &["u", "v", "system:serviceaccount:a:s", "system:serviceaccount:b:s"];

fn any_rules() -> impl Strategy<Value = Value> {
    let resource = (texts(VERBS, 1), texts(GROUPS, 1), texts(RESOURCES, 1), texts(NAMES, 0)).prop_map(
        |(verbs, groups, resources, names)| {
            json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names})
        },
    );
    let path = (texts(VERBS, 1), texts(PATHS, 1)).prop_map(|(v, p)| json!({"verbs": v, "nonResourceURLs": p}));
    proptest::collection::vec(prop_oneof![3 => resource, 1 => path], 0..3).prop_map(Value::from)
}

fn any_objects() -> impl Strategy<Value = Vec<Value>> {
    let name = proptest::sample::select(&["1", "2", "3"][..]);
    let namespace = proptest::sample::select(&["a", "b"][..]);
    let subject = prop_oneof![
        proptest::sample::select(USERS).prop_map(|name| ("User", name, "")),
        proptest::sample::select(&["g", "h"][..]).prop_map(|name| ("Group", name, "")),
        proptest::sample::select(NAMESPACES).prop_map(|namespace| ("ServiceAccount", "s", namespace)),
    ];
    let kind = proptest::sample::select(&["Role", "ClusterRole"][..]);
    let object = prop_oneof![
        (name.clone(), any_rules()).prop_map(|(name, rules)| cluster_role(name, rules)),
        (namespace.clone(), name.clone(), any_rules())
            .prop_map(|(namespace, name, rules)| role(namespace, name, rules)),
        (proptest::sample::select(NAMESPACES), name.clone(), kind, name, subject).prop_map(
            |(namespace, own, kind, role, subject)| {
                let kind = if namespace.is_empty() { "ClusterRole" } else { kind };
                binding(namespace, own, (kind, role), subject)
            }
        ),
    ];
    proptest::collection::vec(object, 0..14).prop_map(|mut list| {
        let mut seen = std::collections::HashSet::new();
        list.retain(|object| seen.insert(format!("{} {}", object["kind"], object["metadata"])));
        list
    })
}

proptest! {
    #[test]
    fn the_index_answers_as_a_plain_reading_of_the_rules(list in any_objects(), name in proptest::sample::select(USERS)) {
        let objects = objects(list);
        let index = Index::new(&objects, &mut Memory::default());
        let user = Identity { name: name.to_owned(), groups: vec!["g".to_owned()], ..Identity::default() };
        for verb in ["get", "list", "delete"] {
            for path in ["/healthz", "/apis/apps", "/x"] {
                let attributes = Attributes { identity: &user, verb, target: Target::Path(path) };
                let decided = matches!(index.decide(&attributes), Decision::Allow(_));
                prop_assert_eq!(decided, naive(&objects, &user, verb, &attributes.target), "{} {}", verb, path);
            }
            for (group, resource, subresource) in
                [("", "pods", ""), ("", "pods", "log"), ("apps", "deployments", "scale"), ("x", "things", "")]
            {
                for namespace in NAMESPACES {
                    for name in ["", "x"] {
                        let resource = Resource { group, resource, subresource, namespace, name, ..Resource::default() };
                        let attributes = Attributes { identity: &user, verb, target: Target::Resource(resource) };
                        let decided = matches!(index.decide(&attributes), Decision::Allow(_));
                        prop_assert_eq!(decided, naive(&objects, &user, verb, &attributes.target), "{:?}", attributes);
                    }
                }
            }
        }
    }

    #[test]
    fn covering_rules_allow_all_that_the_covered_ones_do(own in any_rules(), wanted in any_rules()) {
        let read = |rules: &Value| rules.as_array().unwrap().iter().map(Rule::read).collect::<Vec<_>>();
        let (own, wanted) = (read(&own), read(&wanted));
        let parts: Vec<_> = wanted.iter().flat_map(Rule::parts).collect();
        prop_assume!(parts.iter().all(|part| own.iter().any(|own| own.covers(part))));
        for verb in ["get", "list", "delete"] {
            for path in ["/healthz", "/apis/apps", "/x"] {
                let target = Target::Path(path);
                let allows = |rules: &[Rule]| rules.iter().any(|rule| rule.allows(verb, &target));
                prop_assert!(allows(&own) || !allows(&wanted));
            }
            for (resource, subresource) in [("pods", ""), ("pods", "log"), ("deployments", "scale"), ("x", "")] {
                for (group, name) in [("", ""), ("apps", "x"), ("", "y")] {
                    let target = Target::Resource(Resource { group, resource, subresource, name, ..Resource::default() });
                    let allows = |rules: &[Rule]| rules.iter().any(|rule| rule.allows(verb, &target));
                    prop_assert!(allows(&own) || !allows(&wanted));
                }
            }
        }
    }
}
