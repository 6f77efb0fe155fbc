//! The names of a small cluster.

use serde_json::{Value, json};

use super::*;

fn zone() -> Zone {
    let mut zone = Zone::new(&Config::new("a", "test"));
    let mut add = |namespace: &str, name: &str, service: Value, slices: Value| {
        let service: Service = serde_json::from_value(json!({ "spec": service })).unwrap();
        let slices: Vec<EndpointSlice> = serde_json::from_value(slices).unwrap();
        let slices: Vec<_> = slices.into_iter().map(Arc::new).collect();
        zone.set(&(namespace.to_owned(), name.to_owned()), Some(&service), &slices);
    };
    let ports =
        json!([{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    add(
        "default",
        "web",
        json!({"clusterIP": "10.43.0.5", "clusterIPs": ["10.43.0.5", "fd00::5"], "ports": ports}),
        json!([]),
    );
    let endpoints = json!([{
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": ["10.42.0.7"], "hostname": "db-0", "conditions": {"ready": true}},
            {"addresses": ["10.42.0.8"], "conditions": {"ready": true}},
            {"addresses": ["10.42.0.9"], "hostname": "db-9", "conditions": {"ready": false}},
        ],
    }]);
    let headless = json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]});
    add("default", "db", headless.clone(), endpoints);
    add("default", "nobody", headless, json!([]));
    add("default", "far", json!({"type": "ExternalName", "externalName": "Example.ORG."}), json!([]));
    zone
}

/// Result code and records, in words.
fn ask(name: &str, kind: Kind) -> String {
    let message = ::dns::ask(1, name, kind);
    match zone().find(&Query::read(&message).unwrap()) {
        Found::Here(reply) => {
            assert!(reply.authoritative);
            let records = reply.answers.iter().map(|record| match &record.data {
                Data::Address(address) => address.to_string(),
                Data::Ptr(name) | Data::Ns(name) | Data::Txt(name) => name.clone(),
                Data::Srv { weight, port, target, .. } => format!("{weight} {port} {target}"),
                other => format!("{other:?}"),
            });
            let records: Vec<_> = records.collect();
            let soa = reply.authority.iter().any(|record| matches!(record.data, Data::Soa { .. }));
            assert_eq!(soa, reply.answers.is_empty(), "what is not there may be kept for a while");
            format!("{:?} {}", reply.code, records.join(", "))
        }
        Found::Alias(target) => format!("alias {target}"),
        Found::Elsewhere => "elsewhere".to_owned(),
    }
}

#[test]
fn services_have_addresses_ports_and_reverse_names() {
    assert_eq!(ask("web.default.svc.cluster.local", Kind::A), "Ok 10.43.0.5");
    assert_eq!(ask("WEB.default.svc.cluster.local", Kind::Aaaa), "Ok fd00::5");
    assert_eq!(ask("web.default.svc.cluster.local", Kind::Other(15)), "Ok ");
    assert_eq!(ask("_http._tcp.web.default.svc.cluster.local", Kind::Srv), "Ok 100 80 web.default.svc.cluster.local");
    assert_eq!(ask("_http._udp.web.default.svc.cluster.local", Kind::Srv), "NoSuchName ");
    assert_eq!(ask("_tcp.web.default.svc.cluster.local", Kind::A), "Ok ");
    assert_eq!(ask("5.0.43.10.in-addr.arpa", Kind::Ptr), "Ok web.default.svc.cluster.local");
    assert_eq!(ask("6.0.43.10.in-addr.arpa", Kind::Ptr), "NoSuchName ");
    assert_eq!(ask("1.2.0.192.in-addr.arpa", Kind::Ptr), "elsewhere");
}

#[test]
fn headless_services_are_their_endpoints() {
    assert_eq!(ask("db.default.svc.cluster.local", Kind::A), "Ok 10.42.0.8, 10.42.0.7");
    assert_eq!(ask("db-0.db.default.svc.cluster.local", Kind::A), "Ok 10.42.0.7");
    assert_eq!(ask("10-42-0-8.db.default.svc.cluster.local", Kind::A), "Ok 10.42.0.8");
    assert_eq!(ask("db-9.db.default.svc.cluster.local", Kind::A), "NoSuchName ");
    assert_eq!(ask("nobody.default.svc.cluster.local", Kind::A), "NoSuchName ");
    assert_eq!(
        ask("_http._tcp.db.default.svc.cluster.local", Kind::Srv),
        "Ok 50 8080 10-42-0-8.db.default.svc.cluster.local, 50 8080 db-0.db.default.svc.cluster.local"
    );
    assert_eq!(ask("7.0.42.10.in-addr.arpa", Kind::Ptr), "Ok db-0.db.default.svc.cluster.local");
}

#[test]
fn the_rest_of_the_zone() {
    assert_eq!(ask("dns-version.cluster.local", Kind::Txt), "Ok 1.1.0");
    assert_eq!(ask("cluster.local", Kind::Ns), "Ok ns.dns.cluster.local");
    assert_eq!(ask("ns.dns.cluster.local", Kind::A), "Ok 10.43.0.10");
    assert_eq!(ask("10-42-3-4.any.pod.cluster.local", Kind::A), "Ok 10.42.3.4");
    assert_eq!(ask("192-0-2-4.any.pod.cluster.local", Kind::A), "NoSuchName ");
    assert_eq!(ask("far.default.svc.cluster.local", Kind::A), "alias example.org");
    assert_eq!(ask("default.svc.cluster.local", Kind::A), "Ok ");
    assert_eq!(ask("none.svc.cluster.local", Kind::A), "NoSuchName ");
    for name in [
        "web.default.svc.cluster.local.default.svc.cluster.local",
        "x.web.default.svc.cluster.local",
        "x.cluster.local",
    ] {
        assert_eq!(ask(name, Kind::A), "NoSuchName ", "{name}");
    }
    for name in ["example.org", "notcluster.local", "local"] {
        assert_eq!(ask(name, Kind::A), "elsewhere", "{name}");
    }
}

#[test]
fn what_goes_leaves_no_name() {
    let mut zone = zone();
    for name in ["web", "db", "far", "nobody"] {
        zone.set(&("default".to_owned(), name.to_owned()), None, &[]);
    }
    assert!(zone.services.is_empty() && zone.namespaces.is_empty() && zone.reverse.is_empty());
}
