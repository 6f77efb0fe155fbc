//! What a node does for its pods and with them: probes, hooks, logs, eviction, manifests in a folder, classes of runtimes, the end.

use e2e::cluster::Cluster;
use serde_json::{Value, json};

#[track_caller]
fn apply(cluster: &Cluster, name: &str, spec: Value) {
    let metadata = json!({ "name": name, "labels": { "app": name } });
    cluster.apply(&json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }).to_string());
}

fn field(cluster: &Cluster, name: &str, path: &str) -> String {
    cluster.kubectl(["get", "pod", name, "-o", &format!("jsonpath={{{path}}}")]).out
}

fn ready(cluster: &Cluster, name: &str) -> bool {
    field(cluster, name, ".status.conditions[?(@.type=='Ready')].status") == "True"
}

fn events(cluster: &Cluster, name: &str) -> String {
    let of = format!("involvedObject.name={name}");
    let format = "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}";
    cluster.kubectl(["get", "events", "--field-selector", &of, "-o", format]).out
}

fn container(script: &str) -> Value {
    json!({ "name": "c", "image": "box:1", "command": ["sh", "-c", script] })
}

/// A pod of one container, with more said about that.
fn pod(script: &str, more: &[(&str, Value)]) -> Value {
    let mut one = container(script);
    for (field, value) in more {
        one[field] = value.clone();
    }
    json!({ "terminationGracePeriodSeconds": 1, "containers": [one] })
}

const STAYS: &str = "trap 'exit 0' TERM; while :; do sleep 1; done";

#[test]
fn probes_by_http_by_connection_and_by_command_decide() {
    let cluster = Cluster::with_node();
    let serve = "mkdir /tmp/www; touch /tmp/www/live; exec httpd -f -p 8080 -h /tmp/www";
    // A loaded machine answers late.
    let probe = |how: &str, what: Value, threshold: u32| json!({ how: what, "periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": threshold });
    let get = |path: &str, threshold| probe("httpGet", json!({ "path": path, "port": "web" }), threshold);
    let http = [
        ("ports", json!([{ "name": "web", "containerPort": 8080 }])),
        ("startupProbe", get("/live", 60)),
        ("readinessProbe", get("/ready", 1)),
        ("livenessProbe", get("/live", 1)),
    ];
    apply(&cluster, "http", pod(serve, &http));
    let socket = probe("tcpSocket", json!({ "port": 9090 }), 1);
    let late = "while [ ! -e /tmp/go ]; do sleep 0.1; done; exec httpd -f -p 9090";
    apply(&cluster, "tcp", pod(late, &[("readinessProbe", socket)]));
    let command = json!({ "command": ["sh", "-c", "test -e /tmp/well || { echo not well; exit 1; }"] });
    let asked = [("startupProbe", probe("exec", command.clone(), 60)), ("livenessProbe", probe("exec", command, 1))];
    apply(&cluster, "exec", pod(&format!("touch /tmp/well; {STAYS}"), &asked));

    cluster.wait("http has started", || field(&cluster, "http", ".status.containerStatuses[0].started") == "true");
    cluster.wait("http says that it is not ready", || {
        events(&cluster, "http").contains("Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404")
    });
    assert!(!ready(&cluster, "http"));
    cluster.kubectl(["exec", "http", "--", "touch", "/tmp/www/ready"]).ok();
    cluster.wait("http is ready", || ready(&cluster, "http"));
    cluster.kubectl(["exec", "http", "--", "rm", "/tmp/www/ready"]).ok();
    cluster.wait("http is not ready any more", || !ready(&cluster, "http"));
    cluster.kubectl(["exec", "http", "--", "rm", "/tmp/www/live"]).ok();
    cluster.wait("http begins anew", || field(&cluster, "http", ".status.containerStatuses[0].restartCount") == "1");
    assert!(events(&cluster, "http").contains("Killing: Container c failed liveness probe, will be restarted"));

    cluster.wait("nobody listens", || events(&cluster, "tcp").contains("connect: connection refused"));
    assert!(!ready(&cluster, "tcp"));
    cluster.kubectl(["exec", "tcp", "--", "touch", "/tmp/go"]).ok();
    cluster.wait("somebody listens", || ready(&cluster, "tcp"));

    cluster.wait("exec runs", || ready(&cluster, "exec"));
    cluster.kubectl(["exec", "exec", "--", "rm", "/tmp/well"]).ok();
    cluster.wait("exec begins anew", || field(&cluster, "exec", ".status.containerStatuses[0].restartCount") == "1");
    assert!(events(&cluster, "exec").contains("Unhealthy: Liveness probe failed: not well"));
}

#[test]
fn hooks_run_around_a_container_and_a_command_that_is_not_there_says_so() {
    let cluster = Cluster::with_node();
    let out = cluster.path("out");
    std::fs::create_dir(&out).expect("a folder");
    let say = |word: &str| json!({ "exec": { "command": ["sh", "-c", format!("echo {word} >> /out/said")] } });
    let mut hooked = pod(
        "trap 'echo term >> /out/said; exit 0' TERM; while :; do sleep 0.1; done",
        &[
            ("lifecycle", json!({ "postStart": say("start"), "preStop": say("stop") })),
            ("volumeMounts", json!([{ "name": "out", "mountPath": "/out" }])),
        ],
    );
    hooked["volumes"] = json!([{ "name": "out", "hostPath": { "path": out } }]);
    hooked["terminationGracePeriodSeconds"] = json!(60);
    apply(&cluster, "hooked", hooked);
    let fails = json!({ "postStart": { "exec": { "command": ["sh", "-c", "echo no >&2; exit 7"] } } });
    apply(&cluster, "fails", pod(STAYS, &[("lifecycle", fails)]));
    cluster.wait("hooked is ready", || ready(&cluster, "hooked"));

    for client in ["kubectl", "kubectl-1.28"] {
        let words = ["exec", "hooked", "--", "nothing-there"];
        let said = e2e::Said::of(cluster.client(client, words).output().expect("kubectl"));
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{client}: {said:?}");
        let told =
            "error: Internal error occurred: error executing command in container: failed to exec in container: ";
        let why = "exec: \"nothing-there\": executable file not found in $PATH";
        assert!(said.err.contains(told) && said.err.contains(why), "{client}: {said:?}");
    }
    let said = cluster.kubectl(["exec", "hooked", "--", "sh", "-c", "exit 127"]);
    assert_eq!((said.code, said.err.trim()), (127, "command terminated with exit code 127"));

    cluster.kubectl(["delete", "pod", "hooked"]).ok();
    assert_eq!(std::fs::read_to_string(out.join("said")).expect("text"), "start\nstop\nterm\n");
    cluster.wait("the hook's failure is told", || {
        let events = events(&cluster, "fails");
        events.contains(
            "FailedPostStartHook: PostStartHook failed: command 'sh -c echo no >&2; exit 7' exited with 7: no",
        ) && events.contains("Killing: Container c failed postStart hook, will be restarted")
    });
}

#[test]
fn logs_that_were_moved_aside_are_read_as_one() {
    let cluster = Cluster::with_node_and(&["--container-log-max-size", "8Ki", "--container-log-max-files", "30"]);
    let script = "for n in 1 2 3; do while [ ! -e /tmp/$n ]; do sleep 0.1; done; \
                  i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo $n $i; done; done; exec sleep 100000";
    apply(&cluster, "talks", pod(script, &[]));
    cluster.wait("it runs", || ready(&cluster, "talks"));
    let uid = field(&cluster, "talks", ".metadata.uid");
    let folder = cluster.path(&format!("data/kubernetes/kubelet/logs/default_talks_{uid}/c"));
    let files = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    let wanted: Vec<String> = (1..=3).flat_map(|n| (1..=1000).map(move |line| format!("{n} {line}"))).collect();
    for n in 1..=3 {
        cluster.kubectl(["exec", "talks", "--", "touch", &format!("/tmp/{n}")]).ok();
        cluster.wait("the log is moved aside", || files() > n);
    }
    // The last word was said, and nothing is left that would be moved aside while it is read.
    let rests = || std::fs::metadata(folder.join("0.log")).is_ok_and(|about| about.len() <= 8 << 10);
    cluster.wait("all is said", || rests() && cluster.kubectl(["logs", "talks", "--tail=1"]).out == "3 1000\n");
    let whole = wanted.join("\n");
    assert_eq!(cluster.kubectl(["logs", "talks"]).ok(), whole);
    assert_eq!(cluster.kubectl(["logs", "talks", "--tail=1500"]).ok(), wanted[1500..].join("\n"));
    let id = cluster.docker(["ps", "-q", "--filter", "label=io.kubernetes.pod.name=talks"]).ok();
    assert_eq!(cluster.docker(["logs", &id]).ok(), whole);
    assert_eq!(cluster.docker(["logs", "--tail", "1500", &id]).ok(), wanted[1500..].join("\n"));
}

#[test]
fn a_node_that_is_short_lets_pods_go_and_never_what_was_loaded_by_hand() {
    let thresholds = ["--eviction-hard", "memory.available<1Pi", "--image-gc-high-threshold", "0"];
    let cluster = Cluster::with_node_and(&[&thresholds[..], &["--image-gc-low-threshold", "0"]].concat());
    // What asks for nothing is not even let in, and nothing is placed on a node that is short unless it bears that.
    let mut asks = pod(STAYS, &[("resources", json!({ "requests": { "cpu": "1m" } }))]);
    asks["tolerations"] = json!([{ "operator": "Exists" }]);
    apply(&cluster, "asks", asks);
    cluster.wait("it is evicted", || field(&cluster, "asks", ".status.reason") == "Evicted");
    let told = field(&cluster, "asks", ".status.message");
    assert!(told.contains("The node was low on resource: memory."), "{told}");
    cluster.wait("it has failed", || field(&cluster, "asks", ".status.phase") == "Failed");
    let pressure = "jsonpath={.items[0].status.conditions[?(@.type=='MemoryPressure')].status}";
    cluster.wait("the node says so", || cluster.kubectl(["get", "nodes", "-o", pressure]).out == "True");
    assert!(cluster.docker(["images", "-q", "box:1"]).ok().len() > 5, "it was loaded by hand");
}

#[test]
fn manifests_in_a_folder_are_pods_of_the_node() {
    let mut cluster = Cluster::with_node();
    let folder = cluster.path("data/kubernetes/manifests");
    let node = cluster.kubectl(["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
    let write = |word: &str| {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" }, "spec": pod(STAYS, &[("env", json!([{ "name": "WORD", "value": word }]))]) });
        std::fs::write(folder.join(".web.new"), pod.to_string()).expect("a file");
        std::fs::rename(folder.join(".web.new"), folder.join("web.yaml")).expect("renamed");
    };
    write("one");
    let name = format!("web-{node}");
    cluster.wait("it runs", || ready(&cluster, &name));
    assert_eq!(field(&cluster, &name, ".metadata.ownerReferences[0].kind"), "Node");
    let uid = field(&cluster, &name, ".metadata.uid");
    let another = |old: &str| ready(&cluster, &name) && field(&cluster, &name, ".metadata.uid") != old;
    cluster.kubectl(["delete", "pod", &name, "--wait=false"]).ok();
    cluster.wait("who deletes the mirror does not get rid of the pod", || another(&uid));
    write("two");
    let word = || field(&cluster, &name, ".spec.containers[0].env[0].value");
    cluster.wait("a changed manifest is another pod", || word() == "two" && ready(&cluster, &name));
    let uid = field(&cluster, &name, ".metadata.uid");
    cluster.crash();
    cluster.wait("it runs on", || ready(&cluster, &name));
    assert_eq!(field(&cluster, &name, ".metadata.uid"), uid);
    std::fs::remove_file(folder.join("web.yaml")).expect("removed");
    cluster.wait("it goes with its manifest", || cluster.kubectl(["get", "pod", &name]).code != 0);
}

#[test]
fn classes_of_runtimes_cost_and_must_be_here() {
    let cluster = Cluster::with_node();
    for (name, handler) in [("ours", "sampan"), ("theirs", "elsewhere")] {
        let overhead = json!({ "podFixed": { "cpu": "10m", "memory": "8Mi" } });
        let metadata = json!({ "name": name });
        let class = json!({ "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": metadata, "handler": handler, "overhead": overhead });
        cluster.apply(&class.to_string());
        let mut spec = pod(STAYS, &[]);
        spec["runtimeClassName"] = json!(name);
        apply(&cluster, name, spec);
    }
    cluster.wait("ours runs", || ready(&cluster, "ours"));
    assert_eq!(field(&cluster, "ours", ".spec.overhead.memory"), "8Mi");
    cluster.wait("theirs says why not", || {
        let why = "failed to get sandbox runtime: no runtime for \"elsewhere\" is configured";
        events(&cluster, "theirs").contains(&format!("FailedCreatePodSandBox: Failed to create pod sandbox: {why}"))
    });
    cluster.kubectl(["delete", "pod", "theirs"]).ok();
}

#[test]
fn a_daemon_that_is_asked_to_end_leaves_nothing_of_services() {
    let mut cluster = Cluster::with_node();
    let links = "ip -o link | grep -c 'svc-' || true";
    cluster.until("services have their link", || cluster.shell(links).out.trim() == "1");
    cluster.stop_daemon();
    assert_eq!(cluster.shell(links).ok(), "0");
    let tables = cluster.shell("nft list tables").out;
    assert!(!tables.contains("sampan-services"), "{tables}");
    cluster.start_daemon();
    cluster.until("they are made again", || cluster.shell(links).out.trim() == "1");
}
