//! Sets from and to the JSON of `fieldsV1`.

use super::super::key::canonical;
use super::{Node, Set};
use serde_json::{Map, Value};

/// Why a text is no set of fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    #[error("a set of fields must be an object")]
    NotObject,
    #[error("key must be 2 characters long: {0}")]
    Short(String),
    #[error("missing colon: {0}")]
    Colon(String),
    #[error("step {0} is not JSON after its first characters")]
    Json(String),
}

impl Set {
    /// The JSON of `fieldsV1`, in one pass.
    pub fn into_value(self) -> Value {
        Value::Object(
            self.nodes.into_iter().map(|node| (node.key.into_string(), Node::value(node.member, node.below))).collect(),
        )
    }

    /// As [`Set::into_value`], and keeps the set.
    pub fn to_value(&self) -> Value {
        self.clone().into_value()
    }

    /// A set from the JSON of `fieldsV1`. Steps of kinds that nobody knows are left out.
    ///
    /// # Errors
    /// When it is no set of fields.
    pub fn from_value(value: &Value) -> Result<Self, FieldsError> {
        read(value.as_object().ok_or(FieldsError::NotObject)?)
    }
}

impl Node {
    fn value(member: bool, below: Set) -> Value {
        let mut value = below.into_value();
        if let Value::Object(map) = &mut value
            && member
            && !map.is_empty()
        {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        value
    }
}

fn read(fields: &Map<String, Value>) -> Result<Set, FieldsError> {
    let mut set = Set::new();
    for (step, value) in fields {
        if step == "." {
            continue;
        }
        let Some(key) = canonical(step)? else { continue };
        let children = value.as_object().ok_or(FieldsError::NotObject)?;
        let below = read(children)?;
        // an empty object says that the step itself is the member
        let member = children.contains_key(".") || below.nodes.is_empty();
        set.push(Node { key, member, below });
    }
    Ok(set)
}
