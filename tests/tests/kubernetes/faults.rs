//! Faults of the host: its address changes, its way out goes, its disk is full, the daemon is killed in a burst. The cluster comes back by itself.

use std::collections::HashMap;

use e2e::cluster::Cluster;

/// The address of the node, as it tells it.
fn address(cluster: &Cluster) -> String {
    let words = ["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"];
    cluster.kubectl(words).out
}

/// Gives the host a link with an address and a way out by it.
fn link(cluster: &Cluster, address: &str, way: &str) {
    let line = format!(
        "ip link add out type veth peer name far && ip address add {address}/24 dev out && ip link set far up && ip link set out up && ip route add default via {way}"
    );
    cluster.shell(&line).ok();
}

const WEB: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: box:1
    command: [sh, -c, "mkdir /www; echo hello > /www/index.html; echo started; exec httpd -f -p 8080 -h /www"]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
"#;

/// The tools of a static busybox that look names up by themselves do not work.
const FETCH: &str = "ip=$(nslookup -type=a web.default.svc.cluster.local | sed -n 's/^Address: //p' | tail -n 1); \
    printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 $ip 80 | tail -n 1";

/// Everything that needs the API, the node, or a network.
fn works(cluster: &Cluster) -> Result<(), String> {
    let exec = |words: &[&str]| cluster.kubectl(["exec", "web", "--"].iter().chain(words));
    let steps = [
        ("logs", cluster.kubectl(["logs", "web"]), "started"),
        ("exec", exec(&["echo", "here"]), "here"),
        ("service by name", exec(&["sh", "-c", FETCH]), "hello"),
        ("service of the host", cluster.shell("curl -sS --max-time 5 http://127.0.0.1:30080"), "hello"),
    ];
    match steps.iter().find(|(_, said, wanted)| said.out.trim() != *wanted) {
        Some((what, said, _)) => Err(format!("{what}: {said:?}")),
        None => Ok(()),
    }
}

#[track_caller]
fn still_works(cluster: &Cluster, when: &str) {
    let last = std::cell::RefCell::new(String::new());
    cluster.wait(&format!("everything works {when}"), || match works(cluster) {
        Ok(()) => true,
        Err(why) => {
            if *last.borrow() != why {
                eprintln!("{when}: {why}");
            }
            last.replace(why);
            false
        }
    });
}

#[test]
fn the_host_gets_another_address_and_loses_its_way_out() {
    let cluster = Cluster::with_node();
    link(&cluster, "198.51.100.1", "198.51.100.254");
    cluster.wait("the node has the first address", || address(&cluster) == "198.51.100.1");
    cluster.apply(WEB);
    still_works(&cluster, "with the first address");
    let at =
        |address: &str| cluster.shell(&format!("curl -sS --max-time 5 http://{address}:30080")).out.trim() == "hello";
    cluster.wait("the node port is at the first address", || at("198.51.100.1"));

    cluster.shell("ip link del out").ok();
    link(&cluster, "203.0.113.7", "203.0.113.254");
    cluster.wait("the node has the second address", || address(&cluster) == "203.0.113.7");
    cluster.wait("the node port is at the second address", || at("203.0.113.7"));
    cluster.wait("the kubernetes service leads to the second address", || {
        let words = ["get", "endpoints", "kubernetes", "-o", "jsonpath={.subsets[*].addresses[*].ip}"];
        cluster.kubectl(words).out == "203.0.113.7"
    });
    still_works(&cluster, "with the second address");

    cluster.shell("ip route del default").ok();
    still_works(&cluster, "without a way out");
    cluster.shell("ip link del out").ok();
    still_works(&cluster, "without a link");
    // What is made now, works too.
    cluster.kubectl(["delete", "pod", "web"]).ok();
    cluster.apply(WEB);
    still_works(&cluster, "for a new pod without a link");
    let restarts = ["get", "pod", "web", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"];
    assert_eq!(cluster.kubectl(restarts).out, "0");
}

#[test]
fn a_daemon_killed_in_a_burst_leaves_no_pod_without_a_node() {
    const PODS: usize = 30;
    let mut cluster = Cluster::with_node();
    let set = format!(
        r#"
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: burst}}
spec:
  replicas: {PODS}
  selector: {{matchLabels: {{app: burst}}}}
  template:
    metadata: {{labels: {{app: burst}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: c, image: box:1, command: [sleep, "36000"]}}]
"#
    );
    cluster.apply(&set);
    let placed = |cluster: &Cluster| {
        let words = ["get", "pods", "-l", "app=burst", "-o", "jsonpath={.items[*].spec.nodeName}"];
        cluster.kubectl(words).out.split_whitespace().count()
    };
    for least in [1, PODS / 3] {
        cluster.wait("some pods have a node", || placed(&cluster) >= least);
        cluster.crash();
    }
    cluster.wait("all pods run", || {
        let words = ["get", "replicaset", "burst", "-o", "jsonpath={.status.readyReplicas}"];
        cluster.kubectl(words).out == PODS.to_string()
    });
    // One container each: none was started twice.
    let listed = cluster.docker([
        "ps",
        "--format",
        "{{.Label \"io.kubernetes.pod.name\"}}",
        "--filter",
        "label=io.kubernetes.container.name=c",
    ]);
    let mut containers: HashMap<String, usize> = HashMap::new();
    listed.ok().lines().for_each(|pod| *containers.entry(pod.to_owned()).or_default() += 1);
    assert!(containers.len() == PODS && containers.values().all(|count| *count == 1), "{containers:?}");
    let scheduled = [
        "get",
        "events",
        "--field-selector",
        "reason=Scheduled",
        "-o",
        "jsonpath={range .items[*]}{.involvedObject.uid}{'\\n'}{end}",
    ];
    let mut told: HashMap<String, usize> = HashMap::new();
    cluster.kubectl(scheduled).ok().lines().for_each(|uid| *told.entry(uid.to_owned()).or_default() += 1);
    assert!(told.values().all(|count| *count == 1), "a pod was bound twice: {told:?}");
}
