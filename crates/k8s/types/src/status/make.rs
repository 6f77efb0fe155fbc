//! The constructors: one for each failure that Kubernetes' API machinery knows, in its words.

use super::{ApiError, Cause, Details, Reason};
use crate::field::{self, quote};
use crate::object::{GroupKind, GroupResource};
use std::fmt::Display;

impl ApiError {
    /// A failure without details.
    pub fn new(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    /// With these details in place of those it has.
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// With one more cause.
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// With the seconds after which a client should come again.
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    fn about(self, resource: &GroupResource, name: &str) -> Self {
        self.with_details(Details {
            group: resource.group.clone(),
            kind: resource.resource.clone(),
            name: name.to_owned(),
            ..Details::default()
        })
    }

    /// 404: `pods "x" not found`
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, Reason::NotFound, format!("{resource} {} not found", quote(name))).about(resource, name)
    }

    /// 404 for a path that names nothing served: `the server could not find the requested resource`
    pub fn no_such_path() -> Self {
        Self::new(404, Reason::NotFound, "the server could not find the requested resource")
            .with_details(Details::default())
    }

    /// 409: `pods "x" already exists`
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        let message = format!("{resource} {} already exists", quote(name));
        Self::new(409, Reason::AlreadyExists, message).about(resource, name)
    }

    /// 409, when every generated name was taken.
    pub fn generate_name_conflict(resource: &GroupResource, name: &str, retry_after: u32) -> Self {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            quote(name)
        );
        Self::new(409, Reason::AlreadyExists, message).about(resource, name).with_retry_after(retry_after)
    }

    /// 409: `Operation cannot be fulfilled on pods "x": <why>`
    pub fn conflict(resource: &GroupResource, name: &str, why: impl Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {}: {why}", quote(name));
        Self::new(409, Reason::Conflict, message).about(resource, name)
    }

    /// 409, when the object is not of the revision the client knows.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// 409 of a server-side apply: a message and one cause for each field.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        Self::new(409, Reason::Conflict, message).with_details(Details { causes, ..Details::default() })
    }

    /// 422: `Pod "x" is invalid: <errors>`, one cause for each error.
    pub fn invalid(kind: &GroupKind, name: &str, errors: &field::Errors) -> Self {
        let mut message = format!("{kind} {} is invalid", quote(name));
        if !errors.is_empty() {
            message.push_str(&format!(": {errors}"));
        }
        let causes = errors.iter().map(|error| Cause {
            reason: error.kind.reason().to_owned(),
            message: error.body(),
            field: error.field.clone(),
        });
        Self::new(422, Reason::Invalid, message).with_details(Details {
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            name: name.to_owned(),
            causes: causes.collect(),
            ..Details::default()
        })
    }

    /// 422 without fields, as for a patch that cannot be applied.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, Reason::Invalid, message)
    }

    /// 403: `pods "x" is forbidden: <why>`; without a resource `forbidden: <why>`.
    pub fn forbidden(resource: &GroupResource, name: &str, why: impl Display) -> Self {
        let message = match (resource.is_empty(), name) {
            (true, _) => format!("forbidden: {why}"),
            (_, "") => format!("{resource} is forbidden: {why}"),
            _ => format!("{resource} {} is forbidden: {why}", quote(name)),
        };
        Self::new(403, Reason::Forbidden, message).about(resource, name)
    }

    /// 401; "" is `Unauthorized`, which the filters of the API server say.
    pub fn unauthorized(message: &str) -> Self {
        let message = if message.is_empty() { "Unauthorized" } else { message };
        Self::new(401, Reason::Unauthorized, message)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, Reason::BadRequest, message)
    }

    /// 410, reason Gone.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, Reason::Gone, message)
    }

    /// 410, reason Expired: a resource version or continue token that is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, Reason::Expired, message)
    }

    /// 405: `create is not supported on resources of kind "pods"`
    pub fn method_not_allowed(resource: &GroupResource, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind {}", quote(&resource.to_string()));
        Self::new(405, Reason::MethodNotAllowed, message).about(resource, "")
    }

    /// 406: `only the following media types are accepted: a, b`
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, Reason::NotAcceptable, message)
    }

    /// 406 for a conversion such as to a Table.
    pub fn not_acceptable_conversion(target: &str, accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        let message = format!("only the following media types are accepted when converting to {target}: {accepted}");
        Self::new(406, Reason::NotAcceptable, message)
    }

    /// 415: `the body of the request was in an unknown format - accepted media types include: a, b`
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, Reason::UnsupportedMediaType, message)
    }

    /// 413: `Request entity too large: <what>`
    pub fn too_large(what: impl Display) -> Self {
        Self::new(413, Reason::RequestEntityTooLarge, format!("Request entity too large: {what}"))
    }

    /// 429, as of an eviction that a disruption budget forbids.
    pub fn too_many_requests(message: impl Into<String>, retry_after: u32) -> Self {
        let details = Details { retry_after_seconds: retry_after, ..Details::default() };
        Self::new(429, Reason::TooManyRequests, message).with_details(details)
    }

    /// 500: `Internal error occurred: <what>`
    pub fn internal(what: impl Display) -> Self {
        let cause = Cause { message: what.to_string(), ..Cause::default() };
        Self::new(500, Reason::InternalError, format!("Internal error occurred: {what}")).with_cause(cause)
    }

    /// 500, reason ServerTimeout: the client should try again.
    pub fn server_timeout(resource: &GroupResource, operation: &str, retry_after: u32) -> Self {
        let message = format!(
            "The {operation} operation against {resource} could not be completed at this time, please try again."
        );
        Self::new(500, Reason::ServerTimeout, message).about(resource, operation).with_retry_after(retry_after)
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, Reason::ServiceUnavailable, message)
    }

    /// 504: `Timeout: <what>`; the operation may still complete.
    pub fn timeout(what: impl Display, retry_after: u32) -> Self {
        let details = Details { retry_after_seconds: retry_after, ..Details::default() };
        Self::new(504, Reason::Timeout, format!("Timeout: {what}")).with_details(details)
    }

    /// 504 for a resource version of the future: clients wait and come again.
    pub fn resource_version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        Self::timeout(&message, 1).with_cause(Cause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        })
    }
}
