//! Definitions and objects that are refused, with the words of Kubernetes.

mod properties;

use serde_json::{Value, json};

use super::*;
use crate::field::Errors;

/// A definition of `widgets.example.com` with this schema under `spec`.
fn definition(spec: Value) -> Value {
    with_root(json!({"type": "object", "properties": {"spec": spec}}))
}

fn with_root(schema: Value) -> Value {
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    (POLICY.defaults)(&mut definition);
    (POLICY.prepare_create)(&mut definition);
    definition
}

fn texts(errors: &Errors) -> Vec<String> {
    errors.iter().map(|error| error.to_string()).collect()
}

#[track_caller]
fn refused(definition: &Value, wanted: &[&str]) {
    let mut errors = Errors::new();
    (POLICY.validate)(definition, &mut errors);
    assert_eq!(texts(&errors), wanted);
}

/// Errors of an object whose `spec` is this, under a schema of `spec`.
fn check(schema: Value, spec: Value) -> Vec<String> {
    let definition = definition(schema);
    refused(&definition, &[]);
    let version = versions(&definition).remove(0);
    let mut errors = Errors::new();
    version.check_create(&object(spec), &mut errors);
    texts(&errors)
}

fn update(schema: Value, old: Value, new: Value) -> Vec<String> {
    let definition = definition(schema);
    refused(&definition, &[]);
    let version = versions(&definition).remove(0);
    let mut errors = Errors::new();
    version.check_update(&object(new), &object(old), &mut errors);
    texts(&errors)
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec})
}

#[test]
fn defaults_of_a_definition_are_made_from_its_kind() {
    let made = definition(json!({"type": "object"}));
    assert_eq!(made["spec"]["names"]["singular"], "widget");
    assert_eq!(made["spec"]["names"]["listKind"], "WidgetList");
    assert_eq!(made["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    refused(&made, &[]);
}

#[test]
fn names_and_versions_are_checked() {
    let mut bad = definition(json!({"type": "object"}));
    bad["metadata"]["name"] = "gadgets.example.com".into();
    bad["spec"]["scope"] = "Cosmic".into();
    bad["spec"]["group"] = "example".into();
    bad["spec"]["names"]["plural"] = "Widgets".into();
    bad["spec"]["versions"][0]["storage"] = false.into();
    let mut errors = Errors::new();
    (POLICY.validate)(&bad, &mut errors);
    let texts = texts(&errors);
    let has =
        |start: &str, end: &str| assert!(texts.iter().any(|t| t.starts_with(start) && t.ends_with(end)), "{texts:#?}");
    has("metadata.name: Invalid value: \"gadgets.example.com\": must be spec.names.plural", "+spec.group");
    has("spec.group: Invalid value: \"example\"", "should be a domain with at least one dot");
    has("spec.scope: Unsupported value: \"Cosmic\": supported values: \"Cluster\", \"Namespaced\"", "");
    has("spec.versions: Invalid value:", "must have exactly one version marked as storage version");
    has("spec.names.plural: Invalid value: \"Widgets\": a DNS-1035 label must consist of", "");
}

#[test]
fn schemas_must_be_structural() {
    let root = "spec.validation.openAPIV3Schema.properties[spec]";
    let cases = [
        (
            json!({"properties": {"a": {"type": "string"}}}),
            vec!["{root}.type: Required value: must not be empty for specified object fields"],
        ),
        (json!({"type": "array"}), vec!["{root}.items: Required value: must be specified"]),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"type": "object", "properties": {"b": {"minLength": 1}}}]}),
            vec![
                "{root}.anyOf[0].type: Forbidden: must be empty to be structural",
                "{root}.properties[b]: Required value: because it is defined in {root}.anyOf[0].properties[b]",
            ],
        ),
        (
            json!({"type": "string", "pattern": "a("}),
            vec![
                "{root}.pattern: Invalid value: \"a(\": must be a valid regular expression, but isn't: error parsing regexp: unclosed group",
            ],
        ),
        (
            json!({"type": "flower"}),
            vec![
                "{root}.type: Unsupported value: \"flower\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
            ],
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            vec![
                "{root}.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ],
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {"type": "object", "properties": {"name": {"type": "string"}}}}),
            vec![
                "{root}.items.properties[name].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ],
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "heap", "items": {"type": "string"}}),
            vec![
                "{root}.x-kubernetes-list-type: Unsupported value: \"heap\": supported values: \"atomic\", \"set\", \"map\"",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}}),
            vec![
                "{root}.properties[a].default: Invalid value: \"string\":  in body must be of type integer: \"string\"",
            ],
        ),
        (
            json!({"type": "object", "default": {"nope": 1}, "properties": {"a": {"type": "integer"}}}),
            vec!["{root}.default: Invalid value: {\"nope\":1}: must not have unknown fields"],
        ),
    ];
    for (schema, wanted) in cases {
        let wanted: Vec<String> = wanted.iter().map(|text| text.replace("{root}", root)).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        refused(&definition(schema), &wanted);
    }
}

#[test]
fn rules_are_compiled_and_bounded_when_a_definition_is_made() {
    let rule = |rule: &str| json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 10}, "l": {"type": "array", "items": {"type": "string"}}}, "x-kubernetes-validations": [{"rule": rule}]});
    refused(&definition(rule("self.a.size() < 5")), &[]);
    let check = |schema: Value, part: &str| {
        let mut errors = Errors::new();
        (POLICY.validate)(&definition(schema), &mut errors);
        let texts = texts(&errors);
        assert!(texts.iter().any(|text| text.contains(part)), "{texts:#?}");
    };
    check(rule("self.b == 'x'"), "compilation failed: ERROR: <input>:1:5: undefined field 'b'");
    check(rule("self.a"), "cel expression must evaluate to a bool");
    check(rule(""), "rule is not specified");
    check(
        rule("self.l.all(x, self.l.all(y, x == y))"),
        "x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)",
    );
    let mut transition = rule("self.l.size() > 0");
    transition["properties"]["l"]["items"]["x-kubernetes-validations"] = json!([{"rule": "self == oldSelf"}]);
    check(transition, "oldSelf cannot be used on the uncorrelatable portion of the schema within");
    let mut unused = rule("self.a == 'x'");
    unused["x-kubernetes-validations"][0]["optionalOldSelf"] = true.into();
    check(unused, "may not be set if oldSelf is not used in rule");
    let mut bad = rule("self.a == 'x'");
    bad["x-kubernetes-validations"][0]["messageExpression"] = "1".into();
    check(bad, "messageExpression must evaluate to a string");
}

#[test]
fn objects_are_checked_against_every_keyword() {
    let field = |schema: Value, value: Value| {
        check(json!({"type": "object", "properties": {"f": schema}}), json!({ "f": value }))
    };
    let cases = [
        (
            json!({"type": "integer"}),
            json!("x"),
            "spec.f: Invalid value: \"string\": spec.f in body must be of type integer: \"string\"",
        ),
        (
            json!({"type": "string"}),
            json!(null),
            "spec.f: Invalid value: \"null\": spec.f in body must be of type string: \"null\"",
        ),
        (
            json!({"type": "integer"}),
            json!(1.5),
            "spec.f: Invalid value: \"number\": spec.f in body must be of type integer: \"number\"",
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            "spec.f: Unsupported value: \"c\": supported values: \"a\", \"b\"",
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            "spec.f: Invalid value: \"b\": spec.f in body should match '^a+$'",
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("b"),
            "spec.f: Invalid value: \"b\": spec.f in body should be at least 2 chars long",
        ),
        (json!({"type": "string", "maxLength": 2}), json!("bbb"), "spec.f: Too long: may not be more than 2 bytes"),
        (
            json!({"type": "integer", "maximum": 5}),
            json!(6),
            "spec.f: Invalid value: 6: spec.f in body should be less than or equal to 5",
        ),
        (
            json!({"type": "integer", "minimum": 5, "exclusiveMinimum": true}),
            json!(5),
            "spec.f: Invalid value: 5: spec.f in body should be greater than 5",
        ),
        (
            json!({"type": "number", "multipleOf": 0.5}),
            json!(0.7),
            "spec.f: Invalid value: 0.7: spec.f in body should be a multiple of 0.5",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!([]),
            "spec.f: Invalid value: 0: spec.f in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a", "b"]),
            "spec.f: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!([1]),
            "spec.f[0]: Invalid value: \"integer\": spec.f[0] in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
            json!(["a", "a"]),
            "spec.f[1]: Duplicate value: \"a\"",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"k": 1}),
            "spec.f.k: Invalid value: \"integer\": spec.f.k in body must be of type string: \"integer\"",
        ),
        (
            json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "string"}}}),
            json!({}),
            "spec.f.x: Required value",
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("x"),
            "spec.f: Invalid value: \"x\": spec.f in body must be of type date-time: \"x\"",
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            "spec.f: Invalid value: \"boolean\": spec.f in body must be of type integer,string: \"boolean\"",
        ),
        (
            json!({"type": "string", "not": {"enum": ["a"]}}),
            json!("a"),
            "<nil>: Invalid value: \"\": \"spec.f\" must not validate the schema (not)",
        ),
    ];
    for (schema, value, wanted) in cases {
        assert_eq!(field(schema, value), [wanted]);
    }
    let one_of = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    assert_eq!(field(one_of.clone(), json!({"a": "x"})), [""; 0]);
    assert_eq!(
        field(one_of.clone(), json!({"a": "x", "b": "y"})),
        [
            "<nil>: Invalid value: \"\": \"spec.f\" must validate one and only one schema (oneOf). Found 2 valid alternatives"
        ]
    );
    assert_eq!(
        field(one_of, json!({})),
        [
            "<nil>: Invalid value: \"\": \"spec.f\" must validate one and only one schema (oneOf). Found none valid",
            "spec.f.a: Required value"
        ]
    );
}

#[test]
fn rules_are_evaluated_with_their_messages() {
    let schema = |rule: Value| json!({"type": "object", "properties": {"n": {"type": "integer"}, "m": {"type": "integer"}}, "x-kubernetes-validations": [rule]});
    let spec = json!({"n": 5, "m": 3});
    assert_eq!(
        check(schema(json!({"rule": "self.n <= self.m"})), spec.clone()),
        ["spec: Invalid value: failed rule: self.n <= self.m"]
    );
    assert_eq!(
        check(
            schema(
                json!({"rule": "self.n <= self.m", "message": "n too large", "fieldPath": ".n", "reason": "FieldValueForbidden"})
            ),
            spec.clone()
        ),
        ["spec.n: Forbidden: n too large"]
    );
    assert_eq!(
        check(
            schema(json!({"rule": "self.n <= self.m", "messageExpression": "'n is %d'.format([self.n])"})),
            spec.clone()
        ),
        ["spec: Invalid value: n is 5"]
    );
    assert_eq!(
        check(schema(json!({"rule": "self.n / 0 == 1"})), spec),
        ["spec: Invalid value: \"object\": division by zero evaluating rule: self.n / 0 == 1"]
    );
    let immutable = schema(json!({"rule": "self.n == oldSelf.n", "message": "n is immutable"}));
    assert_eq!(update(immutable.clone(), json!({"n": 1}), json!({"n": 2})), ["spec: Invalid value: n is immutable"]);
    assert_eq!(check(immutable, json!({"n": 1})), [""; 0]);
    let optional = schema(
        json!({"rule": "oldSelf.hasValue() || self.n == 1", "optionalOldSelf": true, "message": "starts at one"}),
    );
    assert_eq!(check(optional.clone(), json!({"n": 2})), ["spec: Invalid value: starts at one"]);
    assert_eq!(update(optional, json!({"n": 1}), json!({"n": 2})), [""; 0]);
}

#[test]
fn what_was_wrong_before_and_did_not_change_is_not_told() {
    let schema = json!({"type": "object", "properties": {
        "old": {"type": "string", "maxLength": 2, "x-kubernetes-validations": [{"rule": "self.startsWith('a')"}]},
        "new": {"type": "integer", "minimum": 5},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {
            "type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "string", "enum": ["x"]}}}},
    }});
    let old = json!({"old": "toolong", "new": 1, "list": [{"k": "a", "v": "bad"}, {"k": "b", "v": "x"}]});
    let mut new = old.clone();
    assert_eq!(update(schema.clone(), old.clone(), new.clone()), [""; 0]);
    new["list"] = json!([{"k": "b", "v": "x"}, {"k": "a", "v": "bad"}]);
    assert_eq!(update(schema.clone(), old.clone(), new.clone()), [""; 0]);
    new["new"] = 2.into();
    let errors = update(schema, old, new);
    assert_eq!(errors[0], "spec.new: Invalid value: 2: spec.new in body should be greater than or equal to 5");
}

#[test]
fn names_are_accepted_unless_others_have_them() {
    let mut other = definition(json!({"type": "object"}));
    other["status"]["acceptedNames"] = json!({"plural": "things", "singular": "widget", "kind": "Thing", "listKind": "ThingList", "shortNames": ["w"]});
    let mut mine = definition(json!({"type": "object"}));
    mine["spec"]["names"]["shortNames"] = json!(["w", "wi"]);
    let naming = names_of(&mine, [&other]);
    assert_eq!((naming.fine, naming.reason), (false, "ShortNamesConflict"));
    assert_eq!(naming.message, "\"w\" is already in use");
    assert_eq!(naming.accepted["plural"], "widgets");
    assert!(naming.accepted.get("singular").is_none());
    let naming = names_of(&mine, []);
    assert!(naming.fine);
    assert_eq!(naming.accepted, mine["spec"]["names"]);
}

#[test]
fn columns_find_their_cells() {
    let mut definition = with_root(
        json!({"type": "object", "properties": {"status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}),
    );
    definition["spec"]["versions"][0]["additionalPrinterColumns"] = json!([
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
        {"name": "Count", "type": "integer", "jsonPath": ".status.n"},
        {"name": "Label", "type": "string", "jsonPath": ".metadata.labels.app\\.kubernetes\\.io/name"},
        {"name": "First", "type": "string", "jsonPath": ".status.list[0]"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    refused(&definition, &[]);
    let version = versions(&definition).remove(0);
    let object = json!({
        "metadata": {"labels": {"app.kubernetes.io/name": "x"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"n": 3, "list": [{"a": 1}], "conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]},
    });
    let cells = version.cells(&object, "2026-01-01T00:05:00Z".parse().unwrap());
    assert_eq!(cells, [json!("True"), json!(3), json!("x"), json!("{\"a\":1}"), json!("5m")]);
}

#[test]
fn scale_and_status_are_kept_apart() {
    let mut definition = with_root(json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}},
    }}));
    definition["spec"]["versions"][0]["subresources"] = json!({"status": {}, "scale": {
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}});
    refused(&definition, &[]);
    let version = versions(&definition).remove(0);
    let mut new =
        json!({"metadata": {"name": "a"}, "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "a=b"}});
    assert_eq!(version.scale.as_ref().unwrap().of(&new), (Some(3), 2, "a=b".into()));
    let old = new.clone();
    version.prepare_create(&mut new);
    assert_eq!(new, json!({"metadata": {"name": "a", "generation": 1}, "spec": {"replicas": 3}}));
    let mut next = json!({"metadata": {"name": "b"}, "spec": {"replicas": 9}, "status": {"replicas": -1}});
    version.prepare_status(&mut next, &old);
    assert_eq!(next["spec"], old["spec"]);
    let mut errors = Errors::new();
    version.check_status(&next, &old, &mut errors);
    assert_eq!(texts(&errors), [".status.replicas: Invalid value: -1: should be a non-negative integer"]);
}
