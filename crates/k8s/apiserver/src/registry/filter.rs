//! What a list or a watch is narrowed to, decided on stored bytes with as little parsing as the selectors need.

use std::borrow::Cow;
use std::collections::HashMap;

use k8s_types::selector::{FieldSelector, LabelSelector};
use k8s_types::status::ApiError;
use serde::Deserialize;

use crate::catalog::Row;
use crate::stored;

/// Selectors, checked against a row.
#[derive(Debug, Clone)]
pub struct Filter {
    labels: Option<LabelSelector>,
    /// Those on `metadata.name` and `metadata.namespace`, which the key answers.
    names: FieldSelector,
    /// Those on other fields.
    fields: FieldSelector,
}

impl Filter {
    /// Selects everything.
    pub fn everything() -> Filter {
        Filter { labels: None, names: FieldSelector::default(), fields: FieldSelector::default() }
    }

    /// Reads both selectors; fields must be selectable in the row.
    pub fn parse(row: &Row, labels: &str, fields: &str) -> Result<Filter, ApiError> {
        let labels = match labels.trim() {
            "" => None,
            text => Some(LabelSelector::parse(text).map_err(|e| {
                ApiError::bad_request(format!("unable to parse requirement: {e}").replacen(
                    "unable to parse requirement: unable",
                    "unable",
                    1,
                ))
            })?),
        };
        let all = FieldSelector::parse(fields).map_err(|e| ApiError::bad_request(e.to_string()))?;
        for requirement in &all.0 {
            selectable(row, &requirement.field)?;
        }
        let (names, fields) =
            all.0.into_iter().partition(|r| matches!(&*r.field, "metadata.name" | "metadata.namespace"));
        Ok(Filter {
            labels: labels.filter(|l| !l.is_everything()),
            names: FieldSelector(names),
            fields: FieldSelector(fields),
        })
    }

    /// The same, of this name only.
    pub fn named(mut self, name: &str) -> Result<Filter, ApiError> {
        match self.name() {
            Some(other) if other != name => {
                return Err(ApiError::bad_request("fieldSelector metadata.name doesn't match requested name"));
            }
            Some(_) => {}
            None => {
                let field = "metadata.name".to_owned();
                let wanted =
                    k8s_types::selector::field::FieldRequirement { field, equal: true, value: name.to_owned() };
                self.names.0.push(wanted);
            }
        }
        Ok(self)
    }

    /// The only name it selects.
    pub fn name(&self) -> Option<&str> {
        self.names.exact("metadata.name")
    }

    /// The only namespace it selects.
    pub fn namespace(&self) -> Option<&str> {
        self.names.exact("metadata.namespace")
    }

    /// Whether it selects everything.
    pub fn is_everything(&self) -> bool {
        self.labels.is_none() && self.names.is_everything() && self.fields.is_everything()
    }

    /// Whether it selects an object that has this key and these stored bytes.
    pub fn matches(&self, row: &Row, key: &str, bytes: &[u8]) -> Result<bool, ApiError> {
        if !self.names.is_everything() {
            let (namespace, name) = row.split_key(key);
            let of = |field: &str| Cow::Borrowed(if field == "metadata.name" { name } else { namespace });
            if !self.names.matches(of) {
                return Ok(false);
            }
        }
        if let Some(selector) = &self.labels
            && !selector.matches(&labels(bytes)?)
        {
            return Ok(false);
        }
        if self.fields.is_everything() {
            return Ok(true);
        }
        let mut object = stored::parse(bytes, 0)?;
        row.from_stored(&mut object);
        Ok(self.fields.matches(|field| Cow::Owned(row.field(&object, field))))
    }
}

fn selectable(row: &Row, field: &str) -> Result<(), ApiError> {
    if matches!(field, "metadata.name" | "metadata.namespace") || row.resource.selectable.iter().any(|f| f == field) {
        return Ok(());
    }
    let text = if row.resource.selectable.is_empty() {
        format!("\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {field}")
    };
    Err(ApiError::bad_request(text))
}

/// The labels of stored bytes.
fn labels(bytes: &[u8]) -> Result<Found<'_>, ApiError> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        metadata: Metadata<'a>,
    }
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow, default)]
        labels: Option<HashMap<Key<'a>, Key<'a>>>,
    }
    let outer: Outer<'_> = serde_json::from_slice(bytes)
        .map_err(|e| ApiError::internal(format_args!("a stored object cannot be read: {e}")))?;
    Ok(Found(outer.metadata.labels.unwrap_or_default()))
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Found<'a>(HashMap<Key<'a>, Key<'a>>);

impl k8s_types::selector::label::Labels for Found<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        // few enough to look at each
        self.0.iter().find(|(name, _)| name.0 == key).map(|(_, value)| &*value.0)
    }
}
