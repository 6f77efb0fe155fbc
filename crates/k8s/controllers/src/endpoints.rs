//! Endpoints, the older form of endpoint slices: one object for each service with a selector.

use std::sync::Arc;

use k8s_client::informer::Key;
use k8s_client::{Informer, Informers, Queue};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};

use crate::endpoint_slices::{HEADLESS, concerned, desired, selector};
use crate::pods::{has_ended, is_ready, is_terminating};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const OURS: &str = "endpoint-controller";
/// Told where there are more addresses than one object takes.
const OVER: &str = "endpoints.kubernetes.io/over-capacity";
const MOST: usize = 1000;

#[derive(Clone)]
struct Looks {
    client: Client,
    services: Informer<Service>,
    pods: Informer<Pod>,
    endpoints: Informer<Endpoints>,
}

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let queue: Queue<Key> = Queue::default();
    let looks = Looks {
        client: informers.client().clone(),
        services: informers.get(),
        pods: informers.get(),
        endpoints: informers.get(),
    };
    tokio::join!(looks.services.synced(), looks.pods.synced(), looks.endpoints.synced());
    let _services = looks.services.on({
        let queue = queue.clone();
        move |change| queue.add(change.key())
    });
    let _pods = looks.pods.on({
        let (queue, services) = (queue.clone(), looks.services.clone());
        move |change| concerned(&services, change).into_iter().for_each(|key| queue.add(key))
    });
    let _endpoints = looks.endpoints.on({
        let queue = queue.clone();
        move |change| queue.add(change.key())
    });
    queue.clone().work("endpoint-controller", 4, |key| sync(looks.clone(), key)).await;
}

async fn sync(looks: Looks, key: Key) -> kube::Result<()> {
    let api: Api<Endpoints> = Api::namespaced(looks.client.clone(), &key.0);
    let there = looks.endpoints.get(&key.0, &key.1);
    let Some(service) = looks.services.get(&key.0, &key.1) else {
        // an object of this name may also be somebody's lock; only what this controller made goes
        let ours = there.as_ref().is_some_and(|endpoints| {
            endpoints.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == OURS)
        });
        return if ours { crate::ignore_absent(api.delete(&key.1, &DeleteParams::default()).await) } else { Ok(()) };
    };
    let Some(wanted) = selector(&service).filter(|_| service.metadata.deletion_timestamp.is_none()) else {
        return Ok(());
    };
    let pods = looks.pods.namespace(&key.0);
    let chosen: Vec<Arc<Pod>> = pods.into_iter().filter(|pod| desired::is_selected(pod, wanted)).collect();
    let (subsets, over) = subsets(&service, &chosen);
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.to_owned(), OURS.to_owned());
    if service.spec.as_ref().is_some_and(|spec| spec.cluster_ip.as_deref() == Some("None")) {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    let mut annotations = there.as_ref().and_then(|it| it.metadata.annotations.clone()).unwrap_or_default();
    match over {
        true => annotations.insert(OVER.to_owned(), "truncated".to_owned()),
        false => annotations.remove(OVER),
    };
    let written = match there {
        Some(there) => {
            let mut new = Endpoints::clone(&there);
            new.subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
            new.metadata.labels = Some(labels);
            new.metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
            if new == *there {
                return Ok(());
            }
            api.replace(&key.1, &PostParams::default(), &new).await.map(drop)
        }
        None => {
            let metadata = ObjectMeta {
                name: Some(key.1.clone()),
                namespace: Some(key.0.clone()),
                labels: Some(labels),
                annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
                ..ObjectMeta::default()
            };
            let new = Endpoints { metadata, subsets: Some(subsets).filter(|subsets| !subsets.is_empty()) };
            crate::ignore_present(api.create(&PostParams::default(), &new).await)
        }
    };
    match written {
        // the namespace is being deleted
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        other => other,
    }
}

/// Addresses by their ports, and whether some did not fit.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<EndpointSubset>, bool) {
    let family = desired::families(service)[0];
    let all = desired::publishes_all(service);
    let mut found: Vec<(Vec<EndpointPort>, EndpointAddress, bool)> = Vec::new();
    for pod in pods.iter().filter(|pod| all || !is_terminating(pod)).filter(|pod| !has_ended(pod)) {
        let own = |address: &&std::net::IpAddr| address.is_ipv4() == (family == "IPv4");
        let Some(ip) = desired::addresses(pod).iter().find(own).copied() else { continue };
        let ports: Vec<EndpointPort> = desired::ports(service, pod).into_iter().map(port).collect();
        let has_ports = service.spec.as_ref().is_some_and(|spec| spec.ports.as_ref().is_some_and(|it| !it.is_empty()));
        if ports.is_empty() && has_ports {
            continue;
        }
        let address = EndpointAddress {
            ip: ip.to_string(),
            hostname: desired::hostname(service, pod),
            node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(desired::reference(pod)),
        };
        found.push((ports, address, all || is_ready(pod)));
    }
    let over = found.len() > MOST;
    // of too many, those that are not ready stay out first
    found.sort_by(|one, other| (!one.2, &one.1.ip).cmp(&(!other.2, &other.1.ip)));
    found.truncate(MOST);
    let mut subsets: Vec<EndpointSubset> = Vec::new();
    for (ports, address, ready) in found {
        let ports = Some(ports).filter(|ports| !ports.is_empty());
        let at = subsets.iter().position(|subset| subset.ports == ports).unwrap_or_else(|| {
            subsets.push(EndpointSubset { ports, ..EndpointSubset::default() });
            subsets.len() - 1
        });
        let list = if ready { &mut subsets[at].addresses } else { &mut subsets[at].not_ready_addresses };
        list.get_or_insert_default().push(address);
    }
    (subsets, over)
}

fn port(port: k8s_openapi::api::discovery::v1::EndpointPort) -> EndpointPort {
    EndpointPort {
        name: port.name.filter(|name| !name.is_empty()),
        port: port.port.unwrap_or_default(),
        protocol: port.protocol,
        app_protocol: port.app_protocol,
    }
}
