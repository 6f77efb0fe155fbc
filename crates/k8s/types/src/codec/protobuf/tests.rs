//! Objects survive the way to protobuf and back, whatever kind they are of; bytes of any sort never do harm.

use super::*;
use crate::codec::normalize;
use crate::schema::{SchemaOr, StringType};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use serde_json::json;

fn kind(group: &str, version: &str, kind: &str) -> Type {
    Type::Struct(builtin().kind(group, version, kind).unwrap())
}

#[track_caller]
fn survives(value: Value, ty: &Type) {
    let mut wanted = value.clone();
    normalize(&mut wanted, ty);
    let bytes = encode(&value, ty);
    let back = decode(&bytes, ty).unwrap_or_else(|error| panic!("{error}: {value}"));
    assert_eq!(back.value, wanted);
    assert_eq!(encode(&back.value, ty), encode(&wanted, ty));
}

#[test]
fn a_pod_is_written_as_go_writes_it() {
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}});
    let bytes = encode(&pod, &kind("", "v1", "Pod"));
    let wanted = [&b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x05\x0a\x03\x0a\x01a\x1a\0\x22\0"[..]].concat();
    assert_eq!(bytes, wanted);
}

#[test]
fn a_deployment_comes_back() {
    let deployment = json!({"kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "a", "labels": {"a": "b", "c": ""}, "creationTimestamp": "2024-01-02T03:04:05Z",
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {".": {}}}, "time": "2024-01-02T03:04:05Z"}]},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
            "template": {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "100m"}},
                "readinessProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 3},
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": false}}}]}],
                "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "configMap": {"name": "m"}}]}}}});
    survives(deployment, &kind("apps", "v1", "Deployment"));
}

#[test]
fn schemas_come_back() {
    let schema = json!({"type": "object", "properties": {"a": {"items": {"type": "string"}, "default": [1, {"x": null}]},
        "b": {"additionalProperties": false}, "c": {"additionalProperties": {"type": "number", "minimum": 1.5}},
        "d": {"items": [{"type": "string"}, {"type": "integer"}]}, "e": {"dependencies": {"x": ["y"]}}}});
    let definition = json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1", "metadata": {"name": "x"},
        "spec": {"group": "g", "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}});
    survives(definition, &kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
}

#[test]
fn lists_are_written_item_by_item() {
    let ty = kind("", "v1", "ConfigMapList");
    let item = kind("", "v1", "ConfigMap");
    let items = [json!({"metadata": {"name": "a"}, "data": {"k": "v"}}), json!({"metadata": {"name": "b"}})];
    let mut written = Vec::new();
    items.iter().for_each(|value| super::item(value, item.as_struct().unwrap(), &mut written));
    let mut list = list_head("v1", "ConfigMapList", &json!({"resourceVersion": "7"}), written.len());
    list.extend_from_slice(&written);
    let back = decode(&list, &ty).unwrap().value;
    assert_eq!(
        back,
        json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items})
    );
}

#[test]
fn events_of_watches_hold_whole_documents() {
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {}, "status": {}});
    let ty = kind("", "v1", "Pod");
    let event = watch_event("ADDED", &encode(&pod, &ty));
    let of = builtin()
        .kind("", "v1", "WatchEvent")
        .or_else(|| builtin().struct_named("io.k8s.apimachinery.pkg.apis.meta.v1", "WatchEvent"))
        .unwrap();
    let mut read = decode_message(&event, &of).unwrap();
    assert_eq!(read["type"], "ADDED");
    let mut wanted = pod;
    normalize(&mut wanted, &ty);
    assert_eq!(read["object"].take(), wanted);
}

#[test]
fn tokens_carry_lists_inside_maps() {
    let review = json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": {"token": "t"},
        "status": {"user": {"username": "u", "extra": {"a": ["1", "2"], "b": []}}}});
    survives(review, &kind("authentication.k8s.io", "v1", "TokenReview"));
}

#[test]
fn what_is_no_document_is_refused() {
    let pod = kind("", "v1", "Pod");
    assert!(decode(b"{}", &pod).unwrap_err().to_string().contains("expected prefix"));
    assert!(decode(b"k8s\0\xff\xff", &pod).is_err());
    let nested = (0..200).fold(Vec::new(), |inside, _| {
        let mut out = vec![0xe2, 0x1]; // the tag of `not`
        let mut length = inside.len();
        while length > 127 {
            out.push((length & 127) as u8 | 128);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(inside);
        out
    });
    let package = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
    let props = builtin().struct_named(package, "JSONSchemaProps").unwrap();
    assert_eq!(decode_message(&nested, &props), Err(DecodeError::TooDeep));
}

/// Something of a type, in the form that decoding leaves it in.
fn arbitrary(ty: &Type, rng: &mut TestRng, depth: u32) -> Value {
    let pick = |rng: &mut TestRng, from: &[&str]| json!(from[rng.random_range(0..from.len())]);
    match ty {
        Type::Bool => rng.random_bool(0.5).into(),
        Type::Int32 => (rng.random::<i32>() >> rng.random_range(0..31)).into(),
        Type::Int64 => (rng.random::<i64>() >> rng.random_range(0..63)).into(),
        Type::Number => json!(f64::from(rng.random::<i32>()) / 8.0),
        Type::String(StringType { allowed: Some(allowed), .. }) => json!(*allowed[rng.random_range(0..allowed.len())]),
        Type::String(_) => pick(rng, &["", "a", "ä€", "a/b.c", "\0\"\\\n"]),
        Type::Bytes => pick(rng, &["", "YQ==", "AAEC", "/+8="]),
        Type::IntOrString => pick(rng, &["", "http", "10%"])
            .as_str()
            .map_or(json!(0), |text| if rng.random_bool(0.5) { json!(rng.random::<i32>()) } else { json!(text) }),
        Type::Quantity => pick(rng, &["1", "0.5", "100m", "2Gi", "-1e3"]),
        Type::Time => pick(rng, &["2024-02-29T23:59:59Z", "1969-12-31T23:59:58Z", "2999-01-01T00:00:00Z"]),
        Type::MicroTime => pick(rng, &["2024-02-29T23:59:59.000001Z", "1969-12-31T23:59:58.500000Z"]),
        Type::Duration => pick(rng, &["1m30s", "0s", "-1.5s", "1ms"]),
        Type::FieldsV1 => json!({"f:a": {}, "k:{\"b\":1}": {".": {}}}),
        Type::Any => pick(rng, &["x"]).as_str().map_or(Value::Null, |text| json!({"a": [null, 1, text, 1.5]})),
        Type::SchemaOr(SchemaOr::Bool) => rng.random_bool(0.5).into(),
        Type::SchemaOr(_) => json!([]),
        Type::List(list) => (0..size(rng, depth)).map(|_| arbitrary(&list.item, rng, depth + 1)).collect(),
        Type::Map(map) => {
            let names = ["a", "", "b.c/d"].into_iter().take(size(rng, depth));
            names.map(|name| (name.to_owned(), arbitrary(&map.value, rng, depth + 1))).collect()
        }
        Type::Struct(of) => {
            let mut object = Map::new();
            for field in &of.fields {
                if field.number > 0 && rng.random_bool(if depth < 3 { 0.6 } else { 0.3 }) && depth < 9 {
                    object.insert(field.name.to_string(), arbitrary(&field.ty, rng, depth + 1));
                }
            }
            Value::Object(object)
        }
    }
}

fn size(rng: &mut TestRng, depth: u32) -> usize {
    // protobuf has no empty lists
    rng.random_range(1..if depth < 6 { 4 } else { 2 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn every_kind_comes_back(seed in any::<[u8; 32]>()) {
        let mut rng = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &seed);
        for row in builtin().resources() {
            let ty = row.ty();
            let mut object = arbitrary(&ty, &mut rng, 0);
            object["kind"] = json!(*row.kind);
            object["apiVersion"] = json!(row.api_version());
            survives(object, &ty);
        }
    }

    #[test]
    fn bytes_of_any_sort_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        let row = at.get(builtin().resources());
        let _ = decode(&bytes, &row.ty());
        let _ = decode_message(&bytes, &row.object);
        let _ = decode(&[&MAGIC[..], &bytes].concat(), &row.ty());
    }

    #[test]
    fn damaged_documents_do_no_harm(seed in any::<[u8; 32]>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut rng = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &seed);
        let row = at.get(builtin().resources());
        let mut bytes = encode(&arbitrary(&row.ty(), &mut rng, 0), &row.ty());
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let _ = decode(&bytes, &row.ty());
        bytes.truncate(place);
        let _ = decode(&bytes, &row.ty());
    }
}
