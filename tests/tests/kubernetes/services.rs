//! Services and names, from the node and from inside pods; and that connections go on while a daemon is killed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use e2e::cluster::Cluster;
use e2e::images;

/// A loaded machine takes its time; what is waited for happens at once on others.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn wait(cluster: &Cluster, what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > PATIENCE {
            let all = cluster.kubectl(["get", "svc,endpoints,endpointslices,pods,nodes", "-A", "-o", "wide"]).out;
            panic!("not within {PATIENCE:?}: {what}\n{all}\n{}", cluster.shell("nft list ruleset").out);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A web server on the node, at an address that is not its loopback's.
fn backend(cluster: &Cluster) {
    let page = cluster.path("page");
    std::fs::create_dir_all(&page).expect("a folder");
    std::fs::write(page.join("index.html"), "hello\n").expect("a page");
    cluster.shell("ip addr add 192.0.2.1/32 dev lo").ok();
    cluster.shell(&format!("busybox httpd -p 192.0.2.1:8080 -h {}", page.display())).ok();
}

const BY_HAND: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, ports: [{name: http, port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets: [{addresses: [{ip: 192.0.2.1}], ports: [{name: http, port: 8080}]}]
";

fn fetches(cluster: &Cluster, url: &str) -> bool {
    cluster.shell(&format!("curl -sS -m 10 {url}")).out == "hello\n"
}

fn cluster_ip(cluster: &Cluster, name: &str) -> String {
    cluster.kubectl(["get", "svc", name, "-o", "jsonpath={.spec.clusterIP}"]).ok()
}

fn address_of(cluster: &Cluster, name: &str) -> String {
    let said = cluster.shell(&format!("busybox nslookup -type=a {name} 10.43.0.10")).out;
    let after = said.split(&format!("Name:\t{name}\nAddress: ")).nth(1).unwrap_or_default();
    after.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn endpoints_written_by_hand_are_reached_by_address_port_and_name() {
    let cluster = Cluster::new();
    backend(&cluster);
    cluster.apply(BY_HAND);
    let address = cluster_ip(&cluster, "web");
    wait(&cluster, "the service leads there", || fetches(&cluster, &address));
    for url in ["192.0.2.1:30080", "127.0.0.1:30080"] {
        assert!(fetches(&cluster, url), "{url}");
    }
    wait(&cluster, "it has a name", || address_of(&cluster, "web.default.svc.cluster.local") == address);
    assert_eq!(address_of(&cluster, "kubernetes.default.svc.cluster.local"), "10.43.0.1");
    let slices = cluster.get(["endpointslices", "-l", "kubernetes.io/service-name=web"]);
    assert_eq!(slices["items"][0]["endpoints"][0]["addresses"][0], "192.0.2.1");
    assert!(cluster.shell("curl -sSk -m 10 https://10.43.0.1/version").out.contains("gitVersion"), "the API itself");
    cluster.shell("nft -j list ruleset").ok();
    cluster.kubectl(["delete", "endpoints", "web"]).ok();
    wait(&cluster, "nobody is there", || cluster.shell(&format!("curl -m 10 {address}")).code == 7);
    cluster.kubectl(["delete", "service", "web"]).ok();
    wait(&cluster, "the name is gone", || address_of(&cluster, "web.default.svc.cluster.local").is_empty());
}

#[test]
fn no_connection_is_lost_while_the_daemon_is_killed() {
    let mut cluster = Cluster::new();
    backend(&cluster);
    cluster.apply(BY_HAND);
    let address = cluster_ip(&cluster, "web");
    wait(&cluster, "the service leads there", || fetches(&cluster, &address));
    let end = cluster.path("end");
    let script = format!(
        "ok=0; lost=0; while [ ! -e {} ]; do if curl -sS -m 10 -o /dev/null {address}; then ok=$((ok+1)); else lost=$((lost+1)); fi; done; \
         echo $ok $lost",
        end.display()
    );
    let child = cluster.inside("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().expect("sh");
    for _ in 0..2 {
        cluster.crash();
        wait(&cluster, "names are answered again", || address_of(&cluster, "web.default.svc.cluster.local") == address);
    }
    std::fs::write(&end, "").expect("a file");
    let said = String::from_utf8(child.wait_with_output().expect("wait").stdout).expect("text");
    let (done, lost) = said.trim().split_once(' ').expect("two numbers");
    assert!(done.parse::<u32>().is_ok_and(|done| done > 0) && lost == "0", "{said}");
}

#[test]
fn pods_reach_services_and_each_other_by_name() {
    let cluster = Cluster::new();
    cluster.import(&images::busybox_layer(), "box:1");
    cluster.apply(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: web, image: 'box:1', command: [sh, -c, 'hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp'], ports: [{name: http, containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: db, image: 'box:1', command: [sleep, '3600']}]
",
    );
    cluster
        .kubectl(["expose", "deployment", "web", "--port", "80", "--target-port", "http", "--type", "NodePort"])
        .ok();
    let ready =
        |kind: &str| cluster.kubectl(["get", kind, "-o", "jsonpath={.items[0].status.readyReplicas}"]).out == "2";
    wait(&cluster, "the pods are ready", || ready("deployment") && ready("statefulset"));
    let address = cluster_ip(&cluster, "web");
    wait(&cluster, "from the node", || cluster.shell(&format!("curl -sS -m 10 {address}")).out.starts_with("web-"));
    let inside = |script: &str| cluster.kubectl(["exec", "db-0", "--", "sh", "-c", script]);
    // the tools of a static busybox that look names up by themselves do not work
    let fetch = "ip=$(nslookup -type=a web.default.svc.cluster.local | sed -n 's/^Address: //p' | tail -n 1); \
                 printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 10 $ip 80 | tail -n 1";
    wait(&cluster, "from a pod by name", || inside(fetch).out.starts_with("web-"));
    let own = |pod: &str| cluster.kubectl(["get", "pod", pod, "-o", "jsonpath={.status.podIP}"]).ok();
    for pod in ["db-0", "db-1"] {
        wait(&cluster, pod, || {
            inside(&format!("nslookup -type=a {pod}.db.default.svc.cluster.local")).out.contains(&own(pod))
        });
    }
    assert!(inside("nslookup -type=a db.default.svc.cluster.local").out.contains(&own("db-1")));
    let port = cluster.kubectl(["get", "svc", "web", "-o", "jsonpath={.spec.ports[0].nodePort}"]).ok();
    assert!(cluster.shell(&format!("curl -sS -m 10 127.0.0.1:{port}")).out.starts_with("web-"), "by the node's port");
    wait(&cluster, "the API from a pod", || inside("nc -w 10 10.43.0.1 443 < /dev/null").code == 0);
    cluster.kubectl(["scale", "deployment", "web", "--replicas", "0"]).ok();
    wait(&cluster, "nobody is there", || cluster.shell(&format!("curl -m 10 {address}")).code == 7);
}
