//! Logs, exec, attach and port-forward of pods: checked here, done by the kubelet.

use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use k8s_types::field::{Error, Errors, Path};
use k8s_types::object::{GroupKind, GroupResource};
use k8s_types::status::ApiError;
use serde_json::Value;

use super::carry::{self, Carry};
use super::{Ask, Upload, kubelet};
use crate::Identity;
use crate::authorize::{Attributes, Decision, Resource, Target};
use crate::http::answer;
use crate::http::body::Body;
use crate::http::options::Parameters;
use crate::server::ApiServer;

/// How much of a refusal is read.
const REFUSAL: usize = 64 * 1024;

fn resource() -> GroupResource {
    GroupResource::new("", "pods")
}

async fn read(server: &ApiServer, ask: &Ask<'_>) -> Result<Value, ApiError> {
    let row = server.registry().row("", "pods")?;
    let pod = server.registry().get(&row, &ask.path.namespace, &ask.path.name).await?;
    pod.ok_or_else(|| ApiError::not_found(&resource(), &ask.path.name))
}

/// `pods/log`
pub async fn log(server: &ApiServer, ask: &Ask<'_>) -> Result<Response<Body>, ApiError> {
    if ask.parts.method != Method::GET {
        return Err(ApiError::method_not_allowed(&resource(), &ask.parts.method.as_str().to_ascii_lowercase()));
    }
    check_log(&ask.path.name, &ask.parameters)?;
    let pod = read(server, ask).await?;
    let container = container(&pod, ask.parameters.get("container"))?;
    let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) else {
        return Ok(answer::with(204, "text/plain", Body::empty()));
    };
    let backend = kubelet::of(server, node).await?;
    let mut query = Query::default();
    for name in ["follow", "previous", "timestamps"] {
        if ask.parameters.flag(name) == Some(true) {
            query.add(name, "true");
        }
    }
    for name in ["sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"] {
        ask.parameters.all(name).take(1).filter(|value| !value.is_empty()).for_each(|value| query.add(name, value));
    }
    let (namespace, name) = (&ask.path.namespace, &ask.path.name);
    let target = format!("/containerLogs/{namespace}/{name}/{container}{}", query.text());
    let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *request.uri_mut() = target.parse().map_err(|error| ApiError::bad_request(format!("{error}")))?;
    let response = backend.send(request).await?;
    let (parts, body) = response.into_parts();
    if parts.status.is_success() {
        return Ok(answer::with(200, "text/plain", carry::pieces(body)));
    }
    let words = http_body_util::Limited::new(body, REFUSAL).collect().await.map(|words| words.to_bytes());
    let words = String::from_utf8_lossy(&words.unwrap_or_default()).trim().to_owned();
    Err(match parts.status.as_u16() {
        400 => ApiError::bad_request(words),
        404 => ApiError::new(404, k8s_types::status::Reason::NotFound, words),
        code => ApiError::internal(format!("the node's kubelet answered {code}: {words}")),
    })
}

fn check_log(name: &str, parameters: &Parameters) -> Result<(), ApiError> {
    let mut errors = Errors::default();
    let number = |field: &'static str| match parameters.get(field) {
        "" => Ok(None),
        text => text.parse::<i64>().map(Some).map_err(|_| {
            ApiError::bad_request(format!(
                "strconv.ParseInt: parsing {}: invalid syntax",
                k8s_types::field::quote(text)
            ))
        }),
    };
    let mut at_least = |field: &'static str, least: i64, text: &str| -> Result<Option<i64>, ApiError> {
        let value = number(field)?;
        if let Some(value) = value.filter(|value| *value < least) {
            errors.push(Error::invalid(&Path::new(field), value, text));
        }
        Ok(value)
    };
    at_least("tailLines", 0, "must be greater than or equal to 0")?;
    at_least("limitBytes", 1, "must be greater than 0")?;
    let seconds = at_least("sinceSeconds", 1, "must be greater than 0")?;
    let time = parameters.get("sinceTime");
    if !time.is_empty() && time.parse::<jiff::Timestamp>().is_err() {
        return Err(ApiError::bad_request(format!("parsing time {}: not a time", k8s_types::field::quote(time))));
    }
    if seconds.is_some() && !time.is_empty() {
        errors.push(Error::forbidden(&Path::new(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(ApiError::invalid(&GroupKind::new("", "PodLogOptions"), name, &errors)),
    }
}

/// `pods/exec`
pub async fn exec<B: Upload>(
    server: &ApiServer,
    identity: &Identity,
    ask: Ask<'_>,
    body: B,
) -> Result<Response<Body>, ApiError> {
    process(server, identity, ask, body, "exec").await
}

/// `pods/attach`
pub async fn attach<B: Upload>(
    server: &ApiServer,
    identity: &Identity,
    ask: Ask<'_>,
    body: B,
) -> Result<Response<Body>, ApiError> {
    process(server, identity, ask, body, "attach").await
}

async fn process<B: Upload>(
    server: &ApiServer,
    identity: &Identity,
    ask: Ask<'_>,
    body: B,
    what: &str,
) -> Result<Response<Body>, ApiError> {
    may_create(server, identity, &ask).await?;
    let pod = read(server, &ask).await?;
    let container = container(&pod, ask.parameters.get("container"))?;
    let mut query = Query::default();
    for (name, at_kubelet) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if ask.parameters.flag(name) == Some(true) {
            query.add(at_kubelet, "1");
        }
    }
    ask.parameters.all("command").for_each(|word| query.add("command", word));
    let (namespace, name) = (&ask.path.namespace, &ask.path.name);
    let target = format!("/{what}/{namespace}/{name}/{container}{}", query.text());
    to_kubelet(server, &pod, ask, body, &target).await
}

/// `pods/portforward`
pub async fn port_forward<B: Upload>(
    server: &ApiServer,
    identity: &Identity,
    ask: Ask<'_>,
    body: B,
) -> Result<Response<Body>, ApiError> {
    may_create(server, identity, &ask).await?;
    let pod = read(server, &ask).await?;
    let mut query = Query::default();
    ask.parameters.all("ports").flat_map(|ports| ports.split(',')).for_each(|port| query.add("port", port));
    let target = format!("/portForward/{}/{}{}", ask.path.namespace, ask.path.name, query.text());
    to_kubelet(server, &pod, ask, body, &target).await
}

/// WebSocket opens with GET, which reading alone would allow: what acts on a pod needs the right to create.
async fn may_create(server: &ApiServer, identity: &Identity, ask: &Ask<'_>) -> Result<(), ApiError> {
    if ask.parts.method != Method::GET {
        return Ok(());
    }
    let path = ask.path;
    let attributes = Attributes {
        identity,
        verb: "create",
        target: Target::Resource(Resource {
            group: &path.group,
            version: &path.version,
            resource: &path.resource,
            subresource: &path.subresource,
            namespace: &path.namespace,
            name: &path.name,
            ..Resource::default()
        }),
    };
    match server.access().authorize(&attributes).await {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(reason) => Err(ApiError::forbidden(&resource(), &path.name, attributes.refusal(&reason))),
    }
}

async fn to_kubelet<B: Upload>(
    server: &ApiServer,
    pod: &Value,
    ask: Ask<'_>,
    body: B,
    target: &str,
) -> Result<Response<Body>, ApiError> {
    if !matches!(ask.parts.method, Method::GET | Method::POST) {
        return Err(ApiError::method_not_allowed(&resource(), &ask.parts.method.as_str().to_ascii_lowercase()));
    }
    let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) else {
        return Err(ApiError::bad_request(format!("pod {} does not have a host assigned", ask.path.name)));
    };
    if !ask.parts.headers.contains_key(http::header::UPGRADE) {
        return Err(ApiError::bad_request("Upgrade request required"));
    }
    let backend = kubelet::of(server, node).await?;
    let headers: &HeaderMap = &ask.parts.headers;
    let (method, upgrade) = (ask.parts.method.clone(), ask.upgrade);
    Carry { server, backend: &backend, method, target, headers, upgrade, body }.run().await
}

/// The container that is meant.
fn container(pod: &Value, asked: &str) -> Result<String, ApiError> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let names = |list: &str| -> Vec<&str> {
        let all = pod["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|container| container["name"].as_str()).collect()
    };
    let main = names("containers");
    let all = [names("initContainers"), main.clone(), names("ephemeralContainers")].concat();
    if !asked.is_empty() {
        return match all.contains(&asked) {
            true => Ok(asked.to_owned()),
            false => Err(ApiError::bad_request(format!("container {asked} is not valid for pod {name}"))),
        };
    }
    match main[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(ApiError::bad_request(format!("a container name must be specified for pod {name}"))),
        _ => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

/// A query that is being made.
#[derive(Default)]
struct Query(String);

impl Query {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => self.0.push(byte.into()),
                other => self.0.push_str(&format!("%{other:02X}")),
            }
        }
    }

    fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containers_are_named_or_the_only_one() {
        let pod = |containers: &[&str]| {
            let containers: Vec<_> = containers.iter().map(|name| json!({"name": name})).collect();
            json!({"metadata": {"name": "p"}, "spec": {"containers": containers, "initContainers": [{"name": "i"}]}})
        };
        let say = |pod: &Value, asked| container(pod, asked).unwrap_or_else(|error| error.message);
        assert_eq!(say(&pod(&["a"]), ""), "a");
        assert_eq!(say(&pod(&["a"]), "i"), "i");
        assert_eq!(say(&pod(&["a"]), "x"), "container x is not valid for pod p");
        let many = "a container name must be specified for pod p, choose one of: [i a b]";
        assert_eq!(say(&pod(&["a", "b"]), ""), many);
    }

    #[test]
    fn queries_are_escaped() {
        let mut query = Query::default();
        query.add("command", "sh -c");
        query.add("command", "é&=");
        assert_eq!(query.text(), "?command=sh%20-c&command=%C3%A9%26%3D");
    }
}
