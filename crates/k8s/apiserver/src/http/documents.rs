//! Requests that are not about objects: discovery, OpenAPI, version, health, metrics, the index.

use http::{HeaderMap, HeaderValue, Method, Response, header};
use k8s_types::openapi;
use serde_json::json;

use super::answer;
use super::body::Body;
use super::negotiate::{self, Accepted};
use super::options::Parameters;
use super::path::Route;
use crate::Build;
use crate::discovery;
use crate::health::Health;
use crate::server::ApiServer;

const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// What it is answered as: the `@` of what clients ask for is none that a media type may have, and they do not read it.
const V2_PROTOBUF_ANSWER: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Makes a document of OpenAPI version 2.
type Render = fn(&[openapi::Custom]) -> Vec<u8>;

/// A request for a document.
pub struct Document<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path.
    pub path: &'a str,
    /// What it names.
    pub route: &'a Route,
    /// Query.
    pub parameters: &'a Parameters,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// `Accept`
    pub accept: &'a str,
}

impl Document<'_> {
    /// Answers it.
    pub fn answer(&self, server: &ApiServer) -> Response<Body> {
        if !matches!(*self.method, Method::GET | Method::HEAD) {
            return answer::text(405, "405: Method Not Allowed");
        }
        let discovery = server.discovery();
        let value = match self.route {
            Route::Index => return answer::json(200, &json!({"paths": index(server)})),
            Route::CoreVersions | Route::Groups => {
                if let Some(version) = aggregated(self.accept) {
                    return self.aggregated(discovery.aggregated(*self.route == Route::CoreVersions, version), version);
                }
                match self.route {
                    Route::CoreVersions => Some(discovery.core_versions(&server.address())),
                    _ => Some(discovery.groups()),
                }
            }
            Route::Group(group) => discovery.group(group),
            Route::GroupVersion(group, version) => discovery.resources(group, version),
            Route::Resource(_) => None,
            Route::Other => return self.other(server),
        };
        let Some(value) = value else { return answer::not_found() };
        match negotiate::objects(self.accept, false) {
            Ok(accepted) => answer::value(200, accepted, &value),
            Err(error) => answer::error(&error, Accepted::JSON),
        }
    }

    fn aggregated(&self, document: discovery::Aggregated, version: &str) -> Response<Body> {
        let content_type = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
        let mut response = self.tagged(&content_type, &document.etag, || document.bytes.to_vec());
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
        response
    }

    /// An answer with an entity tag, empty where the client has it.
    fn tagged(&self, content_type: &str, etag: &str, make: impl FnOnce() -> Vec<u8>) -> Response<Body> {
        let known = self.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let mut response = match known.is_some_and(|known| known.split(',').any(|tag| tag.trim() == etag)) {
            true => answer::with(304, content_type, Body::empty()),
            false => answer::bytes(200, content_type, make()),
        };
        if let Ok(etag) = HeaderValue::from_str(etag) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }

    fn other(&self, server: &ApiServer) -> Response<Body> {
        let health = Health { store: server.registry().store(), ending: server.is_ending() };
        if let Some(response) = health.answer(self.path, self.parameters) {
            return response;
        }
        match self.path.trim_end_matches('/') {
            "/version" => answer::json(200, &version(server.build())),
            "/metrics" => {
                let text = server.metrics().text(server.registry());
                answer::bytes(200, "application/openmetrics-text; version=1.0.0; charset=utf-8", text)
            }
            "/openapi/v2" => self.openapi_v2(server),
            "/openapi/v3" => self.openapi_v3_index(server),
            path => match path.strip_prefix("/openapi/v3/") {
                Some(path) => self.openapi_v3(server, path),
                None => match server.access().openid(path) {
                    Some(document) => answer::bytes(200, document.content_type, document.body),
                    None => answer::not_found(),
                },
            },
        }
    }

    fn openapi_v2(&self, server: &ApiServer) -> Response<Body> {
        for clause in negotiate::clauses(self.accept) {
            let (content_type, make): (_, Render) = match clause.media.as_str() {
                "application/json" | "*/*" | "application/*" => ("application/json", openapi::v2_json),
                V2_PROTOBUF | V2_PROTOBUF_ANSWER => (V2_PROTOBUF_ANSWER, openapi::v2_protobuf),
                _ => continue,
            };
            let generation = server.registry().catalog().generation();
            let custom = server.custom();
            let (hash, made) = server.openapi_hash(generation, content_type, || make(&custom));
            let etag = format!("\"{hash}\"");
            return self.tagged(content_type, &etag, || made.unwrap_or_else(|| make(&custom)));
        }
        answer::text(406, "")
    }

    fn openapi_v3_index(&self, server: &ApiServer) -> Response<Body> {
        let generation = server.registry().catalog().generation();
        let custom = server.custom();
        let url = |path: String| {
            let (hash, _) =
                server.openapi_hash(generation, &path, || openapi::v3_json(&path, &custom).unwrap_or_default());
            let url = json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")});
            (path, url)
        };
        let paths: serde_json::Map<_, _> = openapi::v3_paths(&custom).into_iter().map(url).collect();
        answer::json(200, &json!({"paths": paths}))
    }

    fn openapi_v3(&self, server: &ApiServer, path: &str) -> Response<Body> {
        let generation = server.registry().catalog().generation();
        let custom = server.custom();
        if !openapi::v3_paths(&custom).iter().any(|known| known == path) {
            return answer::not_found();
        }
        let make = || openapi::v3_json(path, &custom).unwrap_or_default();
        let (hash, made) = server.openapi_hash(generation, path, make);
        let asked = self.parameters.get("hash");
        if !asked.is_empty() && asked != hash {
            let mut response = answer::with(301, "application/json", Body::empty());
            if let Ok(location) = HeaderValue::from_str(&format!("/openapi/v3/{path}?hash={hash}")) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            return response;
        }
        let mut response = self.tagged("application/json", &format!("\"{hash}\""), || made.unwrap_or_else(make));
        if !asked.is_empty() {
            let forever = HeaderValue::from_static("public, immutable");
            response.headers_mut().insert(header::CACHE_CONTROL, forever);
        }
        response
    }
}

/// The version of aggregated discovery that a client prefers over the plain one.
fn aggregated(accept: &str) -> Option<&'static str> {
    for clause in negotiate::clauses(accept) {
        let plain = negotiate::format_of(&clause.media).is_some();
        match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") if clause.media == "application/json" => {
                return Some("v2");
            }
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") if clause.media == "application/json" => {
                return Some("v2beta1");
            }
            ("", _, _) if plain => return None,
            _ => {}
        }
    }
    None
}

/// Go has no part in it, and clients want to read something there.
fn version(build: &Build) -> serde_json::Value {
    let platform = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let Build { name, commit, date, compiler } = build;
    let tree = if commit.is_empty() { "" } else { "clean" };
    json!({
        "major": "1", "minor": "37", "gitVersion": format!("v1.37.0+{name}"), "gitCommit": commit, "gitTreeState": tree,
        "buildDate": date, "goVersion": format!("none ({compiler})"), "compiler": "rustc", "platform": platform
    })
}

fn index(server: &ApiServer) -> Vec<String> {
    let rows = server.registry().catalog().rows();
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ]
    .iter()
    .map(|path| (*path).to_owned())
    .collect();
    for row in rows.iter() {
        let r = &row.resource;
        if r.group.is_empty() {
            paths.push(format!("/api/{}", r.version));
        } else {
            paths.push(format!("/apis/{}", r.group));
            paths.push(format!("/apis/{}/{}", r.group, r.version));
        }
    }
    paths.sort();
    paths.dedup();
    paths
}
