//! Filters of lists and events: values by key, all keys must match, any value of a key is enough.

use std::collections::{BTreeMap, BTreeSet};

/// `{"label": {"a=b"}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(pub BTreeMap<String, BTreeSet<String>>);

impl Filters {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Values of a key; none when it is absent.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|values| !values.is_empty())
    }

    /// Whether the key is absent or one of its values satisfies `matches`.
    pub fn any(&self, key: &str, matches: impl FnMut(&str) -> bool) -> bool {
        !self.has(key) || self.values(key).any(matches)
    }

    /// Whether the labels have every `label` and, for `key!`, none of it.
    pub fn labels(&self, key: &str, labels: &BTreeMap<String, String>) -> bool {
        self.values(key).all(|wanted| has_label(labels, wanted))
            && self.values(&format!("{key}!")).all(|unwanted| !has_label(labels, unwanted))
    }

    /// Fails on a key that is not among the accepted ones.
    pub fn accept(&self, keys: &[&str]) -> Result<(), crate::Error> {
        match self.0.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(crate::Error::invalid(format!("invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// A truth value (`dangling`, `is-task`), or `None` when absent.
    pub fn truth(&self, key: &str) -> Result<Option<bool>, crate::Error> {
        let mut values = self.values(key);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let bad = || {
            let values: Vec<_> = self.values(key).collect();
            crate::Error::invalid(format!("invalid filter '{key}={values:?}'"))
        };
        if values.next().is_some() {
            return Err(bad());
        }
        match value {
            "1" | "true" => Ok(Some(true)),
            "0" | "false" => Ok(Some(false)),
            _ => Err(bad()),
        }
    }
}

fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|it| it == value),
        None => labels.contains_key(wanted),
    }
}
