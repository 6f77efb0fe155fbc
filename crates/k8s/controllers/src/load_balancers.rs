//! Load-balancers without a cloud: the nodes themselves, at their own addresses.
//!
//! A service of type LoadBalancer without a class gets the addresses of the ready nodes; each node leads its own to the service. Two services cannot
//! have the same port of the same addresses: the older one has it, the other waits.

use std::sync::Arc;

use k8s_client::informer::Key;
use k8s_client::{Informer, Informers, Queue, Recorder, Severity};
use k8s_openapi::api::core::v1::{Node, Service};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

#[derive(Clone)]
struct Looks {
    client: Client,
    services: Informer<Service>,
    nodes: Informer<Node>,
    recorder: Recorder,
}

/// Runs until dropped.
pub async fn run(informers: Informers) {
    let queue: Queue<Key> = Queue::default();
    let client = informers.client().clone();
    let looks = Looks {
        recorder: Recorder::new(client.clone(), "service-controller", ""),
        client,
        services: informers.get(),
        nodes: informers.get(),
    };
    tokio::join!(looks.services.synced(), looks.nodes.synced());
    let all = {
        let (queue, services) = (queue.clone(), looks.services.clone());
        move || {
            let balanced = services.list().into_iter().filter(|service| is_ours(service) || has_addresses(service));
            balanced.for_each(|service| queue.add(k8s_client::informer::key(&service.metadata)));
        }
    };
    let _services = looks.services.on({
        let (queue, all) = (queue.clone(), all.clone());
        move |change| {
            // others may get a port that is free now
            match &change.new {
                Some(_) => queue.add(change.key()),
                None => all(),
            }
        }
    });
    let _nodes = looks.nodes.on(move |change| {
        if change.old.as_deref().map(addresses) != change.new.as_deref().map(addresses) {
            all();
        }
    });
    queue.clone().work("service-lb-controller", 1, |key| sync(looks.clone(), key)).await;
}

/// Whether it wants a load-balancer of no particular class.
fn is_ours(service: &Service) -> bool {
    service.metadata.deletion_timestamp.is_none()
        && service
            .spec
            .as_ref()
            .is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none())
}

fn ingress(service: &Service) -> Value {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    json!(status.and_then(|status| status.ingress.as_ref()).map_or(&[][..], Vec::as_slice))
}

fn has_addresses(service: &Service) -> bool {
    ingress(service) != json!([])
}

/// Addresses of a node that others should use, if any should.
fn addresses(node: &Node) -> Vec<String> {
    let labels = node.metadata.labels.as_ref();
    if labels.is_some_and(|labels| labels.contains_key(EXCLUDED)) || node.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let Some(status) = &node.status else { return Vec::new() };
    let ready = status.conditions.iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True");
    let of_kind = |kind: &str| -> Vec<String> {
        let all = status.addresses.iter().flatten().filter(|address| address.type_ == kind);
        all.map(|address| address.address.clone()).collect()
    };
    let external = of_kind("ExternalIP");
    match (ready, external.is_empty()) {
        (false, _) => Vec::new(),
        (true, true) => of_kind("InternalIP"),
        (true, false) => external,
    }
}

async fn sync(looks: Looks, key: Key) -> kube::Result<()> {
    let Some(service) = looks.services.get(&key.0, &key.1) else { return Ok(()) };
    let class = service.spec.as_ref().and_then(|spec| spec.load_balancer_class.as_ref());
    let balanced = service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"));
    if balanced && class.is_some() {
        return Ok(());
    }
    let mut wanted = Vec::new();
    if is_ours(&service) {
        match rival(&looks.services.list(), &service) {
            Some(rival) => {
                let message = format!("its ports are those of {rival} already");
                looks.recorder.tell(&*service, Severity::Warning, "SyncLoadBalancerFailed", message);
            }
            None => wanted = looks.nodes.list().iter().flat_map(|node| addresses(node)).collect(),
        }
        let families = service.spec.iter().flat_map(|spec| spec.ip_families.iter().flatten());
        let families: Vec<&String> = families.collect();
        let family = |address: &String| if address.contains(':') { "IPv6" } else { "IPv4" };
        wanted.retain(|address| families.is_empty() || families.iter().any(|it| *it == family(address)));
        wanted.sort();
        wanted.dedup();
    }
    let wanted: Vec<Value> = wanted.iter().map(|address| json!({"ip": address, "ipMode": "VIP"})).collect();
    let wanted = json!(wanted);
    if ingress(&service) == wanted {
        return Ok(());
    }
    let list = if wanted == json!([]) { Value::Null } else { wanted };
    let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": list}}}));
    let api: Api<Service> = Api::namespaced(looks.client.clone(), &key.0);
    crate::ignore_absent(api.patch_status(&key.1, &PatchParams::default(), &patch).await)
}

/// An older service with one of the same ports.
fn rival(all: &[Arc<Service>], service: &Service) -> Option<String> {
    let age = |service: &Service| {
        (service.metadata.creation_timestamp.as_ref().map(|time| time.0), service.metadata.uid.clone())
    };
    let ports = |service: &Service| -> Vec<(i32, String)> {
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        ports.map(|port| (port.port, port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()))).collect()
    };
    let own = ports(service);
    let older = all.iter().filter(|other| is_ours(other) && age(other) < age(service));
    let mut same = older.filter(|other| ports(other).iter().any(|port| own.contains(port)));
    same.next().map(|other| {
        let (namespace, name) = k8s_client::informer::key(&other.metadata);
        format!("{namespace}/{name}")
    })
}
