//! Every directive and every way of merging a list, on a type made here.

use super::*;
use crate::schema::{Field, List, ListKind, Map as MapType, Patch, PatchStrategy, Struct};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

fn list(item: Type) -> Type {
    Type::List(Arc::new(List { item, kind: ListKind::Atomic, nullable: false, wrapped: false }))
}

fn field(name: &'static str, ty: Type, strategy: PatchStrategy, key: Option<&'static str>) -> Field {
    let merge_key = key.map(Into::into);
    Field { patch: Patch { strategy, merge_key, ..Patch::default() }, ..Field::new(name, ty) }
}

fn of(name: &'static str, mut fields: Vec<Field>) -> Type {
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    Type::Struct(Struct { name: name.into(), fields, ..Struct::default() }.into())
}

/// Containers merged by name, ports in them by number; finalizers merged by value; arguments replaced.
fn pod() -> Type {
    let unsaid = PatchStrategy::Unsaid;
    let port = of("Port", vec![field("port", Type::Int32, unsaid, None), field("name", Type::STRING, unsaid, None)]);
    let container = of(
        "Container",
        vec![
            field("name", Type::STRING, unsaid, None),
            field("image", Type::STRING, unsaid, None),
            field("args", list(Type::STRING), unsaid, None),
            field("ports", list(port), PatchStrategy::Merge, Some("port")),
        ],
    );
    let labels = Type::Map(Arc::new(MapType { value: Type::STRING, atomic: false, nullable: false }));
    let strategy =
        of("Strategy", vec![field("type", Type::STRING, unsaid, None), field("rolling", labels.clone(), unsaid, None)]);
    of(
        "Pod",
        vec![
            field("labels", labels.clone(), unsaid, None),
            field("whole", labels, PatchStrategy::Replace, None),
            field("strategy", strategy, unsaid, None),
            field("finalizers", list(Type::STRING), PatchStrategy::Merge, None),
            field("containers", list(container), PatchStrategy::Merge, Some("name")),
        ],
    )
}

fn check(object: Value, patch: Value, result: Value) {
    assert_eq!(apply(object.clone(), patch.clone(), &pod()), Ok(result), "{object} {patch}");
}

fn refused(object: Value, patch: Value) -> (u16, String) {
    let error = apply(object, patch, &pod()).expect_err("is refused");
    (error.code, error.message)
}

#[test]
fn objects_merge_and_nulls_remove() {
    check(
        json!({"labels": {"a": "1", "b": "2"}}),
        json!({"labels": {"b": null, "c": "3"}}),
        json!({"labels": {"a": "1", "c": "3"}}),
    );
    check(json!({}), json!({"labels": {"a": null, "b": "1"}}), json!({"labels": {"b": "1"}}));
    check(json!({"whole": {"a": "1"}}), json!({"whole": {"b": "2"}}), json!({"whole": {"b": "2"}}));
    check(
        json!({"labels": {"a": "1"}}),
        json!({"labels": {"$patch": "replace", "b": "2"}}),
        json!({"labels": {"b": "2"}}),
    );
    check(json!({"labels": {"a": "1"}}), json!({"labels": {"$patch": "delete"}}), json!({"labels": {}}));
    check(json!({}), json!({"labels": {"$patch": "delete"}}), json!({}));
    check(json!({"labels": "odd"}), json!({"labels": {"a": "1"}}), json!({"labels": {"a": "1"}}));
}

#[test]
fn lists_merge_by_key_and_keep_their_order() {
    let object = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
    check(
        object.clone(),
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}),
    );
    check(
        object.clone(),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        json!({"containers": [{"name": "b", "image": "1"}]}),
    );
    check(
        object.clone(),
        json!({"containers": [{"$patch": "replace"}, {"name": "z"}]}),
        json!({"containers": [{"name": "z"}]}),
    );
    check(
        object.clone(),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b", "image": "9"}]}),
        json!({"containers": [{"name": "b", "image": "9"}, {"name": "a", "image": "1"}]}),
    );
    check(
        json!({"containers": [{"name": "a", "ports": [{"port": 80, "name": "x"}, {"port": 81}]}]}),
        json!({"containers": [{"name": "a", "ports": [{"port": 81, "$patch": "delete"}, {"port": 80, "name": "y"}]}]}),
        json!({"containers": [{"name": "a", "ports": [{"port": 80, "name": "y"}]}]}),
    );
    check(
        json!({"containers": [{"name": "a", "args": ["x"]}]}),
        json!({"containers": [{"name": "a", "args": ["y"]}]}),
        json!({"containers": [{"name": "a", "args": ["y"]}]}),
    );
    check(object.clone(), json!({"containers": []}), object);
}

#[test]
fn items_only_the_server_has_stay_where_they_were() {
    let item = |name: &str| json!({"name": name});
    check(
        json!({"containers": [item("side"), item("a"), item("b")]}),
        json!({"$setElementOrder/containers": [item("b"), item("a"), item("c")], "containers": [item("c")]}),
        json!({"containers": [item("side"), item("b"), item("a"), item("c")]}),
    );
    check(
        json!({"finalizers": ["x", "a", "y", "b"]}),
        json!({"$setElementOrder/finalizers": ["b", "a"]}),
        json!({"finalizers": ["x", "y", "b", "a"]}),
    );
}

#[test]
fn lists_of_values_merge_as_sets() {
    check(json!({"finalizers": ["a", "b"]}), json!({"finalizers": ["b", "c"]}), json!({"finalizers": ["a", "b", "c"]}));
    check(
        json!({"finalizers": ["a", "b"]}),
        json!({"$deleteFromPrimitiveList/finalizers": ["a", "z"]}),
        json!({"finalizers": ["b"]}),
    );
    check(
        json!({"finalizers": ["a", "b"]}),
        json!({"$setElementOrder/finalizers": ["c", "b"], "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}),
        json!({"finalizers": ["c", "b"]}),
    );
    check(json!({}), json!({"$deleteFromPrimitiveList/finalizers": ["a"]}), json!({}));
}

#[test]
fn keys_that_are_not_retained_go_away() {
    check(
        json!({"strategy": {"type": "Rolling", "rolling": {"a": "1"}}}),
        json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
        json!({"strategy": {"type": "Recreate"}}),
    );
    assert_eq!(
        refused(json!({"strategy": {}}), json!({"strategy": {"$retainKeys": ["x"], "type": "Recreate"}})),
        (400, "invalid patch format of retainKeys".to_owned())
    );
}

#[test]
fn what_cannot_be_done_is_refused_in_kubernetes_words() {
    let object = json!({"containers": [{"name": "a"}], "labels": {"a": "1"}, "finalizers": ["x"]});
    for (patch, code, why) in [
        (json!([]), 400, "invalid JSON document"),
        (json!({"labels": {"$patch": "bad"}}), 400, "unknown patch type: bad in map: map[$patch:bad]"),
        (json!({"containers": [{"image": "x"}]}), 400, "map: map[image:x] does not contain declared merge key: name"),
        (
            json!({"containers": [{"name": "a", "$patch": "merge"}]}),
            400,
            "merging lists cannot yet be specified in the patch",
        ),
        (json!({"containers": [["a"]]}), 422, "the server rejected our request due to an error in our request"),
        (json!({"$setElementOrder": []}), 400, "invalid patch format of setElementOrder list"),
        (json!({"$deleteFromPrimitiveListX": []}), 400, "invalid patch format of primitive list"),
        (
            json!({"$setElementOrder/finalizers": ["a"], "finalizers": ["b"]}),
            400,
            "The order in patch list:\n[b]\n doesn't match $setElementOrder list:\n[a]\n",
        ),
    ] {
        assert_eq!(refused(object.clone(), patch), (code, why.to_owned()));
    }
}

proptest! {
    #[test]
    fn no_patch_panics(object in any_object(), patch in any_object()) {
        if let Ok(result) = apply(object, patch, &pod()) {
            prop_assert!(result.is_object());
        }
    }

    #[test]
    fn a_patch_applied_twice_changes_nothing_more(names in prop::collection::vec("[a-d]", 0..5), values in prop::collection::vec("[a-d]", 0..5)) {
        let object = json!({"containers": dedup(&names).iter().map(|name| json!({"name": name, "image": "1"})).collect::<Vec<_>>(), "finalizers": dedup(&values)});
        let patch = json!({"containers": [{"name": "b", "image": "2"}, {"name": "z"}], "finalizers": ["c", "a"], "$deleteFromPrimitiveList/finalizers": ["b"]});
        let once = apply(object, patch.clone(), &pod()).unwrap();
        prop_assert_eq!(apply(once.clone(), patch, &pod()).unwrap(), once);
    }
}

fn dedup(names: &[String]) -> Vec<&str> {
    let mut kept: Vec<&str> = Vec::new();
    for name in names {
        if !kept.contains(&name.as_str()) {
            kept.push(name);
        }
    }
    kept
}

fn any_object() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("labels"),
        Just("whole"),
        Just("strategy"),
        Just("finalizers"),
        Just("containers"),
        Just("name"),
        Just("ports"),
        Just("port"),
        Just("$patch"),
        Just("$retainKeys"),
        Just("$setElementOrder/finalizers"),
        Just("$setElementOrder/containers"),
        Just("$deleteFromPrimitiveList/finalizers"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!("delete")),
        Just(json!("replace")),
        Just(json!("a")),
        (0i64..3).prop_map(Value::from),
        Just(json!("name")),
    ];
    let inner = leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    });
    inner.prop_filter("an object", Value::is_object)
}
