//! Objects and lists in the shape and format that a client accepts; what can be sent as it is stored is not parsed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use jiff::Timestamp;
use k8s_store::Entry;
use k8s_types::codec::{Format, protobuf};
use k8s_types::schema;
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::answer;
use super::body::Body;
use super::negotiate::{Accepted, MetaVersion, Shape};
use crate::catalog::Row;
use crate::registry::Page;
use crate::stored::{self, Stored};

/// How large the pieces of a long list are.
const PIECE: usize = 64 * 1024;

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

fn write(format: Format, value: &Value) -> Result<Vec<u8>, ApiError> {
    answer::write(format, value).ok_or_else(|| ApiError::not_acceptable(super::negotiate::OBJECTS))
}

fn parsed(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::internal(format_args!("what was made cannot be read: {e}")))
}

/// The metadata alone, as it is stored.
fn metadata(stored: &Stored, version: MetaVersion) -> Result<Vec<u8>, ApiError> {
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
    let value = stored.value()?;
    let cells = stored.row.cells(&value, now);
    Ok(match include {
        IncludeObject::Metadata => json!({"cells": cells, "object": parsed(&metadata(stored, version)?)?}),
        IncludeObject::Object => {
            let mut value = value;
            stored.row.from_stored(&mut value);
            json!({"cells": cells, "object": value})
        }
        IncludeObject::None => json!({"cells": cells}),
    })
}

/// A list of one page.
pub fn list(
    row: &Arc<Row>,
    page: Page,
    accepted: Accepted,
    include: IncludeObject,
) -> Result<Response<Body>, ApiError> {
    let mut about = json!({"resourceVersion": page.revision.to_string()});
    if !page.token.is_empty() {
        about["continue"] = page.token.clone().into();
    }
    if let Some(remaining) = page.remaining {
        about["remainingItemCount"] = remaining.into();
    }
    let content_type = accepted.content_type(false);
    match (accepted.shape, accepted.format) {
        (Shape::Table(version), format) => {
            let now = Timestamp::now();
            let lines =
                page.entries.iter().map(|e| line(&of(row, e), version, include, now)).collect::<Result<_, _>>()?;
            let table = table(row, version, about, lines, Headings::Shown);
            Ok(answer::bytes(200, content_type, write(format, &table)?))
        }
        (Shape::Object, Format::Protobuf) => {
            let r = &row.resource;
            let mut encoder = protobuf::ListEncoder::new(&r.api_version(), &r.list_kind, &about);
            for entry in &page.entries {
                encoder.push(&of(row, entry).in_version()?, &r.object);
            }
            Ok(answer::bytes(200, content_type, encoder.finish()))
        }
        (Shape::Metadata(version), Format::Protobuf) => {
            let mut encoder = protobuf::ListEncoder::new(version.api_version(), "PartialObjectMetadataList", &about);
            let of_kind = schema::builtin().kind("meta.k8s.io", "v1", "PartialObjectMetadata");
            let ty = of_kind.ok_or_else(|| ApiError::not_acceptable(super::negotiate::OBJECTS))?;
            for entry in &page.entries {
                encoder.push(&parsed(&metadata(&of(row, entry), version)?)?, &ty);
            }
            Ok(answer::bytes(200, content_type, encoder.finish()))
        }
        (shape, Format::Json) => Ok(stream_list(row, page.entries, about, shape)),
        (shape, Format::Yaml) => {
            let mut list = head(row, &about, shape);
            let mut items: Vec<Value> = Vec::new();
            for entry in &page.entries {
                items.push(parsed(&item(row, entry, shape)?)?);
            }
            list["items"] = items.into();
            Ok(answer::bytes(200, content_type, write(Format::Yaml, &list)?))
        }
    }
}

fn of(row: &Arc<Row>, entry: &Entry) -> Stored {
    Stored { row: row.clone(), bytes: entry.value.clone(), revision: entry.revision }
}

fn head(row: &Row, about: &Value, shape: Shape) -> Value {
    let (kind, version) = match shape {
        Shape::Metadata(version) => ("PartialObjectMetadataList".to_owned(), version.api_version().to_owned()),
        _ => (row.resource.list_kind.to_string(), row.resource.api_version()),
    };
    json!({"kind": kind, "apiVersion": version, "metadata": about})
}

/// One item of a JSON list. Items of built-in kinds do not repeat their kind.
fn item(row: &Arc<Row>, entry: &Entry, shape: Shape) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::with_capacity(entry.value.len() + 44);
    write_item(&mut out, row, entry, shape)?;
    Ok(out)
}

fn write_item(out: &mut Vec<u8>, row: &Arc<Row>, entry: &Entry, shape: Shape) -> Result<(), ApiError> {
    const METADATA: &[u8] = b"{\"metadata\":{";
    let builtin = row.behaviour.policy().is_some();
    match shape {
        Shape::Metadata(version) => out.extend_from_slice(&metadata(&of(row, entry), version)?),
        _ if row.stored.converted => {
            let mut value = of(row, entry).in_version()?;
            if let Some(value) = value.as_object_mut().filter(|_| builtin) {
                value.remove("kind");
                value.remove("apiVersion");
            }
            out.extend_from_slice(&stored::to_json(&value));
        }
        _ if builtin => {
            out.extend_from_slice(METADATA);
            let at = row.stored.metadata_at;
            stored::splice(out, &entry.value, at, at, entry.revision);
        }
        _ => stored::splice(out, &entry.value, 0, row.stored.metadata_at, entry.revision),
    }
    Ok(())
}

/// Sends a JSON list piece by piece; it is never there as a whole.
fn stream_list(row: &Arc<Row>, entries: Vec<Entry>, about: Value, shape: Shape) -> Response<Body> {
    let mut first = stored::to_json(&head(row, &about, shape));
    first.pop();
    first.extend_from_slice(b",\"items\":[");
    let size: usize = entries.iter().map(|entry| entry.value.len() + 44).sum();
    let row = row.clone();
    let mut pieces = Pieces { row, entries: entries.into_iter(), first, shape, begun: false, ended: false };
    if size <= PIECE {
        return match pieces.next() {
            Some(Ok(whole)) => answer::bytes(200, "application/json", whole),
            Some(Err(error)) => answer::error(&ApiError::internal(error), Accepted::JSON),
            None => answer::bytes(200, "application/json", Bytes::new()),
        };
    }
    answer::with(200, "application/json", Body::stream(stream::iter(pieces)))
}

struct Pieces {
    row: Arc<Row>,
    entries: std::vec::IntoIter<Entry>,
    first: Vec<u8>,
    shape: Shape,
    begun: bool,
    ended: bool,
}

impl Iterator for Pieces {
    type Item = std::io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut out = std::mem::take(&mut self.first);
        out.reserve(PIECE + PIECE / 4);
        while out.len() < PIECE {
            let Some(entry) = self.entries.next() else {
                out.extend_from_slice(b"]}\n");
                self.ended = true;
                break;
            };
            if std::mem::replace(&mut self.begun, true) {
                out.push(b',');
            }
            if let Err(error) = write_item(&mut out, &self.row, &entry, self.shape) {
                self.ended = true;
                return Some(Err(std::io::Error::other(error)));
            }
        }
        Some(Ok(out.into()))
    }
}
