//! Endpoint slices: who receives what is meant for a service, from the pods that it selects, or from endpoints that somebody wrote by hand.
//!
//! - [`desired`]: the endpoints that pods make
//! - [`fill`]: endpoints spread over slices, with few writes
//! - [`mirror`]: endpoints written by hand

pub mod desired;
pub mod fill;
pub mod mirror;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_client::informer::{Change, Key};
use k8s_client::{Expectations, Index, Informer, Informers, Queue};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;

use desired::Zones;
use fill::{Owner, Slices};

pub const SERVICE: &str = "kubernetes.io/service-name";
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub const HEADLESS: &str = "service.kubernetes.io/headless";
const OURS: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

/// What the controller looks at.
#[derive(Clone)]
struct Looks {
    client: Client,
    services: Informer<Service>,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
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
        pods: informers.get(),
        nodes: informers.get(),
        slices: all.index(|slice| managed(slice, OURS).iter().map(text).collect()),
        expected: Expectations::default(),
    };
    tokio::join!(looks.services.synced(), looks.pods.synced(), looks.nodes.synced(), all.synced());
    let _services = looks.services.on({
        let queue = queue.clone();
        move |change| queue.add(change.key())
    });
    let _pods = looks.pods.on({
        let (queue, services) = (queue.clone(), looks.services.clone());
        move |change| concerned(&services, change).into_iter().for_each(|key| queue.add(key))
    });
    let _slices = all.on({
        let (queue, expected) = (queue.clone(), looks.expected.clone());
        move |change| {
            for key in change.old.iter().chain(&change.new).filter_map(|slice| managed(slice, OURS)) {
                if change.old.is_none() {
                    expected.created(&text(&key));
                }
                queue.add(key);
            }
        }
    });
    let _nodes = looks.nodes.on({
        let (queue, services) = (queue.clone(), looks.services.clone());
        move |change| {
            let zone = |node: &Arc<Node>| node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE)).cloned();
            if change.old.as_ref().and_then(zone) != change.new.as_ref().and_then(zone) {
                services.list().iter().for_each(|service| queue.add(k8s_client::informer::key(&service.metadata)));
            }
        }
    });
    queue.clone().work("endpointslice-controller", 4, |key| sync(looks.clone(), key)).await;
}

/// Services whose endpoints a change of a pod may change.
pub(crate) fn concerned(services: &Informer<Service>, change: &Change<Pod>) -> Vec<Key> {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && desired::looks_same(old, new)
    {
        return Vec::new();
    }
    let namespace = change.object().metadata.namespace.clone().unwrap_or_default();
    let selects = |service: &Arc<Service>| {
        let pods = change.old.iter().chain(&change.new);
        selector(service).is_some_and(|wanted| pods.into_iter().any(|pod| desired::is_selected(pod, wanted)))
    };
    let all = services.namespace(&namespace).into_iter().filter(selects);
    all.map(|service| k8s_client::informer::key(&service.metadata)).collect()
}

/// Labels that pods of a service have; nothing if it does not choose by labels.
pub(crate) fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"))?;
    spec.selector.as_ref().filter(|selector| !selector.is_empty())
}

/// The service of a slice that a controller of that name keeps.
pub(crate) fn managed(slice: &EndpointSlice, by: &str) -> Option<Key> {
    let labels = slice.metadata.labels.as_ref()?;
    let name = labels.get(SERVICE).filter(|_| labels.get(MANAGED_BY).is_some_and(|manager| manager == by))?;
    Some((slice.metadata.namespace.clone()?, name.clone()))
}

pub(crate) fn text((namespace, name): &Key) -> String {
    format!("{namespace}/{name}")
}

async fn sync(looks: Looks, key: Key) -> kube::Result<()> {
    let Some(service) = looks.services.get(&key.0, &key.1) else {
        looks.expected.forget(&text(&key));
        return Ok(());
    };
    if service.metadata.deletion_timestamp.is_some() || !looks.expected.fulfilled(&text(&key)) {
        return Ok(());
    }
    let zones: Zones = looks
        .nodes
        .list()
        .iter()
        .filter_map(|node| Some((node.metadata.name.clone()?, node.metadata.labels.as_ref()?.get(ZONE)?.clone())))
        .collect();
    let groups = match selector(&service) {
        Some(wanted) => {
            let pods = looks.pods.namespace(&key.0);
            let chosen: Vec<Arc<Pod>> = pods.into_iter().filter(|pod| desired::is_selected(pod, wanted)).collect();
            desired::groups(&service, &chosen, &zones)
        }
        None => Vec::new(),
    };
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: key.1.clone(),
        uid: service.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    if service.spec.as_ref().is_some_and(|spec| spec.cluster_ip.as_deref() == Some("None")) {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    labels.insert(SERVICE.to_owned(), key.1.clone());
    labels.insert(MANAGED_BY.to_owned(), OURS.to_owned());
    let slices = Slices { client: &looks.client, expected: &looks.expected, key: &key };
    slices.write(&Owner { reference: owner, labels }, looks.slices.get(&text(&key)), groups, 100).await
}
