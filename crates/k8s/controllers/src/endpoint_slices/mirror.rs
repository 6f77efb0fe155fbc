//! Endpoints that somebody wrote by hand for a service without a selector, mirrored into slices.

use std::net::IpAddr;

use k8s_client::informer::Key;
use k8s_client::{Expectations, Index, Informer, Informers, Queue};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;

use super::desired::Group;
use super::fill::{Owner, Slices};
use super::{MANAGED_BY, SERVICE, managed, selector, text};

const OURS: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const MOST: usize = 1000;

#[derive(Clone)]
struct Looks {
    client: Client,
    services: Informer<Service>,
    endpoints: Informer<Endpoints>,
    slices: Index<EndpointSlice>,
    expected: Expectations,
}

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let queue: Queue<Key> = Queue::default();
    let all = informers.get::<EndpointSlice>();
    let looks = Looks {
        client: informers.client().clone(),
        services: informers.get(),
        endpoints: informers.get(),
        slices: all.index(|slice| managed(slice, OURS).iter().map(text).collect()),
        expected: Expectations::default(),
    };
    tokio::join!(looks.services.synced(), looks.endpoints.synced(), all.synced());
    let adds = || queue.clone();
    let _services = looks.services.on({
        let queue = adds();
        move |change| queue.add(change.key())
    });
    let _endpoints = looks.endpoints.on({
        let queue = adds();
        move |change| queue.add(change.key())
    });
    let _slices = all.on({
        let (queue, expected) = (adds(), looks.expected.clone());
        move |change| {
            for key in change.old.iter().chain(&change.new).filter_map(|slice| managed(slice, OURS)) {
                if change.old.is_none() {
                    expected.created(&text(&key));
                }
                queue.add(key);
            }
        }
    });
    queue.clone().work("endpointslicemirroring-controller", 2, |key| sync(looks.clone(), key)).await;
}

async fn sync(looks: Looks, key: Key) -> kube::Result<()> {
    if !looks.expected.fulfilled(&text(&key)) {
        return Ok(());
    }
    let service = looks.services.get(&key.0, &key.1).filter(|service| selector(service).is_none());
    let endpoints = looks.endpoints.get(&key.0, &key.1).filter(|endpoints| {
        let labels = endpoints.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(SKIP)).is_none_or(|skip| skip != "true")
    });
    let there = looks.slices.get(&text(&key));
    let (groups, endpoints) = match (service, endpoints) {
        (Some(_), Some(endpoints)) => (groups(endpoints.subsets.as_deref().unwrap_or_default()), Some(endpoints)),
        _ if there.is_empty() => return Ok(()),
        _ => (Vec::new(), None),
    };
    let mut labels = endpoints.as_ref().and_then(|endpoints| endpoints.metadata.labels.clone()).unwrap_or_default();
    labels.insert(SERVICE.to_owned(), key.1.clone());
    labels.insert(MANAGED_BY.to_owned(), OURS.to_owned());
    let reference = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Endpoints".to_owned(),
        name: key.1.clone(),
        uid: endpoints.and_then(|endpoints| endpoints.metadata.uid.clone()).unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    let slices = Slices { client: &looks.client, expected: &looks.expected, key: &key };
    slices.write(&Owner { reference, labels }, there, groups, MOST).await
}

fn groups(subsets: &[EndpointSubset]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for subset in subsets {
        let ports: Vec<EndpointPort> = subset.ports.iter().flatten().map(port).collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let other = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (address, ready) in ready.chain(other) {
            let Ok(ip) = address.ip.parse::<IpAddr>() else { continue };
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let endpoint = endpoint(address, ready);
            match groups.iter_mut().find(|group| group.family == family && group.ports == ports) {
                Some(group) => group.endpoints.push(endpoint),
                None => groups.push(Group { family, ports: ports.clone(), endpoints: vec![endpoint] }),
            }
        }
    }
    groups
}

fn port(port: &k8s_openapi::api::core::v1::EndpointPort) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
        app_protocol: port.app_protocol.clone(),
    }
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone(),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}
