//! What is wrong with a field: k8s.io/apimachinery's `field.Error`, its kinds and texts.

use super::{Path, print};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// The kind of a field's error; also the `reason` of a cause in a Status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    TooFew,
    TooShort,
    TypeInvalid,
    Internal,
}

impl Kind {
    /// The machine-readable name, as in `details.causes[].reason`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::TooShort => "FieldValueTooShort",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::TooShort => "Too short",
            Self::Internal => "Internal error",
        }
    }

    const fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::TooShort | Self::Internal)
    }
}

/// One field's error. The path is printed when the error is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub kind: Kind,
    /// The path as printed, e.g. `spec.containers[0].image`.
    pub field: String,
    /// The offending value, where the text shows one.
    pub value: Option<Value>,
    /// What is wrong, after the value; may be empty.
    pub detail: String,
}

impl Error {
    /// `Required value[: detail]`
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(Kind::Required, path, None, detail)
    }

    /// `Invalid value: <value>: detail`
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::make(Kind::Invalid, path, Some(value.into()), detail)
    }

    /// `Invalid value: <value>: detail`, when the value is not of the field's type.
    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::make(Kind::TypeInvalid, path, Some(value.into()), detail)
    }

    /// `Unsupported value: <value>: supported values: "A", "B"`, in the order given (Kubernetes sorts most sets).
    pub fn not_supported<S: AsRef<str>>(path: &Path, value: impl Into<Value>, supported: &[S]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|name| print::quote(name.as_ref())).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Self::make(Kind::NotSupported, path, Some(value.into()), detail)
    }

    /// `Forbidden: detail`
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(Kind::Forbidden, path, None, detail)
    }

    /// `Duplicate value: <value>`
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::make(Kind::Duplicate, path, Some(value.into()), "")
    }

    /// `Not found: <value>`
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::make(Kind::NotFound, path, Some(value.into()), "")
    }

    /// `Too long: may not be more than <most> bytes`
    pub fn too_long(path: &Path, most: usize) -> Self {
        Self::make(Kind::TooLong, path, None, format!("may not be more than {}", count(most, "byte")))
    }

    /// `Too long: may not be more than <most> characters`
    pub fn too_long_characters(path: &Path, most: usize) -> Self {
        Self::make(Kind::TooLong, path, None, format!("may not be more than {}", count(most, "character")))
    }

    /// `Too short: must be at least <least> characters`
    pub fn too_short(path: &Path, least: usize) -> Self {
        Self::make(Kind::TooShort, path, None, format!("must be at least {}", count(least, "character")))
    }

    /// `Too many: <actual>: must have at most <most> items`
    pub fn too_many(path: &Path, actual: usize, most: usize) -> Self {
        Self::make(Kind::TooMany, path, Some(actual.into()), format!("must have at most {}", count(most, "item")))
    }

    /// `Too few: <actual>: must have at least <least> items`
    pub fn too_few(path: &Path, actual: usize, least: usize) -> Self {
        Self::make(Kind::TooFew, path, Some(actual.into()), format!("must have at least {}", count(least, "item")))
    }

    /// `Internal error: detail`
    pub fn internal(path: &Path, detail: impl Into<String>) -> Self {
        Self::make(Kind::Internal, path, None, detail)
    }

    /// The text without the field's name, as in `details.causes[].message`.
    pub fn body(&self) -> String {
        let mut text = self.kind.words().to_owned();
        if let Some(value) = self.value.as_ref().filter(|_| self.kind.shows_value()) {
            text.push_str(": ");
            text.push_str(&print::value(value));
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    fn make(kind: Kind, path: &Path, value: Option<Value>, detail: impl Into<String>) -> Self {
        Self { kind, field: path.to_string(), value, detail: detail.into() }
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.field, self.body())
    }
}

impl std::error::Error for Error {}

/// All errors found in one object, in the order found. Empty means valid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors(pub Vec<Error>);

impl Errors {
    /// No errors.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    /// Adds all of another list.
    pub fn append(&mut self, other: Errors) {
        self.0.extend(other.0);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `Ok` when empty.
    pub fn into_result(self) -> Result<(), Errors> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The errors in turn.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

impl Extend<Error> for Errors {
    fn extend<I: IntoIterator<Item = Error>>(&mut self, errors: I) {
        self.0.extend(errors);
    }
}

impl FromIterator<Error> for Errors {
    fn from_iter<I: IntoIterator<Item = Error>>(errors: I) -> Self {
        Self(errors.into_iter().collect())
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One error plainly; several, without repetitions, as `[a, b]`.
impl fmt::Display for Errors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen = HashSet::new();
        let texts: Vec<String> =
            self.0.iter().map(ToString::to_string).filter(|text| seen.insert(text.clone())).collect();
        match texts.as_slice() {
            [one] => out.write_str(one),
            texts => write!(out, "[{}]", texts.join(", ")),
        }
    }
}

impl std::error::Error for Errors {}
