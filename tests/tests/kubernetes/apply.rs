//! `kubectl apply`, on the client's side and on the server's.

use e2e::cluster::Cluster;
use serde_json::json;

const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations: {team: a}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80}
  - {name: admin, port: 81}
"#;

#[test]
fn what_a_manifest_no_longer_says_goes_and_what_others_said_stays() {
    let cluster = Cluster::new();
    assert_eq!(cluster.apply(SERVICE), "service/web created");
    let web = cluster.get(["service", "web"]);
    assert_eq!(web["spec"]["type"], "ClusterIP");
    let address = web["spec"]["clusterIP"].as_str().expect("an address").to_owned();
    assert_eq!(web["spec"]["clusterIPs"], json!([address]));
    cluster.kubectl(["label", "service", "web", "by=hand"]).ok();
    let less = SERVICE
        .replace("  annotations: {team: a}\n", "")
        .replace("  - {name: admin, port: 81}\n", "  - {name: tls, port: 443}\n");
    // The client's three-way merge, of either age.
    assert_eq!(cluster.apply(&less), "service/web configured");
    let web = cluster.get(["service", "web"]);
    let names: Vec<_> =
        web["spec"]["ports"].as_array().expect("ports").iter().map(|port| port["name"].clone()).collect();
    assert_eq!(names, ["http", "tls"]);
    assert_eq!(web["spec"]["clusterIP"], address);
    assert_eq!(web["metadata"]["labels"], json!({"by": "hand"}));
    assert!(web["metadata"]["annotations"].get("team").is_none(), "{web}");
    // What kubectl prints, it takes.
    let printed = cluster.kubectl(["get", "service", "web", "-o", "yaml"]).ok();
    let said = cluster.kubectl_with(["apply", "-f", "-"], &printed).ok();
    assert!(said == "service/web unchanged" || said == "service/web configured", "{said}");
    let old = e2e::run_with_input(cluster.client("kubectl-1.28", ["apply", "-f", "-"]), less.as_bytes());
    assert!(old.ok().starts_with("service/web "));
}

#[test]
fn managers_conflict_and_may_take_over() {
    let cluster = Cluster::new();
    let conf = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: conf}}\ndata: {{shared: {value}, own-{value}: x}}\n"
        )
    };
    let server = |manager: &str, manifest: &str, force: bool| {
        let manager = format!("--field-manager={manager}");
        let mut words = vec!["apply", "--server-side", &manager, "-f", "-"];
        if force {
            words.push("--force-conflicts");
        }
        cluster.kubectl_with(words, manifest)
    };
    assert_eq!(server("one", &conf("a"), false).ok(), "configmap/conf serverside-applied");
    let said = server("two", &conf("b"), false).fails(1);
    assert!(said.contains(r#"Apply failed with 1 conflict: conflict with "one": .data.shared"#), "{said}");
    server("two", &conf("b"), true).ok();
    assert_eq!(cluster.get(["configmap", "conf"])["data"], json!({"shared": "b", "own-a": "x", "own-b": "x"}));
    // What a manager no longer says goes, where nobody else says it.
    server("one", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {}\n", false).ok();
    assert_eq!(cluster.get(["configmap", "conf"])["data"], json!({"shared": "b", "own-b": "x"}));
    let managed = cluster.kubectl(["get", "configmap", "conf", "-o", "json", "--show-managed-fields"]).ok();
    let managed: serde_json::Value = serde_json::from_str(&managed).expect("JSON");
    let two = managed["metadata"]["managedFields"]
        .as_array()
        .expect("managers")
        .iter()
        .find(|it| it["manager"] == "two")
        .expect("two");
    assert_eq!(two["fieldsV1"], json!({"f:data": {"f:own-b": {}, "f:shared": {}}}));
    assert_eq!(two["operation"], "Apply");
}

#[test]
fn what_was_applied_by_the_client_is_taken_over_by_the_server() {
    let cluster = Cluster::new();
    cluster.apply(SERVICE);
    let less = SERVICE.replace("  - {name: admin, port: 81}\n", "");
    let said = cluster.kubectl_with(["apply", "--server-side", "-f", "-"], &less).ok();
    assert_eq!(said, "service/web serverside-applied");
    let ports = cluster.get(["service", "web"])["spec"]["ports"].as_array().map(Vec::len);
    assert_eq!(ports, Some(1), "the field that the client's apply owned goes with it");
}
