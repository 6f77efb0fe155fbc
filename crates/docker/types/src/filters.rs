//! The `filters` query parameter: names with the values that are wanted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::decode::{self, DecodeError};

/// Filters of a list, prune or events call. A name with several values means "any of them", apart from labels, which must all match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// Reads both spellings: `{"label":{"a=b":true}}` and the older `{"label":["a=b"]}`. An empty text has no filters.
    pub fn parse(text: &str) -> Result<Self, DecodeError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if let Ok(maps) = decode::from_slice::<BTreeMap<String, BTreeMap<String, bool>>>(text.as_bytes()) {
            return Ok(Self(maps.into_iter().map(|(name, values)| (name, values.into_keys().collect())).collect()));
        }
        Ok(Self(decode::from_slice(text.as_bytes())?))
    }

    /// Writes the newer spelling; nothing at all when there are no filters.
    pub fn to_query(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let maps: BTreeMap<_, BTreeMap<_, _>> =
            self.0.iter().map(|(name, values)| (name, values.iter().map(|value| (value, true)).collect())).collect();
        serde_json::to_string(&maps).unwrap_or_default()
    }

    /// Adds one wanted value.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.entry(name.into()).or_default().insert(value.into());
    }

    /// Values of a name, in order; none when the name is not there.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Whether the name is there with at least one value.
    pub fn contains(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|values| !values.is_empty())
    }

    /// Whether there is nothing to filter by.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.0.iter().map(|(name, values)| (name.as_str(), values))
    }

    /// The first name that is not among `known`.
    pub fn unknown<'a>(&'a self, known: &[&str]) -> Option<&'a str> {
        self.0.keys().map(String::as_str).find(|name| !known.contains(name))
    }

    /// Reads a truth value such as `dangling=true`; `Err` holds the values when they are not one truth value.
    pub fn truth(&self, name: &str) -> Result<Option<bool>, Vec<String>> {
        let Some(values) = self.0.get(name).filter(|values| !values.is_empty()) else {
            return Ok(None);
        };
        let any = |wanted: &[&str]| values.iter().any(|value| wanted.contains(&value.as_str()));
        match (any(&["1", "true"]), any(&["0", "false"])) {
            (true, false) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            _ => Err(values.iter().cloned().collect()),
        }
    }
}

impl Serialize for Filters {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str, name: &str) -> Vec<String> {
        Filters::parse(text).unwrap().values(name).map(str::to_owned).collect()
    }

    #[test]
    fn both_spellings_mean_the_same() {
        for text in [r#"{"label":{"a=b":true,"c":true}}"#, r#"{"label":["a=b","c"]}"#] {
            assert_eq!(values(text, "label"), ["a=b", "c"], "{text}");
        }
        assert!(Filters::parse("").unwrap().is_empty());
        assert!(Filters::parse("{}").unwrap().is_empty());
        assert!(Filters::parse("null").unwrap().is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["[", "\"x\"", r#"{"label":"a"}"#, r#"{"label":[1]}"#] {
            assert!(Filters::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn truth_values() {
        let truth = |text| Filters::parse(text).unwrap().truth("dangling");
        assert_eq!(truth(r#"{"dangling":["true"]}"#), Ok(Some(true)));
        assert_eq!(truth(r#"{"dangling":{"0":true}}"#), Ok(Some(false)));
        assert_eq!(truth("{}"), Ok(None));
        assert!(truth(r#"{"dangling":["true","false"]}"#).is_err());
        assert!(truth(r#"{"dangling":["x"]}"#).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(pairs in proptest::collection::vec(("[a-z]{1,5}", ".{0,5}"), 0..5)) {
            let mut filters = Filters::default();
            for (name, value) in pairs {
                filters.add(name, value);
            }
            prop_assert_eq!(Filters::parse(&filters.to_query()).unwrap(), filters);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,60}") {
            let _ = Filters::parse(&text);
        }
    }
}
