//! Documents of version 2: everything in one.

use super::definitions::{Definitions, Style};
use super::operations::{OBJECTS, Operation, PATCHES, PathItem};
use super::parameters::{Parameter, Place};
use super::{Custom, operations};
use crate::schema::builtin;
use serde_json::{Map, Value, json};

/// The whole document.
pub(super) fn document(custom: &[Custom]) -> Value {
    let mut writer = Writer { definitions: Definitions::new(Style::V2), parameters: Map::new(), paths: Map::new() };
    for row in builtin().resources() {
        operations::builtin_paths(row).iter().for_each(|item| writer.path(item));
    }
    for custom in custom {
        writer.definitions.custom(custom);
        operations::custom_paths(custom).iter().for_each(|item| writer.path(item));
    }
    json!({
        "swagger": "2.0",
        "info": super::info(),
        "paths": writer.paths,
        "definitions": writer.definitions.finish(),
        "parameters": writer.parameters,
        "securityDefinitions": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header",
            "description": "A bearer token."}},
        "security": [{"BearerToken": []}],
    })
}

struct Writer {
    definitions: Definitions,
    parameters: Map<String, Value>,
    paths: Map<String, Value>,
}

impl Writer {
    fn path(&mut self, item: &PathItem<'_>) {
        let mut out = Map::new();
        out.insert("parameters".into(), item.parameters.iter().map(|parameter| self.parameter(parameter)).collect());
        for operation in &item.operations {
            let written = self.operation(operation);
            out.insert(operation.method.into(), written);
        }
        self.paths.insert(item.path.clone(), Value::Object(out));
    }

    fn operation(&mut self, operation: &Operation<'_>) -> Value {
        let mut parameters = Vec::new();
        if let Some((shape, required)) = &operation.body {
            let schema = self.definitions.shape(shape);
            let mut body = json!({"name": "body", "in": "body", "schema": schema});
            if *required {
                body["required"] = true.into();
            }
            parameters.push(body);
        }
        parameters.extend(operation.query.iter().map(|parameter| self.parameter(parameter)));
        let schema = self.definitions.shape(&operation.answer);
        let answer = json!({"description": "OK", "schema": schema});
        let answers = operation.codes.iter().map(|code| ((*code).to_owned(), answer.clone()));
        let mut responses: Map<String, Value> = answers.collect();
        responses.insert("401".into(), json!({"description": "Unauthorized"}));
        let (group, version, kind) = operation.kind;
        json!({
            "operationId": operation.id,
            "description": operation.description,
            "tags": [operation.tag],
            "schemes": ["https"],
            "consumes": if operation.action == "patch" { json!(PATCHES) } else { json!(["*/*"]) },
            "produces": produces(operation),
            "parameters": parameters,
            "responses": responses,
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        })
    }

    /// A reference to a parameter, which is defined once.
    fn parameter(&mut self, parameter: &Parameter<'_>) -> Value {
        let dot = if parameter.owner.is_empty() { "" } else { "." };
        let name = format!("{}{dot}{}", parameter.owner, parameter.name);
        let reference = json!({"$ref": format!("#/parameters/{name}")});
        self.parameters.entry(name).or_insert_with(|| {
            let mut out = json!({"name": parameter.name, "in": parameter.place.name(), "type": parameter.ty,
                "uniqueItems": true});
            if parameter.place == Place::Path {
                out["required"] = true.into();
            }
            if !parameter.description.is_empty() {
                out["description"] = parameter.description.into();
            }
            out
        });
        reference
    }
}

fn produces(operation: &Operation<'_>) -> Value {
    match operation.action {
        "connect" => json!(["*/*"]),
        "list" => {
            let streams = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
            json!(OBJECTS.iter().chain(&streams).collect::<Vec<_>>())
        }
        _ => json!(OBJECTS),
    }
}
