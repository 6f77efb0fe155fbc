//! What is refused, what is told, and what is kept.

use crate::codec::{DecodeError, Decoded, FieldValidation, Format, decode};
use crate::schema::{Field, List, ListKind, Struct, Type, builtin};
use serde_json::{Value, json};
use std::sync::Arc;

fn kind(group: &str, version: &str, kind: &str) -> Type {
    Type::Struct(builtin().kind(group, version, kind).unwrap())
}

fn read(text: &str, ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    decode(text.as_bytes(), Format::Json, ty, validation)
}

fn pod(text: &str) -> Result<Decoded, DecodeError> {
    read(text, &kind("", "v1", "Pod"), FieldValidation::Strict)
}

#[track_caller]
fn refused(text: &str, message: &str) {
    assert_eq!(pod(text).unwrap_err().to_string(), message);
}

#[test]
fn unknown_and_duplicate_fields_are_named_in_the_order_of_the_document() {
    let text = r#"{"metadata": {"name": "a", "nam": 1, "labels": {"x": "1", "x": "2"}, "name": "b"},
        "spec": {"containers": [{"name": "c"}, {"image": "i", "foo": {"a": [1]}}]}, "specs": {}}"#;
    refused(
        text,
        r#"strict decoding error: unknown field "metadata.nam", duplicate field "metadata.labels.x", duplicate field "metadata.name", unknown field "spec.containers[1].foo", unknown field "specs""#,
    );
    let told = read(text, &kind("", "v1", "Pod"), FieldValidation::Warn).unwrap();
    assert_eq!(told.warnings.len(), 5);
    assert_eq!(told.value["metadata"], json!({"name": "b", "labels": {"x": "2"}}));
    assert!(read(text, &kind("", "v1", "Pod"), FieldValidation::Ignore).unwrap().warnings.is_empty());
}

#[test]
fn values_of_other_types_are_refused_in_gos_words() {
    let deployment = kind("apps", "v1", "Deployment");
    let error = read(r#"{"spec": {"replicas": "3"}, "x": 1}"#, &deployment, FieldValidation::Strict).unwrap_err();
    assert_eq!(
        error.to_string(),
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
    let error = read(r#"{"spec": {"replicas": 1.5}}"#, &deployment, FieldValidation::Ignore).unwrap_err();
    assert_eq!(
        error.to_string(),
        "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
    refused(
        r#"{"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}}"#,
        "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
    );
    refused(
        r#"{"metadata": {"labels": {"a": true}}}"#,
        "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
    );
    refused(r#"{"spec": []}"#, "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec");
    refused(
        r#"{"spec": {"containers": {}}}"#,
        "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
    );
    refused("[1]", "json: cannot unmarshal array into Go value of type v1.Pod");
    refused(
        r#"{"spec": {"containers": [{"resources": {"limits": {"cpu": "a lot"}}}]}}"#,
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
}

#[test]
fn what_is_no_json_is_refused() {
    for text in ["", "{", "{\"a\": }", "{} {}", "\u{1}", "{\"a\":1,}", "nul"] {
        assert!(matches!(pod(text), Err(DecodeError::Json(_))), "{text}");
    }
    let deep = format!("{}{}", "{\"spec\":".repeat(10_000), "1");
    assert!(pod(&deep).is_err());
    let inside = format!("{{\"data\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let error = read(&inside, &kind("apps", "v1", "ControllerRevision"), FieldValidation::Ignore).unwrap_err();
    assert_eq!(error, DecodeError::TooDeep);
    let long = vec![b' '; crate::codec::SIZE_LIMIT + 1];
    let error = decode(&long, Format::Json, &kind("", "v1", "Pod"), FieldValidation::Ignore).unwrap_err();
    assert_eq!(error.to_string(), "limit is 3145728");
}

#[test]
fn objects_become_what_clients_know() {
    let read = pod(
        r#"{"kind": "Pod", "apiVersion": "v1", "metadata": {"creationTimestamp": null, "name": "a", "labels": {}, "generation": 0},
        "spec": {"hostNetwork": false, "containers": [{"name": "c", "command": [], "ports": null, "env": [null],
            "resources": {"limits": {"cpu": 2, "memory": "1Gi"}}}], "terminationGracePeriodSeconds": 0}, "status": null}"#,
    );
    assert_eq!(
        read.unwrap().value,
        json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {
            "containers": [{"name": "c", "env": [{"name": ""}], "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}],
            "terminationGracePeriodSeconds": 0}, "status": {}})
    );
}

#[test]
fn times_ports_and_bytes_are_read() {
    let service = kind("", "v1", "Service");
    let value = read(
        r#"{"spec": {"ports": [{"port": 1, "targetPort": "http"}, {"port": 2, "targetPort": 80}]},
            "metadata": {"creationTimestamp": "2024-01-01T00:00:00+01:00"}}"#,
        &service,
        FieldValidation::Strict,
    );
    let value = value.unwrap().value;
    assert_eq!(value["spec"]["ports"][0]["targetPort"], "http");
    assert_eq!(value["spec"]["ports"][1]["targetPort"], 80);
    assert_eq!(value["metadata"]["creationTimestamp"], "2023-12-31T23:00:00Z");
    let error = read(r#"{"spec": {"ports": [{"targetPort": {}}]}}"#, &service, FieldValidation::Strict).unwrap_err();
    assert!(error.to_string().ends_with("ServicePort.spec.ports.targetPort of type int32"), "{error}");
    let secret = kind("", "v1", "Secret");
    assert!(read(r#"{"data": {"a": "%%"}}"#, &secret, FieldValidation::Ignore).is_err());
}

#[test]
fn schemas_inside_schemas_drop_what_they_do_not_know_without_a_word() {
    let text = r#"{"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "a": {"type": "array", "items": {"type": "string", "odd": 1}}, "b": {"additionalProperties": false}}}}}]}}"#;
    let read = read(text, &kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), FieldValidation::Strict);
    let schema = read.unwrap().value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].clone();
    assert_eq!(
        schema,
        json!({"a": {"type": "array", "items": {"type": "string"}}, "b": {"additionalProperties": false}})
    );
}

/// A custom resource: `spec.size` a number, `spec.list` strings, `spec.free` anything, `spec.object` an object of its own.
fn custom() -> Type {
    let list = List { item: Type::STRING, kind: ListKind::Atomic, nullable: false, wrapped: false };
    let embedded = Struct { embedded: true, ..Struct::default() };
    let free = Struct { preserve_unknown: true, ..Struct::default() };
    let spec = Struct {
        fields: vec![
            Field::new("free", Type::Struct(free.into())),
            Field::new("list", Type::List(Arc::new(list))),
            Field::new("object", Type::Struct(embedded.into())),
            Field::new("size", Type::Int32),
        ],
        ..Struct::default()
    };
    let fields = vec![
        Field::new("apiVersion", Type::STRING),
        Field::new("kind", Type::STRING),
        Field::new("metadata", Type::Struct(builtin().object_meta())),
        Field::new("spec", Type::Struct(spec.into())),
    ];
    Type::Struct(Struct { fields, kind: true, ..Struct::default() }.into())
}

#[test]
fn custom_resources_keep_what_their_schema_has_to_judge() {
    let text = r#"{"kind": "C", "metadata": {"name": "a", "labels": {}, "odd": 1},
        "spec": {"size": "big", "list": {"a": 1}, "free": {"x": [1, null]}, "no": 1,
            "object": {"kind": "Pod", "metadata": {"name": "p", "odd": 2}, "more": true}}}"#;
    let read = read(text, &custom(), FieldValidation::Warn).unwrap();
    assert_eq!(
        read.value["spec"],
        json!({"size": "big", "list": {"a": 1}, "free": {"x": [1, null]}, "object": {"kind": "Pod", "metadata": {"name": "p"}}})
    );
    assert_eq!(
        read.warnings,
        [
            r#"unknown field "metadata.odd""#,
            r#"unknown field "spec.no""#,
            r#"unknown field "spec.object.metadata.odd""#,
            r#"unknown field "spec.object.more""#
        ]
    );
}

#[test]
fn yaml_is_read_as_json_is() {
    let pod = kind("", "v1", "Pod");
    let text =
        "kind: Pod\napiVersion: v1\nmetadata: &m\n  name: a\n  nam: 1\nspec:\n  containers:\n  - {name: c, image: i}\n";
    let read = decode(text.as_bytes(), Format::Yaml, &pod, FieldValidation::Warn).unwrap();
    assert_eq!(read.value["spec"]["containers"][0]["image"], "i");
    assert_eq!(read.warnings, [r#"unknown field "metadata.nam""#]);
    let twice = "metadata:\n  name: a\n  name: b\n";
    let error = decode(twice.as_bytes(), Format::Yaml, &pod, FieldValidation::Strict).unwrap_err();
    assert_eq!(error.to_string(), r#"strict decoding error: duplicate field "metadata.name""#);
    let two = "kind: Pod\n---\nkind: Pod\n";
    assert!(matches!(decode(two.as_bytes(), Format::Yaml, &pod, FieldValidation::Warn), Err(DecodeError::Yaml(_))));
}

#[test]
fn bombs_of_aliases_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let item = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [item.as_str(); 9].join(", "));
    }
    let text = format!("data:\n{}", bomb.lines().map(|line| format!("  {line}\n")).collect::<String>());
    let revision = kind("apps", "v1", "ControllerRevision");
    let error = decode(text.as_bytes(), Format::Yaml, &revision, FieldValidation::Ignore).unwrap_err();
    assert!(matches!(error, DecodeError::Yaml(_)), "{error}");
    assert!(crate::codec::decode_untyped(text.as_bytes(), Format::Yaml).is_err());
}

#[test]
fn what_is_null_in_a_free_value_stays() {
    let value: Value = json!({"data": {"a": null, "b": [null]}, "revision": 1});
    let revision = kind("apps", "v1", "ControllerRevision");
    let read = read(&value.to_string(), &revision, FieldValidation::Strict).unwrap();
    assert_eq!(read.value["data"], value["data"]);
}

mod any {
    //! Nothing that comes from outside does harm, and what was decoded once is decoded to the same again.

    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
            "[a-zA-Z0-9:.+-]{0,12}".prop_map(Value::from),
        ];
        // names that kinds have, so that values of any sort get deep inside
        let name = prop::sample::select(vec![
            "metadata",
            "spec",
            "status",
            "template",
            "labels",
            "name",
            "containers",
            "ports",
            "env",
            "resources",
            "limits",
            "cpu",
            "selector",
            "data",
            "items",
            "volumes",
            "targetPort",
            "creationTimestamp",
            "managedFields",
            "fieldsV1",
            "schema",
            "openAPIV3Schema",
            "properties",
            "additionalProperties",
            "versions",
            "x",
            "ownerReferences",
            "rules",
        ]);
        leaf.prop_recursive(8, 60, 5, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                3 => prop::collection::btree_map(name.clone(), inner, 0..6)
                    .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn bytes_of_any_sort_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
            let ty = at.get(builtin().resources()).ty();
            for format in [Format::Json, Format::Yaml] {
                let _ = decode(&bytes, format, &ty, FieldValidation::Strict);
                let _ = crate::codec::type_meta(&bytes, format);
                let _ = crate::codec::decode_untyped(&bytes, format);
            }
        }

        #[test]
        fn yaml_of_any_sort_does_no_harm(text in "([a-z&*!|>{}\\[\\]:,#'\"?-]|  |\n|\n  |: |- ){0,80}") {
            let _ = decode(text.as_bytes(), Format::Yaml, &kind("", "v1", "Pod"), FieldValidation::Warn);
        }

        #[test]
        fn decoding_twice_is_decoding_once(value in value(), at in any::<prop::sample::Index>()) {
            for ty in [at.get(builtin().resources()).ty(), custom()] {
                if let Ok(once) = read(&value.to_string(), &ty, FieldValidation::Ignore) {
                    let twice = read(&once.value.to_string(), &ty, FieldValidation::Strict).expect("only known fields are left");
                    prop_assert_eq!(&twice.value, &once.value);
                    let mut pruned = once.value.clone();
                    crate::codec::prune(&mut pruned, &ty);
                    prop_assert_eq!(pruned, once.value);
                }
            }
        }
    }
}
