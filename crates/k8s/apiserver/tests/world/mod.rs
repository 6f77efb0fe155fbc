//! An API server in a folder of its own, asked through its in-process service.

#![allow(dead_code, reason = "each test file uses its own part")]

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use k8s_apiserver::{ApiServer, Config, Identity};
use serde_json::Value;
use tower::ServiceExt;

/// The server and its folder.
pub struct World {
    pub server: ApiServer,
    pub identity: Identity,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub bytes: Bytes,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The body of an answer that must have this code.
    pub fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// Code and message of a refusal.
    pub fn refusal(&self) -> (u16, String) {
        (self.code, self.json()["message"].as_str().unwrap_or_default().to_owned())
    }
}

impl World {
    pub async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(Config::new(folder.path())).await.unwrap();
        World { server, identity: Identity::new("tester", &["system:masters"]), _folder: folder }
    }

    /// Asks, with JSON or nothing as the body.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        self.ask_as(method, path, &[("content-type", "application/json")], body).await
    }

    /// Asks with headers.
    pub async fn ask_as(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.send(request.body(Full::new(body)).unwrap()).await
    }

    /// Sends a request.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response = self.server.service(self.identity.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, bytes }
    }
}
