//! Lists in the shape and format that a client accepts, sent piece by piece: a long one is never there as a whole, whatever it is written as.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use jiff::Timestamp;
use k8s_store::Entry;
use k8s_types::codec::{self, Format, protobuf};
use k8s_types::schema::{self, StructRef};
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::answer;
use super::body::Body;
use super::negotiate::{Accepted, MetaVersion, OBJECTS, Shape};
use super::render::{self, Headings, IncludeObject};
use crate::catalog::Row;
use crate::registry::Page;
use crate::stored::{self, Stored};

/// How large the pieces of a long list are.
const PIECE: usize = 64 * 1024;
/// So many items are measured before others get their turn.
const STEP: usize = 64;

/// A list of one page.
pub async fn list(
    row: &Arc<Row>,
    page: Page,
    accepted: Accepted,
    include: IncludeObject,
) -> Result<Response<Body>, ApiError> {
    let size: usize = page.entries.iter().map(|entry| entry.value.len() + 44).sum();
    let mut pieces = Pieces::of(row, page, accepted, include).await?;
    let content_type = accepted.content_type(false);
    if size <= PIECE {
        let mut whole = Vec::with_capacity(size + 256);
        while let Some(piece) = pieces.piece() {
            whole.extend_from_slice(&piece?);
        }
        return Ok(answer::bytes(200, content_type, whole));
    }
    let pieces = std::iter::from_fn(move || pieces.piece().map(|piece| piece.map_err(std::io::Error::other)));
    Ok(answer::with(200, content_type, Body::stream(stream::iter(pieces))))
}

/// A list on its way out.
struct Pieces {
    row: Arc<Row>,
    entries: std::vec::IntoIter<Entry>,
    item: Item,
    /// What comes before the items, until it is sent.
    first: Vec<u8>,
    /// What stands between two items.
    between: &'static str,
    last: Vec<u8>,
    begun: bool,
    ended: bool,
}

/// How an item is written.
enum Item {
    Json(Shape),
    Yaml(Shape),
    /// A line of a table.
    Line(Format, MetaVersion, IncludeObject, Timestamp),
    Protobuf(Shape, StructRef),
}

impl Pieces {
    async fn of(row: &Arc<Row>, page: Page, accepted: Accepted, include: IncludeObject) -> Result<Pieces, ApiError> {
        let about = about(&page);
        let mut pieces = Pieces {
            row: row.clone(),
            entries: page.entries.into_iter(),
            item: Item::Json(accepted.shape),
            first: Vec::new(),
            between: "",
            last: Vec::new(),
            begun: false,
            ended: false,
        };
        match (accepted.shape, accepted.format) {
            (Shape::Table(_), Format::Protobuf) => return Err(ApiError::not_acceptable(OBJECTS)),
            (Shape::Table(version), format) => {
                pieces.item = Item::Line(format, version, include, Timestamp::now());
                let table = render::table(row, version, about, Vec::new(), Headings::Shown);
                pieces.around(&table, "rows", format);
            }
            (shape, Format::Protobuf) => {
                let of = item_type(row, shape)?;
                pieces.item = Item::Protobuf(shape, of);
                let size = pieces.measure().await?;
                let (kind, version) = kind(row, shape);
                pieces.first = protobuf::list_head(&version, &kind, &about, size);
            }
            (shape, format) => {
                pieces.item = if format == Format::Yaml { Item::Yaml(shape) } else { Item::Json(shape) };
                let (kind, version) = kind(row, shape);
                let list = json!({"kind": kind, "apiVersion": version, "metadata": about, "items": []});
                pieces.around(&list, "items", format);
            }
        }
        Ok(pieces)
    }

    /// What stands around the items in JSON or YAML: a list without them, cut where they belong.
    fn around(&mut self, list: &Value, items: &str, format: Format) {
        let some = self.entries.len() > 0;
        if format == Format::Yaml {
            let text = codec::encode_yaml(list);
            let empty = format!("{items}: []\n");
            let cut = text.find(&empty).filter(|at| some && (*at == 0 || text.as_bytes()[at - 1] == b'\n'));
            let (before, after) = match cut {
                Some(at) => (format!("{}{items}:\n", &text[..at]), &text[at + empty.len()..]),
                None => (text.clone(), ""),
            };
            (self.first, self.last) = (before.into_bytes(), after.as_bytes().to_vec());
            return;
        }
        let mut head = list.clone();
        head.as_object_mut().and_then(|fields| fields.remove(items));
        self.first = stored::to_json(&head);
        self.first.pop();
        self.first.extend_from_slice(format!(",\"{items}\":[").as_bytes());
        self.between = ",";
        self.last = b"]}\n".to_vec();
    }

    /// How many bytes all items take; what was encoded for that is let go of.
    async fn measure(&self) -> Result<usize, ApiError> {
        let mut out = Vec::new();
        let mut size = 0;
        for (at, entry) in self.entries.as_slice().iter().enumerate() {
            if at % STEP == STEP - 1 {
                tokio::task::yield_now().await;
            }
            out.clear();
            self.item.write(&mut out, &self.row, entry)?;
            size += out.len();
        }
        Ok(size)
    }

    fn piece(&mut self) -> Option<Result<Bytes, ApiError>> {
        if self.ended {
            return None;
        }
        let mut out = std::mem::take(&mut self.first);
        out.reserve(PIECE + PIECE / 4);
        while out.len() < PIECE {
            let Some(entry) = self.entries.next() else {
                out.append(&mut self.last);
                self.ended = true;
                break;
            };
            if std::mem::replace(&mut self.begun, true) {
                out.extend_from_slice(self.between.as_bytes());
            }
            if let Err(error) = self.item.write(&mut out, &self.row, &entry) {
                self.ended = true;
                return Some(Err(error));
            }
        }
        Some(Ok(out.into()))
    }
}

impl Item {
    fn write(&self, out: &mut Vec<u8>, row: &Arc<Row>, entry: &Entry) -> Result<(), ApiError> {
        match self {
            Item::Json(shape) => json_item(out, row, entry, *shape)?,
            Item::Yaml(shape) => {
                let mut item = Vec::with_capacity(entry.value.len() + 44);
                json_item(&mut item, row, entry, *shape)?;
                out.extend_from_slice(codec::encode_yaml(&json!([render::parsed(&item)?])).as_bytes());
            }
            Item::Line(format, version, include, now) => {
                let line = render::line(&of(row, entry), *version, *include, *now)?;
                match format {
                    Format::Yaml => out.extend_from_slice(codec::encode_yaml(&json!([line])).as_bytes()),
                    _ => out.extend_from_slice(&stored::to_json(&line)),
                }
            }
            Item::Protobuf(Shape::Metadata(version), ty) => {
                let metadata = render::parsed(&render::metadata(&of(row, entry), *version)?)?;
                protobuf::item(&metadata, ty, out);
            }
            Item::Protobuf(_, ty) => protobuf::item(&of(row, entry).in_version()?, ty, out),
        }
        Ok(())
    }
}

fn about(page: &Page) -> Value {
    let mut about = json!({"resourceVersion": page.revision.to_string()});
    if !page.token.is_empty() {
        about["continue"] = page.token.clone().into();
    }
    if let Some(remaining) = page.remaining {
        about["remainingItemCount"] = remaining.into();
    }
    about
}

fn of(row: &Arc<Row>, entry: &Entry) -> Stored {
    Stored { row: row.clone(), bytes: entry.value.clone(), revision: entry.revision }
}

/// Kind and version of the list.
fn kind(row: &Row, shape: Shape) -> (String, String) {
    match shape {
        Shape::Metadata(version) => ("PartialObjectMetadataList".to_owned(), version.api_version().to_owned()),
        _ => (row.resource.list_kind.to_string(), row.resource.api_version()),
    }
}

fn item_type(row: &Row, shape: Shape) -> Result<StructRef, ApiError> {
    match shape {
        Shape::Metadata(_) => {
            let of = schema::builtin().kind("meta.k8s.io", "v1", "PartialObjectMetadata");
            of.ok_or_else(|| ApiError::not_acceptable(OBJECTS))
        }
        _ => Ok(row.resource.object.clone()),
    }
}

/// One item of a JSON list. Items of built-in kinds do not repeat their kind.
fn json_item(out: &mut Vec<u8>, row: &Arc<Row>, entry: &Entry, shape: Shape) -> Result<(), ApiError> {
    const METADATA: &[u8] = b"{\"metadata\":{";
    let builtin = row.behaviour.policy().is_some();
    match shape {
        Shape::Metadata(version) => out.extend_from_slice(&render::metadata(&of(row, entry), version)?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn page(count: usize) -> Page {
        let entry = |number: usize| {
            let object = json!({"kind": "ConfigMap", "apiVersion": "v1",
                "metadata": {"name": format!("m{number}"), "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "data": {"key": "x".repeat(200)}});
            let key = format!("core/configmaps/default/m{number}").into();
            Entry { key, created: 1, revision: number as u64 + 2, expires: 0, value: stored::encode(&object) }
        };
        Page { entries: (0..count).map(entry).collect(), revision: 1000, token: "next".into(), remaining: Some(7) }
    }

    async fn sent(count: usize, accepted: Accepted) -> (usize, Vec<u8>) {
        use http_body_util::BodyExt;
        let row = Catalog::default().stored("", "configmaps").unwrap();
        let response = list(&row, page(count), accepted, IncludeObject::Metadata).await.unwrap();
        let (mut pieces, mut whole) = (0, Vec::new());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() < 2 * PIECE, "a piece is bounded");
            pieces += 1;
            whole.extend_from_slice(&data);
        }
        (pieces, whole)
    }

    fn read(bytes: &[u8], accepted: Accepted) -> Value {
        match accepted.format {
            Format::Json => serde_json::from_slice(bytes).unwrap(),
            Format::Yaml => codec::decode_untyped(bytes, Format::Yaml).unwrap(),
            Format::Protobuf => {
                let kind = match accepted.shape {
                    Shape::Object => schema::builtin().kind("", "v1", "ConfigMapList"),
                    _ => schema::builtin().kind("meta.k8s.io", "v1", "PartialObjectMetadataList"),
                };
                protobuf::decode(bytes, &schema::Type::Struct(kind.unwrap())).unwrap().value
            }
        }
    }

    #[tokio::test]
    async fn long_lists_come_in_pieces_whatever_they_are_written_as() {
        let shapes = [Shape::Object, Shape::Metadata(MetaVersion::V1), Shape::Table(MetaVersion::V1)];
        for (format, shape) in
            [Format::Json, Format::Yaml, Format::Protobuf].into_iter().flat_map(|f| shapes.map(|s| (f, s)))
        {
            let accepted = Accepted { format, shape };
            if (format, shape) == (Format::Protobuf, Shape::Table(MetaVersion::V1)) {
                continue;
            }
            for count in [0, 1, 2000] {
                let (pieces, whole) = sent(count, accepted).await;
                assert!(count < 2000 || pieces > 1, "{accepted:?}: {pieces} pieces");
                let list = read(&whole, accepted);
                let field = if matches!(shape, Shape::Table(_)) { "rows" } else { "items" };
                assert_eq!(list[field].as_array().map_or(0, Vec::len), count, "{accepted:?}");
                assert_eq!(
                    list["metadata"],
                    json!({"resourceVersion": "1000", "continue": "next", "remainingItemCount": 7})
                );
                if count > 0 {
                    let last = &list[field][count - 1];
                    let object = if field == "rows" { &last["object"] } else { last };
                    assert_eq!(object["metadata"]["name"], format!("m{}", count - 1), "{accepted:?}");
                    assert_eq!(object["metadata"]["resourceVersion"], (count + 1).to_string(), "{accepted:?}");
                }
            }
        }
    }
}
