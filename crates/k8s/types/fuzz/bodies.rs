//! What each fuzz target does with its bytes. Run by cargo-fuzz from `fuzz_targets/`, and on stable by `tests/fuzz.rs` with random bytes.

use k8s_types::cel::{Program, Scope, Type as CelType, Value as CelValue};
use k8s_types::codec::{self, FieldValidation, Format};
use k8s_types::managed::{OneVersion, Request, Set};
use k8s_types::object;
use k8s_types::patch::json::JsonPatch;
use k8s_types::patch::{merge, strategic};
use k8s_types::quantity::Quantity;
use k8s_types::schema::{Type, builtin};
use k8s_types::selector::{FieldSelector, LabelSelector};
use serde_json::{Value, json};

fn deployment() -> Type {
    Type::Struct(builtin().kind("apps", "v1", "Deployment").expect("the table has deployments"))
}

/// Two JSON documents, separated by a zero byte.
fn two(bytes: &[u8]) -> Option<(Value, Value)> {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let mut next = || codec::decode_untyped(parts.next()?, Format::Json).ok();
    Some((next()?, next()?))
}

/// A typed object: what is decoded can be encoded and decoded again, and is then the same.
fn round(bytes: &[u8], format: Format) {
    let ty = deployment();
    let Ok(decoded) = codec::decode(bytes, format, &ty, FieldValidation::Warn) else { return };
    if !decoded.value.is_object() {
        // an empty document is no object; its kind is missing, which the reader of the kind refuses
        return;
    }
    let again = codec::decode(&codec::encode_json(&decoded.value), Format::Json, &ty, FieldValidation::Strict);
    assert_eq!(again.expect("what was encoded is decoded").value, decoded.value);
}

pub fn decode_json(bytes: &[u8]) {
    round(bytes, Format::Json);
}

pub fn decode_yaml(bytes: &[u8]) {
    round(bytes, Format::Yaml);
}

pub fn decode_protobuf(bytes: &[u8]) {
    round(bytes, Format::Protobuf);
}

pub fn json_patch(bytes: &[u8]) {
    if let Some((object, patch)) = two(bytes) {
        let _ = JsonPatch::decode(patch).map(|patch| patch.try_apply(object));
    }
}

pub fn merge_patch(bytes: &[u8]) {
    if let Some((from, to)) = two(bytes) {
        let _ = merge::apply(from.clone(), to.clone());
        let _ = merge::diff(&from, &to);
    }
}

pub fn strategic_patch(bytes: &[u8]) {
    if let Some((object, patch)) = two(bytes) {
        let _ = strategic::apply(object, patch, &deployment());
    }
}

pub fn managed(bytes: &[u8]) {
    let Some((mut live, mut config)) = two(bytes) else { return };
    let ty = deployment();
    let request = Request {
        api_version: "apps/v1",
        kind: "Deployment",
        ty: &ty,
        manager: "fuzz",
        subresource: "",
        now: "2026-01-02T03:04:05Z",
        reset: &[&["status"]],
        versions: &OneVersion,
    };
    let before = live.clone();
    request.update(None, &mut live);
    request.update(Some(&before), &mut live);
    object::set_gvk(&mut config, &object::Gvk::of("apps/v1", "Deployment"));
    let _ = request.apply(Some(&live), &config, true);
}

pub fn field_set(bytes: &[u8]) {
    let Ok(value) = codec::decode_untyped(bytes, Format::Json) else { return };
    if let Ok(set) = Set::from_value(&value) {
        assert_eq!(Set::from_value(&set.to_value()), Ok(set));
    }
}

pub fn selectors(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(selector) = LabelSelector::parse(&text) {
        assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
    }
    if let Ok(selector) = FieldSelector::parse(&text) {
        assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
    }
}

pub fn quantity(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(quantity) = Quantity::parse(&text) {
        let again = Quantity::parse(&quantity.to_string());
        // what has more digits than an amount holds is bounded, and then not the same
        assert!(quantity.value() == i64::MAX || quantity.value() == i64::MIN || again == Ok(quantity));
    }
}

pub fn cel(bytes: &[u8]) {
    const BUDGET: u64 = 10_000;
    let any = CelType::any();
    let source = String::from_utf8_lossy(bytes);
    let Ok(program) = Program::compile(&source, &Scope::new(&[("self", any.clone())])) else { return };
    let object = json!({"a": 1, "b": ["x", "y"], "c": {"d": "e"}});
    let _ = program.evaluate(&[CelValue::of(&object, &any)], BUDGET);
}
