//! Events: what happened to an object, told once and counted when it happens again.
//!
//! Recording never waits and never fails: events go through a bounded queue to one task that writes them; when the queue is full, the event is lost,
//! as the API's conventions allow. The same reason and message on the same object within ten minutes raises the count of the event that is there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::json;
use tokio::sync::mpsc;

const WAITING: usize = 1000;
const SAME: Duration = Duration::from_secs(600);
const REMEMBERED: usize = 4096;
const LONGEST_MESSAGE: usize = 1024;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

/// Writes events of one component; a cheap handle.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Told>,
}

struct Told {
    about: ObjectReference,
    severity: Severity,
    reason: String,
    message: String,
    time: Timestamp,
}

impl Recorder {
    /// For a component (`kubelet`, `default-scheduler`) on a host (empty where it belongs to none). The task ends with the last handle.
    pub fn new(client: Client, component: &str, host: &str) -> Recorder {
        let (queue, told) = mpsc::channel(WAITING);
        let writer = Writer { client, component: component.to_owned(), host: host.to_owned(), known: HashMap::new() };
        tokio::spawn(writer.run(told));
        Recorder { queue }
    }

    /// Tells what happened to an object; `reason` is one word in CamelCase.
    pub fn tell<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        severity: Severity,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.tell_of(about.object_ref(&()), severity, reason, message);
    }

    /// The same with a reference, which can point into the object (`fieldPath`: `spec.containers{app}`).
    pub fn tell_of(&self, about: ObjectReference, severity: Severity, reason: &str, message: impl Into<String>) {
        let mut message = message.into();
        if message.len() > LONGEST_MESSAGE {
            let end = (0..=LONGEST_MESSAGE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(end);
        }
        let told = Told { about, severity, reason: reason.to_owned(), message, time: Timestamp::now() };
        if self.queue.try_send(told).is_err() {
            tracing::debug!(reason, "an event is lost: too many are waiting");
        }
    }
}

struct Writer {
    client: Client,
    component: String,
    host: String,
    known: HashMap<(String, String, String, String), Known>,
}

struct Known {
    name: String,
    count: i32,
    last: Instant,
}

impl Writer {
    async fn run(mut self, mut told: mpsc::Receiver<Told>) {
        while let Some(event) = told.recv().await {
            if let Err(error) = self.write(event).await {
                tracing::debug!(%error, "an event is lost");
            }
        }
    }

    async fn write(&mut self, told: Told) -> kube::Result<()> {
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, known| known.last.elapsed() < SAME);
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
        }
        // What belongs to no namespace is told in the default one.
        let namespace = told.about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let api = Api::<Event>::namespaced(self.client.clone(), &namespace);
        let place = told.about.field_path.clone().unwrap_or_default();
        let identity =
            format!("{}/{}/{place}", told.about.uid.as_deref().unwrap_or(""), told.about.name.as_deref().unwrap_or(""));
        let id = (namespace.clone(), identity, told.reason.clone(), told.message.clone());
        if let Some(known) = self.known.get_mut(&id).filter(|known| known.last.elapsed() < SAME) {
            known.count += 1;
            known.last = Instant::now();
            let patch = json!({ "count": known.count, "lastTimestamp": Time(told.time) });
            match api.patch(&known.name, &PatchParams::default(), &Patch::Merge(patch)).await {
                // It has expired meanwhile.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => return other.map(drop),
            }
        }
        let event = self.event(&namespace, told);
        let name = event.name_any();
        api.create(&PostParams::default(), &event).await?;
        self.known.insert(id, Known { name, count: 1, last: Instant::now() });
        Ok(())
    }

    fn event(&self, namespace: &str, told: Told) -> Event {
        let name = format!("{}.{:x}", told.about.name.as_deref().unwrap_or("cluster"), told.time.as_nanosecond());
        let severity = match told.severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        Event {
            metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() },
            involved_object: told.about,
            type_: Some(severity.to_owned()),
            reason: Some(told.reason),
            message: Some(told.message),
            count: Some(1),
            first_timestamp: Some(Time(told.time)),
            last_timestamp: Some(Time(told.time)),
            event_time: None::<MicroTime>,
            source: Some(EventSource {
                component: Some(self.component.clone()),
                host: Some(self.host.clone()).filter(|host| !host.is_empty()),
            }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.host.clone()),
            ..Event::default()
        }
    }
}
