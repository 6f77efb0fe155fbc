//! Whatever a schema and an object say: nothing panics, and what was done once needs no second time.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{object, with_root};
use crate::cel::{Program, Scope, Type, Value as Cel};
use crate::codec;
use crate::crd::{POLICY, versions};
use crate::field::Errors;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Schemas, most of them structural.
fn schema() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(json!({"type": "string", "maxLength": 2, "pattern": "^a"})),
        Just(json!({"type": "integer", "minimum": -5, "multipleOf": 2})),
        Just(json!({"type": "number", "maximum": 7.5})),
        Just(json!({"type": "boolean", "nullable": true})),
        Just(json!({"x-kubernetes-int-or-string": true})),
        Just(json!({"x-kubernetes-preserve-unknown-fields": true})),
        Just(json!({"type": "string", "enum": ["a", "b"], "default": "a"})),
        Just(json!({"type": "string", "format": "date-time"})),
        value(),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        let list = prop_oneof![Just("atomic"), Just("set"), Just("map")];
        prop_oneof![
            (prop::collection::btree_map("[a-d]", inner.clone(), 0..4), any::<bool>()).prop_map(|(properties, keep)| {
                let properties: Map<String, Value> = properties.into_iter().collect();
                let mut schema = json!({"type": "object", "properties": properties, "required": ["a"]});
                if keep {
                    schema["x-kubernetes-preserve-unknown-fields"] = true.into();
                }
                schema
            }),
            (inner.clone(), list).prop_map(|(items, list)| {
                json!({"type": "array", "items": items, "x-kubernetes-list-type": list, "x-kubernetes-list-map-keys": ["a"]})
            }),
            inner.clone().prop_map(|of| json!({"type": "object", "additionalProperties": of})),
            (inner.clone(), inner).prop_map(|(a, b)| json!({"type": "object", "oneOf": [a], "not": b})),
        ]
    })
}

proptest! {
    #[test]
    fn objects_are_pruned_defaulted_and_checked_without_panics(schema in schema(), new in value(), old in value()) {
        let definition = with_root(json!({"type": "object", "properties": {"spec": schema}}));
        let mut errors = Errors::new();
        (POLICY.validate)(&definition, &mut errors);
        let version = versions(&definition).remove(0);
        let (mut new, old) = (object(new), object(old));
        codec::prune(&mut new, &version.resource.ty());
        version.defaults(&mut new);
        let mut again = new.clone();
        codec::prune(&mut again, &version.resource.ty());
        version.defaults(&mut again);
        if errors.is_empty() {
            prop_assert_eq!(&again, &new);
        }
        let mut errors = Errors::new();
        version.check_create(&new, &mut errors);
        version.check_update(&new, &old, &mut errors);
        version.check_status(&new, &old, &mut errors);
        // What did not change is not told again, but for duplicates and rules about changes.
        let mut same = Errors::new();
        version.check_update(&new, &new, &mut same);
        prop_assert!(same.is_empty(), "{}", same.0[0]);
        version.cells(&new, jiff::Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn expressions_of_any_bytes_are_compiled_or_refused(source in "[a-z0-9().\\[\\]{}'\"+*/%<>=!&|?:, -]{0,60}", value in value()) {
        let any = Type::any();
        if let Ok(program) = Program::compile(&source, &Scope::new(&[("self", any.clone())])) {
            let (_, cost) = program.evaluate(&[Cel::of(&value, &any)], 10_000);
            prop_assert!(cost <= 10_000);
        }
    }

    #[test]
    fn expressions_of_macros_stay_within_their_budget(parts in prop::collection::vec(0usize..8, 1..8), value in value()) {
        const PARTS: [&str; 8] = [
            "self.a.all(x, ", "[1, 2, 3].map(y, ", "self.exists(z, ", "{'k': ", "string(", "(self == ", "has(self.b) || (", "size(",
        ];
        let open: String = parts.iter().map(|part| PARTS[*part]).collect();
        let close: String = parts.iter().rev().map(|part| if PARTS[*part].starts_with('{') { "}" } else { ")" }).collect();
        let any = Type::any();
        if let Ok(program) = Program::compile(&format!("{open}self{close}"), &Scope::new(&[("self", any.clone())])) {
            let (_, cost) = program.evaluate(&[Cel::of(&value, &any)], 1_000);
            prop_assert!(cost <= 1_000);
        }
    }
}
