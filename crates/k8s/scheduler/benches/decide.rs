//! Decisions a second without the API: `cargo bench --workspace --bench decide`.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_scheduler::model::terms::selector;
use k8s_scheduler::{Cluster, Decider};
use serde_json::{Value, from_value, json};

fn main() {
    // `cargo test --benches` runs this too: small, to see that it works.
    let whole = std::env::args().any(|word| word == "--bench");
    let pods = if whole { 50_000 } else { 200 };
    let sizes: &[usize] = if whole { &[100, 1000, 5000] } else { &[10] };
    for nodes in sizes {
        for (name, spec) in kinds() {
            let rate = measure(*nodes, pods, &spec);
            println!("{nodes} nodes, {pods} pods, {name}: {rate:.0} decisions/s");
        }
    }
}

fn kinds() -> Vec<(&'static str, Value)> {
    let term = |key: &str| json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": "a"}}});
    let spread = json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "a"}}}]);
    let wish = json!([{"weight": 50, "podAffinityTerm": term("kubernetes.io/hostname")}]);
    vec![
        ("replicas of a set, spread as wished by default", json!({})),
        ("strictly spread over zones", json!({"topologySpreadConstraints": spread})),
        (
            "rather not on the same host",
            json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish}}}),
        ),
    ]
}

fn measure(nodes: usize, pods: usize, spec: &Value) -> f64 {
    let (mut cluster, mut decider) = (Cluster::default(), Decider::default());
    for at in 0..nodes {
        let labels =
            json!({"kubernetes.io/hostname": format!("n{at}"), "topology.kubernetes.io/zone": format!("z{}", at % 3)});
        let most = (2 * pods / nodes).max(10).to_string();
        let node: Node = from_value(json!({"metadata": {"name": format!("n{at}"), "labels": labels},
            "status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": most}}}))
        .unwrap();
        cluster.set_node(Arc::new(node));
    }
    let wanted = from_value(json!({"matchLabels": {"app": "a"}})).unwrap();
    cluster.replicas.set_owner("set", Some(selector(Some(&wanted))));
    let pods: Vec<Arc<Pod>> = (0..pods).map(|at| Arc::new(pod(at, spec))).collect();
    let begun = Instant::now();
    for pod in &pods {
        let template = cluster.template(pod);
        let uid = pod.metadata.uid.as_deref().unwrap_or("");
        let choice = decider.decide_for(&mut cluster, &template, uid).expect("there is room");
        cluster.place_as(pod.clone(), &template, &choice.name);
    }
    pods.len() as f64 / begun.elapsed().as_secs_f64()
}

fn pod(at: usize, more: &Value) -> Pod {
    let mut spec = json!({"containers": [{"name": "c", "image": "i",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "set", "uid": "set", "controller": true}]);
    from_value(json!({"metadata": {"name": format!("p{at}"), "uid": format!("p{at}"), "labels": {"app": "a"},
        "ownerReferences": owner}, "spec": spec}))
    .unwrap()
}
