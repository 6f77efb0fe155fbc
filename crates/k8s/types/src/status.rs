//! Refusals as clients see them: `metav1.Status` with Kubernetes' codes, reasons and texts.

mod make;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use std::fmt;

/// The result of a request that may be refused.
pub type Result<T> = std::result::Result<T, ApiError>;

/// A `Status` of failure.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The HTTP status.
    pub code: u16,
    /// What kind of failure, for programs.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// Left out of the JSON when `None`.
    pub details: Option<Box<Details>>,
}

/// `Status.details`. Empty fields are left out of the JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// A resource or a kind, depending on the failure.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: u32,
}

/// One cause of a failure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cause {
    /// Such as `FieldValueInvalid`; may be empty.
    pub reason: String,
    pub message: String,
    /// The path of the field; may be empty.
    pub field: String,
}

macro_rules! reasons {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// `Status.reason`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $(#[doc = concat!("`", $text, "`")] $variant),* }

        impl Reason {
            /// As written in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The reason of that name; `Unknown` for all others.
            pub fn parse(text: &str) -> Self {
                match text { $($text => Self::$variant,)* _ => Self::Unknown }
            }
        }
    };
}
reasons! {
    Unknown = "",
    Unauthorized = "Unauthorized",
    Forbidden = "Forbidden",
    NotFound = "NotFound",
    AlreadyExists = "AlreadyExists",
    Conflict = "Conflict",
    Gone = "Gone",
    Invalid = "Invalid",
    ServerTimeout = "ServerTimeout",
    StoreReadError = "StorageReadError",
    Timeout = "Timeout",
    TooManyRequests = "TooManyRequests",
    BadRequest = "BadRequest",
    MethodNotAllowed = "MethodNotAllowed",
    NotAcceptable = "NotAcceptable",
    RequestEntityTooLarge = "RequestEntityTooLarge",
    UnsupportedMediaType = "UnsupportedMediaType",
    InternalError = "InternalError",
    Expired = "Expired",
    ServiceUnavailable = "ServiceUnavailable",
}

impl ApiError {
    /// The `Status` object.
    pub fn to_value(&self) -> Value {
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        status.insert("metadata".into(), Value::Object(Map::new()));
        status.insert("status".into(), "Failure".into());
        put(&mut status, "message", &self.message);
        put(&mut status, "reason", self.reason.as_str());
        if let Some(details) = &self.details {
            status.insert("details".into(), details.to_value());
        }
        status.insert("code".into(), self.code.into());
        Value::Object(status)
    }

    /// Seconds for the `Retry-After` header, when the client should wait.
    pub fn retry_after(&self) -> Option<u32> {
        self.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut details = Map::new();
        put(&mut details, "name", &self.name);
        put(&mut details, "group", &self.group);
        put(&mut details, "kind", &self.kind);
        put(&mut details, "uid", &self.uid);
        if !self.causes.is_empty() {
            details.insert("causes".into(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after_seconds > 0 {
            details.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(details)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut cause = Map::new();
        put(&mut cause, "reason", &self.reason);
        put(&mut cause, "message", &self.message);
        put(&mut cause, "field", &self.field);
        Value::Object(cause)
    }
}

fn put(map: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        map.insert(name.to_owned(), text.into());
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}
