//! Tables of names and resolvers.

use k8s_openapi::api::core::v1::Pod;
use pods::runtime::Dns;
use serde_json::{Value, json};

use super::*;

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "web-0", "namespace": "ns", "uid": "u"}, "spec": spec})).unwrap()
}

fn named(spec: Value) -> Result<Names, String> {
    names::names(&pod(spec), "cluster.local").map_err(|fault| fault.to_string())
}

#[test]
fn pods_have_names() {
    let names = |host: &str, domain: &str, kernel: &str| {
        Ok(Names { host: host.into(), domain: domain.into(), kernel: kernel.into() })
    };
    assert_eq!(named(json!({"containers": []})), names("web-0", "", "web-0"));
    assert_eq!(named(json!({"containers": [], "hostname": "h"})), names("h", "", "h"));
    let domain = "db.ns.svc.cluster.local";
    assert_eq!(named(json!({"containers": [], "subdomain": "db"})), names("web-0", domain, "web-0"));
    let full = json!({"containers": [], "subdomain": "db", "setHostnameAsFQDN": true});
    assert_eq!(named(full), names("web-0", domain, "web-0.db.ns.svc.cluster.local"));
    let long = json!({"containers": [], "hostname": "h".repeat(50), "subdomain": "db", "setHostnameAsFQDN": true});
    assert!(named(long).unwrap_err().ends_with("is too long (64 characters is the max, 74 characters requested)"));
    let cut = json!({"containers": [], "hostname": format!("{}-{}", "a".repeat(62), "b".repeat(9))});
    assert_eq!(named(cut).unwrap().host, "a".repeat(62));
}

#[test]
fn hosts_of_a_pod() {
    let pod =
        pod(json!({"containers": [], "subdomain": "db", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}));
    let names = names::names(&pod, "cluster.local").unwrap();
    let text = hosts::text(&pod, &names, &["10.42.0.5".parse().unwrap(), "fd00::5".parse().unwrap()], None);
    assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\t"), "{text}");
    let end = "10.42.0.5\tweb-0.db.ns.svc.cluster.local\tweb-0\nfd00::5\tweb-0.db.ns.svc.cluster.local\tweb-0\n\
               \n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n";
    assert!(text.ends_with(end), "{text}");
    let text = hosts::text(&pod, &names, &[], Some("127.0.0.1 own\n"));
    assert!(text.starts_with("# Kubernetes-managed hosts file (host network).\n127.0.0.1 own\n\n# Entries"), "{text}");
}

fn lines(spec: Value) -> (String, String, String, usize) {
    let cluster = dns::Cluster { servers: vec!["10.43.0.10".parse().unwrap()], domain: "cluster.local".into() };
    let node =
        dns::node_dns("# c\nnameserver 9.9.9.9\nsearch old\nsearch corp.example svc.cluster.local\noptions edns0\n");
    let made = dns::dns(&pod(spec), &cluster, &node);
    let Dns { servers, searches, options } = made.dns;
    (servers.join(" "), searches.join(" "), options.join(" "), made.warnings.len())
}

#[test]
fn resolvers_by_policy() {
    let cluster = (
        "10.43.0.10".to_owned(),
        "ns.svc.cluster.local svc.cluster.local cluster.local corp.example".to_owned(),
        "ndots:5".to_owned(),
        0,
    );
    let node = ("9.9.9.9".to_owned(), "corp.example svc.cluster.local".to_owned(), "edns0".to_owned(), 0);
    assert_eq!(lines(json!({"containers": []})), cluster);
    assert_eq!(lines(json!({"containers": [], "dnsPolicy": "ClusterFirst"})), cluster);
    assert_eq!(lines(json!({"containers": [], "dnsPolicy": "ClusterFirst", "hostNetwork": true})), node);
    assert_eq!(lines(json!({"containers": [], "dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true})), cluster);
    assert_eq!(lines(json!({"containers": [], "dnsPolicy": "Default"})), node);
    let own = json!({"nameservers": ["1.1.1.1", "1.1.1.1"], "searches": ["a.b"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]});
    assert_eq!(
        lines(json!({"containers": [], "dnsPolicy": "None", "dnsConfig": own})),
        ("1.1.1.1".into(), "a.b".into(), "ndots:2 edns0".into(), 0)
    );
    let (servers, searches, options, _) = lines(json!({"containers": [], "dnsConfig": own}));
    assert_eq!((servers.as_str(), options.as_str()), ("10.43.0.10 1.1.1.1", "ndots:2 edns0"));
    assert!(searches.ends_with("corp.example a.b"));
}

#[test]
fn resolvers_have_limits() {
    let many: Vec<String> = (0..40).map(|place| format!("d{place}")).collect();
    let own = json!({"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"], "searches": many});
    let (servers, searches, _, warnings) = lines(json!({"containers": [], "dnsPolicy": "None", "dnsConfig": own}));
    assert_eq!(servers, "1.1.1.1 1.1.1.2 1.1.1.3");
    assert_eq!(searches.split(' ').count(), 32);
    assert_eq!(warnings, 2);
    let long = json!({"nameservers": ["1.1.1.1"], "searches": ["a".repeat(1500), "b".repeat(547), "c"]});
    let (_, searches, _, _) = lines(json!({"containers": [], "dnsPolicy": "None", "dnsConfig": long}));
    assert_eq!(searches.len(), 2048);
}
