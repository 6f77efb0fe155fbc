//! Which path is what.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::access::{Denied, Peer};
use super::answer::{self, Body};
use super::{State, log, ports, process, stats};
use crate::lookup::Seen;

/// Parameters of a query.
pub struct Query(Vec<(String, String)>);

/// Answers a request.
pub async fn answer(state: Arc<State>, peer: Option<&Peer>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match state.access.judge(peer, request.headers(), request.method(), &path).await {
        Ok(()) => {}
        Err(Denied::Unauthorized) => return answer::text(StatusCode::UNAUTHORIZED, "Unauthorized"),
        Err(Denied::Forbidden(why)) => return answer::text(StatusCode::FORBIDDEN, why),
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    match words[..] {
        ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] => {
            process::serve(state, request, &query, &process::Target::exec(namespace, pod, container, &query)).await
        }
        ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] => {
            process::serve(state, request, &query, &process::Target::attach(namespace, pod, container)).await
        }
        ["portForward", namespace, pod] | ["portForward", namespace, pod, _] => {
            ports::serve(&state, request, &query, namespace, pod)
        }
        _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            answer::text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed")
        }
        ["containerLogs", namespace, pod, container] => log::serve(state, &query, namespace, pod, container).await,
        ["healthz"] | ["healthz", "ping" | "syncloop" | "log"] => answer::text(StatusCode::OK, "ok"),
        ["pods"] => answer::json(&pod_list(&state)),
        ["configz"] => answer::json(&configz(&state)),
        ["metrics"] => stats::metrics(&state).await,
        ["metrics", "resource"] => stats::resource(&state).await,
        ["metrics", "cadvisor"] => stats::containers(&state).await,
        ["metrics", "probes"] => answer::text(StatusCode::OK, ""),
        ["stats", "summary"] => stats::summary(&state).await,
        _ => answer::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

fn pod_list(state: &State) -> serde_json::Value {
    let pods: Vec<_> = state.lookup.pods().iter().map(|seen| seen.pod.clone()).collect();
    let items: Vec<_> = pods.iter().filter_map(|pod| serde_json::to_value(&**pod).ok()).collect();
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
}

fn configz(state: &State) -> serde_json::Value {
    json!({"kubeletconfig": {
        "kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "nodeName": state.node,
        "cgroupDriver": "cgroupfs", "containerRuntimeEndpoint": "",
    }})
}

/// The pod of a path, or what to answer without it.
pub fn pod(state: &State, namespace: &str, name: &str) -> Result<Seen, Box<Response<Body>>> {
    state.lookup.pod(namespace, name).ok_or_else(|| {
        Box::new(answer::text(
            StatusCode::NOT_FOUND,
            format!("pod \"{name}\" in namespace \"{namespace}\" does not exist"),
        ))
    })
}

impl Query {
    fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a name, empty without it.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether any of these names is set and true.
    pub fn is_set(&self, names: &[&str]) -> bool {
        names.iter().any(|name| matches!(self.get(name).to_ascii_lowercase().as_str(), "1" | "true" | "t"))
    }
}

/// Undoes percent encoding and `+`; what is none stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = || u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok();
        match bytes[at] {
            b'%' if let Some(byte) = escaped() => {
                out.push(byte);
                at += 2;
            }
            b'+' => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
