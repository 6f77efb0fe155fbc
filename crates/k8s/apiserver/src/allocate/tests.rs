//! Choices, refusals, and many services at once.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_store::{Options, Store};
use serde_json::{Value, json};

use super::range::{Cidr, Numbers};
use super::{Allocator, PORTS, claims};
use crate::Config;
use crate::admission::lookup;
use crate::catalog::{Catalog, Row};
use crate::registry::{Call, Registry};

struct World {
    registry: Registry,
    row: Arc<Row>,
}

impl World {
    async fn new(cidrs: &[&str]) -> World {
        World::over(Store::in_memory(Options::default()), cidrs).await
    }

    async fn over(store: Store, cidrs: &[&str]) -> World {
        let mut config = Config::new("/nonexistent");
        config.service_cidrs = cidrs.iter().map(|text| (*text).to_owned()).collect();
        let allocator = Allocator::new(&config).unwrap();
        let registry = Registry::new(store, Catalog::default(), allocator.clone());
        let namespaces = registry.row("", "namespaces").unwrap();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}});
        let _ = registry.create(&Call::internal(), &namespaces, "", namespace).await;
        allocator.load(&registry).await.unwrap();
        let row = registry.row("", "services").unwrap();
        World { registry, row }
    }

    async fn create(&self, name: &str, spec: Value) -> Result<Value, String> {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
        let created = self.registry.create(&Call::internal(), &self.row, "ns", service).await;
        created.map_err(|error| error.message)
    }

    async fn update(&self, name: &str, change: impl FnOnce(&mut Value)) -> Result<Value, String> {
        let mut service = self.registry.get(&self.row, "ns", name).await.unwrap().unwrap();
        change(&mut service);
        self.registry.update(&Call::internal(), &self.row, "", service).await.map_err(|error| error.message)
    }

    async fn delete(&self, name: &str) {
        self.registry.delete(&Call::internal(), &self.row, "ns", name, Value::Null).await.unwrap();
    }

    async fn addresses(&self) -> Vec<String> {
        let list = lookup::list(&self.registry, "networking.k8s.io", "ipaddresses", "").await.unwrap();
        list.iter().map(|a| a["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn ports() -> Value {
    json!([{"port": 80}])
}

#[test]
fn the_first_of_a_range_are_left_to_who_asks_for_them() {
    let cidr = Cidr::parse("10.43.0.0/16").unwrap();
    assert_eq!(cidr.numbers(), Numbers { count: 65534, band: 256 });
    assert_eq!(cidr.address(0).to_string(), "10.43.0.1");
    assert_eq!(cidr.numbers().choose(0, |_| true), Some(256));
    assert_eq!(cidr.numbers().choose(7, |number| number < 256), Some(0));
    assert!(!cidr.usable("10.43.0.0".parse().unwrap()) && !cidr.usable("10.43.255.255".parse().unwrap()));
    assert!(cidr.usable("10.43.255.254".parse().unwrap()));
    assert_eq!(Numbers::of_ports(30000, 32767), Numbers { count: 2768, band: 86 });
    assert_eq!(Cidr::parse("10.0.0.0/29").unwrap().numbers(), Numbers { count: 6, band: 0 });
    assert_eq!(Cidr::parse("fd00::/112").unwrap().address(0).to_string(), "fd00::1");
}

#[tokio::test]
async fn a_service_gets_an_address_and_gives_it_back() {
    let world = World::new(&["10.43.0.0/16"]).await;
    let service = world.create("a", json!({"ports": ports()})).await.unwrap();
    let ip = service["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert_eq!(service["spec"]["clusterIPs"], json!([ip]));
    assert_eq!(service["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(service["spec"]["ipFamilyPolicy"], "SingleStack");
    assert_eq!(world.addresses().await, [ip.as_str()]);
    let taken = world.create("b", json!({"ports": ports(), "clusterIP": ip})).await.unwrap_err();
    let expected = format!(
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"{ip}\"]: failed to allocate IP {ip}: provided IP is already allocated"
    );
    assert_eq!(taken, expected);
    world.delete("a").await;
    assert!(world.addresses().await.is_empty());
    world.create("b", json!({"ports": ports(), "clusterIP": ip})).await.unwrap();
}

#[tokio::test]
async fn addresses_outside_are_refused() {
    let world = World::new(&["10.43.0.0/16"]).await;
    let refused = world.create("a", json!({"ports": ports(), "clusterIP": "10.44.0.1"})).await.unwrap_err();
    assert!(
        refused
            .ends_with("the provided IP (10.44.0.1) is not in the valid range. The range of valid IPs is 10.43.0.0/16"),
        "{refused}"
    );
    let refused = world.create("a", json!({"ports": ports(), "clusterIP": "nonsense"})).await.unwrap_err();
    assert!(refused.contains("must be a valid IP address"), "{refused}");
    assert!(world.addresses().await.is_empty());
}

#[tokio::test]
async fn headless_and_external_services_have_none() {
    let world = World::new(&["10.43.0.0/16"]).await;
    let headless = world.create("a", json!({"clusterIP": "None", "selector": {"a": "b"}})).await.unwrap();
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    assert_eq!(headless["spec"]["ipFamilies"], json!(["IPv4"]));
    let boundless = world.create("b", json!({"clusterIP": "None"})).await.unwrap();
    assert_eq!(boundless["spec"]["ipFamilyPolicy"], "RequireDualStack");
    assert_eq!(boundless["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    let external = world.create("c", json!({"type": "ExternalName", "externalName": "example.com"})).await.unwrap();
    assert!(external["spec"]["clusterIP"].is_null(), "{external}");
    assert!(world.addresses().await.is_empty());
}

#[tokio::test]
async fn two_families_where_the_cluster_has_them() {
    let world = World::new(&["10.43.0.0/16", "fd00:43::/112"]).await;
    let service = world.create("a", json!({"ports": ports(), "ipFamilyPolicy": "PreferDualStack"})).await.unwrap();
    assert_eq!(service["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(world.addresses().await.len(), 2);
    let single = world.update("a", |s| s["spec"]["ipFamilyPolicy"] = "SingleStack".into()).await.unwrap();
    assert_eq!(single["spec"]["clusterIPs"].as_array().unwrap().len(), 1);
    assert_eq!(world.addresses().await.len(), 1);
    let both = world.update("a", |s| s["spec"]["ipFamilyPolicy"] = "RequireDualStack".into()).await.unwrap();
    assert_eq!(both["spec"]["clusterIPs"].as_array().unwrap().len(), 2);
    let one = World::new(&["10.43.0.0/16"]).await;
    let refused = one.create("a", json!({"ports": ports(), "ipFamilyPolicy": "RequireDualStack"})).await.unwrap_err();
    assert!(refused.contains("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services"), "{refused}");
}

#[tokio::test]
async fn node_ports_are_chosen_claimed_and_given_back() {
    let world = World::new(&["10.43.0.0/16"]).await;
    let two = json!([{"name": "t", "port": 53, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"}]);
    let dns = world.create("dns", json!({"type": "NodePort", "ports": two})).await.unwrap();
    let port = dns["spec"]["ports"][0]["nodePort"].as_i64().unwrap();
    assert!((30086..=32767).contains(&port));
    assert_eq!(dns["spec"]["ports"][1]["nodePort"], port);
    let asked = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    let expected = format!(
        "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"
    );
    assert_eq!(world.create("b", asked.clone()).await.unwrap_err(), expected);
    let outside = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]});
    let expected = "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767";
    assert_eq!(world.create("b", outside).await.unwrap_err(), expected);
    world.update("dns", |service| service["spec"]["type"] = "ClusterIP".into()).await.unwrap();
    assert_eq!(world.registry.store().count(PORTS), 0);
    let b = world.create("b", asked).await.unwrap();
    assert_eq!(b["spec"]["ports"][0]["nodePort"], port);
    world.delete("b").await;
    assert_eq!(world.registry.store().count(PORTS), 0);
}

#[tokio::test]
async fn balanced_services_get_a_health_port() {
    let world = World::new(&["10.43.0.0/16"]).await;
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": ports()});
    let service = world.create("a", spec).await.unwrap();
    assert!(service["spec"]["healthCheckNodePort"].as_i64().unwrap() >= 30000);
    assert_eq!(world.registry.store().count(PORTS), 2);
    let none = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": ports()});
    let service = world.create("b", none).await.unwrap();
    assert!(service["spec"]["ports"][0]["nodePort"].is_null());
}

#[tokio::test]
async fn a_change_of_type_takes_and_gives_back() {
    let world = World::new(&["10.43.0.0/16"]).await;
    let external = json!({"type": "ExternalName", "externalName": "example.com", "ports": ports()});
    world.create("a", external).await.unwrap();
    world.update("a", |service| service["spec"] = json!({"type": "ClusterIP", "ports": ports()})).await.unwrap();
    assert_eq!(world.addresses().await.len(), 1);
    world
        .update("a", |service| {
            service["spec"]["type"] = "ExternalName".into();
            service["spec"]["externalName"] = "example.com".into();
        })
        .await
        .unwrap();
    assert!(world.addresses().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_over_one_store_give_nothing_twice() {
    let store = Store::in_memory(Options::default());
    let range = ["10.43.0.0/26"];
    let worlds = [World::over(store.clone(), &range).await, World::over(store, &range).await];
    let worlds = Arc::new(worlds);
    let tasks: Vec<_> = (0..80)
        .map(|i| {
            let worlds = worlds.clone();
            tokio::spawn(async move {
                let spec = json!({"type": "NodePort", "ports": ports()});
                worlds[i % 2].create(&format!("s{i}"), spec).await
            })
        })
        .collect();
    let (mut ips, mut node_ports, mut refused) = (HashSet::new(), HashSet::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(service) => {
                assert!(ips.insert(service["spec"]["clusterIP"].as_str().unwrap().to_owned()));
                assert!(node_ports.insert(service["spec"]["ports"][0]["nodePort"].as_i64().unwrap()));
            }
            Err(why) => {
                assert_eq!(why, "Internal error occurred: failed to allocate a serviceIP: range is full");
                refused += 1;
            }
        }
    }
    // all 62 usable addresses are given, each once
    assert_eq!((ips.len(), refused), (62, 18));
    assert_eq!(worlds[0].addresses().await.len(), 62);
    assert_eq!(worlds[0].registry.store().count(PORTS), 62);
}

#[tokio::test]
async fn the_start_mends_claims() {
    let store = Store::in_memory(Options::default());
    let world = World::over(store.clone(), &["10.43.0.0/16"]).await;
    let service = world.create("a", json!({"type": "NodePort", "ports": ports()})).await.unwrap();
    let ip: std::net::IpAddr = service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap();
    store.write(claims::give_back_ip(ip)).await.unwrap();
    let ghost = json!({"metadata": {"name": "ghost", "namespace": "ns"}});
    store.write(claims::take_ip("10.43.9.9".parse().unwrap(), &ghost)).await.unwrap();
    store.write(claims::take_port(31999, &ghost)).await.unwrap();
    let again = World::over(store, &["10.43.0.0/16"]).await;
    assert_eq!(again.addresses().await, [ip.to_string()]);
    assert_eq!(again.registry.store().count(PORTS), 1);
    let taken = again.create("b", json!({"ports": ports(), "clusterIP": ip.to_string()})).await.unwrap_err();
    assert!(taken.ends_with("provided IP is already allocated"));
}

#[tokio::test]
async fn a_dry_run_takes_nothing() {
    let world = World::new(&["10.43.0.0/16"]).await;
    let mut call = Call::internal();
    call.dry_run = crate::admission::DryRun::All;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": ports()}});
    let created = world.registry.create(&call, &world.row, "ns", service).await.unwrap();
    assert!(created["spec"]["clusterIP"].is_string());
    assert!(world.addresses().await.is_empty() && world.registry.allocator().taken().ips.is_empty());
}
