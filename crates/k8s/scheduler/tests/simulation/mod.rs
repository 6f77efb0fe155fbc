//! A cluster of fake nodes on the real API server, for tests and measurements.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use k8s_apiserver::{ApiServer, Config, Identity};
use k8s_client::Informers;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, from_value, json};
use tokio::sync::mpsc;

const AT_ONCE: usize = 64;

/// Writes many things, some at a time.
async fn each<T>(all: impl IntoIterator<Item = T>, write: impl AsyncFn(T)) {
    futures_util::stream::iter(all).for_each_concurrent(AT_ONCE, |item| write(item)).await;
}

fn node(at: usize) -> Node {
    let labels = json!({"kubernetes.io/hostname": format!("node-{at}"), "topology.kubernetes.io/zone": format!("zone-{}", at % 3)});
    from_value(json!({"metadata": {"name": format!("node-{at}"), "labels": labels},
        "status": {"allocatable": {"cpu": "8", "memory": "16Gi", "pods": "60"}}}))
    .unwrap()
}

/// Twenty kinds of pods: plain ones, some that are to be spread, some that keep away from each other on a host.
fn pod(at: usize) -> Pod {
    let app = format!("app-{}", at % 20);
    let mut spec = json!({"containers": [{"name": "c", "image": "i", "resources": {"requests":
        {"cpu": format!("{}m", 50 + 10 * (at % 20)), "memory": "64Mi"}}}]});
    match at % 20 {
        0..5 => {
            spec["topologySpreadConstraints"] = json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": app}}}]);
        }
        5..8 => {
            let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}});
            let wish = json!([{"weight": 50, "podAffinityTerm": term}]);
            spec["affinity"] = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": wish}});
        }
        _ => {}
    }
    from_value(json!({"metadata": {"name": format!("pod-{at}"), "labels": {"app": app}}, "spec": spec})).unwrap()
}

/// The kubelets of all nodes: whatever is bound runs.
async fn kubelets(api: Api<Pod>, bound: mpsc::UnboundedReceiver<String>, running: Arc<AtomicUsize>) {
    let bound = futures_util::stream::unfold(bound, |mut bound| async { Some((bound.recv().await?, bound)) });
    bound
        .for_each_concurrent(AT_ONCE, |name| {
            let (api, running) = (api.clone(), running.clone());
            async move {
                let patch = Patch::Merge(json!({"status": {"phase": "Running"}}));
                api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
                running.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await;
}

/// What came out.
pub struct Outcome {
    /// From the start of the scheduler until the last pod had its node.
    pub placed: Duration,
    /// Until the last pod was said to run.
    pub running: Duration,
    /// Bytes of memory that the process has then: server, caches, scheduler, fake kubelets.
    pub resident: u64,
}

impl Outcome {
    /// Pods that got their node in a second.
    pub fn rate(&self, pods: usize) -> f64 {
        pods as f64 / self.placed.as_secs_f64()
    }
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Makes nodes and pods and waits until all of them run.
pub async fn simulate(nodes: usize, pods: usize, patience: Duration) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::open(Config::new(folder.path())).await.unwrap();
    let client = Client::new(server.service(Identity::loopback()), "default");
    let account: ServiceAccount = from_value(json!({"metadata": {"name": "default"}})).unwrap();
    Api::namespaced(client.clone(), "default").create(&PostParams::default(), &account).await.unwrap();
    let node_api = Api::<Node>::all(client.clone());
    each(0..nodes, async |at| {
        node_api.create(&PostParams::default(), &node(at)).await.unwrap();
        let patch = Patch::Merge(json!({"spec": {"taints": null}}));
        node_api.patch(&format!("node-{at}"), &PatchParams::default(), &patch).await.unwrap();
    })
    .await;
    let pod_api = Api::<Pod>::namespaced(client.clone(), "default");
    each(0..pods, async |at| {
        pod_api.create(&PostParams::default(), &pod(at)).await.unwrap();
    })
    .await;

    let informers = Informers::new(client.clone());
    let (sender, bound) = mpsc::unbounded_channel();
    let (running, placed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = placed.clone();
    let cache = informers.get::<Pod>();
    cache.synced().await;
    let _watching = cache.on(move |change| {
        let has = |pod: &Arc<Pod>| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        if change.new.as_ref().is_some_and(has) && !change.old.as_ref().is_some_and(has) {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = sender.send(change.object().name_any());
        }
    });
    let kubelets = tokio::spawn(kubelets(pod_api, bound, running.clone()));
    let begun = Instant::now();
    let scheduler = k8s_scheduler::start(&informers);
    while placed.load(Ordering::Relaxed) < pods && begun.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed();
    while running.load(Ordering::Relaxed) < pods && begun.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = begun.elapsed();
    let resident = resident();
    assert_eq!(placed.load(Ordering::Relaxed), pods, "after {took:?} not every pod has a node");
    assert_eq!(running.load(Ordering::Relaxed), pods, "not every pod runs");
    check(&cache.list(), nodes);
    scheduler.shutdown().await;
    kubelets.abort();
    server.shutdown().await;
    Outcome { placed: took, running: all, resident }
}

fn check(pods: &[Arc<Pod>], nodes: usize) {
    let mut used: HashMap<String, (i64, i64, i64)> = HashMap::new();
    let mut zones: BTreeMap<String, BTreeMap<usize, i64>> = BTreeMap::new();
    for pod in pods {
        let value: Value = serde_json::to_value(&**pod).unwrap();
        let node = value["spec"]["nodeName"].as_str().unwrap().to_owned();
        let requests = &value["spec"]["containers"][0]["resources"]["requests"];
        let number =
            |text: &Value, suffix: &str| text.as_str().unwrap().trim_end_matches(suffix).parse::<i64>().unwrap();
        let used = used.entry(node.clone()).or_default();
        used.0 += number(&requests["cpu"], "m");
        used.1 += number(&requests["memory"], "Mi");
        used.2 += 1;
        if value["spec"]["topologySpreadConstraints"].is_array() {
            let zone = node.trim_start_matches("node-").parse::<usize>().unwrap() % 3;
            let app = value["metadata"]["labels"]["app"].as_str().unwrap().to_owned();
            *zones.entry(app).or_default().entry(zone).or_insert(0) += 1;
        }
    }
    for (node, (cpu, memory, count)) in &used {
        assert!(*cpu <= 8000 && *memory <= 16 * 1024 && *count <= 60, "{node}: {cpu}m, {memory} Mi, {count} pods");
    }
    for (app, zones) in zones {
        let (least, most) = (zones.values().min().unwrap(), zones.values().max().unwrap());
        assert!(zones.len() == 3 && most - least <= 1, "{app}: {zones:?}");
    }
    assert!(used.len() > nodes / 2, "only {} nodes are used", used.len());
}
