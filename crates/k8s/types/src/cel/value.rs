//! Values while an expression is evaluated. JSON is looked at where it lies, not copied.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json};

use super::functions::Amount;
use super::functions::net::{Cidr, Ip, Url};
use super::functions::semver::Semver;
use super::time;
use super::types::{Keyed, Kind, Type};

/// A value.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer without sign.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(List<'a>),
    /// A map or an object.
    Map(Map<'a>),
    /// Nanoseconds.
    Duration(i64),
    /// A point in time.
    Timestamp(jiff::Timestamp),
    /// The name of a type.
    Type(&'static str),
    /// A value or nothing.
    Optional(Option<Arc<Value<'a>>>),
    /// A quantity of resources.
    Quantity(Arc<Amount>),
    /// An address.
    Ip(Ip),
    /// A network.
    Cidr(Cidr),
    /// A locator.
    Url(Arc<Url>),
    /// A version.
    Semver(Arc<Semver>),
    /// A named format.
    Format(&'static str),
}

/// Text, borrowed from JSON or made.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    /// In JSON or in the program.
    Borrowed(&'a str),
    /// Made by an expression.
    Shared(Arc<str>),
}

/// A list, borrowed from JSON or made.
#[derive(Debug, Clone)]
pub enum List<'a> {
    /// In JSON; the type of the list.
    Json(&'a [Json], &'a Type),
    /// Made by an expression.
    Shared(Arc<Vec<Value<'a>>>),
}

/// A map, borrowed from JSON or made.
#[derive(Debug, Clone)]
pub enum Map<'a> {
    /// In JSON; the type of the map or object.
    Json(&'a JsonMap<String, Json>, &'a Type),
    /// Made by an expression.
    Shared(Arc<Vec<(Value<'a>, Value<'a>)>>),
}

static ANY: Type = Type::any();

impl<'a> Value<'a> {
    /// `json` seen as a value of type `of`. What does not fit its type is seen as what it is.
    pub fn of(json: &'a Json, of: &'a Type) -> Value<'a> {
        match (json, &of.kind) {
            (Json::Null, _) => Value::Null,
            (Json::Bool(b), _) => Value::Bool(*b),
            (Json::Number(n), Kind::Double) => Value::Double(n.as_f64().unwrap_or(0.0)),
            (Json::Number(n), kind) => number(n, kind),
            (Json::String(s), Kind::Bytes) => {
                use base64::Engine as _;
                let bytes = base64::engine::general_purpose::STANDARD.decode(s).unwrap_or_default();
                Value::Bytes(bytes.into())
            }
            (Json::String(s), Kind::Duration) => spec::duration::parse(s).map_or_else(|_| text(s), Value::Duration),
            (Json::String(s), Kind::Timestamp) => time::parse_timestamp(s).map_or_else(|| text(s), Value::Timestamp),
            (Json::String(s), _) => text(s),
            (Json::Array(items), Kind::List(..)) => Value::List(List::Json(items, of)),
            (Json::Array(items), _) => Value::List(List::Json(items, &ANY)),
            (Json::Object(map), Kind::Map(..) | Kind::Object(_)) => Value::Map(Map::Json(map, of)),
            (Json::Object(map), _) => Value::Map(Map::Json(map, &ANY)),
        }
    }

    /// Text that was made.
    pub fn text(text: impl Into<Arc<str>>) -> Value<'a> {
        Value::String(Text::Shared(text.into()))
    }

    /// A list that was made.
    pub fn list(items: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::Shared(Arc::new(items)))
    }

    /// `value` that is there.
    pub fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Arc::new(value)))
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The name of the value's type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Type(_) => "type",
            Value::Optional(_) => "optional_type",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Ip(_) => "net.IP",
            Value::Cidr(_) => "net.CIDR",
            Value::Url(_) => "kubernetes.URL",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// How many elements the value has, as far as cost is concerned.
    pub fn size(&self) -> u64 {
        match self {
            Value::String(text) => text.as_str().len() as u64,
            Value::Bytes(bytes) => bytes.len() as u64,
            Value::List(list) => list.len() as u64,
            Value::Map(map) => map.len() as u64,
            Value::Ip(ip) => ip.size(),
            Value::Cidr(cidr) => cidr.address.size(),
            Value::Optional(Some(inner)) => inner.size(),
            _ => 1,
        }
    }

    /// How many nodes and characters a full comparison of the value may visit; stops counting at `limit`.
    pub fn weight(&self, limit: u64) -> u64 {
        match self {
            Value::List(list) => {
                let mut sum = 1;
                for item in list.iter() {
                    sum += item.weight(limit.saturating_sub(sum));
                    if sum >= limit {
                        break;
                    }
                }
                sum
            }
            Value::Map(map) => {
                let mut sum = 1;
                for (key, value) in map.iter() {
                    sum += key.weight(limit) + value.weight(limit.saturating_sub(sum));
                    if sum >= limit {
                        break;
                    }
                }
                sum
            }
            Value::String(_) | Value::Bytes(_) => 1 + self.size() / 10,
            Value::Optional(Some(inner)) => inner.weight(limit),
            _ => 1,
        }
    }

    /// Whether both are the same; numbers are compared across their types.
    pub fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::String(a), Value::String(b)) => a.as_str() == b.as_str(),
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => a.equals(b),
            (Value::Map(a), Value::Map(b)) => a.equals(b),
            (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Value::Type(a), Value::Type(b)) => a == b,
            (Value::Optional(a), Value::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b),
                (a, b) => a.is_none() && b.is_none(),
            },
            (Value::Quantity(a), Value::Quantity(b)) => a == b,
            (Value::Ip(a), Value::Ip(b)) => a == b,
            (Value::Cidr(a), Value::Cidr(b)) => a == b,
            (Value::Url(a), Value::Url(b)) => a == b,
            (Value::Semver(a), Value::Semver(b)) => a.compare(b) == Ordering::Equal,
            (Value::Format(a), Value::Format(b)) => a == b,
            _ => self.number_order(other) == Some(Ordering::Equal),
        }
    }

    /// The order of two values, if they have one.
    pub fn order(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::String(a), Value::String(b)) => Some(a.as_str().cmp(b.as_str())),
            (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
            (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
            _ => self.number_order(other),
        }
    }

    fn number_order(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
            (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Double(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
            (Value::Double(a), Value::Uint(b)) => a.partial_cmp(&(*b as f64)),
            (Value::Int(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
            (Value::Uint(a), Value::Double(b)) => (*a as f64).partial_cmp(b),
            _ => None,
        }
    }

    /// Whether the value is the zero value of its type.
    pub fn is_zero(&self) -> bool {
        match self {
            Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
            Value::Optional(None) => true,
            Value::Double(n) => *n == 0.0,
            Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => self.size() == 0,
            _ => false,
        }
    }
}

fn number<'a>(n: &serde_json::Number, kind: &Kind) -> Value<'a> {
    if let Some(i) = n.as_i64() {
        return Value::Int(i);
    }
    if let Some(u) = n.as_u64() {
        return Value::Uint(u);
    }
    let float = n.as_f64().unwrap_or(0.0);
    if matches!(kind, Kind::Int) && float.fract() == 0.0 && float.abs() < 9.2e18 {
        return Value::Int(float as i64);
    }
    Value::Double(float)
}

fn text(s: &str) -> Value<'_> {
    Value::String(Text::Borrowed(s))
}

impl Text<'_> {
    /// The characters.
    pub fn as_str(&self) -> &str {
        match self {
            Text::Borrowed(s) => s,
            Text::Shared(s) => s,
        }
    }
}

impl<'a> List<'a> {
    /// How many items.
    pub fn len(&self) -> usize {
        match self {
            List::Json(items, _) => items.len(),
            List::Shared(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`.
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items, of) => items.get(index).map(|json| Value::of(json, item_type(of))),
            List::Shared(items) => items.get(index).cloned(),
        }
    }

    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// How the items are told apart.
    pub fn keyed(&self) -> Keyed {
        match self {
            List::Json(_, Type { kind: Kind::List(_, keyed), .. }) => keyed.clone(),
            _ => Keyed::Position,
        }
    }

    /// Whether `value` is among the items.
    pub fn contains(&self, value: &Value<'_>) -> bool {
        self.iter().any(|item| item.equals(value))
    }

    fn equals(&self, other: &List<'_>) -> bool {
        if self.len() != other.len() {
            return false;
        }
        match self.keyed() {
            Keyed::Position => self.iter().zip(other.iter()).all(|(a, b)| a.equals(&b)),
            Keyed::Set => self.iter().all(|item| other.contains(&item)),
            Keyed::Fields(keys) => self
                .iter()
                .all(|item| other.iter().find(|o| same_keys(&item, o, &keys)).is_some_and(|o| item.equals(&o))),
        }
    }

    /// Both lists as one; a set or a list with keys takes each item once, the later one wins.
    pub fn concat(&self, other: &List<'a>) -> List<'a> {
        let mut items: Vec<Value<'a>> = self.iter().collect();
        match self.keyed() {
            Keyed::Position => items.extend(other.iter()),
            Keyed::Set => {
                for item in other.iter() {
                    if !items.iter().any(|old| old.equals(&item)) {
                        items.push(item);
                    }
                }
            }
            Keyed::Fields(keys) => {
                for item in other.iter() {
                    match items.iter_mut().find(|old| same_keys(old, &item, &keys)) {
                        Some(old) => *old = item,
                        None => items.push(item),
                    }
                }
            }
        }
        List::Shared(Arc::new(items))
    }
}

fn item_type(of: &Type) -> &Type {
    match &of.kind {
        Kind::List(item, _) => item,
        _ => &ANY,
    }
}

fn same_keys(a: &Value<'_>, b: &Value<'_>, keys: &[String]) -> bool {
    let (Value::Map(a), Value::Map(b)) = (a, b) else { return false };
    keys.iter().all(|key| match (a.property(key), b.property(key)) {
        (Some(a), Some(b)) => a.equals(&b),
        (a, b) => a.is_none() && b.is_none(),
    })
}

impl<'a> Map<'a> {
    /// How many entries.
    pub fn len(&self) -> usize {
        match self {
            Map::Json(map, _) => map.len(),
            Map::Shared(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value under `key`.
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match self {
            Map::Json(..) => key.as_str().and_then(|name| self.property(name)),
            Map::Shared(entries) => entries.iter().find(|(k, _)| k.equals(key)).map(|(_, v)| v.clone()),
        }
    }

    /// The value under the property `name`.
    pub fn property(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Map::Json(map, of) => map.get(name).map(|json| Value::of(json, value_type(of, name))),
            Map::Shared(entries) => entries.iter().find(|(k, _)| k.as_str() == Some(name)).map(|(_, v)| v.clone()),
        }
    }

    /// All entries.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Map::Json(map, of) => {
                Box::new(map.iter().map(|(name, json)| (text(name), Value::of(json, value_type(of, name)))))
            }
            Map::Shared(entries) => Box::new(entries.iter().cloned()),
        }
    }

    fn equals(&self, other: &Map<'_>) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, value)| other.get(&key).is_some_and(|theirs| value.equals(&theirs)))
    }
}

fn value_type<'a>(of: &'a Type, property: &str) -> &'a Type {
    match &of.kind {
        Kind::Map(_, value) => value,
        Kind::Object(object) => {
            let direct = object.fields.get(property).filter(|field| &*field.property == property);
            let field = direct.or_else(|| object.fields.values().find(|field| &*field.property == property));
            field.map_or(&ANY, |field| &field.of)
        }
        _ => &ANY,
    }
}
