//! Workers on a runtime and an API in memory.

mod fake;

use std::sync::Arc;
use std::time::Duration;

use k8s_client::{Informer, follow};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::fake::{Api, Fake};
use super::*;
use crate::admission::Admission;
use crate::config::Config;

/// A worker at work.
struct Bench {
    fake: Fake,
    api: Api,
    context: Arc<Context>,
    node: Informer<Node>,
    slot: Slot,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
    _addresses: watch::Sender<Vec<std::net::IpAddr>>,
}

fn pod(spec: Value) -> Value {
    let metadata = json!({ "name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "1" });
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": { "phase": "Pending" } })
}

fn one(policy: &str) -> Value {
    json!({ "restartPolicy": policy, "terminationGracePeriodSeconds": 7, "containers": [{ "name": "a", "image": "i" }] })
}

fn typed(value: &Value) -> Arc<Pod> {
    Arc::new(serde_json::from_value(value.clone()).unwrap())
}

impl Bench {
    fn new(spec: Value) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let (fake, api) = (Fake::new(&["i"]), Api::new(pod(spec)));
        let (addresses, following) = watch::channel(vec!["192.0.2.1".parse().unwrap()]);
        let config = Config::new("n", folder.path().join("kubelet"));
        let client = api.client();
        let context = Context::new(config, client.clone(), fake.runtime(), following, Admission::default(), 8 << 30);
        let node = Informer::start(kube::Api::all(client), follow::config());
        let (slot, task) = begin(&context, &node, &fake, &api);
        Bench { fake, api, context, node, slot, task, _folder: folder, _addresses: addresses }
    }

    /// As after the daemon's death: another worker, that knows nothing.
    fn again(&mut self) {
        self.task.abort();
        (self.slot, self.task) = begin(&self.context, &self.node, &self.fake, &self.api);
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let reached = async {
            loop {
                let pod = self.api.pod.lock().unwrap().clone().unwrap_or(Value::Null);
                if holds(&pod) {
                    return pod;
                }
                let _ = tokio::time::timeout(Duration::from_millis(20), self.api.changed.notified()).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), reached).await {
            Ok(pod) => pod,
            Err(_) => panic!("{what}: {:?}\n{:?}", self.api.pod.lock().unwrap(), self.fake.lock().done),
        }
    }

    fn done(&self) -> Vec<String> {
        self.fake.lock().done.clone()
    }

    /// The API's news of the pod, changed.
    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut pod = self.api.pod.lock().unwrap();
        let pod = pod.as_mut().unwrap();
        change(pod);
        let version: u64 = pod["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        pod["metadata"]["resourceVersion"] = (version + 1).to_string().into();
        self.slot.changed(typed(pod));
    }
}

fn begin(context: &Arc<Context>, node: &Informer<Node>, fake: &Fake, api: &Api) -> (Slot, tokio::task::JoinHandle<()>) {
    let slot = Slot::new();
    let pod = typed(api.pod.lock().unwrap().as_ref().unwrap());
    let worker = Worker::new(context.clone(), slot.clone(), node.clone(), pod);
    let (mut events, wake) = (pods::Sandboxes::events(fake), slot.wake.clone());
    tokio::spawn(async move {
        while !matches!(events.recv().await, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
            wake.notify_one();
        }
    });
    (slot, tokio::spawn(worker.run()))
}

fn ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

#[tokio::test]
async fn a_pod_runs_and_says_so() {
    let bench = Bench::new(one("Always"));
    let pod = bench.until("it is ready", ready).await;
    assert_eq!((&pod["status"]["phase"], &pod["status"]["podIP"]), (&json!("Running"), &json!("10.42.0.9")));
    assert_eq!((&pod["status"]["hostIP"], &pod["status"]["qosClass"]), (&json!("192.0.2.1"), &json!("BestEffort")));
    assert_eq!(bench.done(), ["run 0", "create a 0"]);
    let sandbox = bench.fake.lock().sandboxes[0].clone();
    assert_eq!(sandbox.cgroup_parent, "/kubepods/besteffort/podu");
}

#[tokio::test]
async fn a_container_that_ends_is_started_again_and_then_waits() {
    let bench = Bench::new(one("Always"));
    bench.until("it is ready", ready).await;
    bench.fake.exit("a", 3);
    let pod = bench.until("it was restarted", |pod| container(pod)["restartCount"] == 1 && ready(pod)).await;
    assert_eq!(container(&pod)["lastState"]["terminated"]["exitCode"], 3);
    bench.fake.exit("a", 4);
    let pod = bench.until("it waits", |pod| container(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    assert_eq!(container(&pod)["lastState"]["terminated"]["exitCode"], 4);
    assert_eq!(pod["status"]["phase"], "Running");
}

#[tokio::test]
async fn a_deleted_pod_goes_from_the_node_before_it_goes_from_the_api() {
    let bench = Bench::new(one("Always"));
    bench.until("it is ready", ready).await;
    bench.change(|pod| {
        pod["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(5);
    });
    bench.until("it is gone", Value::is_null).await;
    assert_eq!(bench.done(), ["run 0", "create a 0", "end c2", "stop s1", "remove s1"]);
    assert!(bench.fake.lock().sandboxes.is_empty());
    bench.until("its worker ended", |_| bench.task.is_finished()).await;
    assert!(bench.context.lookup.pods().is_empty());
}

#[tokio::test]
async fn another_process_takes_over_what_runs_and_restarts_nothing() {
    let mut bench = Bench::new(one("Always"));
    bench.until("it is ready", ready).await;
    bench.fake.exit("a", 1);
    bench.until("it was restarted", |pod| container(pod)["restartCount"] == 1 && ready(pod)).await;
    let before = bench.done();
    bench.again();
    bench.change(|pod| pod["metadata"]["generation"] = json!(9));
    let pod = bench.until("it is looked at", |pod| pod["status"]["observedGeneration"] == 9).await;
    assert_eq!(bench.done(), before);
    assert_eq!(container(&pod)["restartCount"], 1);
    bench.fake.exit("a", 1);
    bench.until("it was restarted again", |pod| container(pod)["restartCount"] == 2).await;
}

#[tokio::test]
async fn a_pod_that_is_done_keeps_its_containers_and_gives_its_network_back() {
    let bench = Bench::new(one("OnFailure"));
    bench.until("it is ready", ready).await;
    bench.fake.exit("a", 0);
    let pod = bench.until("it is done", |pod| pod["status"]["phase"] == "Succeeded").await;
    assert_eq!(container(&pod)["state"]["terminated"]["reason"], "Completed");
    bench.until("its sandbox is stopped", |_| bench.done().contains(&"stop s1".to_owned())).await;
    assert_eq!(bench.fake.lock().containers.len(), 1);
}

#[tokio::test]
async fn an_image_that_is_not_there_and_may_not_be_pulled_is_told() {
    let mut spec = one("Always");
    spec["containers"][0]["image"] = json!("other");
    spec["containers"][0]["imagePullPolicy"] = json!("Never");
    let bench = Bench::new(spec);
    let pod = bench.until("it waits", |pod| container(pod)["state"]["waiting"]["reason"] == "ErrImageNeverPull").await;
    assert_eq!(pod["status"]["phase"], "Pending");
    bench.change(|pod| pod["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z"));
    bench.until("it is gone", Value::is_null).await;
}

#[tokio::test]
async fn a_pod_that_does_not_fit_fails_and_nothing_of_it_is_made() {
    let bench = Bench::new(one("Always"));
    bench.until("it is ready", ready).await;
    let mut spec = one("Always");
    spec["containers"][0]["resources"] = json!({ "requests": { "cpu": "1" } });
    let other = Bench::new(spec);
    let pod = other.until("it is refused", |pod| pod["status"]["phase"] == "Failed").await;
    assert_eq!(pod["status"]["reason"], "OutOfcpu");
    assert!(other.done().is_empty());
}

#[tokio::test]
async fn sidecars_end_after_the_others() {
    let spec = json!({
        "terminationGracePeriodSeconds": 5,
        "initContainers": [
            { "name": "s", "image": "i", "restartPolicy": "Always" },
            { "name": "t", "image": "i", "restartPolicy": "Always" },
        ],
        "containers": [{ "name": "a", "image": "i", "lifecycle": { "preStop": { "exec": { "command": ["bye"] } } } }],
    });
    let bench = Bench::new(spec);
    bench.until("it is ready", ready).await;
    bench.change(|pod| pod["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z"));
    bench.until("it is gone", Value::is_null).await;
    let ends: Vec<String> = bench.done().into_iter().filter(|what| what.starts_with("e")).collect();

    assert_eq!(ends, ["exec c4 bye", "end c4", "end c3", "end c2"]);
}
