//! A runtime and an API in memory, for tests of workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use pods::runtime::*;
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// What the fake runtime has.
pub struct Inside {
    pub sandboxes: Vec<Sandbox>,
    pub containers: Vec<Container>,
    pub images: Vec<String>,
    /// What was done, in order.
    pub done: Vec<String>,
    next: u32,
}

#[derive(Clone)]
pub struct Fake {
    state: Arc<Mutex<Inside>>,
    events: broadcast::Sender<Changed>,
}

impl Fake {
    pub fn new(images: &[&str]) -> Fake {
        let state = Inside {
            sandboxes: Vec::new(),
            containers: Vec::new(),
            images: images.iter().map(|image| (*image).to_owned()).collect(),
            done: Vec::new(),
            next: 0,
        };
        Fake { state: Arc::new(Mutex::new(state)), events: broadcast::channel(64).0 }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap()
    }

    pub fn runtime(&self) -> Runtime {
        let fake = Arc::new(self.clone());
        Runtime {
            sandboxes: fake.clone(),
            containers: fake.clone(),
            streams: fake.clone(),
            images: fake,
            version: "fake://1".into(),
        }
    }

    /// The newest container of a name ends by itself.
    pub fn exit(&self, name: &str, code: i32) {
        let mut state = self.lock();
        let one = state.containers.iter_mut().rev().find(|one| one.name == name).unwrap();
        ended(one, code);
        drop(state);
        self.tell();
    }

    fn tell(&self) {
        let Some(pod) = self.lock().sandboxes.first().map(|sandbox| sandbox.pod.clone()) else { return };
        let _ = self.events.send(Changed { pod });
    }

    fn act<T>(&self, what: String, act: impl FnOnce(&mut Inside) -> Result<T>) -> Future<'static, T>
    where
        T: Send + 'static,
    {
        let mut state = self.lock();
        if !what.is_empty() {
            state.done.push(what);
        }
        let result = act(&mut state);
        drop(state);
        self.tell();
        Box::pin(async move { result })
    }

    fn see<T: Send + 'static>(&self, look: impl FnOnce(&Inside) -> T) -> Future<'static, T> {
        let seen = look(&self.lock());
        Box::pin(async move { Ok(seen) })
    }
}

fn ended(one: &mut Container, code: i32) {
    let started = match one.state {
        State::Running { started } => Some(started),
        State::Exited { .. } => return,
        State::Created => None,
    };
    let finished = Timestamp::now();
    one.state = State::Exited { started, finished, code, oom_killed: false, message: String::new() };
}

fn none<T>() -> Result<T> {
    Err(Error { kind: Kind::Unimplemented, message: "not faked".into() })
}

impl Sandboxes for Fake {
    fn run(&self, spec: SandboxSpec) -> Future<'_, Sandbox> {
        self.act(format!("run {}", spec.attempt), |state| {
            state.next += 1;
            let sandbox = Sandbox {
                id: format!("s{}", state.next),
                pod: spec.pod,
                attempt: spec.attempt,
                ready: true,
                created: Timestamp::now(),
                addresses: vec!["10.42.0.9".parse().unwrap()],
                labels: spec.labels,
                annotations: spec.annotations,
                cgroup_parent: spec.cgroup_parent,
            };
            state.sandboxes.push(sandbox.clone());
            Ok(sandbox)
        })
    }

    fn stop<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        self.act(format!("stop {id}"), |state| {
            state.sandboxes.iter_mut().filter(|one| one.id == id).for_each(|one| one.ready = false);
            state.containers.iter_mut().filter(|one| one.sandbox == id).for_each(|one| ended(one, 137));
            Ok(())
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        self.act(format!("remove {id}"), |state| {
            state.sandboxes.retain(|one| one.id != id);
            state.containers.retain(|one| one.sandbox != id);
            Ok(())
        })
    }

    fn list(&self) -> Future<'_, Vec<Sandbox>> {
        self.see(|state| state.sandboxes.clone())
    }

    fn events(&self) -> broadcast::Receiver<Changed> {
        self.events.subscribe()
    }

    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Future<'a, Box<dyn Connection>> {
        Box::pin(async { none() })
    }

    fn usage<'a>(&'a self, _: &'a str) -> Future<'a, (Usage, Vec<Traffic>)> {
        Box::pin(async { none() })
    }
}

impl Containers for Fake {
    fn create<'a>(&'a self, sandbox: &'a str, spec: ContainerSpec) -> Future<'a, String> {
        self.act(format!("create {} {}", spec.name, spec.attempt), |state| {
            state.next += 1;
            let id = format!("c{}", state.next);
            state.containers.push(Container {
                id: id.clone(),
                sandbox: sandbox.into(),
                name: spec.name,
                attempt: spec.attempt,
                image: spec.image,
                image_id: spec.image_id,
                created: Timestamp::now(),
                state: State::Created,
                pid: 0,
                labels: spec.labels,
                annotations: spec.annotations,
                log_path: spec.log_path,
            });
            Ok(id)
        })
    }

    fn start<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        self.act(String::new(), |state| {
            let one = state.containers.iter_mut().find(|one| one.id == id).unwrap();
            one.state = State::Running { started: Timestamp::now() };
            Ok(())
        })
    }

    fn stop<'a>(&'a self, id: &'a str, _: Duration) -> Future<'a, ()> {
        self.act(format!("end {id}"), |state| {
            state.containers.iter_mut().filter(|one| one.id == id).for_each(|one| ended(one, 143));
            Ok(())
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        self.act(format!("remove {id}"), |state| {
            state.containers.retain(|one| one.id != id);
            Ok(())
        })
    }

    fn list(&self) -> Future<'_, Vec<Container>> {
        self.see(|state| state.containers.clone())
    }

    fn update<'a>(&'a self, _: &'a str, _: Resources) -> Future<'a, ()> {
        Box::pin(async { none() })
    }

    fn usage<'a>(&'a self, _: &'a str) -> Future<'a, Usage> {
        Box::pin(async { none() })
    }

    fn reopen_log<'a>(&'a self, _: &'a str) -> Future<'a, ()> {
        Box::pin(async { none() })
    }
}

impl Streams for Fake {
    fn exec<'a>(&'a self, _: &'a str, _: Exec) -> Future<'a, Session> {
        Box::pin(async { none() })
    }

    fn exec_sync<'a>(&'a self, id: &'a str, command: Vec<String>, _: Duration) -> Future<'a, Said> {
        self.act(format!("exec {id} {}", command.join(" ")), |_| Ok(Said::default()))
    }

    fn attach<'a>(&'a self, _: &'a str) -> Future<'a, Session> {
        Box::pin(async { none() })
    }
}

impl Images for Fake {
    fn status<'a>(&'a self, image: &'a str) -> Future<'a, Option<Image>> {
        self.see(|state| {
            state.images.iter().any(|one| one == image).then(|| Image { id: "sha256:1".into(), ..Image::default() })
        })
    }

    fn pull<'a>(&'a self, image: &'a str, _: Vec<PullAuth>) -> Future<'a, Image> {
        let message = format!("{image} cannot be pulled");
        Box::pin(async { Err(Error { kind: Kind::Unavailable, message }) })
    }

    fn list(&self) -> Future<'_, Vec<Image>> {
        self.see(|_| Vec::new())
    }

    fn remove<'a>(&'a self, _: &'a str) -> Future<'a, ()> {
        Box::pin(async { none() })
    }

    fn disk(&self) -> Future<'_, Disk> {
        self.see(|_| Disk::default())
    }
}

/// An API that has one pod.
#[derive(Clone)]
pub struct Api {
    /// None when it was deleted.
    pub pod: Arc<Mutex<Option<Value>>>,
    pub changed: Arc<tokio::sync::Notify>,
}

impl Api {
    pub fn new(pod: Value) -> Api {
        Api { pod: Arc::new(Mutex::new(Some(pod))), changed: Arc::default() }
    }

    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let (code, answer) = api.answer(&parts.method, parts.uri.path(), &body);
                let response = Response::builder().status(code).header("content-type", "application/json");
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
                    response.body(Body::from(answer.to_string().into_bytes())).unwrap(),
                )
            }
        });
        kube::Client::new(service, "default")
    }

    fn answer(&self, method: &Method, path: &str, body: &Bytes) -> (u16, Value) {
        let mut pod = self.pod.lock().unwrap();
        let absent = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404 });
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), path, pod.as_mut()) {
            ("PATCH", "/api/v1/namespaces/ns/pods/p/status", Some(pod)) => {
                merge(pod, &sent["status"]);
                let version: u64 = pod["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                pod["metadata"]["resourceVersion"] = (version + 1).to_string().into();
                self.changed.notify_one();
                (200, pod.clone())
            }
            ("DELETE", "/api/v1/namespaces/ns/pods/p", Some(_)) => {
                assert_eq!((&sent["gracePeriodSeconds"], &sent["preconditions"]["uid"]), (&json!(0), &json!("u")));
                let last = pod.take().unwrap();
                self.changed.notify_one();
                (200, last)
            }
            ("POST", _, _) => (201, sent),
            ("GET", _, _) if path.ends_with("/services") => (
                200,
                json!({ "kind": "ServiceList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] }),
            ),
            ("GET", _, _) if path.contains("/nodes") => (
                200,
                json!({ "kind": "NodeList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] }),
            ),
            _ => (404, absent),
        }
    }
}

/// As much of a strategic merge as the worker's patches need.
fn merge(pod: &mut Value, patch: &Value) {
    let mut status: BTreeMap<String, Value> = serde_json::from_value(pod["status"].clone()).unwrap_or_default();
    for (field, value) in patch.as_object().unwrap() {
        match field.as_str() {
            "conditions" => {
                let mut all = status.remove("conditions").and_then(|all| all.as_array().cloned()).unwrap_or_default();
                for one in value.as_array().unwrap() {
                    all.retain(|old| old["type"] != one["type"]);
                    let mut one = one.clone();
                    one.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                    all.push(one);
                }
                status.insert("conditions".into(), all.into());
            }
            "podIPs" => {
                let all = value.as_array().unwrap().iter().filter(|one| one.get("$patch").is_none()).cloned();
                status.insert("podIPs".into(), all.collect::<Vec<_>>().into());
            }
            _ if value.is_null() => drop(status.remove(field)),
            _ => drop(status.insert(field.clone(), value.clone())),
        }
    }
    pod["status"] = serde_json::to_value(status).unwrap();
}
