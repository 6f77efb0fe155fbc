//! A request from its headers to its answer: who asks, may they, what is it about.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use k8s_types::status::ApiError;

use super::body::{self, Body};
use super::documents::Document;
use super::negotiate::{self, Accepted};
use super::objects::{self, Ask};
use super::options::Parameters;
use super::path::{self, ResourcePath, Route};
use super::{answer, gzip};
use crate::Identity;
use crate::auth::Connection;
use crate::authorize::{Attributes, Decision, Resource, Target};
use crate::metrics::Done;
use crate::proxy::{self, Carried};
use crate::server::ApiServer;

/// How long a request may take that is neither a watch nor a stream.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whom a request comes from.
#[derive(Clone)]
pub enum Origin {
    /// A connection; its certificates and the headers tell who it is.
    Connection(Arc<Connection>),
    /// This process.
    Inside(Arc<Identity>),
}

/// Answers a request.
pub async fn handle<B>(server: &ApiServer, origin: &Origin, request: Request<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let began = Instant::now();
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove();
    let route = path::parse(parts.uri.path());
    let parameters = Parameters::parse(parts.uri.query());
    let watches = matches!(&route, Route::Resource(path) if objects::verb(&parts.method, path, wants_watch(&parameters)) == "watch");
    let carried = Carried::of(&route);
    let doing = async {
        match (carried, &route) {
            (Some(carried), Route::Resource(path)) => {
                let ask = proxy::Ask { parts: &parts, path, parameters, upgrade };
                carry(server, origin, &route, carried, ask, body).await
            }
            _ => dispatch(server, origin, &parts, &route, parameters, body).await,
        }
    };
    let lasts = watches || carried.is_some_and(Carried::lasts);
    let answered = if lasts { doing.await } else { in_time(doing).await };
    let mut response = answered.unwrap_or_else(|error| answer::error(&error, accepted(&parts.headers)));
    if wants_pretty(&parts) {
        response = answer::pretty(response);
    }
    let method = parts.method.as_str();
    server.metrics().done(&Done {
        method,
        route: &route,
        watch: watches,
        code: response.status().as_u16(),
        took: began.elapsed(),
    });
    if !lasts && gzip::accepted(&parts.headers) {
        response = gzip::compress(response).await;
    }
    audit(&parts.headers, &mut response);
    response
}

async fn in_time(doing: impl Future<Output = Result<Response<Body>, ApiError>>) -> Result<Response<Body>, ApiError> {
    let late = || ApiError::timeout("request did not complete within the allotted timeout", 0);
    tokio::time::timeout(PATIENCE, doing).await.unwrap_or_else(|_| Err(late()))
}

async fn dispatch<B>(
    server: &ApiServer,
    origin: &Origin,
    parts: &Parts,
    route: &Route,
    parameters: Parameters,
    body: B,
) -> Result<Response<Body>, ApiError>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let identity = who(server, origin, &parts.headers).await?;
    let accept = text(&parts.headers, header::ACCEPT);
    may(server, &identity, parts, route, &parameters).await?;
    let path = match route {
        Route::Resource(path) => path,
        route => {
            let document = Document {
                method: &parts.method,
                path: parts.uri.path(),
                route,
                parameters: &parameters,
                headers: &parts.headers,
                accept: &accept,
            };
            return Ok(document.answer(server));
        }
    };
    let row = server.registry().catalog().find(&path.group, &path.version, &path.resource);
    let Some(row) = row else { return Ok(answer::not_found()) };
    let ask = Ask {
        method: parts.method.clone(),
        path: path.clone(),
        row,
        parameters,
        accept,
        content_type: text(&parts.headers, header::CONTENT_TYPE),
        user_agent: text(&parts.headers, header::USER_AGENT),
        identity,
        body: body::read(body).await?,
    };
    ask.answer(server.registry()).await
}

/// Answers a request that a node, a pod or a service answers.
async fn carry<B>(
    server: &ApiServer,
    origin: &Origin,
    route: &Route,
    carried: Carried,
    ask: proxy::Ask<'_>,
    body: B,
) -> Result<Response<Body>, ApiError>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let identity = who(server, origin, &ask.parts.headers).await?;
    may(server, &identity, ask.parts, route, &ask.parameters).await?;
    carried.answer(server, &identity, ask, body).await
}

async fn who(server: &ApiServer, origin: &Origin, headers: &HeaderMap) -> Result<Arc<Identity>, ApiError> {
    let access = server.access();
    let identity = match origin {
        Origin::Inside(identity) => identity.clone(),
        Origin::Connection(connection) => access.authenticate(headers, connection).await?,
    };
    access.impersonate(identity, headers).await
}

async fn may(
    server: &ApiServer,
    identity: &Identity,
    parts: &Parts,
    route: &Route,
    parameters: &Parameters,
) -> Result<(), ApiError> {
    let method = parts.method.as_str().to_ascii_lowercase();
    let attributes = match route {
        Route::Resource(path) => {
            let verb = objects::verb(&parts.method, path, wants_watch(parameters));
            Attributes { identity, verb, target: Target::Resource(target(path, verb, parameters)) }
        }
        _ => Attributes { identity, verb: &method, target: Target::Path(parts.uri.path()) },
    };
    match server.access().authorize(&attributes).await {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(reason) => {
            let (resource, name) = match &attributes.target {
                Target::Resource(r) => (k8s_types::object::GroupResource::new(r.group, r.resource), r.name),
                Target::Path(_) => (Default::default(), ""),
            };
            Err(ApiError::forbidden(&resource, name, attributes.refusal(&reason)))
        }
    }
}

fn target<'a>(path: &'a ResourcePath, verb: &str, parameters: &'a Parameters) -> Resource<'a> {
    let many = matches!(verb, "list" | "watch" | "deletecollection");
    let selector = |name| if many { parameters.get(name) } else { "" };
    Resource {
        group: &path.group,
        version: &path.version,
        resource: &path.resource,
        subresource: &path.subresource,
        namespace: &path.namespace,
        name: if path.name.is_empty() { only_name(selector("fieldSelector")) } else { &path.name },
        label_selector: selector("labelSelector"),
        field_selector: selector("fieldSelector"),
    }
}

/// The name that a field selector asks for, where it is the only thing it asks for.
fn only_name(selector: &str) -> &str {
    let name = selector.strip_prefix("metadata.name=").map(|name| name.strip_prefix('=').unwrap_or(name));
    name.filter(|name| !name.contains([',', '=', '!', '\\'])).unwrap_or_default()
}

fn wants_watch(parameters: &Parameters) -> bool {
    parameters.flag("watch").unwrap_or(false)
}

fn wants_pretty(parts: &Parts) -> bool {
    match Parameters::parse(parts.uri.query()).get("pretty") {
        "" => {
            let agent = text(&parts.headers, header::USER_AGENT);
            ["curl", "Wget", "Mozilla/"].iter().any(|name| agent.starts_with(name))
        }
        value => !matches!(value, "0" | "false"),
    }
}

fn accepted(headers: &HeaderMap) -> Accepted {
    let accepted = negotiate::objects(&text(headers, header::ACCEPT), false).unwrap_or(Accepted::JSON);
    Accepted { shape: negotiate::Shape::Object, ..accepted }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// Gives the request the id under which it would be found in an audit log: the client's, or a new one.
fn audit(headers: &HeaderMap, response: &mut Response<Body>) {
    const NAME: &str = "audit-id";
    let given = headers.get(NAME).filter(|value| value.len() <= 64).cloned();
    let id = given.or_else(|| HeaderValue::from_str(&crate::registry::uid().ok()?).ok());
    if let Some(id) = id {
        response.headers_mut().insert(NAME, id);
    }
}
