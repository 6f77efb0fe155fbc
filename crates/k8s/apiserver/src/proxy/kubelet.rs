//! Where a node's kubelet is.

use http::uri::Scheme;
use k8s_types::object::GroupResource;
use k8s_types::status::ApiError;
use serde_json::Value;

use super::backend::{Backend, Trust};
use crate::server::ApiServer;

/// Where kubelets listen that do not say it.
const PORT: u16 = 10250;
/// Which of a node's addresses is tried, the best first.
const ADDRESSES: &[&str] = &["InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS", "Hostname"];

/// The kubelet of a node.
pub async fn of(server: &ApiServer, name: &str) -> Result<Backend, ApiError> {
    let row = server.registry().row("", "nodes")?;
    let node = server.registry().get(&row, "", name).await?;
    let node = node.ok_or_else(|| ApiError::not_found(&GroupResource::new("", "nodes"), name))?;
    at(server, &node)
}

/// The kubelet of a node that was read.
pub fn at(server: &ApiServer, node: &Value) -> Result<Backend, ApiError> {
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let addresses = node["status"]["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |kind: &&str| addresses.iter().find(|address| address["type"] == **kind)?["address"].as_str();
    let Some(host) = ADDRESSES.iter().find_map(of) else {
        let text = format!("no preferred addresses found; known addresses: {}", node["status"]["addresses"]);
        return Err(ApiError::internal(text));
    };
    let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64();
    let config = server.pki().node_client().map_err(ApiError::internal)?;
    Ok(Backend {
        scheme: Scheme::HTTPS,
        host: host.to_owned(),
        port: port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).unwrap_or(PORT),
        // a node's certificate is for its name, whichever of its addresses it is reached at
        trust: Trust::Named { name: name.to_owned(), config },
    })
}
