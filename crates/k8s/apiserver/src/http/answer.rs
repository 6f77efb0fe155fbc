//! Answers: headers that all have, errors, values in the form that was accepted.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use k8s_types::codec::{Format, protobuf};
use k8s_types::schema;
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::body::Body;
use super::negotiate::Accepted;
use crate::registry::CONTINUE;

/// An answer of any content type.
pub fn bytes(status: u16, content_type: &str, bytes: impl Into<Bytes>) -> Response<Body> {
    let bytes = bytes.into();
    let length = bytes.len();
    let mut response = with(status, content_type, Body::whole(bytes));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

/// An answer with a body of any kind.
pub fn with(status: u16, content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// Plain text.
pub fn text(status: u16, text: impl Into<String>) -> Response<Body> {
    let mut response = bytes(status, "text/plain; charset=utf-8", text.into());
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// What is answered for paths that nothing is at.
pub fn not_found() -> Response<Body> {
    text(404, "404 page not found\n")
}

/// JSON of a value.
pub fn json(status: u16, value: &Value) -> Response<Body> {
    bytes(status, "application/json", crate::stored::to_json(value))
}

/// A value in the format that was accepted.
pub fn value(status: u16, accepted: Accepted, value: &Value) -> Response<Body> {
    match write(accepted.format, value) {
        Some(written) => bytes(status, accepted.content_type(false), written),
        None => json(status, value),
    }
}

/// A value in a format; `None` where protobuf does not know the kind.
pub fn write(format: Format, value: &Value) -> Option<Vec<u8>> {
    match format {
        Format::Json => Some(crate::stored::to_json(value)),
        Format::Yaml => Some(k8s_types::codec::encode_yaml(value).into_bytes()),
        Format::Protobuf => {
            let (group, version) = group_version(k8s_types::object::api_version(value));
            let kind = k8s_types::object::kind(value);
            let of = schema::builtin()
                .kind(group, version, kind)
                .or_else(|| schema::builtin().kind("meta.k8s.io", "v1", kind))?;
            Some(protobuf::encode(value, &schema::Type::Struct(of)))
        }
    }
}

/// Group and version of an `apiVersion`.
pub fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// A refusal.
pub fn error(error: &ApiError, accepted: Accepted) -> Response<Body> {
    let mut status = error.to_value();
    if let Some(token) = status["details"]["uid"].as_str().and_then(|uid| uid.strip_prefix(CONTINUE)) {
        status["metadata"] = json!({"continue": token.to_owned()});
        status.as_object_mut().and_then(|status| status.remove("details"));
    }
    let mut response = value(error.code, accepted, &status);
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Adds warnings: `299 - "text"`.
pub fn warn(response: &mut Response<Body>, warnings: Vec<String>) {
    const MOST: usize = 4 * 1024;
    let mut length = 0;
    for warning in warnings {
        let text: String = warning.chars().filter(|c| !c.is_control()).collect();
        length += text.len();
        if length > MOST {
            break;
        }
        let quoted = format!("299 - \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_bytes(quoted.as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// Indents JSON, for people.
pub fn pretty(response: Response<Body>) -> Response<Body> {
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "application/json");
    let Some(bytes) = response.body().as_whole().filter(|_| json) else { return response };
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return response };
    let Ok(mut pretty) = serde_json::to_vec_pretty(&value) else { return response };
    pretty.push(b'\n');
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONTENT_LENGTH, pretty.len().into());
    Response::from_parts(parts, Body::whole(pretty))
}
