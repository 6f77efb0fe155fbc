//! Accepts clients and takes each request through version, route and handler.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use docker_types::{API_VERSION, MIN_API_VERSION};
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::App;
use crate::body::{self, Body};
use crate::call::{self, Answer, Call};
use crate::connection::{Connection, Switch};
use crate::error::ApiError;
use crate::listen::{Accepted, Listener};
use crate::query::{Plus, Query, decode};
use crate::router::{self, Route};
use crate::upload::Upload;

/// A function that answers calls.
pub type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// How long a client may take to send its first head.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves clients of `listener` until the task is dropped.
pub async fn serve(listener: Listener, app: Arc<App>) {
    loop {
        match listener.accept().await {
            Ok(client) => {
                let app = app.clone();
                tokio::spawn(async move {
                    if let Err(e) = connection(client, app).await {
                        tracing::debug!("a client's connection ended: {e}");
                    }
                });
            }
            Err(e) => {
                // Out of descriptors, most likely: others must finish first.
                tracing::warn!("cannot accept a client: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(client: Accepted, app: Arc<App>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = tokio::time::timeout(PATIENCE, client.open()).await??;
    let Some((connection, switch)) = Connection::open(stream, PATIENCE).await? else {
        return Ok(());
    };
    let service = hyper::service::service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(answer(app, switch, request).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        // Who is switched plainly may have sent all of its input, and closed that side, before it hears of the switch.
        .half_close(switch == Switch::Plain)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades()
        .await?;
    Ok(())
}

async fn answer(app: Arc<App>, switch: Switch, request: Request<Incoming>) -> Response<Body> {
    let method = request.method().clone();
    let target = request.uri().path().to_owned();
    // A handler of its own task: what a client started is finished even when the client goes away.
    let handled = tokio::spawn(dispatch(app.clone(), switch, request)).await;
    let mut response = match handled {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            tracing::debug!("{method} {target}: {} {}", error.status.as_u16(), error.message);
            call::failure(&error)
        }
        Err(e) => {
            tracing::error!("{method} {target}: handler failed: {e}");
            call::failure(&ApiError::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                "internal error, see the daemon's log",
            ))
        }
    };
    let headers = response.headers_mut();
    headers.insert("Api-Version", HeaderValue::from_static(API_VERSION));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert("Server", app.server_header.clone());
    if method == Method::HEAD {
        *response.body_mut() = body::empty();
    }
    response
}

async fn dispatch(app: Arc<App>, switch: Switch, mut request: Request<Incoming>) -> Answer {
    let upgrade =
        request.extensions().get::<hyper::upgrade::OnUpgrade>().is_some().then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let body = Upload::new(body);
    let (version, path) = router::split_version(parts.uri.path());
    let api = check_version(version)?;
    let table: &'static [Route<Handler>] = crate::routes::table();
    let path = decode(path, Plus::IsItself);
    let found = router::find(table, &parts.method, &path);
    let (handler, params) = found.ok_or_else(ApiError::page_not_found)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    handler(Call { app, api, params, query, headers: parts.headers, body, upgrade, switch }).await
}

/// Minor number of the version to speak; no version in the path means the newest.
fn check_version(version: Option<&str>) -> Result<u32, ApiError> {
    let number = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let Some(text) = version else {
        return Ok(number(API_VERSION).map_or(0, |v| v.1));
    };
    let asked = number(text).ok_or_else(|| ApiError::bad_request(format!("invalid API version: {text}")))?;
    if Some(asked) < number(MIN_API_VERSION) {
        return Err(ApiError::bad_request(format!(
            "client version {text} is too old. Minimum supported API version is {MIN_API_VERSION}, please upgrade your client to a newer version"
        )));
    }
    if Some(asked) > number(API_VERSION) {
        return Err(ApiError::bad_request(format!(
            "client version {text} is too new. Maximum supported API version is {API_VERSION}"
        )));
    }
    Ok(asked.1)
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn versions_outside_the_range_are_refused_with_dockers_words() {
        assert_eq!(check_version(None).unwrap(), 51);
        assert_eq!(check_version(Some("1.24")).unwrap(), 24);
        assert_eq!(check_version(Some("1.51")).unwrap(), 51);
        let text = |v| check_version(Some(v)).unwrap_err().message;
        assert!(text("1.23").starts_with("client version 1.23 is too old. Minimum supported API version is 1.24"));
        assert_eq!(text("1.99"), "client version 1.99 is too new. Maximum supported API version is 1.51");
        assert_eq!(text("2.0"), "client version 2.0 is too new. Maximum supported API version is 1.51");
        assert_eq!(text("1"), "invalid API version: 1");
    }
}
