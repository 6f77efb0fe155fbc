//! Objects in the shape and format that a client accepts; what can be sent as it is stored is not parsed.

use jiff::Timestamp;
use k8s_types::codec::{Format, protobuf};
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::answer;
use super::negotiate::{Accepted, MetaVersion, Shape};
use crate::catalog::Row;
use crate::stored::{self, Stored};

/// What a table's lines have beside the cells (`includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeObject {
    /// The object's metadata.
    Metadata,
    /// The object.
    Object,
    /// Nothing.
    None,
}

impl IncludeObject {
    /// Reads the parameter.
    pub fn parse(text: &str) -> Result<IncludeObject, ApiError> {
        match text {
            "" | "Metadata" => Ok(IncludeObject::Metadata),
            "Object" => Ok(IncludeObject::Object),
            "None" => Ok(IncludeObject::None),
            other => Err(ApiError::bad_request(format!(
                "unrecognized includeObject value: {}",
                k8s_types::field::quote(other)
            ))),
        }
    }
}

/// One object.
pub fn object(stored: &Stored, accepted: Accepted, include: IncludeObject) -> Result<Vec<u8>, ApiError> {
    let row = &stored.row;
    match (accepted.shape, accepted.format) {
        (Shape::Object, Format::Json) => stored.json(),
        (Shape::Object, Format::Protobuf) => Ok(protobuf::encode(&stored.in_version()?, &row.resource.ty())),
        (Shape::Object, Format::Yaml) => write(Format::Yaml, &stored.in_version()?),
        (Shape::Metadata(version), Format::Json) => metadata(stored, version),
        (Shape::Metadata(version), format) => write(format, &parsed(&metadata(stored, version)?)?),
        (Shape::Table(version), format) => {
            let lines = vec![line(stored, version, include, Timestamp::now())?];
            let list = json!({"resourceVersion": stored.revision.to_string()});
            write(format, &table(row, version, list, lines, Headings::Shown))
        }
    }
}

pub(super) fn write(format: Format, value: &Value) -> Result<Vec<u8>, ApiError> {
    answer::write(format, value).ok_or_else(|| ApiError::not_acceptable(super::negotiate::OBJECTS))
}

pub(super) fn parsed(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::internal(format_args!("what was made cannot be read: {e}")))
}

/// The metadata alone, as it is stored.
pub(super) fn metadata(stored: &Stored, version: MetaVersion) -> Result<Vec<u8>, ApiError> {
    let raw = stored::raw_metadata(&stored.bytes)?.get();
    let mut out = Vec::with_capacity(raw.len() + 128);
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    out.extend_from_slice(version.api_version().as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    stored::splice(&mut out, raw.as_bytes(), 0, 1, stored.revision);
    out.push(b'}');
    Ok(out)
}

/// Whether a table tells its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headings {
    /// It does.
    Shown,
    /// They were told in an earlier event.
    Known,
}

/// A table of lines.
pub fn table(row: &Row, version: MetaVersion, list: Value, lines: Vec<Value>, headings: Headings) -> Value {
    let columns: Value = match headings {
        Headings::Known => Value::Null,
        Headings::Shown => row
            .columns()
            .into_iter()
            .map(|c| {
                json!({"name": c.name, "type": c.kind, "format": c.format, "description": c.description, "priority": c.priority})
            })
            .collect(),
    };
    json!({"kind": "Table", "apiVersion": version.api_version(), "metadata": list, "columnDefinitions": columns, "rows": lines})
}

/// One line of a table.
pub fn line(stored: &Stored, version: MetaVersion, include: IncludeObject, now: Timestamp) -> Result<Value, ApiError> {
    let mut value = stored.value()?;
    let cells = stored.row.cells(&value, now);
    Ok(match include {
        IncludeObject::Metadata => {
            let metadata = value["metadata"].take();
            let api_version = version.api_version();
            json!({"cells": cells, "object": {"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": metadata}})
        }
        IncludeObject::Object => {
            stored.row.from_stored(&mut value);
            json!({"cells": cells, "object": value})
        }
        IncludeObject::None => json!({"cells": cells}),
    })
}
