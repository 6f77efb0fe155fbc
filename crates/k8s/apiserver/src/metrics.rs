//! Figures about the server, in the names that dashboards of Kubernetes know.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry as Figures;

use crate::http::path::{ResourcePath, Route};
use crate::registry::Registry;

/// The server's figures, a cheap handle.
#[derive(Clone)]
pub struct Metrics {
    figures: Arc<Figures>,
    requests: Family<Request, Counter>,
    durations: Family<Timed, Histogram>,
    objects: Family<OfResource, Gauge>,
    revision: Gauge,
    stored_bytes: Gauge,
    resident: Gauge,
}

/// An answered request.
pub struct Done<'a> {
    /// Method.
    pub method: &'a str,
    /// What it was about.
    pub route: &'a Route,
    /// Whether it was a watch.
    pub watch: bool,
    /// Status.
    pub code: u16,
    /// How long it took, until the answer began.
    pub took: Duration,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Timed {
    verb: String,
    resource: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfResource {
    resource: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut figures = Figures::default();
        let requests = Family::default();
        let durations = Family::<Timed, Histogram>::new_with_constructor(|| {
            Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0])
        });
        let (objects, revision, stored_bytes, resident) =
            (Family::default(), Gauge::default(), Gauge::default(), Gauge::default());
        figures.register("apiserver_request", "Requests answered", requests.clone());
        figures.register("apiserver_request_duration_seconds", "Time until an answer begins", durations.clone());
        figures.register("apiserver_storage_objects", "Objects stored", objects.clone());
        figures.register("apiserver_storage_revision", "Latest revision of the store", revision.clone());
        figures.register("apiserver_storage_size_bytes", "Bytes of all objects stored", stored_bytes.clone());
        figures.register("process_resident_memory_bytes", "Resident memory of the process", resident.clone());
        Metrics { figures: Arc::new(figures), requests, durations, objects, revision, stored_bytes, resident }
    }
}

impl Metrics {
    /// Counts an answered request.
    pub fn done(&self, done: &Done<'_>) {
        let nothing = ResourcePath::default();
        let path = match done.route {
            Route::Resource(path) => path,
            _ => &nothing,
        };
        let verb = match (done.method, path.name.is_empty()) {
            ("GET", _) if done.watch => "WATCH",
            ("GET", true) if !path.resource.is_empty() => "LIST",
            ("DELETE", true) => "DELETECOLLECTION",
            (method, _) => method,
        };
        let scope = match path {
            path if path.resource.is_empty() => "",
            path if !path.name.is_empty() => "resource",
            path if !path.namespace.is_empty() => "namespace",
            _ => "cluster",
        };
        // what nobody serves must not make new series without end
        let known = done.code != 404;
        let name = |text: &String| if known { text.clone() } else { String::new() };
        let request = Request {
            verb: verb.to_owned(),
            group: name(&path.group),
            version: name(&path.version),
            resource: name(&path.resource),
            subresource: name(&path.subresource),
            scope,
            code: done.code,
        };
        if !done.watch {
            let timed = Timed { verb: request.verb.clone(), resource: request.resource.clone() };
            self.durations.get_or_create(&timed).observe(done.took.as_secs_f64());
        }
        self.requests.get_or_create(&request).inc();
    }

    /// Everything as text.
    pub fn text(&self, registry: &Registry) -> String {
        for row in registry.catalog().rows().iter().filter(|row| !row.stored.converted) {
            let resource = row.group_resource().to_string();
            let count = registry.store().count(&row.stored.prefix);
            self.objects.get_or_create(&OfResource { resource }).set(count as i64);
        }
        let stats = registry.store().stats();
        self.revision.set(stats.revision as i64);
        self.stored_bytes.set(stats.bytes as i64);
        self.resident.set(resident_memory());
        let mut text = String::new();
        // writing to a string cannot fail
        let _ = encode(&mut text, &self.figures);
        text
    }
}

fn resident_memory() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = pages.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as i64
}
