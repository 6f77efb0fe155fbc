//! A sandbox whose daemon serves Kubernetes, and its stock clients.

use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Said, Sandbox, images, python, run_with_input};

/// A loaded machine takes its time; what is waited for happens at once on others.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon with `--kubernetes` in namespaces of its own.
pub struct Cluster(Sandbox);

impl Cluster {
    /// A cluster that is ready.
    pub fn new() -> Self {
        Self::with_options(&[])
    }

    /// As [`Cluster::new`], with further flags for the daemon.
    pub fn with_options(options: &[&str]) -> Self {
        let base = ["--kubernetes", "--kubernetes-listen", "127.0.0.1:6443"];
        let cluster = Cluster(Sandbox::with_options(&[&base, options].concat()));
        cluster.ready();
        cluster
    }

    /// A cluster whose node is ready and has the image `box:1`.
    pub fn with_node() -> Self {
        Self::with_node_and(&[])
    }

    /// As [`Cluster::with_node`], with further flags for the daemon.
    pub fn with_node_and(options: &[&str]) -> Self {
        let cluster = Cluster::with_options(options);
        cluster.import(&images::busybox_layer(), "box:1");
        let ready = ["get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"];
        cluster.wait("the node is ready", || cluster.kubectl(ready).out == "True");
        cluster
            .wait("the default account is there", || cluster.kubectl(["get", "serviceaccount", "default"]).code == 0);
        cluster
    }

    /// Waits until something holds, at most 60 seconds; then tells the pods and what happened to them.
    #[track_caller]
    pub fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            if start.elapsed() > PATIENCE {
                let pods = self.kubectl(["get", "pods", "-o", "yaml"]).out;
                let events = self.kubectl(["get", "events"]).out;
                panic!("not within {PATIENCE:?}: {what}\n{pods}\n{events}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// kill -9 of the daemon, and another one.
    pub fn crash(&mut self) {
        self.0.kill_daemon();
        self.0.start_daemon();
        self.ready();
    }

    /// Waits until the API server says that it is ready.
    #[track_caller]
    pub fn ready(&self) {
        self.until("the API server is ready", || self.kubectl(["get", "--raw", "/readyz"]).out.trim() == "ok");
    }

    /// Path of the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("data/kubernetes/admin.kubeconfig")
    }

    /// `kubectl`.
    pub fn kubectl<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Said {
        Said::of(self.client("kubectl", words).stdin(Stdio::null()).output().expect("kubectl"))
    }

    /// A `kubectl` that is years older.
    pub fn old_kubectl<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Said {
        Said::of(self.client("kubectl-1.28", words).stdin(Stdio::null()).output().expect("kubectl-1.28"))
    }

    /// `helm`.
    pub fn helm<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Said {
        Said::of(self.client("helm", words).stdin(Stdio::null()).output().expect("helm"))
    }

    /// `kubectl` with a manifest on standard input; `words` end with what wants it (`-f`, `-`).
    pub fn kubectl_with<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>, manifest: &str) -> Said {
        run_with_input(self.client("kubectl", words), manifest.as_bytes())
    }

    /// `kubectl apply` of a manifest that must be taken.
    #[track_caller]
    pub fn apply(&self, manifest: &str) -> String {
        self.kubectl_with(["apply", "-f", "-"], manifest).ok()
    }

    /// One object, as `kubectl get -o json` gives it.
    #[track_caller]
    pub fn get<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Value {
        let words: Vec<_> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let all = [OsStr::new("get").to_owned()].into_iter().chain(words).chain(["-o".into(), "json".into()]);
        serde_json::from_str(&self.kubectl(all).ok()).expect("JSON")
    }

    /// A program of the clients' folder, not started yet.
    pub fn client<S: AsRef<OsStr>>(&self, program: &str, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.inside(clients().join(program));
        command.args(words);
        self.surround(&mut command);
        command
    }

    /// Runs a Python program that finds the cluster in its environment; it must succeed.
    #[track_caller]
    pub fn python(&self, program: &str) -> String {
        let mut command = self.inside(python());
        command.args(["-c", program]);
        self.surround(&mut command);
        Said::of(command.stdin(Stdio::null()).output().expect("python")).ok()
    }

    /// The same for a JavaScript module.
    #[track_caller]
    pub fn javascript(&self, program: &str) -> String {
        let folder = std::env::var_os("SAMPAN_JAVASCRIPT").map_or_else(|| built("javascript"), PathBuf::from);
        let mut command = self.inside("sh");
        command.args(["-c", r#"cd "$0" && exec "$1" --input-type=module --eval "$2""#]).arg(folder);
        command.arg(python().with_file_name("node")).arg(program);
        self.surround(&mut command);
        Said::of(command.stdin(Stdio::null()).output().expect("node")).ok()
    }

    fn surround(&self, command: &mut Command) {
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", self.path("home"));
        command.env_remove("KUBERNETES_SERVICE_HOST").env_remove("KUBECACHEDIR");
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Cluster {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.0
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Sandbox {
        &mut self.0
    }
}

/// The folder with `kubectl`, `kubectl-1.28` and `helm`.
pub fn clients() -> PathBuf {
    std::env::var_os("SAMPAN_CLIENTS").map_or_else(|| built("clients"), PathBuf::from)
}

fn built(name: &str) -> PathBuf {
    std::path::absolute(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(name)).expect("a path")
}
