//! Types as schemas of OpenAPI, with everything that they refer to.

use super::Custom;
use super::operations::Shape;
use crate::schema::{Field, ListKind, META, PatchStrategy, Presence, Resource, Struct, StructRef, Type, builtin};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Which version of OpenAPI is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    V2,
    V3,
}

/// The definitions of a document: those asked for, and those that they refer to.
pub(super) struct Definitions {
    style: Style,
    done: BTreeMap<String, Value>,
    waiting: Vec<StructRef>,
}

impl Definitions {
    pub(super) fn new(style: Style) -> Self {
        Definitions { style, done: BTreeMap::new(), waiting: Vec::new() }
    }

    /// The schema of a body or an answer.
    pub(super) fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Struct(of) => self.of(of),
            Shape::Custom(name) => self.reference(name),
            Shape::Patch => self.special(META, "Patch", || json!({"type": "object"})),
            Shape::Text => json!({"type": "string"}),
        }
    }

    /// Adds the kind and the list of a custom resource.
    pub(super) fn custom(&mut self, custom: &Custom) {
        let row = &*custom.resource;
        let kind = custom_name(row, &row.kind);
        let metadata = self.within(self.waiting_reference(&builtin().object_meta()), "", false);
        let schema = super::custom::definition(custom, self.style, metadata);
        self.done.insert(kind.clone(), schema);
        let metadata = self.within(self.waiting_reference(&builtin().list_meta()), "", false);
        let items = self.within(self.reference(&kind), "", false);
        let list = super::custom::list(row, metadata, items);
        self.done.insert(custom_name(row, &row.list_kind), list);
        self.waiting.extend([builtin().object_meta(), builtin().list_meta()]);
    }

    /// Everything, by name.
    pub(super) fn finish(mut self) -> Map<String, Value> {
        while let Some(of) = self.waiting.pop() {
            let name = name(&of);
            if !self.done.contains_key(&name) {
                // keeps its place, in case that it contains itself
                self.done.insert(name.clone(), Value::Null);
                let definition = self.definition(&of);
                self.done.insert(name, definition);
            }
        }
        self.done.into_iter().collect()
    }

    fn definition(&mut self, of: &Struct) -> Value {
        let mut schema = Map::new();
        describe(&mut schema, &of.description);
        schema.insert("type".into(), "object".into());
        let properties: Map<String, Value> =
            of.fields.iter().map(|field| (field.name.to_string(), self.field(field, of))).collect();
        if !properties.is_empty() {
            schema.insert("properties".into(), Value::Object(properties));
        }
        let required: Vec<&str> =
            of.fields.iter().filter(|field| field.required).map(|field| field.name.as_str()).collect();
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        if of.atomic {
            schema.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        let kinds = kinds(of);
        if !kinds.is_empty() {
            schema.insert("x-kubernetes-group-version-kind".into(), Value::Array(kinds));
        }
        if !of.unions.is_empty() {
            schema.insert("x-kubernetes-unions".into(), of.unions.iter().map(union).collect());
        }
        Value::Object(schema)
    }

    fn field(&mut self, field: &Field, of: &Struct) -> Value {
        let schema = self.ty(&field.ty, of);
        let always = field.presence == Presence::Always && matches!(field.ty, Type::Struct(_));
        let Value::Object(mut schema) = self.within(schema, &field.description, always) else { return Value::Null };
        let mut say = |name: &str, value: Value| drop(schema.insert(name.to_owned(), value));
        if let (Some(default), Style::V3) = (&field.default, self.style) {
            say("default", (**default).clone());
        }
        if let Type::List(list) = &field.ty {
            match &list.kind {
                ListKind::Atomic => say("x-kubernetes-list-type", "atomic".into()),
                ListKind::Set => say("x-kubernetes-list-type", "set".into()),
                ListKind::Map(keys) => {
                    say("x-kubernetes-list-type", "map".into());
                    say("x-kubernetes-list-map-keys", keys.iter().map(|key| key.as_str()).collect());
                }
            }
        }
        let atomic = if let Type::Map(map) = &field.ty { map.atomic.then_some(true) } else { field.atomic };
        if let Some(atomic) = atomic {
            say("x-kubernetes-map-type", if atomic { "atomic" } else { "granular" }.into());
        }
        let strategy = match (field.patch.strategy, field.patch.retain_keys) {
            (PatchStrategy::Unsaid, false) => "",
            (PatchStrategy::Unsaid, true) => "retainKeys",
            (PatchStrategy::Merge, false) => "merge",
            (PatchStrategy::Merge, true) => "merge,retainKeys",
            (PatchStrategy::Replace, _) => "replace",
        };
        if !strategy.is_empty() {
            say("x-kubernetes-patch-strategy", strategy.into());
        }
        if let Some(key) = &field.patch.merge_key {
            say("x-kubernetes-patch-merge-key", key.as_str().into());
        }
        Value::Object(schema)
    }

    /// A schema as a property or an item. Version 3 allows nothing beside a reference.
    fn within(&self, schema: Value, description: &str, always: bool) -> Value {
        let mut out = match schema {
            Value::Object(schema) if schema.contains_key("$ref") && self.style == Style::V3 => {
                Map::from_iter([("allOf".to_owned(), json!([schema]))])
            }
            Value::Object(schema) => schema,
            _ => Map::new(),
        };
        describe(&mut out, description);
        if always && self.style == Style::V3 {
            out.insert("default".into(), json!({}));
        }
        Value::Object(out)
    }

    fn ty(&mut self, ty: &Type, of: &Struct) -> Value {
        match ty {
            Type::Bool => json!({"type": "boolean"}),
            Type::Int32 => json!({"type": "integer", "format": "int32"}),
            Type::Int64 => json!({"type": "integer", "format": "int64"}),
            Type::Number => json!({"type": "number", "format": "double"}),
            Type::String(string) => match &string.allowed {
                Some(allowed) if self.style == Style::V3 => {
                    json!({"type": "string", "enum": allowed.iter().map(|value| value.as_str()).collect::<Vec<_>>()})
                }
                _ => json!({"type": "string"}),
            },
            Type::Bytes => json!({"type": "string", "format": "byte"}),
            Type::IntOrString => {
                let package = "io.k8s.apimachinery.pkg.util.intstr";
                self.special(package, "IntOrString", || json!({"type": "string", "format": "int-or-string"}))
            }
            Type::Quantity => {
                let schema = || json!({"type": "string", "description": "An amount such as 100m or 2Gi."});
                self.special("io.k8s.apimachinery.pkg.api.resource", "Quantity", schema)
            }
            Type::Time => self.special(META, "Time", || json!({"type": "string", "format": "date-time"})),
            Type::MicroTime => self.special(META, "MicroTime", || json!({"type": "string", "format": "date-time"})),
            Type::Duration => self.special(META, "Duration", || json!({"type": "string"})),
            Type::FieldsV1 => self.special(META, "FieldsV1", || json!({"type": "object"})),
            Type::Any if of.package.contains("apiextensions") => self.special(&of.package, "JSON", || json!({})),
            Type::Any => self.special("io.k8s.apimachinery.pkg.runtime", "RawExtension", || json!({"type": "object"})),
            Type::SchemaOr(or) => {
                let name = match or {
                    crate::schema::SchemaOr::Bool => "JSONSchemaPropsOrBool",
                    crate::schema::SchemaOr::Schemas => "JSONSchemaPropsOrArray",
                    crate::schema::SchemaOr::Strings => "JSONSchemaPropsOrStringArray",
                };
                self.special(&of.package, name, || json!({}))
            }
            Type::List(list) => {
                let item = self.ty(&list.item, of);
                let always = matches!(list.item, Type::Struct(_));
                json!({"type": "array", "items": self.within(item, "", always)})
            }
            Type::Map(map) => {
                let value = self.ty(&map.value, of);
                let always = matches!(map.value, Type::Struct(_));
                json!({"type": "object", "additionalProperties": self.within(value, "", always)})
            }
            Type::Struct(of) => self.of(of),
        }
    }

    /// A reference to a struct, which is then defined too.
    fn of(&mut self, of: &StructRef) -> Value {
        let reference = self.waiting_reference(of);
        if !self.done.contains_key(&name(of)) {
            self.waiting.push(of.clone());
        }
        reference
    }

    fn waiting_reference(&self, of: &Struct) -> Value {
        self.reference(&name(of))
    }

    fn special(&mut self, package: &str, name: &str, schema: impl FnOnce() -> Value) -> Value {
        let name = format!("{package}.{name}");
        let reference = self.reference(&name);
        self.done.entry(name).or_insert_with(schema);
        reference
    }

    fn reference(&self, name: &str) -> Value {
        let place = if self.style == Style::V2 { "definitions" } else { "components/schemas" };
        json!({"$ref": format!("#/{place}/{name}")})
    }
}

fn describe(schema: &mut Map<String, Value>, description: &str) {
    if !description.is_empty() {
        schema.insert("description".into(), description.into());
    }
}

fn union(union: &crate::schema::Union) -> Value {
    let fields: Map<String, Value> =
        union.members.iter().map(|(field, value)| (field.to_string(), value.as_str().into())).collect();
    let mut out = json!({"fields-to-discriminateBy": fields});
    if !union.discriminator.is_empty() {
        out["discriminator"] = union.discriminator.as_str().into();
    }
    out
}

/// `io.k8s.api.core.v1.PodSpec`
fn name(of: &Struct) -> String {
    format!("{}.{}", of.package, of.name)
}

/// `com.example.stable.v1.CronTab` of the group `stable.example.com`.
pub(super) fn custom_name(row: &Resource, kind: &str) -> String {
    let labels: Vec<&str> = row.group.split('.').rev().collect();
    format!("{}.{}.{kind}", labels.join("."), row.version)
}

/// As which kinds an object of the type is known.
fn kinds(of: &Struct) -> Vec<Value> {
    let kind = |group: &str, version: &str| json!({"group": group, "version": version, "kind": *of.name});
    if of.package == META && matches!(of.name.as_str(), "DeleteOptions" | "WatchEvent") {
        let mut homes: Vec<_> = builtin().resources().iter().map(|row| (&*row.group, &*row.version)).collect();
        homes.sort();
        homes.dedup();
        return homes.into_iter().map(|(group, version)| kind(group, version)).collect();
    }
    if !of.kind {
        return Vec::new();
    }
    if of.package == META {
        return vec![kind("", "v1")];
    }
    builtin().home(&of.package).map(|(group, version)| kind(group, version)).into_iter().collect()
}
