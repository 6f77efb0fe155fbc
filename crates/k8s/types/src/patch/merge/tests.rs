//! RFC 7386's own examples, and that the difference of two objects is the patch between them.

use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Objects of any shape, without nulls.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0i64..4).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from)
    ];
    let inner = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    });
    prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect())
}

#[test]
fn patches_do_what_the_rfc_says() {
    for (object, patch, result) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        (json!({"a": {"b": 1}}), json!({"a": [1]}), json!({"a": [1]})),
        (json!([1]), json!({"a": "b", "c": null}), json!({"a": "b"})),
    ] {
        assert_eq!(apply(object.clone(), patch.clone()), Ok(result), "{object} {patch}");
    }
    let error = apply(json!({}), json!([1])).unwrap_err();
    let message = "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}";
    assert_eq!((error.code, error.message.as_str()), (400, message));
}

proptest! {
    #[test]
    fn the_difference_is_the_patch(from in value(), to in value()) {
        match diff(&from, &to) {
            None => prop_assert_eq!(from, to),
            Some(patch) => {
                let patched = apply(from.clone(), patch).unwrap();
                prop_assert_eq!(diff(&patched, &to), None);
                prop_assert_eq!(patched, to);
            }
        }
    }
}
