//! Pods on their node: order, restarts, probes, the end, and what survives the daemon.

use e2e::cluster::Cluster;
use serde_json::{Value, json};

/// A cluster with a node and an image.
struct World(Cluster);

impl World {
    fn new() -> World {
        World(Cluster::with_node())
    }

    #[track_caller]
    fn apply(&self, name: &str, spec: Value) {
        let metadata = json!({ "name": name, "labels": { "app": name } });
        let manifest = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
        self.0.apply(&manifest.to_string());
    }

    /// The pod, null where there is none.
    fn pod(&self, name: &str) -> Value {
        serde_json::from_str(&self.0.kubectl(["get", "pod", name, "-o", "json"]).out).unwrap_or_default()
    }

    /// Waits until the pod is so, and returns it.
    #[track_caller]
    fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        self.0.wait(&format!("{name}: {what}"), || {
            last = self.pod(name);
            holds(&last)
        });
        last
    }

    #[track_caller]
    fn ready(&self, name: &str) -> Value {
        self.until(name, "is ready", is_ready)
    }

    /// Deletes a pod and waits until nothing of it is left.
    #[track_caller]
    fn delete(&self, name: &str) {
        self.0.kubectl(["delete", "pod", name, "--wait=false"]).ok();
        self.0.wait(&format!("{name} is gone"), || self.0.kubectl(["get", "pod", name]).code != 0);
        assert_eq!(self.containers(name), "", "nothing of it is left");
    }

    fn containers(&self, pod: &str) -> String {
        let label = format!("label=io.kubernetes.pod.name={pod}");
        self.0.docker(["ps", "-a", "--filter", &label, "--format", "{{.Names}}"]).ok().trim().to_owned()
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn container(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "box:1", "command": ["sh", "-c", script] })
}

fn one(script: &str) -> Value {
    json!({ "terminationGracePeriodSeconds": 1, "containers": [container("c", script)] })
}

fn status(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

/// Runs until it is told to end.
const STAYS: &str = "trap 'exit 0' TERM; while :; do sleep 1; done";

#[test]
fn a_pod_runs_is_shown_and_goes() {
    let world = World::new();
    world.apply("web", one(STAYS));
    let pod = world.ready("web");
    assert_eq!((&pod["status"]["phase"], &pod["status"]["qosClass"]), (&json!("Running"), &json!("BestEffort")));
    assert!(pod["status"]["podIP"].as_str().is_some_and(|ip| ip.starts_with("10.42.")), "{pod}");
    assert!(status(&pod)["containerID"].as_str().is_some_and(|id| id.starts_with("sampan://")), "{pod}");
    let uid = pod["metadata"]["uid"].as_str().expect("a uid");
    assert_eq!(world.containers("web"), format!("k8s_c_web_default_{uid}_0"));
    let table = world.0.kubectl(["get", "pods"]).ok();
    assert!(table.contains("1/1") && table.contains("Running"), "{table}");
    world.delete("web");
}

#[test]
fn a_killed_container_is_started_again_and_tells_how_it_ended() {
    let world = World::new();
    world.apply("web", one(STAYS));
    world.ready("web");
    let name = world.containers("web");
    world.0.docker(["kill", "-s", "KILL", &name]).ok();
    let pod = world.until("web", "was restarted", |pod| status(pod)["restartCount"] == 1 && is_ready(pod));
    assert_eq!(status(&pod)["lastState"]["terminated"]["exitCode"], 137);
    world.delete("web");
}

#[test]
fn pods_end_as_their_policy_says_and_leave_their_last_words() {
    let world = World::new();
    let mut good = one("echo -n fine > /dev/termination-log");
    good["restartPolicy"] = json!("Never");
    world.apply("good", good);
    let mut bad = one("echo nothing helps; exit 3");
    bad["restartPolicy"] = json!("Never");
    bad["containers"][0]["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    world.apply("bad", bad);
    let pod = world.until("good", "succeeds", |pod| pod["status"]["phase"] == "Succeeded");
    assert_eq!(status(&pod)["state"]["terminated"]["message"], "fine");
    assert_eq!(status(&pod)["state"]["terminated"]["reason"], "Completed");
    let pod = world.until("bad", "fails", |pod| pod["status"]["phase"] == "Failed");
    assert_eq!(status(&pod)["state"]["terminated"]["exitCode"], 3);
    assert_eq!(status(&pod)["state"]["terminated"]["message"], "nothing helps\n");
    world.apply("again", one("exit 4"));
    let pod = world.until("again", "waits", |pod| status(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff");
    assert_eq!(status(&pod)["lastState"]["terminated"]["exitCode"], 4);
    for name in ["good", "bad", "again"] {
        world.delete(name);
    }
}

#[test]
fn init_containers_come_before_the_others_and_sidecars_stay_beside_them() {
    let world = World::new();
    let mount = json!([{ "name": "shared", "mountPath": "/shared" }]);
    let mut first = container("first", "echo first > /shared/order");
    let mut beside = container("beside", &format!("echo beside >> /shared/order; {STAYS}"));
    beside["restartPolicy"] = json!("Always");
    beside["startupProbe"] = json!({ "exec": { "command": ["grep", "beside", "/shared/order"] }, "periodSeconds": 1 });
    let mut last = container("last", "echo last >> /shared/order; cat /shared/order");
    for one in [&mut first, &mut beside, &mut last] {
        one["volumeMounts"] = mount.clone();
    }
    world.apply(
        "ordered",
        json!({
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "volumes": [{ "name": "shared", "emptyDir": {} }],
            "initContainers": [first, beside],
            "containers": [last],
        }),
    );
    world.until("ordered", "is done", |pod| pod["status"]["phase"] == "Succeeded");
    assert_eq!(world.0.kubectl(["logs", "ordered", "-c", "last"]).ok(), "first\nbeside\nlast");
    world.delete("ordered");
}

#[test]
fn probes_say_who_is_ready_and_who_starts_again() {
    let world = World::new();
    let mut spec = one(STAYS);
    let file =
        |name: &str| json!({ "exec": { "command": ["test", "-e", name] }, "periodSeconds": 1, "failureThreshold": 1 });
    spec["containers"][0]["readinessProbe"] = file("/tmp/ready");
    let mut liveness = file("/tmp/sick");
    liveness["exec"]["command"] = json!(["test", "!", "-e", "/tmp/sick"]);
    spec["containers"][0]["livenessProbe"] = liveness;
    world.apply("probed", spec);
    let pod = world.until("probed", "runs", |pod| pod["status"]["phase"] == "Running");
    assert!(!is_ready(&pod), "{pod}");
    world.0.kubectl(["exec", "probed", "--", "sh", "-c", "mkdir -p /tmp; touch /tmp/ready"]).ok();
    world.ready("probed");
    world.0.kubectl(["exec", "probed", "--", "touch", "/tmp/sick"]).ok();
    let pod = world.until("probed", "was restarted", |pod| status(pod)["restartCount"] == 1);
    assert_eq!(pod["status"]["phase"], "Running");
    let events = world.0.kubectl(["get", "events"]).ok();
    assert!(events.contains("Unhealthy"), "{events}");
    world.delete("probed");
}

#[test]
fn a_pod_whose_image_is_nowhere_or_that_does_not_fit_says_so() {
    let world = World::new();
    let mut spec = one(STAYS);
    spec["containers"][0]["image"] = json!("nowhere:1");
    spec["containers"][0]["imagePullPolicy"] = json!("Never");
    world.apply("missing", spec);
    world.until("missing", "waits", |pod| status(pod)["state"]["waiting"]["reason"] == "ErrImageNeverPull");
    world.delete("missing");
    let node = world.0.kubectl(["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
    let mut spec = one(STAYS);
    spec["nodeName"] = json!(node.trim());
    spec["containers"][0]["resources"] = json!({ "requests": { "cpu": "1000" } });
    world.apply("large", spec);
    let pod = world.until("large", "is refused", |pod| pod["status"]["phase"] == "Failed");
    assert_eq!(pod["status"]["reason"], "OutOfcpu");
    world.delete("large");
}

#[test]
fn the_daemons_death_restarts_nothing() {
    let mut world = World::new();
    world.apply("web", one(STAYS));
    let mut probed = one(STAYS);
    probed["containers"][0]["readinessProbe"] = json!({ "exec": { "command": ["true"] } });
    world.apply("probed", probed);
    let before = [world.ready("web"), world.ready("probed")];
    world.0.crash();
    for (name, before) in ["web", "probed"].into_iter().zip(&before) {
        let after = world.ready(name);
        assert_eq!(status(&after)["containerID"], status(before)["containerID"]);
        assert_eq!(status(&after)["restartCount"], 0);
        assert_eq!(after["status"]["podIP"], before["status"]["podIP"]);
    }
    let name = world.containers("web");
    world.0.docker(["kill", "-s", "KILL", &name]).ok();
    world.until("web", "was restarted", |pod| status(pod)["restartCount"] == 1 && is_ready(pod));
    world.delete("web");
    world.delete("probed");
}
