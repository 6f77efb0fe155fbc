//! List: which entries, of which revision, and where the next page begins.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use k8s_store::{At, Entry, ListOptions, ReadError};
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::{Filter, Registry, errors};
use crate::catalog::Row;

/// How many entries are looked at before others get their turn.
const STEP: usize = 1024;

/// How a resourceVersion is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// As always: not older, or exactly with a limit.
    Unsaid,
    /// Exactly.
    Exact,
    /// Not older.
    NotOlderThan,
}

/// What is to be listed.
pub struct ListQuery<'a> {
    /// Of this namespace, of all where it is empty.
    pub namespace: &'a str,
    /// Of those, what this selects.
    pub filter: &'a Filter,
    /// At most so many; 0: all.
    pub limit: usize,
    /// Where to go on.
    pub token: &'a str,
    /// `resourceVersion`; `None` where it is not given.
    pub version: Option<u64>,
    /// `resourceVersionMatch`.
    pub version_match: VersionMatch,
}

/// Entries of one revision.
pub struct Page {
    /// What is stored, selected.
    pub entries: Vec<Entry>,
    /// Their revision.
    pub revision: u64,
    /// Where to go on; empty at the end.
    pub token: String,
    /// How many are left out, where that is known.
    pub remaining: Option<usize>,
}

/// A token that says where the next page begins; of no fixed revision where that is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    revision: u64,
    /// The last key of the page before, without the row's prefix.
    after: String,
}

impl Registry {
    /// Lists.
    pub async fn page(&self, row: &Row, query: &ListQuery<'_>) -> Result<Page, ApiError> {
        let token = Token::read(query.token)?;
        let at = match &token {
            Some(token) if token.revision != 0 => At::Exact(token.revision),
            Some(_) => At::Latest,
            None => at(query),
        };
        if let Some(name) = query.filter.name().filter(|_| token.is_none()) {
            let namespace = query.filter.namespace().unwrap_or(query.namespace);
            if !row.resource.namespaced || !namespace.is_empty() {
                return self.single(row, query, namespace, name, at).await;
            }
        }
        let mut prefix = row.prefix(query.namespace);
        if let Some(namespace) =
            query.filter.namespace().filter(|_| query.namespace.is_empty() && row.resource.namespaced)
        {
            prefix = row.prefix(namespace);
        }
        let after = token.as_ref().map(|token| format!("{}{}", row.stored.prefix, token.after));
        let mut options = ListOptions { at, after, limit: query.limit };
        if query.filter.is_everything() {
            let listing = self.store().list(&prefix, options).await;
            let listing = listing.map_err(|e| self.expired(e, token.as_ref()))?;
            let next = (listing.remaining > 0).then(|| listing.entries.last().map(|e| e.key.to_string())).flatten();
            return Ok(Page {
                token: next.map_or(String::new(), |key| Token::write(listing.revision, strip(row, &key))),
                remaining: (listing.remaining > 0).then_some(listing.remaining),
                entries: listing.entries,
                revision: listing.revision,
            });
        }
        let mut entries = Vec::new();
        options.limit = STEP;
        loop {
            let listing = self.store().list(&prefix, options.clone()).await;
            let listing = listing.map_err(|e| self.expired(e, token.as_ref()))?;
            let revision = listing.revision;
            let last = listing.entries.last().map(|entry| entry.key.to_string());
            for entry in listing.entries {
                if query.filter.matches(row, &entry.key, &entry.value)? {
                    if query.limit > 0 && entries.len() == query.limit {
                        let after = entries.last().map_or(String::new(), |e: &Entry| e.key.to_string());
                        let token = Token::write(revision, strip(row, &after));
                        return Ok(Page { entries, revision, token, remaining: None });
                    }
                    entries.push(entry);
                }
            }
            if listing.remaining == 0 {
                return Ok(Page { entries, revision, token: String::new(), remaining: None });
            }
            options.at = At::Exact(revision);
            options.after = last;
            tokio::task::yield_now().await;
        }
    }

    async fn single(
        &self,
        row: &Row,
        query: &ListQuery<'_>,
        namespace: &str,
        name: &str,
        at: At,
    ) -> Result<Page, ApiError> {
        let inside = query.namespace.is_empty() || namespace == query.namespace;
        let got = self.store().get(&row.key(namespace, name), at).await.map_err(errors::read)?;
        let mut entries = Vec::new();
        if let Some(entry) = got.entry.filter(|_| inside)
            && query.filter.matches(row, &entry.key, &entry.value)?
        {
            entries.push(entry);
        }
        Ok(Page { entries, revision: got.revision, token: String::new(), remaining: None })
    }

    /// A page that cannot be continued says how to go on without consistency.
    fn expired(&self, error: ReadError, token: Option<&Token>) -> ApiError {
        match (error, token) {
            (ReadError::Compacted { .. }, Some(token)) => {
                let mut error = ApiError::expired(
                    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the \
                     continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with \
                     the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the \
                     first chunk was returned and now may show up in the list.",
                );
                // carried to the answer's metadata by the HTTP side
                error.details = Some(Box::new(k8s_types::status::Details {
                    uid: format!("{CONTINUE}{}", Token::write(0, &token.after)),
                    ..Default::default()
                }));
                error
            }
            (error, _) => errors::read(error),
        }
    }
}

/// Marks a uid in the details of an error as a continue token.
pub const CONTINUE: &str = "continue:";

fn at(query: &ListQuery<'_>) -> At {
    match (query.version, query.version_match) {
        (None, _) => At::Latest,
        (Some(0), _) => At::Any,
        (Some(version), VersionMatch::Exact) => At::Exact(version),
        (Some(version), VersionMatch::Unsaid) if query.limit > 0 => At::Exact(version),
        (Some(version), _) => At::NotOlderThan(version),
    }
}

fn strip<'a>(row: &Row, key: &'a str) -> &'a str {
    key.strip_prefix(row.stored.prefix.as_str()).unwrap_or(key)
}

impl Token {
    fn read(text: &str) -> Result<Option<Token>, ApiError> {
        if text.is_empty() {
            return Ok(None);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).or_else(|_| BASE64_STANDARD.decode(text));
        let read = || -> Option<Token> {
            let value: Value = serde_json::from_slice(&bytes.ok()?).ok()?;
            let revision = value["rv"].as_i64().filter(|_| value["v"] == "meta.k8s.io/v1")?;
            let after = value["start"].as_str()?.trim_end_matches('\0').to_owned();
            Some(Token { revision: u64::try_from(revision).unwrap_or(0), after })
        };
        read().map(Some).ok_or_else(|| ApiError::bad_request("continue key is not valid: the token cannot be read"))
    }

    fn write(revision: u64, after: &str) -> String {
        let revision = if revision == 0 { json!(-1) } else { json!(revision) };
        let value = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{after}\0")});
        BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_where_to_go_on() {
        let token = Token { revision: 7, after: "ns/a".to_owned() };
        assert_eq!(Token::read(&Token::write(7, "ns/a")).unwrap(), Some(token));
        assert_eq!(Token::read(&Token::write(0, "a")).unwrap().unwrap().revision, 0);
        assert_eq!(Token::read("").unwrap(), None);
        assert_eq!(Token::read("!").unwrap_err().code, 400);
        assert_eq!(Token::read("e30").unwrap_err().code, 400);
    }
}
