//! Opening the runtime of pods on an engine, and telling who listens when a pod has changed.

use std::sync::{Arc, Mutex, PoisonError};

use engine::{Engine, EventKind, EventQuery, Filters};
use network::{PodNetwork, Subnet4};
use tokio::sync::broadcast;

use crate::owner::pod_of_labels;
use crate::runtime::{Changed, Error, Kind, PodName, Result, Runtime};

/// A listener that is further behind is told that it lagged.
const BACKLOG: usize = 4096;
/// Events of a container that change what is told of it.
const CHANGES: [&str; 8] = ["create", "start", "die", "oom", "pause", "unpause", "update", "destroy"];

/// How pods are run.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's part of the pods' addresses; `None`: told later with [`crate::Sandboxes::configure`], else the first
    /// part of all of them.
    pub pod_cidr: Option<Subnet4>,
    /// Where pods are known by their own addresses: all nodes' pods, and services.
    pub known_in: Vec<Subnet4>,
    /// MTU of the network of pods; 0 means the kernel's default.
    pub mtu: u32,
}

impl Default for Config {
    fn default() -> Config {
        let subnet = |third: u8| Subnet4::new(std::net::Ipv4Addr::new(10, third, 0, 0), 16);
        Config { pod_cidr: None, known_in: vec![subnet(42), subnet(43)], mtu: 0 }
    }
}

/// The runtime; every part of it is this.
#[derive(Clone)]
pub(crate) struct Pods {
    pub engine: Engine,
    config: Arc<Config>,
    /// What the network of pods was last said to be.
    subnet: Arc<Mutex<Option<Subnet4>>>,
    changes: broadcast::Sender<Changed>,
}

/// Opens the runtime of pods. What ran before is there again.
pub async fn open(engine: Engine, config: Config) -> Result<Runtime> {
    let filters = Filters([("type".to_owned(), [EventKind::Container.as_str().to_owned()].into())].into());
    let events = engine.events(EventQuery { filters, ..EventQuery::default() }).await.map_err(error)?;
    let (subnet, changes) = (Arc::new(Mutex::new(config.pod_cidr)), broadcast::channel(BACKLOG).0);
    let pods = Pods { engine, config: Arc::new(config), subnet, changes };
    if let Some(subnet) = pods.config.pod_cidr {
        pods.set_network(subnet).await?;
    }
    tokio::spawn(forward(events, pods.changes.clone()));
    let version = format!("sampan://{}", env!("CARGO_PKG_VERSION"));
    let pods = Arc::new(pods);
    Ok(Runtime { sandboxes: pods.clone(), containers: pods.clone(), streams: pods.clone(), images: pods, version })
}

impl Pods {
    pub async fn set_network(&self, subnet: Subnet4) -> Result<()> {
        let wanted = PodNetwork { subnet, known_in: self.config.known_in.clone(), mtu: self.config.mtu };
        self.engine.set_pod_network(wanted).await.map_err(error)?;
        *self.subnet.lock().unwrap_or_else(PoisonError::into_inner) = Some(subnet);
        Ok(())
    }

    /// Makes the network of pods if nobody said what it is to be.
    pub async fn ensure_network(&self) -> Result<()> {
        if self.engine.has_pod_network() {
            return Ok(());
        }
        let said = *self.subnet.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(subnet) = said {
            return self.set_network(subnet).await;
        }
        let first = self.config.known_in.first().map_or(std::net::Ipv4Addr::new(10, 42, 0, 0), |all| all.base());
        self.set_network(Subnet4::new(first, 24)).await
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    /// Tells that something changed in a pod.
    pub fn tell(&self, pod: PodName) {
        // No listener is no error.
        let _ = self.changes.send(Changed { pod });
    }
}

async fn forward(mut events: engine::EventStream, to: broadcast::Sender<Changed>) {
    while let Some(event) = events.next().await {
        if CHANGES.contains(&event.action.as_str())
            && let Some(pod) = pod_of_labels(&event.attributes)
        {
            // No listener is no error.
            let _ = to.send(Changed { pod });
        }
    }
}

/// An error of the engine in the terms of the border.
pub(crate) fn error(error: engine::Error) -> Error {
    let kind = match error.kind() {
        engine::Kind::NotFound => Kind::NotFound,
        engine::Kind::Conflict | engine::Kind::NotModified | engine::Kind::Unavailable => Kind::Unavailable,
        engine::Kind::Invalid => Kind::Invalid,
        engine::Kind::Denied | engine::Kind::Unauthorized => Kind::Invalid,
        engine::Kind::Unimplemented => Kind::Unimplemented,
        engine::Kind::Internal => Kind::Internal,
    };
    Error { kind, message: error.message().to_owned() }
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error { kind: Kind::Invalid, message: message.into() }
}
