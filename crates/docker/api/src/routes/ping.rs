//! `/_ping`: whether the daemon is there, and which version it speaks.

use http::{HeaderValue, StatusCode, header};

use crate::body;
use crate::call::{Answer, Call, respond};

/// `GET` and `HEAD /_ping`.
pub async fn ping(_: Call) -> Answer {
    let mut answer = respond(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        body::full("OK"),
    )?;
    let headers = answer.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert("Builder-Version", HeaderValue::from_static("1"));
    headers.insert("Swarm", HeaderValue::from_static("inactive"));
    Ok(answer)
}
