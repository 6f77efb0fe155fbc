//! Variables that tell where the services of a namespace are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_client::Informer;
use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};

const DEFAULT: &str = "default";
/// The cluster's own service, which every pod is told of.
const MASTER: &str = "kubernetes";
const IDLE: Duration = Duration::from_secs(600);

/// Services of the namespaces whose pods start here: one cache for each, which ends when nobody has asked for a while.
#[derive(Clone)]
pub struct Services {
    client: Client,
    all: Arc<Mutex<HashMap<String, Followed>>>,
}

struct Followed {
    informer: Informer<Service>,
    asked: Instant,
}

impl Services {
    pub fn new(client: Client) -> Services {
        Services { client, all: Arc::default() }
    }

    /// The services of a namespace and the cluster's own one; waits for the caches' first fill.
    pub async fn of(&self, namespace: &str, links: bool) -> Vec<Arc<Service>> {
        let master = self.informer(DEFAULT);
        master.synced().await;
        let mut all: Vec<_> = master.get(DEFAULT, MASTER).into_iter().collect();
        if links {
            let own = self.informer(namespace);
            own.synced().await;
            all.extend(own.list());
        }
        all
    }

    fn informer(&self, namespace: &str) -> Informer<Service> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        all.retain(|known, followed| known == DEFAULT || now.duration_since(followed.asked) < IDLE);
        let followed = all.entry(namespace.to_owned()).or_insert_with(|| {
            let api = Api::namespaced(self.client.clone(), namespace);
            Followed { informer: Informer::start(api, k8s_client::follow::config()), asked: now }
        });
        followed.asked = now;
        followed.informer.clone()
    }
}

/// The variables of a pod: those of its namespace's services where it wants links, and always those of the cluster's own.
pub fn of_pod(services: &[Arc<Service>], namespace: &str, links: bool) -> BTreeMap<String, String> {
    let mut chosen = BTreeMap::new();
    for service in services {
        let (own, name) = (service.metadata.namespace.as_deref(), service.metadata.name.as_deref().unwrap_or_default());
        if links && own == Some(namespace) {
            chosen.insert(name, service);
        } else if own == Some(DEFAULT) && name == MASTER {
            chosen.entry(name).or_insert(service);
        }
    }
    let mut all = BTreeMap::new();
    for service in chosen.values() {
        all.extend(variables(service));
    }
    all
}

/// The variables of one service; none where it has no address of its own.
pub fn variables(service: &Service) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let Some(spec) = &service.spec else { return all };
    let address = spec.cluster_ip.as_deref().unwrap_or_default();
    if address.is_empty() || address == "None" {
        return all;
    }
    let prefix = upper(service.metadata.name.as_deref().unwrap_or_default());
    all.insert(format!("{prefix}_SERVICE_HOST"), address.to_owned());
    for (place, port) in spec.ports.iter().flatten().enumerate() {
        let number = port.port.to_string();
        if place == 0 {
            all.insert(format!("{prefix}_SERVICE_PORT"), number.clone());
        }
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            all.insert(format!("{prefix}_SERVICE_PORT_{}", upper(name)), number.clone());
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let lower = protocol.to_lowercase();
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let url = format!("{lower}://{host}:{number}");
        if place == 0 {
            all.insert(format!("{prefix}_PORT"), url.clone());
        }
        let of_port = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        all.insert(format!("{of_port}_PROTO"), lower);
        all.insert(format!("{of_port}_PORT"), number);
        all.insert(format!("{of_port}_ADDR"), address.to_owned());
        all.insert(of_port, url);
    }
    all
}

fn upper(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}
