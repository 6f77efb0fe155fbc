//! One call: what the client sent, and the answers that handlers give.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::App;
use crate::body::{self, Body};
use crate::connection::Switch;
use crate::error::ApiError;
use crate::query::Query;
use crate::router::Params;
use crate::upload::Upload;

/// What a handler gives back.
pub type Answer = Result<Response<Body>, ApiError>;

/// A request on its way through its handler.
pub struct Call {
    /// The daemon.
    pub app: Arc<App>,
    /// Minor number of the API version that the client speaks (`41` for 1.41).
    pub api: u32,
    /// What the path gave.
    pub params: Params,
    /// What follows the question mark.
    pub query: Query,
    /// Headers of the request.
    pub headers: HeaderMap,
    /// Body of the request.
    pub body: Upload,
    /// The connection after the answer, for calls that take it over.
    pub upgrade: Option<OnUpgrade>,
    /// How the client expects a take-over to be told.
    pub switch: Switch,
}

impl Call {
    /// Value that the path gave to a name of the pattern.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }

    /// The id or name in `{id}`.
    pub fn id(&self) -> String {
        self.param("id").to_owned()
    }

    /// Reads the JSON body.
    pub async fn json<T: DeserializeOwned + Default>(self) -> Result<T, ApiError> {
        body::read_json(&self.headers, self.body).await
    }
}

/// `200` with a JSON body.
pub fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

/// A JSON body with a status of its own.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    respond(status, "application/json", body::full(body::json_line(value)))
}

/// `204`.
pub fn no_content() -> Answer {
    status(StatusCode::NO_CONTENT)
}

/// A status and nothing else.
pub fn status(status: StatusCode) -> Answer {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    Ok(response)
}

/// A body of some content type.
pub fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    Ok(response)
}

/// The answer to an error.
pub fn failure(error: &ApiError) -> Response<Body> {
    let message = docker_types::ErrorResponse { message: error.message.clone() };
    let mut response = Response::new(match error.status {
        StatusCode::NOT_MODIFIED => body::empty(),
        _ => body::full(body::json_line(&message)),
    });
    *response.status_mut() = error.status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
