//! The verbs of kubectl.

use e2e::Said;
use e2e::cluster::Cluster;
use serde_json::json;

/// kubectl of today, and an old one.
const BOTH: [fn(&Cluster, &[&str]) -> Said; 2] = [|it, words| it.kubectl(words), |it, words| it.old_kubectl(words)];

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: main
        image: box:1
        ports: [{containerPort: 80}]
"#;

#[test]
fn the_server_introduces_itself() {
    let cluster = Cluster::new();
    for kubectl in BOTH {
        let said = kubectl(&cluster, &["version", "-o", "json"]).ok();
        let version: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(
            (&version["serverVersion"]["major"], &version["serverVersion"]["minor"]),
            (&json!("1"), &json!("37"))
        );
        let text = |field: &str| version["serverVersion"][field].as_str().unwrap_or_default().to_owned();
        assert!(text("goVersion").contains("rustc 1.") && text("buildDate").as_str() > "2025", "{said}");
        let said = kubectl(&cluster, &["api-resources", "-o", "wide"]).ok();
        for row in ["pods", "deployments", "customresourcedefinitions", "flowschemas", "resourceclaims"] {
            assert!(said.lines().any(|line| line.starts_with(&format!("{row} "))), "{row}: {said}");
        }
        let said = kubectl(&cluster, &["api-versions"]).ok();
        assert!(said.lines().any(|line| line == "apps/v1") && said.lines().any(|line| line == "v1"), "{said}");
        let said = kubectl(&cluster, &["get", "namespaces", "-o", "name"]).ok();
        let wanted = ["default", "kube-node-lease", "kube-public", "kube-system"].map(|it| format!("namespace/{it}"));
        assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
    }
    assert_eq!(cluster.kubectl(["get", "--raw", "/healthz"]).ok(), "ok");
    assert!(cluster.kubectl(["get", "--raw", "/livez?verbose"]).ok().contains("[+]ping ok"));
    assert!(cluster.kubectl(["get", "--raw", "/metrics"]).ok().contains("apiserver_request_total"));
}

#[test]
fn objects_are_made_seen_changed_and_deleted() {
    let cluster = Cluster::new();
    let kubectl = |words: &[&str]| cluster.kubectl(words);
    assert_eq!(kubectl(&["create", "configmap", "conf", "--from-literal=a=1"]).ok(), "configmap/conf created");
    let said = kubectl(&["create", "configmap", "conf"]).fails(1);
    assert!(said.contains(r#"configmaps "conf" already exists"#), "{said}");
    let said = kubectl(&["get", "configmap", "nothing"]).fails(1);
    assert_eq!(said, r#"Error from server (NotFound): configmaps "nothing" not found"#);
    assert_eq!(kubectl(&["get", "configmap", "conf", "-o", "jsonpath={.data.a}"]).ok(), "1");
    let table = kubectl(&["get", "configmap", "conf"]).ok();
    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows.next(), Some(vec!["NAME", "DATA", "AGE"]));
    assert_eq!(rows.next().map(|row| row[..2].to_vec()), Some(vec!["conf", "1"]));

    let merge = ["patch", "configmap", "conf", "--type=merge", "-p", r#"{"data":{"b":"2","a":null}}"#];
    assert_eq!(kubectl(&merge).ok(), "configmap/conf patched");
    assert_eq!(cluster.get(["configmap", "conf"])["data"], json!({"b": "2"}));
    let patch = r#"[{"op":"test","path":"/data/b","value":"2"},{"op":"add","path":"/data/c","value":"3"}]"#;
    kubectl(&["patch", "configmap", "conf", "--type=json", "-p", patch]).ok();
    kubectl(&["patch", "configmap", "conf", "-p", r#"{"metadata":{"labels":{"x":"y"}}}"#]).ok();
    let conf = cluster.get(["configmap", "conf"]);
    assert_eq!((&conf["data"], &conf["metadata"]["labels"]), (&json!({"b": "2", "c": "3"}), &json!({"x": "y"})));
    kubectl(&["label", "configmap", "conf", "tier=back", "x-"]).ok();
    kubectl(&["annotate", "configmap", "conf", "note=kept"]).ok();
    assert_eq!(kubectl(&["get", "cm", "-l", "tier in (back),!x", "-o", "name"]).ok(), "configmap/conf");
    assert_eq!(
        kubectl(&[
            "get",
            "cm",
            "--field-selector",
            "metadata.name!=conf,metadata.name!=kube-root-ca.crt",
            "-o",
            "name"
        ])
        .ok(),
        ""
    );
    let replaced = cluster.get(["configmap", "conf"]).to_string().replace(r#""c":"3""#, r#""c":"4""#);
    assert_eq!(cluster.kubectl_with(["replace", "-f", "-"], &replaced).ok(), "configmap/conf replaced");
    let said = cluster.kubectl_with(["replace", "-f", "-"], &replaced).fails(1);
    assert!(said.contains("the object has been modified; please apply your changes to the latest version"), "{said}");
    assert_eq!(
        kubectl(&["delete", "configmap", "conf", "--dry-run=server"]).ok(),
        r#"configmap "conf" deleted from default namespace (server dry run)"#
    );
    assert_eq!(kubectl(&["delete", "configmap", "conf"]).ok(), r#"configmap "conf" deleted from default namespace"#);
    kubectl(&["get", "configmap", "conf"]).fails(1);
}

#[test]
fn a_deployment_has_its_defaults_its_scale_and_its_generation() {
    let cluster = Cluster::new();
    assert_eq!(cluster.apply(DEPLOYMENT), "deployment.apps/web created");
    assert_eq!(cluster.apply(DEPLOYMENT), "deployment.apps/web unchanged");
    let web = cluster.get(["deployment", "web"]);
    assert_eq!(
        web["spec"]["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(web["spec"]["template"]["spec"]["restartPolicy"], "Always");
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["ports"][0]["protocol"], "TCP");
    // The controller's note of the revision counts as a change.
    let noted = |web: &serde_json::Value| web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1";
    cluster.until("its controller has seen it", || noted(&cluster.get(["deployment", "web"])));
    let generation = cluster.get(["deployment", "web"])["metadata"]["generation"].as_i64().expect("a generation");
    assert_eq!(cluster.kubectl(["scale", "deployment", "web", "--replicas=5"]).ok(), "deployment.apps/web scaled");
    let web = cluster.get(["deployment", "web"]);
    assert_eq!((&web["spec"]["replicas"], &web["metadata"]["generation"]), (&json!(5), &json!(generation + 1)));
    cluster.kubectl(["label", "deployment", "web", "more=1"]).ok();
    assert_eq!(cluster.get(["deployment", "web"])["metadata"]["generation"], generation + 1);
    let table = cluster.kubectl(["get", "deployment", "web", "-o", "wide"]).ok();
    let columns: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(columns, ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]);
    assert!(table.contains("web    0/5 "), "{table}");
    let wrong = r#"{"spec":{"selector":{"matchLabels":{"app":"other"}}}}"#;
    let said = cluster.kubectl(["patch", "deployment", "web", "-p", wrong]).fails(1);
    assert!(said.contains("field is immutable"), "{said}");
}

#[test]
fn bad_manifests_are_refused_with_the_field_that_is_wrong() {
    let cluster = Cluster::new();
    let refused = |manifest: &str, why: &[&str]| {
        let said = cluster.kubectl_with(["create", "-f", "-"], manifest).fails(1);
        for why in why {
            assert!(said.contains(why), "{why}: {said}");
        }
    };
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n";
    refused(
        &format!("{pod}  - name: main\n"),
        &[r#"The Pod "p" is invalid: spec.containers[0].image: Required value"#],
    );
    refused(
        &format!("{pod}  - {{name: main, image: a, imagePullPolicy: Sometimes}}\n"),
        &[
            r#"spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never""#,
        ],
    );
    refused(
        &format!("{pod}  - {{name: Main, image: a}}\n"),
        &["spec.containers[0].name: Invalid value", "RFC 1123 label"],
    );
    refused(
        &format!("{pod}  - {{name: main, image: a, imagee: b}}\n"),
        &[r#"unknown field "spec.containers[0].imagee""#],
    );
    refused(
        &format!("{pod}  - {{name: main, image: a, ports: eighty}}\n"),
        &["cannot unmarshal string into Go struct field"],
    );
    refused(
        &DEPLOYMENT.replace("matchLabels: {app: web}", "matchLabels: {app: other}"),
        &["`selector` does not match template `labels`"],
    );
    refused(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_b}\n",
        &["metadata.name: Invalid value", "a lowercase RFC 1123 subdomain"],
    );
    refused(
        "apiVersion: v1\nkind: Nothing\nmetadata: {name: a}\n",
        &[r#"no matches for kind "Nothing" in version "v1""#],
    );
}

#[test]
fn watches_tell_every_change_in_order() {
    let cluster = Cluster::new();
    let out = cluster.path("watch");
    let file = std::fs::File::create(&out).expect("a file");
    let mut watch = cluster
        .client(
            "kubectl",
            [
                "get",
                "configmap",
                "-w",
                "-l",
                "seen",
                "--output-watch-events",
                "-o",
                "jsonpath={.type} {.object.metadata.name} {.object.data.n}{'\\n'}",
            ],
        )
        .stdout(file)
        .spawn()
        .expect("kubectl");
    let seen = || std::fs::read_to_string(&out).unwrap_or_default();
    // The watch stands when it has seen something.
    cluster.kubectl(["create", "configmap", "first"]).ok();
    cluster.until("the watch stands", || {
        cluster.kubectl(["label", "configmap", "first", "seen=1", "--overwrite"]).ok();
        cluster.kubectl(["label", "configmap", "first", "seen-"]).ok();
        seen().contains("DELETED first")
    });
    let steps: [&[&str]; 5] = [
        &["create", "configmap", "cc"],
        &["label", "configmap", "cc", "seen=1"],
        &["patch", "configmap", "cc", "-p", r#"{"data":{"n":"1"}}"#],
        &["label", "configmap", "cc", "seen-"],
        &["delete", "configmap", "cc"],
    ];
    for step in steps {
        cluster.kubectl(step).ok();
    }
    // What was told of the first one may still be on its way.
    let told = || -> Vec<String> {
        let seen = seen();
        seen.lines().filter(|line| line.contains(" cc")).map(|line| line.trim_end().to_owned()).collect()
    };
    cluster.until("all is told", || told().len() >= 3);
    assert_eq!(told(), ["ADDED cc", "MODIFIED cc 1", "DELETED cc 1"]);
    watch.kill().expect("kill");
    watch.wait().expect("wait");
}

#[test]
fn explain_diff_wait_and_can_i_answer() {
    let cluster = Cluster::new();
    for kubectl in BOTH {
        let said = kubectl(&cluster, &["explain", "deployment.spec.strategy.rollingUpdate"]).ok();
        assert!(said.contains("maxSurge\t<IntOrString>") || said.contains("maxSurge"), "{said}");
        assert_eq!(kubectl(&cluster, &["auth", "can-i", "create", "pods"]).ok(), "yes");
    }
    let said = cluster.kubectl(["auth", "can-i", "create", "pods", "--as", "nobody"]);
    assert_eq!((said.code, said.out.trim()), (1, "no"));
    cluster.apply(DEPLOYMENT);
    let said = cluster.kubectl_with(["diff", "-f", "-"], &DEPLOYMENT.replace("replicas: 2", "replicas: 3"));
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.out.contains("-  replicas: 2") && said.out.contains("+  replicas: 3"), "{}", said.out);
    // A condition that is nobody's, of a pod that waits.
    let gated = "apiVersion: v1\nkind: Pod\nmetadata: {name: gated}\nspec:\n  schedulingGates: [{name: example.com/later}]\n  \
                 containers: [{name: main, image: 'box:1'}]\n";
    cluster.apply(gated);
    let condition = r#"{"status":{"conditions":[{"type":"example.com/Fine","status":"True"}]}}"#;
    cluster.kubectl(["patch", "pod", "gated", "--subresource=status", "-p", condition]).ok();
    let said = cluster.kubectl(["wait", "pod/gated", "--for=condition=example.com/Fine", "--timeout=60s"]).ok();
    assert_eq!(said, "pod/gated condition met");
    let said = cluster.kubectl(["delete", "deployment", "web", "--wait=true"]).ok();
    assert!(said.contains("deleted"), "{said}");
    assert_eq!(cluster.kubectl(["get", "deployments"]).err.trim(), "No resources found in default namespace.");
}
