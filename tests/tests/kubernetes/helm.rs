//! helm: a chart's whole life.

use e2e::cluster::Cluster;
use serde_json::json;

const CHART: &str = "apiVersion: v2\nname: box\nversion: 0.1.0\nappVersion: \"1\"\n";
const VALUES: &str = "replicas: 1\nmessage: hello\n";
const TEMPLATE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-conf
data:
  message: {{ .Values.message | quote }}
  version: {{ .Capabilities.KubeVersion.Version }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {app: {{ .Release.Name }}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
    spec:
      containers:
      - name: main
        image: box:1
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80}]
"#;
const CRD: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: boats.example.com
spec:
  group: example.com
  names: {kind: Boat, plural: boats}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {planks: {type: integer}}}}}
"#;

#[test]
fn a_chart_is_installed_upgraded_rolled_back_and_uninstalled() {
    let cluster = Cluster::new();
    let chart = cluster.path("box");
    for (name, text) in
        [("Chart.yaml", CHART), ("values.yaml", VALUES), ("templates/all.yaml", TEMPLATE), ("crds/boats.yaml", CRD)]
    {
        let path = chart.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let chart = chart.to_str().expect("text");
    let message = || cluster.get(["configmap", "rel-conf"])["data"]["message"].clone();
    let said = cluster.helm(["install", "rel", chart]).ok();
    assert!(said.contains("STATUS: deployed"), "{said}");
    assert_eq!(message(), "hello");
    assert!(cluster.kubectl(["get", "boats"]).err.contains("No resources found"));
    cluster.helm(["upgrade", "rel", chart, "--set", "message=again,replicas=3"]).ok();
    assert_eq!((message(), &cluster.get(["deployment", "rel"])["spec"]["replicas"]), (json!("again"), &json!(3)));
    cluster.helm(["rollback", "rel", "1"]).ok();
    assert_eq!((message(), &cluster.get(["deployment", "rel"])["spec"]["replicas"]), (json!("hello"), &json!(1)));
    let said = cluster.helm(["history", "rel"]).ok();
    assert_eq!(said.lines().count(), 4, "{said}");
    assert!(cluster.helm(["list"]).ok().contains("rel"));
    cluster.helm(["uninstall", "rel"]).ok();
    cluster.kubectl(["get", "deployment", "rel"]).fails(1);
    assert_eq!(cluster.kubectl(["get", "secrets", "-o", "name"]).ok(), "");
}
