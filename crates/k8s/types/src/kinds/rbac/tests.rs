//! What roles and bindings are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of(super::GROUP, kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn rules_are_checked() {
    let urls = json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]});
    let expected =
        "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs";
    assert_eq!(faults("Role", urls.clone()), expected);
    assert_eq!(faults("ClusterRole", urls), "[]");
    let expected = "[rules[0].verbs: Required value: verbs must contain at least one value, \
        rules[0].apiGroups: Required value: resource rules must supply at least one api group, \
        rules[0].resources: Required value: resource rules must supply at least one resource]";
    assert_eq!(faults("Role", json!({"rules": [{}]})), expected);
    let aggregation = json!({"aggregationRule": {}});
    let expected = "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil";
    assert_eq!(faults("ClusterRole", aggregation), expected);
}

#[test]
fn bindings_are_checked() {
    let binding = json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
        {"kind": "User", "name": "alice"}, {"kind": "ServiceAccount", "name": "default"}, {"kind": "Robot", "name": "x"}]});
    let expected =
        "subjects[2].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"";
    assert_eq!(faults("RoleBinding", binding.clone()), expected);
    let all = faults("ClusterRoleBinding", binding);
    assert!(all.contains("roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""), "{all}");
    assert!(all.contains("subjects[1].namespace: Required value"), "{all}");
}

#[test]
fn the_role_of_a_binding_stays() {
    let (old, new) = (json!({"roleRef": {"name": "a"}}), json!({"roleRef": {"name": "b"}}));
    let mut errors = Errors::new();
    (policy::of(super::GROUP, "RoleBinding").validate_update)(&new, &old, &mut errors);
    assert_eq!(errors.to_string(), "roleRef: Invalid value: {\"name\":\"b\"}: cannot change roleRef");
}
