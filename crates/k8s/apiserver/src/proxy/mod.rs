//! What nodes, pods and services answer themselves, reached through this server.
//!
//! ```text
//! pods/log, exec, attach, portforward ─▶ the kubelet of the pod's node ─┐
//! nodes/proxy ─▶ the node's kubelet ────────────────────────────────────┼─▶ the answer, or a connection both ways
//! pods/proxy, services/proxy ─▶ the pod's own address ──────────────────┘
//! metrics.k8s.io ─▶ /metrics/resource of all kubelets, twice, and the difference
//! ```
//! Streams are carried as they are: the kubelet speaks WebSocket and SPDY with the client, this server does not look into them.

mod backend;
mod carry;
mod figures;
mod kubelet;
mod metrics;
mod pods;
mod sampler;
mod services;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use k8s_types::status::ApiError;

use crate::Identity;
use crate::http::body::Body;
use crate::http::options::Parameters;
use crate::http::path::{ResourcePath, Route};
use crate::server::ApiServer;

pub use sampler::Sampler;

/// What a client sends with a request.
pub trait Upload: hyper::body::Body<Data = Bytes, Error: std::fmt::Display> + Send + 'static {}
impl<B: hyper::body::Body<Data = Bytes, Error: std::fmt::Display> + Send + 'static> Upload for B {}

/// A request that is not answered from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    Log,
    Exec,
    Attach,
    PortForward,
    PodProxy,
    ServiceProxy,
    NodeProxy,
    /// `metrics.k8s.io`
    Usage,
}

/// The request.
pub struct Ask<'a> {
    pub parts: &'a Parts,
    pub path: &'a ResourcePath,
    pub parameters: Parameters,
    /// The connection, for another protocol.
    pub upgrade: Option<OnUpgrade>,
}

impl Carried {
    /// Which of them a path names.
    pub fn of(route: &Route) -> Option<Carried> {
        let Route::Resource(path) = route else { return None };
        if path.group == metrics::GROUP && path.version == metrics::VERSION {
            return matches!(&*path.resource, "nodes" | "pods").then_some(Carried::Usage);
        }
        if !path.group.is_empty() || path.version != "v1" || path.name.is_empty() || path.watch {
            return None;
        }
        match (&*path.resource, &*path.subresource) {
            ("pods", "log") => Some(Carried::Log),
            ("pods", "exec") => Some(Carried::Exec),
            ("pods", "attach") => Some(Carried::Attach),
            ("pods", "portforward") => Some(Carried::PortForward),
            ("pods", "proxy") => Some(Carried::PodProxy),
            ("services", "proxy") => Some(Carried::ServiceProxy),
            ("nodes", "proxy") => Some(Carried::NodeProxy),
            _ => None,
        }
    }

    /// Whether it may take as long as it likes.
    pub fn lasts(self) -> bool {
        self != Carried::Usage
    }

    /// Answers it, after it was allowed.
    pub async fn answer<B: Upload>(
        self,
        server: &ApiServer,
        identity: &Identity,
        ask: Ask<'_>,
        body: B,
    ) -> Result<Response<Body>, ApiError> {
        match self {
            Carried::Usage => metrics::answer(server, &ask).await,
            Carried::Log => pods::log(server, &ask).await,
            Carried::Exec => pods::exec(server, identity, ask, body).await,
            Carried::Attach => pods::attach(server, identity, ask, body).await,
            Carried::PortForward => pods::port_forward(server, identity, ask, body).await,
            Carried::PodProxy => services::pod(server, ask, body).await,
            Carried::ServiceProxy => services::service(server, ask, body).await,
            Carried::NodeProxy => services::node(server, ask, body).await,
        }
    }
}
