//! HTTP of nodes, pods and services: `nodes/proxy`, `pods/proxy`, `services/proxy`.

use http::uri::Scheme;
use http::{HeaderValue, Method, Response, header};
use k8s_types::object::GroupResource;
use k8s_types::status::ApiError;
use serde_json::Value;

use super::backend::{Backend, Trust};
use super::carry::Carry;
use super::{Ask, Upload, kubelet};
use crate::http::answer;
use crate::http::body::Body;
use crate::server::ApiServer;

/// `[scheme:]name[:port]`
struct Named<'a> {
    scheme: Scheme,
    name: &'a str,
    port: &'a str,
}

impl Named<'_> {
    fn parse(text: &str) -> Named<'_> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["https", name, port] => Named { scheme: Scheme::HTTPS, name, port },
            ["http" | "", name, port] | [name, port] => Named { scheme: Scheme::HTTP, name, port },
            _ => Named { scheme: Scheme::HTTP, name: text, port: "" },
        }
    }
}

/// `nodes/proxy`
pub async fn node<B: Upload>(server: &ApiServer, ask: Ask<'_>, body: B) -> Result<Response<Body>, ApiError> {
    let named = Named::parse(&ask.path.name);
    let mut backend = kubelet::of(server, named.name).await?;
    if let Ok(port) = named.port.parse::<u16>()
        && port != backend.port
    {
        backend = Backend { scheme: named.scheme, port, trust: Trust::Anyone, ..backend };
    }
    carry(server, &backend, ask, body).await
}

/// `pods/proxy`
pub async fn pod<B: Upload>(server: &ApiServer, ask: Ask<'_>, body: B) -> Result<Response<Body>, ApiError> {
    let named = Named::parse(&ask.path.name);
    let row = server.registry().row("", "pods")?;
    let pod = server.registry().get(&row, &ask.path.namespace, named.name).await?;
    let pod = pod.ok_or_else(|| ApiError::not_found(&GroupResource::new("", "pods"), named.name))?;
    let Some(host) = pod["status"]["podIP"].as_str().filter(|host| !host.is_empty()) else {
        return Err(ApiError::bad_request("address not allowed"));
    };
    let port = match named.port {
        "" => first_port(&pod).unwrap_or(if named.scheme == Scheme::HTTPS { 443 } else { 80 }),
        text => text.parse().map_err(|_| ApiError::bad_request(format!("invalid port \"{text}\"")))?,
    };
    let backend = Backend { scheme: named.scheme, host: host.to_owned(), port, trust: Trust::Anyone };
    carry(server, &backend, ask, body).await
}

/// The first port that a container of a pod has.
fn first_port(pod: &Value) -> Option<u16> {
    let mut ports = pod["spec"]["containers"].as_array()?.iter().filter_map(|c| c["ports"].as_array()).flatten();
    ports.next()?["containerPort"].as_u64()?.try_into().ok()
}

/// `services/proxy`
pub async fn service<B: Upload>(server: &ApiServer, ask: Ask<'_>, body: B) -> Result<Response<Body>, ApiError> {
    let named = Named::parse(&ask.path.name);
    let namespace = &ask.path.namespace;
    let row = server.registry().row("", "services")?;
    let service = server.registry().get(&row, namespace, named.name).await?;
    let service = service.ok_or_else(|| ApiError::not_found(&GroupResource::new("", "services"), named.name))?;
    let port = service_port(&service, named.port)?;
    let slices = server.registry().row("discovery.k8s.io", "endpointslices")?;
    let slices = server.registry().list(&slices, namespace).await?;
    let mut ends = endpoints(&slices, named.name, &port);
    if ends.is_empty() {
        let text = format!("no endpoints available for service \"{}\"", ask.path.name);
        return Err(ApiError::service_unavailable(text));
    }
    let (host, port) = ends.swap_remove(random(ends.len()));
    let backend = Backend { scheme: named.scheme, host, port, trust: Trust::Anyone };
    carry(server, &backend, ask, body).await
}

/// The name of the port of a service that is meant by name or number; the only one where none is.
fn service_port(service: &Value, asked: &str) -> Result<String, ApiError> {
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = match asked {
        "" => ports.first().filter(|_| ports.len() == 1),
        _ => {
            let number = asked.parse::<u16>().ok();
            ports.iter().find(|port| port["name"] == asked || number.is_some_and(|number| port["port"] == number))
        }
    };
    let found = found.map(|port| port["name"].as_str().unwrap_or_default().to_owned());
    found.ok_or_else(|| {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        ApiError::service_unavailable(format!("no service port \"{asked}\" found for service \"{name}\""))
    })
}

/// Addresses and ports that are ready.
fn endpoints(slices: &[Value], service: &str, port: &str) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    for slice in slices.iter().filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service) {
        let ports = slice["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        let number = ports.iter().find(|p| p["name"].as_str().unwrap_or_default() == port);
        let Some(number) = number.and_then(|p| p["port"].as_u64()?.try_into().ok()) else { continue };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            if endpoint["conditions"]["ready"] != false
                && let Some(address) = endpoint["addresses"][0].as_str()
            {
                found.push((address.to_owned(), number));
            }
        }
    }
    found
}

fn random(below: usize) -> usize {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    nanos as usize % below.max(1)
}

async fn carry<B: Upload>(
    server: &ApiServer,
    backend: &Backend,
    ask: Ask<'_>,
    body: B,
) -> Result<Response<Body>, ApiError> {
    let uri = &ask.parts.uri;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let (base, rest) = split(uri.path(), &ask.path.namespace);
    if rest.is_empty() && matches!(ask.parts.method, Method::GET | Method::HEAD) {
        let mut response = answer::with(301, "text/plain", Body::empty());
        if let Ok(location) = HeaderValue::from_str(&format!("{base}/{query}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        return Ok(response);
    }
    let target = format!("{}{query}", if rest.is_empty() { "/" } else { rest });
    let mut headers = ask.parts.headers.clone();
    for (name, value) in [("x-forwarded-uri", uri.path()), ("x-forwarded-proto", "https")] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if let Some(host) = ask.parts.headers.get(header::HOST) {
        headers.insert("x-forwarded-host", host.clone());
    }
    let (method, upgrade) = (ask.parts.method.clone(), ask.upgrade);
    let carried = Carry { server, backend, method, target: &target, headers: &headers, upgrade, body }.run().await;
    let mut response = carried?;
    // where it sends clients is beneath this path
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    if let Some(location) = location.filter(|location| location.starts_with('/')).map(|to| format!("{base}{to}"))
        && let Ok(location) = HeaderValue::from_str(&location)
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A path up to `/proxy`, and what follows, as it was written.
fn split<'a>(path: &'a str, namespace: &str) -> (&'a str, &'a str) {
    // `/api/v1/nodes/name/proxy`, `/api/v1/namespaces/namespace/pods/name/proxy`
    let segments = if namespace.is_empty() { 5 } else { 7 };
    let end = path.match_indices('/').nth(segments).map_or(path.len(), |(at, _)| at);
    path.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_have_schemes_and_ports() {
        for (text, scheme, name, port) in [
            ("a", "http", "a", ""),
            ("a:80", "http", "a", "80"),
            ("https:a:web", "https", "a", "web"),
            ("http:a:", "http", "a", ""),
        ] {
            let named = Named::parse(text);
            assert_eq!((named.scheme.as_str(), named.name, named.port), (scheme, name, port), "{text}");
        }
    }

    #[test]
    fn what_follows_the_proxy_stays_as_it_was_written() {
        let path = "/api/v1/namespaces/n/services/a:80/proxy/x%2Fy/";
        assert_eq!(split(path, "n"), ("/api/v1/namespaces/n/services/a:80/proxy", "/x%2Fy/"));
        assert_eq!(split("/api/v1/nodes/n/proxy", ""), ("/api/v1/nodes/n/proxy", ""));
    }

    #[test]
    fn endpoints_that_are_ready_are_found_by_the_ports_name() {
        let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "web", "port": 80}, {"name": "x", "port": 81}]}});
        assert_eq!(service_port(&service, "80").unwrap(), "web");
        assert_eq!(service_port(&service, "x").unwrap(), "x");
        assert_eq!(service_port(&service, "").unwrap_err().code, 503);
        let slice = json!({
            "metadata": {"labels": {"kubernetes.io/service-name": "s"}},
            "ports": [{"name": "web", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            ],
        });
        assert_eq!(endpoints(&[slice], "s", "web"), [("10.0.0.1".to_owned(), 8080)]);
    }
}
