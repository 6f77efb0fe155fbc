//! The columns that a definition prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::jsonpath::JsonPath;
use crate::policy::{self, read::since};

/// One printed column, see [`policy::Column`] for its heading.
#[derive(Debug, Clone)]
pub struct Column {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i32,
    path: Option<JsonPath>,
}

impl Column {
    /// The columns after the name: those of the version, or the age alone.
    pub(super) fn read(version: &Value) -> Vec<Column> {
        let age = json!({
            "name": "Age",
            "type": "date",
            "jsonPath": ".metadata.creationTimestamp",
            "description": "Time since the object was created.",
        });
        match version["additionalPrinterColumns"].as_array().filter(|columns| !columns.is_empty()) {
            Some(columns) => columns.iter().map(Column::one).collect(),
            None => vec![Column::one(&age)],
        }
    }

    fn one(column: &Value) -> Column {
        let text = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
        Column {
            name: text("name"),
            kind: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column["priority"].as_i64().and_then(|n| n.try_into().ok()).unwrap_or(0),
            path: JsonPath::parse(&text("jsonPath")),
        }
    }

    /// What the table says about it.
    pub fn heading(&self) -> policy::Column<'_> {
        let Column { name, kind, format, description, priority, path: _ } = self;
        policy::Column { name, kind, format, description, priority: *priority }
    }

    /// The cell for `object`.
    pub fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(value) = self.path.as_ref().and_then(|path| path.find(object).into_iter().next()) else {
            return Value::Null;
        };
        match (self.kind.as_str(), value) {
            (_, Value::Null) => Value::Null,
            ("string", Value::String(_)) => value.clone(),
            ("string", other) => other.to_string().into(),
            ("integer", Value::Number(n)) => n.as_i64().or_else(|| n.as_f64().map(|n| n as i64)).into(),
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
            ("date", Value::String(text)) if text.parse::<Timestamp>().is_err() => "<invalid>".into(),
            ("date", Value::String(_)) => since(value, now).into(),
            _ => Value::Null,
        }
    }
}
