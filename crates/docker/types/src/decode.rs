//! Reads JSON with the rules of Go's `encoding/json`: names without case, `null` as "unset", unknown fields skipped.

use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

/// Deepest nesting that is accepted; `serde_json` stops at the same depth.
#[cfg(test)]
const DEEPEST: usize = 127;

/// A body that is not JSON, or JSON of another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Field names from the outermost object to the place of the error; empty for a syntax error.
    path: Vec<String>,
    message: String,
}

impl DecodeError {
    fn within(mut self, name: &str) -> Self {
        self.path.insert(0, name.to_owned());
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "field {}: ", self.path.join("."))?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: Vec::new(), message: message.to_string() }
    }
}

/// Reads one JSON document into `T`. A syntax error names line and column, a wrong shape names the field.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let value: Value = serde_json::from_slice(bytes).map_err(<DecodeError as de::Error>::custom)?;
    from_value(value)
}

/// Reads an already parsed document into `T`.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    T::deserialize(Go(value))
}

/// A JSON value seen through Go's rules.
struct Go(Value);

macro_rules! null_is {
    ($($method:ident => $visit:ident($zero:expr)),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.0 {
                Value::Null => visitor.$visit($zero),
                other => Go(other).deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Go {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(v) => visitor.visit_bool(v),
            Value::Number(v) => v.deserialize_any(visitor).map_err(<DecodeError as de::Error>::custom),
            Value::String(v) => visitor.visit_string(v),
            Value::Array(v) => visitor.visit_seq(Items { rest: v.into_iter(), at: 0 }),
            Value::Object(v) => visitor.visit_map(Entries { rest: v.into_iter(), value: None }),
        }
    }

    null_is! {
        deserialize_bool => visit_bool(false),
        deserialize_i8 => visit_u64(0),
        deserialize_i16 => visit_u64(0),
        deserialize_i32 => visit_u64(0),
        deserialize_i64 => visit_u64(0),
        deserialize_u8 => visit_u64(0),
        deserialize_u16 => visit_u64(0),
        deserialize_u32 => visit_u64(0),
        deserialize_u64 => visit_u64(0),
        deserialize_f32 => visit_u64(0),
        deserialize_f64 => visit_u64(0),
        deserialize_str => visit_str(""),
        deserialize_string => visit_str(""),
        deserialize_seq => visit_seq(Items { rest: Vec::new().into_iter(), at: 0 }),
        deserialize_map => visit_map(Entries { rest: serde_json::Map::new().into_iter(), value: None }),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let object = match self.0 {
            Value::Null => serde_json::Map::new(),
            Value::Object(object) => object,
            other => return Go(other).deserialize_any(visitor),
        };
        visitor.visit_map(Entries { rest: fold_names(object, fields).into_iter(), value: None })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        // Go fills a short array with zeros and drops what is too much.
        let mut items = match self.0 {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            other => return Go(other).deserialize_any(visitor),
        };
        items.resize(len, Value::Null);
        visitor.visit_seq(Items { rest: items.into_iter(), at: 0 })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.0.deserialize_enum(name, variants, visitor).map_err(<DecodeError as de::Error>::custom)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
    }
}

/// Renames keys to the spelling of `fields`; an exact match beats one without case, `null` and unknown keys are dropped.
fn fold_names(object: serde_json::Map<String, Value>, fields: &[&str]) -> serde_json::Map<String, Value> {
    let mut folded = serde_json::Map::with_capacity(object.len());
    let mut loose = Vec::new();
    for (key, value) in object {
        if value.is_null() {
            continue;
        }
        if fields.contains(&key.as_str()) {
            folded.insert(key, value);
        } else if let Some(name) = fields.iter().find(|name| name.eq_ignore_ascii_case(&key)) {
            loose.push(((*name).to_owned(), value));
        }
    }
    for (name, value) in loose {
        folded.entry(name).or_insert(value);
    }
    folded
}

struct Items {
    rest: std::vec::IntoIter<Value>,
    at: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(value) = self.rest.next() else {
            return Ok(None);
        };
        let at = self.at;
        self.at += 1;
        seed.deserialize(Go(value)).map(Some).map_err(|e| e.within(&at.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries {
    rest: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some((key.clone(), value));
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, DecodeError> {
        let (key, value) = self.value.take().unwrap_or_default();
        seed.deserialize(Go(value)).map_err(|e| e.within(&key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// Reads Go's `strslice`: a list of words, a single string for a list of one, or `null`.
pub(crate) fn str_slice<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Words;
    impl<'de> Visitor<'de> for Words {
        type Value = Option<Vec<String>>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a string or a list of strings")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
            Ok(Some(vec![v.to_owned()]))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut words = Vec::new();
            while let Some(word) = seq.next_element::<String>()? {
                words.push(word);
            }
            Ok(Some(words))
        }
    }
    from.deserialize_any(Words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Config;
    use crate::host::HostConfig;
    use proptest::prelude::*;
    use serde_json::json;

    fn config(text: &str) -> Config {
        from_slice(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_match_without_case_and_exact_spelling_wins() {
        assert_eq!(config(r#"{"image":"a"}"#).image, "a");
        assert_eq!(config(r#"{"IMAGE":"a","Image":"b"}"#).image, "b");
        assert_eq!(config(r#"{"iMAGE":"a","Image":null}"#).image, "a");
    }

    #[test]
    fn null_is_unset_everywhere() {
        let host: HostConfig = from_value(json!({
            "Memory": null, "Binds": null, "LogConfig": null, "RestartPolicy": {"Name": null}, "PortBindings": {"80/tcp": null}
        }))
        .unwrap();
        assert_eq!(host.memory, 0);
        assert_eq!(host.binds, None);
        assert_eq!(host.port_bindings.unwrap()["80/tcp"], None);
    }

    #[test]
    fn a_word_or_a_list_makes_a_command() {
        assert_eq!(config(r#"{"Cmd":"ls"}"#).cmd, Some(vec!["ls".into()]));
        assert_eq!(config(r#"{"Cmd":["ls","-l"]}"#).cmd, Some(vec!["ls".into(), "-l".into()]));
        assert_eq!(config(r#"{"Cmd":null}"#).cmd, None);
        assert_eq!(config(r#"{"Cmd":[]}"#).cmd, Some(vec![]));
    }

    #[test]
    fn wrong_shapes_name_the_field_and_syntax_names_the_place() {
        let wrong = from_slice::<HostConfig>(br#"{"RestartPolicy":{"MaximumRetryCount":"x"}}"#).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "field RestartPolicy.MaximumRetryCount: invalid type: string \"x\", expected i64"
        );
        let syntax = from_slice::<Config>(b"{\"Image\": }").unwrap_err();
        assert!(syntax.to_string().ends_with("at line 1 column 11"), "{syntax}");
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(DEEPEST + 1);
        assert!(from_slice::<Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn short_and_long_arrays_are_padded_and_cut() {
        let size = |text: &str| from_slice::<HostConfig>(text.as_bytes()).unwrap().console_size;
        assert_eq!(size(r#"{"ConsoleSize":[24]}"#), [24, 0]);
        assert_eq!(size(r#"{"ConsoleSize":[24,80,1]}"#), [24, 80]);
        assert_eq!(size(r#"{"ConsoleSize":null}"#), [0, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_slice::<Config>(&bytes);
            let _ = from_slice::<HostConfig>(&bytes);
        }

        #[test]
        fn any_value_in_any_field_is_decoded_or_refused(name in "[A-Za-z]{2,12}", value in arbitrary_json()) {
            let _ = from_value::<HostConfig>(json!({ name.clone(): value.clone(), "Mounts": value, "LogConfig": { name: null } }));
        }
    }

    fn arbitrary_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|m| json!(m)),
            ]
        })
    }
}
