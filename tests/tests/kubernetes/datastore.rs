//! Where objects are kept: an etcd that two servers share, backup, restore and check, and events that go by themselves.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use e2e::cluster::Cluster;
use e2e::{Said, Sandbox, binary};
use serde_json::Value;

const ETCD: &str = "http://192.0.2.1:2379";

/// A process that is killed with the test.
struct Running(Child);

impl Running {
    fn new(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("started"))
    }

    fn kill(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's etcd in a sandbox.
fn etcd(host: &Sandbox) -> Running {
    let mut command = host.inside("etcd");
    command.args(["--name", "one", "--log-level", "error", "--data-dir"]).arg(host.path("etcd"));
    command.args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD]);
    command.args([
        "--listen-peer-urls",
        "http://127.0.0.1:2380",
        "--initial-advertise-peer-urls",
        "http://127.0.0.1:2380",
    ]);
    command.args(["--initial-cluster", "one=http://127.0.0.1:2380"]);
    let etcd = Running::new(command.stdout(Stdio::null()));
    host.until("etcd answers", || host.shell(&format!("curl -fs {ETCD}/health")).code == 0);
    etcd
}

/// A server of the cluster, in a network of its own that leads to etcd.
struct Server {
    name: &'static str,
    port: u16,
    process: Running,
}

impl Server {
    /// Starts it and waits until it is ready.
    fn start(host: &Sandbox, name: &'static str, port: u16) -> Server {
        let log =
            std::fs::File::options().create(true).append(true).open(host.path(&format!("{name}.log"))).expect("a log");
        let mut command = host.inside("unshare");
        // What it needs of the network is put there from outside.
        let wait = "while ! ip link set inner up 2>/dev/null; do sleep 0.05; done; ip link set lo up && ip address add $0 dev inner && exec \"$@\"";
        let address = format!("192.0.2.{}/24", port - 6440);
        command.args(["--net", "--mount", "--propagation", "private", "sh", "-c", wait, &address]).arg(binary());
        command.args([
            "daemon",
            "--bridge",
            "none",
            "--node-name",
            name,
            "--kubernetes",
            "--datastore",
            &format!("etcd={ETCD}"),
        ]);
        command.args(["--kubernetes-listen", &format!("0.0.0.0:{port}"), "-H"]);
        command.arg(format!("unix://{}", host.path(&format!("{name}.sock")).display()));
        for (flag, folder) in [("--data-root", ""), ("--exec-root", ".run"), ("--pidfile", ".pid")] {
            command.arg(flag).arg(host.path(&format!("{name}{folder}")));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        let server = Server { name, port, process: Running(command.spawn().expect("started")) };
        let pid = server.process.0.id();
        let link = format!(
            "ip link del to-{name} 2>/dev/null; ip link add to-{name} type veth peer name inner && ip link set inner netns {pid} && \
             ip link set to-{name} master cluster && ip link set to-{name} up"
        );
        host.until("it has a network of its own", || {
            host.shell(&format!("[ $(readlink /proc/{pid}/ns/net) != $(readlink /proc/self/ns/net) ]")).code == 0
        });
        host.shell(&link).ok();
        let ready = || server.kubectl(host, &["get", "--raw", "/readyz"]).out.trim() == "ok";
        host.until(&format!("{name} is ready"), ready);
        server
    }

    fn kubectl(&self, host: &Sandbox, words: &[&str]) -> Said {
        Said::of(self.kubectl_command(host, words).stdin(Stdio::null()).output().expect("kubectl"))
    }

    fn kubectl_command(&self, host: &Sandbox, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-n", "-t", &self.process.0.id().to_string(), "--"]).arg(e2e::cluster::clients().join("kubectl"));
        let kubeconfig = host.path(&format!("{}/kubernetes/admin.kubeconfig", self.name));
        command.args(words).env("KUBECONFIG", kubeconfig).env("HOME", host.path("home"));
        command
    }

    /// Who leads, as this server knows it.
    fn holder(&self, host: &Sandbox) -> String {
        let words =
            ["get", "lease", "sampan-controllers", "-n", "kube-system", "-o", "jsonpath={.spec.holderIdentity}"];
        self.kubectl(host, &words).out
    }

    /// The ports that the kubernetes service leads to.
    fn endpoints(&self, host: &Sandbox) -> String {
        self.kubectl(host, &["get", "endpoints", "kubernetes", "-o", "jsonpath={.subsets[*].ports[*].port}"]).out
    }

    /// A watch of config maps, and the file that it writes to.
    fn watch(&self, host: &Sandbox) -> (Running, PathBuf) {
        let out = host.path(&format!("watch-{}", self.name));
        let columns = "jsonpath={.metadata.name}{' '}{.data.by}{'\\n'}";
        let mut command = self.kubectl_command(host, &["get", "configmaps", "-w", "-o", columns]);
        command.stdout(std::fs::File::create(&out).expect("a file"));
        (Running::new(&mut command), out)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[test]
fn two_servers_share_an_etcd_and_one_may_die() {
    let host = Sandbox::new();
    // With an address of its own: otherwise it has that of one of its ports, and another one when that port goes. Whoever remembers the old one
    // talks to nobody for half a minute.
    host.shell("ip link add cluster address 02:00:00:00:00:01 type bridge && ip address add 192.0.2.1/24 dev cluster && ip link set cluster up")
        .ok();
    let mut etcd_process = etcd(&host);
    let mut one = Server::start(&host, "one", 6443);
    // A server with keys of its own is another cluster.
    let mut stranger = host.inside(binary());
    stranger.args(["daemon", "--bridge", "none", "--kubernetes", "--datastore", &format!("etcd={ETCD}")]);
    stranger.args([
        "--kubernetes-listen",
        "127.0.0.1:6445",
        "-H",
        &format!("unix://{}", host.path("s.sock").display()),
    ]);
    for (flag, folder) in [("--data-root", "s"), ("--exec-root", "s.run"), ("--pidfile", "s.pid")] {
        stranger.arg(flag).arg(host.path(folder));
    }
    let said = Said::of(stranger.output().expect("the daemon"));
    assert!(said.fails(1).contains("it belongs to a cluster of another authority"));

    copy(&host.path("one/kubernetes/pki"), &host.path("two/kubernetes/pki"));
    let mut two = Server::start(&host, "two", 6444);
    let first = two.holder(&host);
    assert!(!first.is_empty());

    // A watch of the one sees the writes of the other, in both directions.
    let watches = [one.watch(&host), two.watch(&host)];
    let seen = |at: usize| std::fs::read_to_string(&watches[at].1).unwrap_or_default();
    for server in [&one, &two] {
        let literal = format!("--from-literal=by={}", server.name);
        server.kubectl(&host, &["create", "configmap", &format!("of-{}", server.name), &literal]).ok();
    }
    for at in 0..2 {
        host.until("both writes are seen", || seen(at).contains("of-one one") && seen(at).contains("of-two two"));
    }
    // What one acknowledged, the other has.
    for number in 0..5 {
        let name = format!("n{number}");
        one.kubectl(&host, &["create", "configmap", &name]).ok();
        assert_eq!(two.kubectl(&host, &["get", "configmap", &name, "-o", "name"]).ok(), format!("configmap/{name}"));
    }
    host.until("the service leads to both", || one.endpoints(&host) == "6443 6444");
    // Tokens of the one are good for the other.
    let token = one.kubectl(&host, &["create", "token", "default"]).ok();
    let review = format!("apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nspec: {{token: {token}}}\n");
    let words = ["create", "-f", "-", "-o", "jsonpath={.status.user.username}"];
    let said = e2e::run_with_input(two.kubectl_command(&host, &words), review.as_bytes()).ok();
    assert_eq!(said, "system:serviceaccount:default:default");

    // The one that leads is killed: the other one takes over, and controllers go on.
    one.process.kill();
    host.until("the other one leads", || !["", &first].contains(&two.holder(&host).as_str()));
    two.kubectl(&host, &["create", "namespace", "after"]).ok();
    host.until("its controllers work", || {
        two.kubectl(&host, &["get", "serviceaccount", "default", "-n", "after", "-o", "name"]).code == 0
    });
    host.until("the service leads to the other one only", || two.endpoints(&host) == two.port.to_string());
    // etcd goes and comes back.
    etcd_process.kill();
    let said = two.kubectl(&host, &["create", "configmap", "lost", "--request-timeout=20s"]);
    assert_ne!(said.code, 0, "{said:?}");
    let _again = etcd(&host);
    host.until("writes are taken again", || two.kubectl(&host, &["create", "configmap", "found"]).code == 0);
    // The first one comes back.
    let one = Server::start(&host, "one", 6443);
    one.kubectl(&host, &["get", "configmap", "found"]).ok();
    two.process.kill();

    // All of it into a file, and out of that into the folder of a server that has no etcd.
    let file = host.path("backup").display().to_string();
    let datastore = format!("etcd={ETCD}");
    let root = host.path("one").display().to_string();
    let said = tool(&host, &["backup", "--data-root", &root, "--datastore", &datastore, &file]).ok();
    assert!(said.contains(" objects of revision "), "{said}");
    let whole = host.path("moved").display().to_string();
    tool(&host, &["restore", "--data-root", &whole, &file]).ok();
    let said = tool(&host, &["check", "--data-root", &whole]).ok();
    assert!(said.contains(": fine: "), "{said}");
    let said = tool(
        &host,
        &["restore", "--data-root", &host.path("x").display().to_string(), "--datastore", &datastore, &file],
    );
    assert!(said.fails(1).contains("has a cluster already"));
    let elsewhere = format!("{datastore},prefix=/elsewhere/");
    tool(&host, &["restore", "--data-root", &host.path("x").display().to_string(), "--datastore", &elsewhere, &file])
        .ok();
    let said = tool(&host, &["check", "--datastore", &elsewhere]).ok();
    assert!(said.contains(": fine: "), "{said}");
}

/// `sampan kubernetes …`
fn tool(host: &Sandbox, words: &[&str]) -> Said {
    Said::of(host.inside(binary()).arg("kubernetes").args(words).stdin(Stdio::null()).output().expect("sampan"))
}

#[test]
fn a_backup_of_a_running_cluster_is_restored_into_an_empty_folder() {
    let mut cluster = Cluster::new();
    for number in 0..20 {
        cluster.kubectl(["create", "configmap", &format!("kept-{number}"), "--from-literal=a=b"]).ok();
    }
    let token = cluster.kubectl(["create", "token", "default"]).ok();
    let (root, file) = (cluster.path("data").display().to_string(), cluster.path("backup").display().to_string());
    let said = tool(&cluster, &["check", "--data-root", &root]).ok();
    assert!(said.contains(": fine: "), "{said}");
    tool(&cluster, &["backup", "--data-root", &root, &file]).ok();
    assert!(tool(&cluster, &["backup", "--data-root", &root, &file]).fails(1).contains("is there already"));
    let said = tool(&cluster, &["check", &file]).ok();
    assert!(said.contains(": fine: "), "{said}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).expect("the backup"));
    assert_eq!(mode & 0o777, 0o600, "it holds secret keys");
    cluster.kubectl(["create", "configmap", "too-late"]).ok();
    let newest = revision(&cluster.get(["configmap", "too-late"]));
    assert!(tool(&cluster, &["restore", "--data-root", &root, &file]).fails(1).contains("has keys already"));

    cluster.stop_daemon();
    std::fs::rename(cluster.path("data/kubernetes"), cluster.path("old")).expect("moved");
    tool(&cluster, &["restore", "--data-root", &root, &file]).ok();
    cluster.start_daemon();
    cluster.ready();
    let names = cluster.kubectl(["get", "configmaps", "-o", "name"]).ok();
    assert!((0..20).all(|number| names.lines().any(|name| name == format!("configmap/kept-{number}"))), "{names}");
    assert!(!names.contains("too-late"), "{names}");
    // Keys are those of old, and nobody sees a revision twice.
    let review = format!("apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nspec: {{token: {token}}}\n");
    let words = ["create", "-f", "-", "-o", "jsonpath={.status.authenticated}"];
    assert_eq!(cluster.kubectl_with(words, &review).ok(), "true");
    cluster.kubectl(["create", "configmap", "after"]).ok();
    assert!(revision(&cluster.get(["configmap", "after"])) > newest);
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a revision")
}

#[test]
fn damage_is_told_with_the_file_and_the_place() {
    let mut cluster = Cluster::new();
    for number in 0..10 {
        cluster.kubectl(["create", "configmap", &format!("c{number}")]).ok();
    }
    let (root, file) = (cluster.path("data").display().to_string(), cluster.path("backup").display().to_string());
    tool(&cluster, &["backup", "--data-root", &root, &file]).ok();
    cluster.stop_daemon();
    // One byte in the middle of what was written.
    let log = cluster.path("data/kubernetes/store/log-0000000000000001");
    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).expect("a file");
        bytes[at] ^= 1;
        std::fs::write(path, bytes).expect("written");
    };
    flip(&log, 5000);
    let said = tool(&cluster, &["check", "--data-root", &root]).fails(1);
    assert!(said.contains("log-0000000000000001 is damaged at byte ") && said.contains("checksum is wrong"), "{said}");
    let said = tool(&cluster, &["backup", "--data-root", &root, &cluster.path("b").display().to_string()]).fails(1);
    assert!(said.contains("is damaged at byte"), "{said}");
    assert!(!cluster.path("b").exists() && !cluster.path("b.new").exists());
    // The daemon does not begin with what is damaged, and says the same.
    let mut daemon = cluster.inside(binary());
    daemon.args(["daemon", "--kubernetes", "-H", &format!("unix://{}", cluster.path("d.sock").display())]);
    daemon.arg("--data-root").arg(&root).arg("--exec-root").arg(cluster.path("run"));
    let said = Said::of(daemon.arg("--pidfile").arg(cluster.path("pid2")).output().expect("the daemon"));
    assert!(said.fails(1).contains("is damaged at byte"));
    // So is damage to a backup, of the objects as well as of the keys.
    let size = std::fs::metadata(&file).expect("the backup").len() as usize;
    flip(Path::new(&file), size / 2);
    assert!(tool(&cluster, &["check", &file]).fails(1).contains("damaged at byte"));
    flip(Path::new(&file), size / 2);
    flip(Path::new(&file), 600);
    let said = tool(&cluster, &["check", &file]).fails(1);
    assert!(said.contains("is damaged: pki/"), "{said}");
    let other = cluster.path("other").display().to_string();
    assert!(tool(&cluster, &["restore", "--data-root", &other, &file]).fails(1).contains("is damaged"));
    assert!(!cluster.path("other").exists());
    flip(Path::new(&file), 600);
    tool(&cluster, &["restore", "--data-root", &other, &file]).ok();
    flip(&log, 5000);
    cluster.start_daemon();
    cluster.ready();
}

#[test]
fn events_go_by_themselves_and_nothing_else_does() {
    let mut cluster = Cluster::with_options(&["--event-ttl", "5s"]);
    let event = |name: &str, version: &str| {
        let about = r#"{"apiVersion":"v1","kind":"Namespace","name":"default"}"#;
        match version {
            "v1" => format!(
                "apiVersion: v1\nkind: Event\nmetadata: {{name: {name}}}\ninvolvedObject: {about}\nreason: Seen\ntype: Normal\n"
            ),
            _ => format!(
                "apiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {{name: {name}}}\nregarding: {about}\nreason: Seen\ntype: Normal\n\
                 action: Look\nreportingController: example.com/test\nreportingInstance: one\neventTime: 2026-01-01T00:00:00.000000Z\n"
            ),
        }
    };
    cluster.kubectl(["create", "configmap", "stays"]).ok();
    let there = |cluster: &Cluster, name: &str| {
        cluster.kubectl(["get", "events", name, "--ignore-not-found", "-o", "name"]).ok() != ""
    };
    cluster.kubectl_with(["create", "-f", "-"], &event("core", "v1")).ok();
    cluster.kubectl_with(["create", "-f", "-"], &event("grouped", "events")).ok();
    cluster.until("both are gone", || !there(&cluster, "core") && !there(&cluster, "grouped"));
    // What is written again lives on; and a daemon that was away finds what is due.
    cluster.kubectl_with(["create", "-f", "-"], &event("renewed", "v1")).ok();
    cluster.crash();
    cluster.until("it is gone after a restart too", || !there(&cluster, "renewed"));
    cluster.kubectl(["get", "configmap", "stays"]).ok();
}
