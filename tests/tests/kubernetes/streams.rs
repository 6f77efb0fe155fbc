//! Logs, exec, attach, copies, ports, proxies and usage of pods, through a kubectl of today (WebSocket) and one of 2023 (SPDY).

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use e2e::cluster::Cluster;
use e2e::{Said, run_with_input};
use serde_json::{Value, json};

const CLIENTS: [&str; 2] = ["kubectl", "kubectl-1.28"];
const MEGABYTES: usize = 20;

/// A cluster with a node and an image.
struct World(Cluster);

impl World {
    fn new() -> World {
        World(Cluster::with_node())
    }

    /// A pod with a container for each script, by name.
    #[track_caller]
    fn pod(&self, name: &str, containers: &[(&str, &str)], spec: Value) {
        let containers: Vec<Value> = containers
            .iter()
            .map(|(name, script)| json!({"name": name, "image": "box:1", "command": ["sh", "-c", script]}))
            .collect();
        let mut all = json!({"terminationGracePeriodSeconds": 0, "containers": containers});
        for (field, value) in spec.as_object().cloned().unwrap_or_default() {
            all[field] = value;
        }
        let metadata = json!({"name": name, "labels": {"app": name}});
        self.0.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": all}).to_string());
    }

    #[track_caller]
    fn ready(&self, name: &str) {
        self.0.wait(&format!("{name} is ready"), || {
            let ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
            self.0.kubectl(["get", "pod", name, "-o", ready]).out == "True"
        });
    }

    /// Runs one of the clients to its end.
    fn run<const N: usize>(&self, client: &str, words: [&str; N]) -> Said {
        Said::of(self.0.client(client, words).stdin(Stdio::null()).output().expect("kubectl"))
    }

    /// A client that runs until it is dropped, after it has said something.
    #[track_caller]
    fn start<const N: usize>(&self, client: &str, words: [&str; N], says: &str) -> Running {
        let mut command = self.0.client(client, words);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("kubectl");
        let mut out = child.stdout.take().expect("piped");
        let mut said = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&said).contains(says) {
            assert!(matches!(out.read(&mut byte), Ok(1)), "{client} {words:?}: {}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
        Running { child, out }
    }

    /// A client on a terminal of its own, with `typed` on it once something prompts with `# `.
    fn on_terminal(&self, line: &str, typed: &str) -> Said {
        let surrounded = self.0.client("true", [""; 0]);
        let environment = surrounded.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut script = self.0.inside("script");
        script.envs(environment);
        e2e::on_terminal(script, line, typed)
    }
}

/// A client that is killed when it is dropped.
struct Running {
    child: Child,
    out: std::process::ChildStdout,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that repeat nowhere soon.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn exec_carries_everything_both_ways() {
    let world = World::new();
    world.pod("p", &[("c", "exec sleep 100000")], json!({}));
    world.ready("p");
    let much = noise(MEGABYTES << 20);
    for client in CLIENTS {
        let said = world.run(client, ["exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
        assert_eq!((said.code, said.out.as_str()), (3, "out\n"), "{client}: {said:?}");
        assert!(
            said.err.contains("err\n") && said.err.contains("command terminated with exit code 3"),
            "{client}: {said:?}"
        );

        let mut command = world.0.client(client, ["exec", "-i", "p", "--", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("kubectl");
        let (mut stdin, mut out) = (child.stdin.take().expect("piped"), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stdin.write_all(&much).expect("taken");
                drop(stdin);
            });
            child.stdout.take().expect("piped").read_to_end(&mut out).expect("read");
        });
        assert!(child.wait().expect("wait").success(), "{client}");
        assert!(out == much, "{client}: {} bytes of {}", out.len(), much.len());

        let said = world.run(client, ["exec", "p", "--", "nothing-there"]);
        assert!(said.code != 0 && (said.out.clone() + &said.err).contains("nothing-there"), "{client}: {said:?}");
        let said = world.run(client, ["exec", "p", "-c", "x", "--", "true"]);
        assert!(
            said.err.contains("container x is not valid for pod p") || said.err.contains("container not found"),
            "{client}: {said:?}"
        );
    }
}

#[test]
fn a_terminal_works_and_has_the_users_size() {
    let world = World::new();
    world.pod("p", &[("c", "exec sleep 100000")], json!({}));
    world.ready("p");
    for client in CLIENTS {
        let program = world
            .0
            .client(client, [""; 0])
            .get_args()
            .last()
            .map(|p| p.to_string_lossy().into_owned())
            .expect("its path");
        let said = world.on_terminal(&format!("{program} exec -it p -- sh"), "tty; exit 5\n");
        assert!(said.code == 5 && said.out.contains("/dev/pts/"), "{client}: {said:?}");
        let line = format!(
            "stty rows 33 cols 99; {program} exec -it p -- sh -c 'for i in $(seq 200); do stty size | grep 99 && exit; sleep 0.1; done'"
        );
        let said = world.on_terminal(&line, "");
        assert!(said.out.contains("33 99"), "{client}: {said:?}");
    }
}

#[test]
fn a_client_that_is_killed_leaves_nothing() {
    let world = World::new();
    world.pod("p", &[("c", "exec sleep 100000")], json!({}));
    world.ready("p");
    let look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q '[s]leep 4242'";
    let runs = || world.0.kubectl(["exec", "p", "--", "sh", "-c", look]).code == 0;
    for client in CLIENTS {
        let started =
            world.start(client, ["exec", "-i", "p", "--", "sh", "-c", "echo begun; exec sleep 4242"], "begun");
        // it says so before it becomes what is looked for
        world.0.wait("the process runs", runs);
        drop(started);
        world.0.wait("the process of a killed client ends", || !runs());
    }
}

#[test]
fn logs_are_as_kubectl_has_them() {
    let world = World::new();
    let talk = "echo one; echo two; echo three; exec sleep 100000";
    world.pod("p", &[("a", talk), ("b", "echo other; exec sleep 100000")], json!({}));
    let crash =
        json!({"containers": [{"name": "c", "image": "box:1", "command": ["sh", "-c", "echo last words; exit 1"]}]});
    world.pod("q", &[], crash);
    let pull = json!({"containers": [{"name": "c", "image": "nowhere.invalid/x:1", "imagePullPolicy": "Never"}]});
    world.pod("r", &[], pull);
    world.ready("p");
    for client in CLIENTS {
        let say = |words: &[&str]| {
            let mut command = world.0.client(client, ["logs"]);
            Said::of(command.args(words).stdin(Stdio::null()).output().expect("kubectl"))
        };
        assert_eq!(say(&["p", "-c", "a"]).ok(), "one\ntwo\nthree", "{client}");
        assert_eq!(say(&["p", "-c", "a", "--tail=1"]).ok(), "three", "{client}");
        assert_eq!(say(&["p", "-c", "a", "--limit-bytes=6"]).ok(), "one\ntw", "{client}");
        let stamped = say(&["p", "-c", "a", "--timestamps", "--tail=1"]).ok();
        assert!(stamped.starts_with("20") && stamped.ends_with("Z three"), "{client}: {stamped}");
        // kubectl goes through the containers in no order.
        let all = say(&["p", "--all-containers", "--prefix", "--tail=1"]).ok();
        let mut all: Vec<&str> = all.lines().collect();
        all.sort_unstable();
        assert_eq!(all, ["[pod/p/a] three", "[pod/p/b] other"], "{client}");
        assert_eq!(say(&["-l", "app=p", "-c", "b"]).ok(), "other", "{client}");
        let refused = say(&["p", "-c", "x"]);
        assert!(refused.err.contains("container x is not valid for pod p"), "{client}: {refused:?}");
        let raw = world.run(client, ["get", "--raw", "/api/v1/namespaces/default/pods/p/log"]);
        let choose = "a container name must be specified for pod p, choose one of: [a b]";
        assert!(raw.err.contains(choose), "{client}: {raw:?}");
        let previous = say(&["p", "-c", "a", "-p"]);
        let none = "previous terminated container \"a\" in pod \"p\" not found";
        assert!(previous.err.contains(none), "{client}: {previous:?}");
        world.0.wait("the log before is there", || {
            let said = say(&["q", "-p"]);
            said.code == 0 && said.out == "last words\n"
        });
        world.0.wait("what a container waits for is told", || {
            let said = say(&["r"]);
            said.err.contains("container \"c\" in pod \"r\" is waiting to start: ErrImageNeverPull")
        });
    }
}

#[test]
fn logs_are_followed_until_the_end() {
    let world = World::new();
    let wait = "echo begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo done";
    for (number, client) in CLIENTS.into_iter().enumerate() {
        let name = format!("p{number}");
        world.pod(&name, &[("c", wait)], json!({"restartPolicy": "Never"}));
        world.ready(&name);
        let mut following = world.start(client, ["logs", "-f", &name], "begun\n");
        world.0.kubectl(["exec", &name, "--", "touch", "/tmp/go"]).ok();
        let mut rest = String::new();
        following.out.read_to_string(&mut rest).expect("its end");
        assert_eq!(rest, "done\n", "{client}");
        assert!(following.child.wait().expect("wait").success(), "{client}");
    }
}

#[test]
fn files_are_copied_both_ways() {
    let world = World::new();
    world.pod("p", &[("c", "exec sleep 100000")], json!({}));
    world.ready("p");
    let much = noise(3 << 20);
    let (there, back) = (world.0.path("there"), world.0.path("back"));
    std::fs::write(&there, &much).expect("a file");
    for client in CLIENTS {
        let (from, to) = (there.display().to_string(), back.display().to_string());
        world.run(client, ["cp", &from, "p:/tmp/file"]).ok();
        world.run(client, ["cp", "p:/tmp/file", &to]).ok();
        assert!(std::fs::read(&back).expect("it came back") == much, "{client}");
        std::fs::remove_file(&back).expect("removed");
    }
}

#[test]
fn attach_and_run_speak_with_the_container() {
    let world = World::new();
    for (number, client) in CLIENTS.into_iter().enumerate() {
        let name = format!("r{number}");
        let words = [
            "run",
            &name,
            "--image=box:1",
            "--restart=Never",
            "-i",
            "--rm",
            "--quiet",
            "--",
            "sh",
            "-c",
            "read a; echo got $a",
        ];
        let said = run_with_input(world.0.client(client, words), b"hello\n");
        assert!(said.code == 0 && said.out.contains("got hello"), "{client}: {said:?}");
        world.0.wait("it is gone", || world.0.kubectl(["get", "pod", &name]).code != 0);

        let name = format!("a{number}");
        let container = json!({"name": "c", "image": "box:1", "stdin": true, "command": ["sh", "-c", "while read a; do echo got $a; done"]});
        world.pod(&name, &[], json!({"containers": [container]}));
        world.ready(&name);
        let mut attached = world.start(client, ["attach", "-i", &name, "-q"], "");
        let stdin = attached.child.stdin.as_mut().expect("piped");
        stdin.write_all(b"hello\n").expect("taken");
        let mut line = [0; 10];
        attached.out.read_exact(&mut line).expect("an answer");
        assert_eq!(&line, b"got hello\n", "{client}");
    }
}

/// A pod that serves a file over HTTP, and a service in front of it.
fn web(world: &World) {
    let serve = "mkdir /www; echo hello > /www/index.html; head -c 300000 /dev/urandom > /www/big; exec httpd -f -p 8080 -h /www";
    let probe = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
    let container = json!({
        "name": "c", "image": "box:1", "command": ["sh", "-c", serve], "ports": [{"name": "web", "containerPort": 8080}], "readinessProbe": probe,
    });
    world.pod("web", &[], json!({"containers": [container]}));
    world.0.apply(
        &json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
        })
        .to_string(),
    );
    world.ready("web");
}

#[test]
fn ports_are_forwarded_many_at_once() {
    let world = World::new();
    web(&world);
    let sum = world.0.kubectl(["exec", "web", "--", "sha256sum", "/www/big"]).ok();
    let sum = sum.split_whitespace().next().expect("a sum");
    for (client, target) in [(CLIENTS[0], "pod/web"), (CLIENTS[1], "pod/web"), (CLIENTS[0], "svc/web")] {
        let port = if target.starts_with("svc") { "18080:80" } else { "18080:8080" };
        let _forwarding = world.start(client, ["port-forward", target, port], "Forwarding from 127.0.0.1");
        let one = world.0.shell("busybox wget -qO- http://127.0.0.1:18080/index.html").ok();
        assert_eq!(one, "hello", "{client} {target}");
        let many = "for i in $(seq 50); do busybox wget -qO- http://127.0.0.1:18080/big | sha256sum & done; wait";
        let said = world.0.shell(many).ok();
        let good = said.lines().filter(|line| line.starts_with(sum)).count();
        assert_eq!(good, 50, "{client} {target}: {said}");
    }
    let forwarding = world.start(CLIENTS[0], ["port-forward", "pod/web", "18081:8081"], "Forwarding from 127.0.0.1");
    let refused = world.0.shell("busybox wget -qO- http://127.0.0.1:18081/");
    assert_ne!(refused.code, 0, "{refused:?}");
    drop(forwarding);
}

#[test]
fn http_goes_through_the_server() {
    let world = World::new();
    web(&world);
    let raw = |path: &str| world.0.kubectl(["get", "--raw", path]);
    let base = "/api/v1/namespaces/default";
    for path in ["pods/web/proxy/index.html", "pods/http:web:8080/proxy/index.html"] {
        assert_eq!(raw(&format!("{base}/{path}")).ok(), "hello", "{path}");
    }
    world.0.wait("the service has an endpoint", || raw(&format!("{base}/services/web/proxy/")).out == "hello\n");
    assert_eq!(raw(&format!("{base}/services/http:web:http/proxy/index.html")).ok(), "hello");
    let missing = raw(&format!("{base}/services/web:81/proxy/"));
    assert!(missing.err.contains("no service port \"81\" found for service \"web\""), "{missing:?}");
    let node = world.0.kubectl(["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
    assert_eq!(raw(&format!("/api/v1/nodes/{node}/proxy/healthz")).ok(), "ok");
    let pods: Value = serde_json::from_str(&raw(&format!("/api/v1/nodes/{node}/proxy/pods")).ok()).expect("JSON");
    assert_eq!(pods["items"][0]["metadata"]["name"], "web");
    let summary: Value =
        serde_json::from_str(&raw(&format!("/api/v1/nodes/{node}/proxy/stats/summary")).ok()).expect("JSON");
    assert_eq!(summary["node"]["nodeName"], node.as_str());
    let _proxying = world.start(CLIENTS[0], ["proxy", "--port=18001"], "Starting to serve");
    let through =
        world.0.shell(&format!("busybox wget -qO- http://127.0.0.1:18001{base}/services/web/proxy/index.html"));
    assert_eq!(through.ok(), "hello");
}

#[test]
fn usage_is_told() {
    let world = World::new();
    world.pod("busy", &[("c", "while :; do :; done")], json!({}));
    world.ready("busy");
    for client in CLIENTS {
        world.0.wait("a busy pod uses a processor", || {
            let said = world.run(client, ["top", "pods", "--no-headers"]);
            let cores = said.out.split_whitespace().nth(1).and_then(|cpu| cpu.strip_suffix('m')?.parse::<u32>().ok());
            said.out.starts_with("busy") && cores.is_some_and(|cores| cores > 20)
        });
        let nodes = world.run(client, ["top", "nodes", "--no-headers"]).ok();
        assert!(nodes.contains('%'), "{client}: {nodes}");
    }
    let selected = world.0.kubectl(["top", "pods", "-l", "app=other"]);
    assert!(selected.err.contains("No resources found"), "{selected:?}");
    let explained = world.0.kubectl(["explain", "podmetrics.containers"]).ok();
    assert!(explained.contains("usage"), "{explained}");
    assert!(world.0.kubectl(["get", "apiservices", "v1beta1.metrics.k8s.io"]).ok().contains("Local"));
}

#[test]
fn who_may_only_read_does_not_execute() {
    let world = World::new();
    world.pod("p", &[("c", "exec sleep 100000")], json!({}));
    world.ready("p");
    world.0.kubectl(["create", "serviceaccount", "reader"]).ok();
    world.0.kubectl(["create", "role", "reader", "--verb=get,list", "--resource=pods,pods/exec,pods/log"]).ok();
    world.0.kubectl(["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader"]).ok();
    let asks = "--as=system:serviceaccount:default:reader";
    for client in CLIENTS {
        world.run(client, [asks, "logs", "p"]).ok();
        let said = world.run(client, [asks, "exec", "p", "--", "true"]);
        assert!(said.code != 0 && said.err.to_lowercase().contains("forbidden"), "{client}: {said:?}");
    }
}
