//! Tables of variables and fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_types::quantity::Quantity;
use serde_json::{Value, json};

use super::*;
use crate::sources::Found;

fn pod(container: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u-1", "labels": {"app": "a", "b": "x\"y\n"},
            "annotations": {"note": "é"}},
        "spec": {"nodeName": "n", "serviceAccountName": "sa", "containers": [container]},
    }))
    .unwrap()
}

fn service(namespace: &str, name: &str, address: &str, ports: Value) -> Arc<Service> {
    let value =
        json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"clusterIP": address, "ports": ports}});
    Arc::new(serde_json::from_value(value).unwrap())
}

struct World {
    found: Found,
    services: Vec<Arc<Service>>,
    facts: Facts,
}

impl World {
    fn new() -> World {
        let map: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": "cm"}, "data": {"k": "v", "A=B": "no", "z": "9"}}))
                .unwrap();
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": "s"}, "data": {"pass": "c2VjcmV0"}})).unwrap();
        let mut found = Found::default();
        found.config_maps.insert("cm".into(), Arc::new(map));
        found.secrets.insert("s".into(), Arc::new(secret));
        let allocatable = BTreeMap::from([
            ("cpu".to_owned(), Quantity::parse("3500m").unwrap()),
            ("memory".to_owned(), Quantity::parse("1Gi").unwrap()),
        ]);
        let facts = Facts {
            pod_ips: vec!["10.42.0.7".parse().unwrap(), "fd00::7".parse().unwrap()],
            host_ips: vec!["192.0.2.1".parse().unwrap()],
            allocatable,
        };
        World { found, services: Vec::new(), facts }
    }

    fn made(&self, container: Value) -> Result<Made, Error> {
        let pod = pod(container);
        let file = |volume: &str, path: &str| match (volume, path) {
            ("v", "f") => Ok(Some("KEY='from file'\n".to_owned())),
            _ => Ok(None),
        };
        make(&Inputs {
            pod: &pod,
            container: &pod.spec.as_ref().unwrap().containers[0],
            facts: &self.facts,
            found: &self.found,
            services: &self.services,
            file: &file,
        })
    }

    fn env(&self, env: Value) -> Vec<(String, String)> {
        self.made(json!({"name": "c", "env": env})).unwrap().env
    }

    fn value(&self, source: Value) -> String {
        self.env(json!([{"name": "X", "valueFrom": source}])).remove(0).1
    }

    fn fault(&self, source: Value) -> String {
        self.made(json!({"name": "c", "env": [{"name": "X", "valueFrom": source}]})).unwrap_err().to_string()
    }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn fields_of_the_pod() {
    let world = World::new();
    for (path, wanted) in [
        ("metadata.name", "p"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "a"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['note']", "é"),
        ("metadata.labels", "app=\"a\"\nb=\"x\\\"y\\n\""),
        ("spec.nodeName", "n"),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "10.42.0.7"),
        ("status.podIPs", "10.42.0.7,fd00::7"),
        ("status.hostIP", "192.0.2.1"),
        ("status.hostIPs", "192.0.2.1"),
    ] {
        assert_eq!(world.value(json!({"fieldRef": {"fieldPath": path}})), wanted, "{path}");
    }
    assert_eq!(
        world.fault(json!({"fieldRef": {"fieldPath": "spec.hostname"}})),
        "unsupported fieldPath: spec.hostname"
    );
}

#[test]
fn resources_of_the_container() {
    let world = World::new();
    let resources = json!({"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "100M"}});
    for (resource, divisor, wanted) in [
        ("requests.cpu", "0", "1"),
        ("requests.cpu", "1m", "250"),
        ("limits.cpu", "1m", "3500"),
        ("limits.cpu", "1", "4"),
        ("requests.memory", "1Mi", "64"),
        ("limits.memory", "1", "100000000"),
        ("limits.memory", "1Mi", "96"),
        ("limits.ephemeral-storage", "1", "0"),
        ("limits.hugepages-2Mi", "1", "0"),
    ] {
        let selector = json!({"resourceFieldRef": {"resource": resource, "divisor": divisor}});
        let made =
            world.made(json!({"name": "c", "resources": resources, "env": [{"name": "X", "valueFrom": selector}]}));
        assert_eq!(made.unwrap().env[0].1, wanted, "{resource} in {divisor}");
    }
    let other = json!({"resourceFieldRef": {"resource": "limits.cpu", "containerName": "other"}});
    assert_eq!(world.fault(other), "container other not found");
    let other = json!({"resourceFieldRef": {"resource": "limits.gpu"}});
    assert_eq!(world.fault(other), "unsupported container resource : limits.gpu");
}

#[test]
fn keys_of_config_maps_secrets_and_files() {
    let world = World::new();
    assert_eq!(world.value(json!({"configMapKeyRef": {"name": "cm", "key": "k"}})), "v");
    assert_eq!(world.value(json!({"secretKeyRef": {"name": "s", "key": "pass"}})), "secret");
    assert_eq!(world.value(json!({"fileKeyRef": {"volumeName": "v", "path": "f", "key": "KEY"}})), "from file");
    for (kind, name, missing) in [
        ("configMapKeyRef", "cm", "couldn't find key x in ConfigMap ns/cm"),
        ("configMapKeyRef", "no", "configmap \"no\" not found"),
        ("secretKeyRef", "s", "couldn't find key x in Secret ns/s"),
        ("secretKeyRef", "no", "secret \"no\" not found"),
    ] {
        assert_eq!(world.fault(json!({kind: {"name": name, "key": "x"}})), missing);
        let optional = json!([{"name": "X", "valueFrom": {kind: {"name": name, "key": "x", "optional": true}}}]);
        assert_eq!(world.env(optional), pairs(&[]));
    }
    let file = json!({"fileKeyRef": {"volumeName": "v", "path": "g", "key": "KEY"}});
    assert_eq!(world.fault(file), "couldn't find key KEY in file g of volume v: it is not there");
}

#[test]
fn later_sources_win_and_keep_the_place_of_the_first() {
    let mut world = World::new();
    world.services = vec![service("ns", "db-1", "10.43.0.5", json!([{"port": 5432, "name": "pg-main"}]))];
    let made = world.made(json!({"name": "c",
        "envFrom": [{"configMapRef": {"name": "cm"}}, {"prefix": "P_", "secretRef": {"name": "s"}},
            {"configMapRef": {"name": "no", "optional": true}}],
        "env": [{"name": "z", "value": "mine"}, {"name": "A", "value": "$(k)-$(P_pass)-$(B)-$(DB_1_SERVICE_HOST)"},
            {"name": "B", "value": "$(A)!"}, {"name": "DB_1_PORT", "value": "own"}, {"name": "E"}]}));
    let made = made.unwrap();
    let wanted = pairs(&[
        ("k", "v"),
        ("z", "mine"),
        ("P_pass", "secret"),
        ("A", "v-secret-$(B)-10.43.0.5"),
        ("B", "v-secret-$(B)-10.43.0.5!"),
        ("DB_1_PORT", "own"),
        ("E", ""),
        ("DB_1_PORT_5432_TCP", "tcp://10.43.0.5:5432"),
        ("DB_1_PORT_5432_TCP_ADDR", "10.43.0.5"),
        ("DB_1_PORT_5432_TCP_PORT", "5432"),
        ("DB_1_PORT_5432_TCP_PROTO", "tcp"),
        ("DB_1_SERVICE_HOST", "10.43.0.5"),
        ("DB_1_SERVICE_PORT", "5432"),
        ("DB_1_SERVICE_PORT_PG_MAIN", "5432"),
    ]);
    assert_eq!(made.env, wanted);
    assert_eq!(
        made.warnings,
        [
            "Keys [A=B] from the EnvFrom configMap ns/cm were skipped since they are considered invalid environment variable names."
        ]
    );
    let missing = world.made(json!({"name": "c", "envFrom": [{"secretRef": {"name": "no"}}]}));
    assert_eq!(missing.unwrap_err().to_string(), "secret \"no\" not found");
}

#[test]
fn services_of_the_namespace_and_the_clusters_own() {
    let ports = json!([{"port": 443, "name": "https"}, {"port": 53, "protocol": "UDP", "name": "dns"}]);
    let all = [
        service("default", "kubernetes", "10.43.0.1", json!([{"port": 443, "name": "https"}])),
        service("default", "other", "10.43.0.2", ports.clone()),
        service("ns", "web", "10.43.0.3", ports),
        service("ns", "headless", "None", json!([{"port": 1}])),
    ];
    let hosts = |namespace: &str, links: bool| -> Vec<String> {
        let all = services::of_pod(&all, namespace, links);
        all.into_keys().filter(|name| name.ends_with("_SERVICE_HOST")).collect()
    };
    assert_eq!(hosts("ns", true), ["KUBERNETES_SERVICE_HOST", "WEB_SERVICE_HOST"]);
    assert_eq!(hosts("ns", false), ["KUBERNETES_SERVICE_HOST"]);
    assert_eq!(hosts("default", true), ["KUBERNETES_SERVICE_HOST", "OTHER_SERVICE_HOST"]);
    let web = services::of_pod(&all, "ns", true);
    assert_eq!(web["WEB_PORT_53_UDP"], "udp://10.43.0.3:53");
    assert_eq!(web["WEB_SERVICE_PORT_DNS"], "53");
    assert_eq!(web["WEB_PORT"], "tcp://10.43.0.3:443");
    let six = service_variables(&service("ns", "six", "fd00::1", json!([{"port": 80}])));
    assert_eq!(six["SIX_PORT"], "tcp://[fd00::1]:80");
}
