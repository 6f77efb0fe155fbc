//! Documents of version 3: one for each group version.

use super::definitions::{Definitions, Style};
use super::operations::{OBJECTS, Operation, PATCHES, PathItem};
use super::parameters::{Parameter, Place};
use super::{Custom, operations};
use crate::schema::{Resource, builtin};
use serde_json::{Map, Value, json};

/// `api/v1`, `apis/apps/v1`: where the document of a resource is, below `/openapi/v3`.
pub(super) fn place(row: &Resource) -> String {
    if row.group.is_empty() { format!("api/{}", row.version) } else { format!("apis/{}/{}", row.group, row.version) }
}

/// The document of one place, if there is one.
pub(super) fn document(at: &str, custom: &[Custom]) -> Option<Value> {
    let mut definitions = Definitions::new(Style::V3);
    let mut paths = Map::new();
    for row in builtin().resources().iter().filter(|row| place(row) == at) {
        operations::builtin_paths(row).iter().for_each(|item| path(item, &mut definitions, &mut paths));
    }
    for custom in custom.iter().filter(|custom| place(&custom.resource) == at) {
        definitions.custom(custom);
        operations::custom_paths(custom).iter().for_each(|item| path(item, &mut definitions, &mut paths));
    }
    if paths.is_empty() {
        return None;
    }
    let security = json!({"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header",
        "description": "A bearer token."}});
    Some(json!({
        "openapi": "3.0.0",
        "info": super::info(),
        "paths": paths,
        "components": {"schemas": definitions.finish(), "securitySchemes": security},
        "security": [{"BearerToken": []}],
    }))
}

fn path(item: &PathItem<'_>, definitions: &mut Definitions, paths: &mut Map<String, Value>) {
    let mut out = Map::new();
    out.insert("parameters".into(), item.parameters.iter().map(parameter).collect());
    for one in &item.operations {
        out.insert(one.method.into(), operation(one, definitions));
    }
    paths.insert(item.path.clone(), Value::Object(out));
}

fn operation(operation: &Operation<'_>, definitions: &mut Definitions) -> Value {
    let schema = definitions.shape(&operation.answer);
    let types: &[&str] = if operation.action == "connect" { &["*/*"] } else { &OBJECTS };
    let content = |types: &[&str], schema: &Value| -> Map<String, Value> {
        types.iter().map(|ty| ((*ty).to_owned(), json!({"schema": schema}))).collect()
    };
    let answer = json!({"description": "OK", "content": content(types, &schema)});
    let answers = operation.codes.iter().map(|code| ((*code).to_owned(), answer.clone()));
    let mut responses: Map<String, Value> = answers.collect();
    responses.insert("401".into(), json!({"description": "Unauthorized"}));
    let (group, version, kind) = operation.kind;
    let mut out = json!({
        "operationId": operation.id,
        "description": operation.description,
        "tags": [operation.tag],
        "responses": responses,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    });
    if !operation.query.is_empty() {
        out["parameters"] = operation.query.iter().map(parameter).collect();
    }
    if let Some((shape, required)) = &operation.body {
        let types: &[&str] = if operation.action == "patch" { &PATCHES } else { &["*/*"] };
        let schema = definitions.shape(shape);
        out["requestBody"] = json!({"content": content(types, &schema)});
        if *required {
            out["requestBody"]["required"] = true.into();
        }
    }
    out
}

fn parameter(parameter: &Parameter<'_>) -> Value {
    let schema = json!({"type": parameter.ty, "uniqueItems": true});
    let mut out = json!({"name": parameter.name, "in": parameter.place.name(), "schema": schema});
    if parameter.place == Place::Path {
        out["required"] = true.into();
    }
    if !parameter.description.is_empty() {
        out["description"] = parameter.description.into();
    }
    out
}
