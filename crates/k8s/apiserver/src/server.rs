//! The server as a whole: opening, serving TLS connections, the in-process service.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use k8s_store::Store;
use k8s_types::openapi;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::admission::pod_security;
use crate::allocate::Allocator;
use crate::auth::Access;
use crate::catalog::{Behaviour, Catalog};
use crate::discovery::{self, Discovery};
use crate::http::body::Body;
use crate::http::{Origin, handle, listen};
use crate::metrics::Metrics;
use crate::pki::Pki;
use crate::proxy::Sampler;
use crate::registry::Registry;
use crate::{Build, Config, Identity, OpenError, bootstrap, crd, datastore};

/// The API server, a cheap handle.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    access: Access,
    pki: Pki,
    discovery: Discovery,
    metrics: Metrics,
    config: Config,
    address: OnceLock<String>,
    ending: watch::Sender<bool>,
    /// Hashes of OpenAPI documents, of the rows' generation they are of.
    hashes: Mutex<(u64, HashMap<String, String>)>,
    tasks: Mutex<tokio::task::JoinSet<()>>,
    usage: Sampler,
}

impl ApiServer {
    /// Opens the store, the keys and everything that exists from the start.
    pub async fn open(config: Config) -> Result<ApiServer, OpenError> {
        let folder = |path: &std::path::Path| {
            std::fs::create_dir_all(path).map_err(|source| OpenError::Folder { path: path.to_owned(), source })
        };
        folder(&config.dir)?;
        let store = datastore::open(&config).await?;
        let opened = config.clone();
        let pki = tokio::task::spawn_blocking(move || Pki::open(&opened)).await;
        let pki = pki.map_err(|e| OpenError::Bootstrap(e.to_string()))??;
        Self::open_over(store, pki, config).await
    }

    /// The same over a store and keys that are open.
    pub async fn open_over(store: Store, pki: Pki, config: Config) -> Result<ApiServer, OpenError> {
        datastore::settle_authority(&store, &pki).await?;
        let catalog = Catalog::default();
        let registry = Registry::new(store, catalog.clone(), Allocator::new(&config)?);
        let access = Access::open(&registry, &pki, &config).await?;
        registry.set_access(access.clone());
        registry.set_event_ttl(config.event_ttl);
        if let Some(file) = &config.admission {
            registry.set_pod_security(pod_security::Config::read(file)?);
        }
        registry.allocator().load(&registry).await?;
        bootstrap::run(&registry, &pki, &config).await?;
        crd::start(&registry).await?;
        bootstrap::api_services::sync(&registry).await.map_err(|error| OpenError::Bootstrap(error.to_string()))?;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(pki.clone().run());
        tasks.spawn(bootstrap::api_services::follow(registry.clone()));
        let inner = Inner {
            registry,
            access,
            pki,
            discovery: Discovery::new(catalog),
            metrics: Metrics::default(),
            config,
            address: OnceLock::new(),
            ending: watch::Sender::new(false),
            hashes: Mutex::default(),
            tasks: Mutex::new(tasks),
            usage: Sampler::default(),
        };
        Ok(ApiServer { inner: Arc::new(inner) })
    }

    /// Every object, for what runs inside the server.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Keys and certificates.
    pub fn pki(&self) -> &Pki {
        &self.inner.pki
    }

    /// Serves connections until [`ApiServer::shutdown`], and writes the admin kubeconfig for the listener's port.
    pub async fn serve(&self, listener: TcpListener) -> Result<(), OpenError> {
        let address = listener.local_addr().map_err(|source| OpenError::Folder { path: "listener".into(), source })?;
        let _ = self.inner.address.set(address.to_string());
        self.inner.pki.write_kubeconfig(address.port())?;
        let (registry, config) = (self.inner.registry.clone(), self.inner.config.clone());
        if registry.store().shared() {
            self.tasks().spawn(bootstrap::servers::run(registry, config, address.port()));
        } else {
            if let Err(error) = bootstrap::advertise(&registry, &config, address.port()).await {
                tracing::error!(%error, "the kubernetes service does not lead here");
            }
            self.tasks().spawn(bootstrap::follow(registry, config, address.port()));
        }
        let tls = TlsAcceptor::from(self.inner.pki.server_config()?);
        listen(self.clone(), listener, tls, self.inner.ending.subscribe()).await;
        Ok(())
    }

    /// Serves one more listener, which nobody is told of.
    pub async fn serve_also(&self, listener: TcpListener) -> Result<(), OpenError> {
        let tls = TlsAcceptor::from(self.inner.pki.server_config()?);
        listen(self.clone(), listener, tls, self.inner.ending.subscribe()).await;
        Ok(())
    }

    /// The API for clients in this process, acting as `identity`: `kube::Client::new(server.service(identity), "default")`.
    pub fn service(&self, identity: Identity) -> Service {
        Service { server: self.clone(), origin: Origin::Inside(identity.into()) }
    }

    /// Ends watches and connections, and returns when the store is closed.
    pub async fn shutdown(&self) {
        self.inner.ending.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
        let port = self.inner.address.get().and_then(|address| address.parse::<std::net::SocketAddr>().ok());
        if let Some(address) = port.filter(|_| self.inner.registry.store().shared()) {
            bootstrap::servers::leave(&self.inner.registry, &self.inner.config, address.port()).await;
        }
        self.inner.registry.store().close().await;
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, tokio::task::JoinSet<()>> {
        self.inner.tasks.lock().expect("no panic while it is held")
    }

    pub(crate) fn access(&self) -> &Access {
        &self.inner.access
    }

    pub(crate) fn discovery(&self) -> &Discovery {
        &self.inner.discovery
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn build(&self) -> &Build {
        &self.inner.config.build
    }

    pub(crate) fn is_ending(&self) -> bool {
        *self.inner.ending.borrow()
    }

    /// Usage of nodes and pods.
    pub(crate) fn usage(&self) -> &Sampler {
        &self.inner.usage
    }

    /// Returns when the server ends.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut ending = self.inner.ending.subscribe();
        async move {
            let _ = ending.wait_for(|ending| *ending).await.is_ok();
        }
    }

    /// Address and port of the listener.
    pub(crate) fn address(&self) -> String {
        self.inner.address.get().cloned().unwrap_or_default()
    }

    /// Custom resources as OpenAPI publishes them.
    pub(crate) fn custom(&self) -> Vec<openapi::Custom> {
        let rows = self.inner.registry.catalog().rows();
        rows.iter()
            .filter_map(|row| match &row.behaviour {
                Behaviour::Custom(custom) => {
                    custom.schema().map(|schema| openapi::Custom { resource: row.resource.clone(), schema })
                }
                Behaviour::Builtin(_) => None,
            })
            .collect()
    }

    /// The hash of an OpenAPI document of the rows that `catalog().generation()` told before they were looked at, kept
    /// until they change; and the document, where it had to be made for that.
    pub(crate) fn openapi_hash(
        &self,
        generation: u64,
        name: &str,
        make: impl FnOnce() -> Vec<u8>,
    ) -> (String, Option<Vec<u8>>) {
        let mut hashes = self.inner.hashes.lock().expect("no panic while it is held");
        if hashes.0 != generation {
            *hashes = (generation, HashMap::new());
        }
        if let Some(hash) = hashes.1.get(name) {
            return (hash.clone(), None);
        }
        let bytes = make();
        let hash = discovery::hash(&bytes);
        hashes.1.insert(name.to_owned(), hash.clone());
        (hash, Some(bytes))
    }
}

/// The in-process API of one identity.
#[derive(Clone)]
pub struct Service {
    server: ApiServer,
    origin: Origin,
}

impl<B> tower::Service<Request<B>> for Service
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (server, origin) = (self.server.clone(), self.origin.clone());
        Box::pin(async move { Ok(handle(&server, &origin, request).await) })
    }
}
