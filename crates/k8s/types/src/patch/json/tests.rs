//! RFC 6902's own examples and Kubernetes' limits.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn run(object: Value, patch: Value) -> Result<Value, JsonPatchError> {
    JsonPatch::decode(patch).expect("decodes").try_apply(object)
}

#[test]
fn operations_do_what_the_rfc_says() {
    for (object, patch, result) in [
        (
            json!({"foo": "bar"}),
            json!([{"op": "add", "path": "/baz", "value": "qux"}]),
            json!({"baz": "qux", "foo": "bar"}),
        ),
        (
            json!({"foo": ["a", "c"]}),
            json!([{"op": "add", "path": "/foo/1", "value": "b"}]),
            json!({"foo": ["a", "b", "c"]}),
        ),
        (json!({"foo": ["a"]}), json!([{"op": "add", "path": "/foo/-", "value": ["b"]}]), json!({"foo": ["a", ["b"]]})),
        (json!({"foo": 1, "bar": 2}), json!([{"op": "remove", "path": "/foo"}]), json!({"bar": 2})),
        (json!({"foo": ["a", "b"]}), json!([{"op": "remove", "path": "/foo/0"}]), json!({"foo": ["b"]})),
        (json!({"foo": ["a", "b"]}), json!([{"op": "remove", "path": "/foo/-1"}]), json!({"foo": ["a"]})),
        (json!({"foo": 1}), json!([{"op": "replace", "path": "/foo", "value": 2}]), json!({"foo": 2})),
        (
            json!({"a": {"b": 1}, "c": {}}),
            json!([{"op": "move", "from": "/a/b", "path": "/c/d"}]),
            json!({"a": {}, "c": {"d": 1}}),
        ),
        (json!({"l": [1, 2, 3]}), json!([{"op": "move", "from": "/l/0", "path": "/l/2"}]), json!({"l": [2, 3, 1]})),
        (
            json!({"a": {"b": 1}}),
            json!([{"op": "copy", "from": "/a", "path": "/c"}]),
            json!({"a": {"b": 1}, "c": {"b": 1}}),
        ),
        (
            json!({"a/b": 1, "m~n": 2}),
            json!([{"op": "test", "path": "/a~1b", "value": 1}, {"op": "test", "path": "/m~0n", "value": 2.0}]),
            json!({"a/b": 1, "m~n": 2}),
        ),
        (json!({"~1": 10}), json!([{"op": "test", "path": "/~01", "value": 10}]), json!({"~1": 10})),
        (json!({}), json!([{"op": "test", "path": "/none", "value": null}]), json!({})),
        (json!({"a": 1}), json!([]), json!({"a": 1})),
        (json!({"": 1}), json!([{"op": "replace", "path": "/", "value": 2}]), json!({"": 2})),
    ] {
        assert_eq!(run(object.clone(), patch.clone()), Ok(result), "{object} {patch}");
    }
}

#[test]
fn what_does_not_fit_is_told() {
    for (patch, why) in [
        (
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            "add operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (json!([{"op": "remove", "path": "/x"}]), "error in remove for path: '/x': nonexistent key: x: missing value"),
        (
            json!([{"op": "replace", "path": "/x", "value": 1}]),
            "error in replace for path: '/x': nonexistent key: x: missing value",
        ),
        (
            json!([{"op": "add", "path": "/l/5", "value": 1}]),
            "error in add for path: '/l/5': Unable to access invalid index: 5: invalid index referenced",
        ),
        (
            json!([{"op": "remove", "path": "/l/-2"}]),
            "error in remove for path: '/l/-2': Unable to access invalid index: -2: invalid index referenced",
        ),
        (
            json!([{"op": "add", "path": "/l/x", "value": 1}]),
            "error in add for path: '/l/x': value was not a proper array index: 'x'",
        ),
        (json!([{"op": "test", "path": "/a", "value": 2}]), "testing value /a failed: test failed"),
        (
            json!([{"op": "add", "path": "", "value": 2}]),
            "add operation does not apply: doc is missing path: \"\": missing value",
        ),
        (json!([{"op": "spam", "path": "/a"}]), "Unexpected kind: spam"),
        (json!([{"path": "/a"}]), "Unexpected kind: unknown"),
        (json!([{"op": "add"}]), "add operation lacks its path"),
    ] {
        assert_eq!(run(json!({"a": 1, "l": [0]}), patch).unwrap_err().to_string(), why);
    }
    let error = JsonPatch::decode(json!([{"op": "remove", "path": "/x"}])).unwrap().apply(json!({})).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (422, "the server rejected our request due to an error in our request")
    );
}

#[test]
fn bodies_that_are_no_patch_are_refused() {
    let error = JsonPatch::decode(json!({})).unwrap_err();
    assert_eq!(error.code, 400);
    assert_eq!(
        error.message,
        "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
    );
    assert_eq!(JsonPatch::decode(json!([{"op": 1}])).unwrap_err().code, 400);
    let many = Value::Array(vec![json!({"op": "test", "path": "/a"}); MOST_OPERATIONS + 1]);
    let error = JsonPatch::decode(many).unwrap_err();
    let message = "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001";
    assert_eq!((error.code, error.message.as_str()), (413, message));
    let strict = JsonPatch::decode(json!([{"op": "test", "path": "/a", "oops": 1}])).unwrap();
    assert_eq!(strict.unknown, ["unknown field \"[0].oops\""]);
}

#[test]
fn copies_are_bounded() {
    let doubling = Value::Array(vec![json!({"op": "copy", "from": "/a", "path": "/a/-"}); 40]);
    assert!(matches!(run(json!({"a": ["x".repeat(1000)]}), doubling), Err(JsonPatchError::Copied(_))));
}

proptest! {
    #[test]
    fn no_patch_panics(object in crate::patch::merge::tests::value(), path in "(/[-a-c0-2~]{0,2}){0,4}", from in "(/[-a-c0-2]{0,2}){0,4}", op in 0usize..6) {
        let op = ["add", "remove", "replace", "move", "copy", "test"][op];
        let _ = run(object, json!([{"op": op, "path": path, "from": from, "value": {"a": 1}}]));
    }
}
