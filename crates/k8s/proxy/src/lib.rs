//! Services of a cluster on one node: balanced by the kernel, called by their names.
//!
//! - [`balancer`]: one nf_tables table; a change of a service is a few elements of its maps
//! - [`dns`]: the name server of the cluster
//! - [`link`]: addresses that the daemon itself serves, and the route of services
//! - [`health`]: what load-balancers ask
//! - [`keep`]: the thread that follows services and endpoints
//! - [`facts`]: what objects say
//!
//! It talks only through the API, and knows nothing of who runs pods or serves the API. What it made in the kernel stays when it ends or dies, so that
//! connections go on; [`remove`] takes it away.

pub mod balancer;
mod config;
mod dns;
mod error;
mod facts;
mod health;
mod keep;
mod link;

use std::sync::{Arc, RwLock};

use k8s_client::{Informers, Subscription};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use config::{Config, Subnet};
pub use error::{Error, Result};

use crate::balancer::Balancer;
use crate::dns::server::{Answers, serve};
use crate::dns::upstream::Upstream;
use crate::dns::zone::Zone;
use crate::keep::{Keeper, Pending};

const SERVICE: &str = "kubernetes.io/service-name";

/// The proxy of this node; it ends when it is dropped, and leaves the kernel as it is.
pub struct Proxy {
    pending: Pending,
    tasks: JoinSet<()>,
    _watching: [Subscription; 3],
}

impl Proxy {
    /// Starts it on the calling thread's network namespace; must be called on a tokio runtime. What an earlier daemon left goes on until the caches
    /// are filled, and is adopted then.
    pub fn start(config: Config, informers: &Informers) -> Result<Proxy> {
        link::ensure(&config)?;
        let balancer = Balancer::open(&config)?;
        let (services, slices, nodes) =
            (informers.get::<Service>(), informers.get::<EndpointSlice>(), informers.get::<Node>());
        let pending = Pending::default();
        let watching = watching(&pending, informers, &config.node_name);
        let zone = Arc::new(RwLock::new(Zone::new(&config)));
        let (checks, checked) = watch::channel(Default::default());
        let keeper = Keeper {
            balancer,
            zone: zone.clone(),
            checks,
            services: services.clone(),
            slices: slices.index(|slice| service_of(slice).iter().map(keep::index_of).collect()),
            nodes: nodes.clone(),
            node_name: config.node_name.clone(),
            pending: pending.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(health::run(checked));
        let answers = Arc::new(Answers { zone, upstream: Upstream::new(&config) });
        // questions wait in the socket until it is known what to answer
        let (known, knows) = watch::channel(false);
        for address in config.dns.clone() {
            let (answers, mut knows) = (answers.clone(), knows.clone());
            tasks.spawn(async move {
                if knows.wait_for(|known| *known).await.is_ok() {
                    serve(answers, (address, 53).into()).await;
                }
            });
        }
        tasks.spawn(async move {
            tokio::join!(services.synced(), slices.synced(), nodes.synced());
            let thread = std::thread::Builder::new().name("services".to_owned());
            let start = thread.spawn(move || keeper.run(known));
            if let Err(error) = start.map_err(Error::Thread) {
                tracing::error!(%error, "services are not kept");
            }
        });
        Ok(Proxy { pending, tasks, _watching: watching })
    }

    /// Ends it; the kernel goes on balancing.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.pending.end();
    }
}

/// Makes the link of services, which [`Proxy::start`] does too: addresses of what the daemon serves, and the route of their range.
pub fn prepare(config: &Config) -> Result<()> {
    link::ensure(config)
}

/// Takes away everything that a proxy of this configuration made; goes on after an error and returns the first.
pub fn remove(config: &Config) -> Result<()> {
    let table = Balancer::open(config).and_then(Balancer::remove);
    table.and(link::remove(config))
}

/// Notes what has to be looked at when something changes.
fn watching(pending: &Pending, informers: &Informers, node_name: &str) -> [Subscription; 3] {
    let (of_services, of_slices, of_node) = (pending.clone(), pending.clone(), pending.clone());
    let node_name = node_name.to_owned();
    [
        informers.get::<Service>().on(move |change| of_services.add(change.key())),
        informers.get::<EndpointSlice>().on(move |change| {
            for slice in change.old.iter().chain(&change.new) {
                service_of(slice).into_iter().for_each(|name| of_slices.add(name));
            }
        }),
        informers.get::<Node>().on(move |change| {
            if change.object().metadata.name.as_deref() == Some(&node_name) {
                of_node.node();
            }
        }),
    ]
}

/// Whose endpoints a slice has.
fn service_of(slice: &EndpointSlice) -> Option<balancer::Name> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE)?;
    Some((slice.metadata.namespace.clone()?, name.clone()))
}
