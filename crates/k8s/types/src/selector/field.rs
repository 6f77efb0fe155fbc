//! Field selectors: `metadata.name=x,status.phase!=Running`, with `\` before what would end a value.

#[cfg(test)]
mod tests;

use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    pub field: String,
    /// Whether the field must have the value, or must not.
    pub equal: bool,
    pub value: String,
}

/// All of the requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector(pub Vec<FieldRequirement>);

/// Why a text is no selector, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term { selector: String, term: String },
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    #[error("invalid field selector: unescaped character in value: {}", *.0 as u32)]
    Unescaped(char),
}

impl FieldSelector {
    /// A selector from the text of a query.
    ///
    /// # Errors
    /// When the text is none; the API server refuses the request with it (400).
    pub fn parse(text: &str) -> Result<Self, FieldSelectorError> {
        let mut terms = terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let bad = || FieldSelectorError::Term { selector: text.to_owned(), term: term.to_owned() };
            let (field, equal, value) = split(term).ok_or_else(bad)?;
            requirements.push(FieldRequirement {
                field: field.to_owned(),
                equal,
                value: unescape(value)?.into_owned(),
            });
        }
        // what names neither field nor value asks for nothing
        requirements.retain(|requirement| !(requirement.field.is_empty() && requirement.value.is_empty()));
        Ok(Self(requirements))
    }

    /// Whether it does not narrow anything.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that the field must have, if the selector says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        let found = self.0.iter().find(|requirement| requirement.equal && requirement.field == field)?;
        Some(&found.value)
    }

    /// Whether it selects this object; a field that is not there has an empty value.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(|field| field_of(object, field))
    }

    /// Whether it selects what has these fields.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Cow<'a, str>) -> bool {
        self.0.iter().all(|requirement| (value_of(&requirement.field) == requirement.value) == requirement.equal)
    }
}

/// A field of an object as selectors see it: a scalar's text; `""` for what is absent, an object or a list.
pub fn field_of<'a>(object: &'a Value, field: &str) -> Cow<'a, str> {
    let found = field.split('.').try_fold(object, |at, name| at.get(name));
    match found {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Bool(value)) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Some(Value::Number(number)) => Cow::Owned(number.to_string()),
        _ => Cow::Borrowed(""),
    }
}

fn terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.char_indices().find(|(at, _)| term[*at..].starts_with("!=") || term[*at..].starts_with('='))?.0;
    let (field, rest) = term.split_at(at);
    match rest.strip_prefix("!=") {
        Some(value) => Some((field, false, value)),
        None => Some((field, true, rest.strip_prefix("==").unwrap_or(&rest[1..]))),
    }
}

fn unescape(text: &str) -> Result<Cow<'_, str>, FieldSelectorError> {
    if !text.contains(['\\', ',', '=']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => return Err(FieldSelectorError::Escape(format!("\\{c}"))),
                None => return Err(FieldSelectorError::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(FieldSelectorError::Unescaped(c)),
            c => out.push(c),
        }
    }
    Ok(Cow::Owned(out))
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, FieldRequirement { field, equal, value }) in self.0.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            let (comma, sign) = (if number == 0 { "" } else { "," }, if *equal { "=" } else { "!=" });
            write!(out, "{comma}{field}{sign}{value}")?;
        }
        Ok(())
    }
}
