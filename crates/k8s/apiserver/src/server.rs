//! The server as a whole: opening, serving TLS connections, the in-process service.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};

use crate::registry::Registry;
use crate::{Config, Identity, OpenError};

/// The API server, a cheap handle.
#[derive(Clone)]
pub struct ApiServer {
    registry: Registry,
}

impl ApiServer {
    /// Opens the store, the keys and everything that exists from the start.
    pub async fn open(_config: Config) -> Result<ApiServer, OpenError> {
        Err(OpenError::Store("not there yet".to_owned()))
    }

    /// Every object, for what runs inside the server.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Serves connections until [`ApiServer::shutdown`].
    pub async fn serve(&self, _listener: tokio::net::TcpListener) {}

    /// The API for clients in this process, acting as `identity`: `kube::Client::new(server.service(identity), "default")`.
    pub fn service(&self, identity: Identity) -> Service {
        Service { server: self.clone(), identity: identity.into() }
    }

    /// Ends watches and connections, and returns when the store is closed.
    pub async fn shutdown(&self) {}
}

/// The in-process API of one identity.
#[derive(Clone)]
pub struct Service {
    server: ApiServer,
    identity: std::sync::Arc<Identity>,
}

impl<B> tower::Service<Request<B>> for Service
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<http_body_util::Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<B>) -> Self::Future {
        let _ = (&self.server, &self.identity);
        Box::pin(async { Ok(Response::new(http_body_util::Full::default())) })
    }
}
