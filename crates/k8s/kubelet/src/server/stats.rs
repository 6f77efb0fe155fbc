//! What the node and its pods use: for `metrics.k8s.io`, for Prometheus, and as the kubelet's summary.

mod host;
mod text;

use std::collections::HashMap;

use http::{Response, StatusCode};
use jiff::Timestamp;
use pods::runtime::{Container, Sandbox, State as Running, Traffic, Usage};
use serde_json::{Value, json};

use super::State;
use super::answer::{self, Body};
use text::Text;

/// The form of Prometheus' text.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A pod that runs, and what it uses.
struct Measured {
    sandbox: Sandbox,
    pod: Option<(Usage, Vec<Traffic>)>,
    containers: Vec<(Container, Usage)>,
}

/// What runs now; what goes away while it is asked is left out.
async fn measure(state: &State) -> Result<Vec<Measured>, pods::runtime::Error> {
    let runtime = state.lookup.runtime();
    let mut running: HashMap<String, Vec<Container>> = HashMap::new();
    for container in runtime.containers.list().await? {
        if matches!(container.state, Running::Running { .. }) {
            running.entry(container.sandbox.clone()).or_default().push(container);
        }
    }
    let mut measured = Vec::new();
    for sandbox in runtime.sandboxes.list().await?.into_iter().filter(|sandbox| sandbox.ready) {
        let mut containers = Vec::new();
        for container in running.remove(&sandbox.id).unwrap_or_default() {
            if let Ok(usage) = runtime.containers.usage(&container.id).await {
                containers.push((container, usage));
            }
        }
        let pod = runtime.sandboxes.usage(&sandbox.id).await.ok();
        measured.push(Measured { sandbox, pod, containers });
    }
    Ok(measured)
}

fn failed(error: &pods::runtime::Error) -> Response<Body> {
    answer::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// `/metrics/resource`
pub async fn resource(state: &State) -> Response<Body> {
    let measured = match measure(state).await {
        Ok(measured) => measured,
        Err(error) => return failed(&error),
    };
    let mut text = Text::default();
    let now = Timestamp::now();
    let node = host::usage();
    let cpu = |usage: &Usage| usage.cpu_nanoseconds as f64 / 1e9;
    for one in &measured {
        let name = &one.sandbox.pod;
        for (container, usage) in &one.containers {
            let labels = [("container", &*container.name), ("namespace", &*name.namespace), ("pod", &*name.name)];
            let at = Some(usage.time);
            text.counter(
                "container_cpu_usage_seconds_total",
                "Cumulative CPU time of the container in core-seconds",
                &labels,
                cpu(usage),
                at,
            );
            let working_set = usage.memory_working_set as f64;
            text.gauge(
                "container_memory_working_set_bytes",
                "Working set of the container in bytes",
                &labels,
                working_set,
                at,
            );
            if let Running::Running { started } = container.state {
                let seconds = started.as_millisecond() as f64 / 1e3;
                text.gauge(
                    "container_start_time_seconds",
                    "Start of the container, seconds since 1970",
                    &labels,
                    seconds,
                    None,
                );
            }
        }
        if let Some((usage, _)) = &one.pod {
            let labels = [("namespace", &*name.namespace), ("pod", &*name.name)];
            text.counter(
                "pod_cpu_usage_seconds_total",
                "Cumulative CPU time of the pod in core-seconds",
                &labels,
                cpu(usage),
                Some(usage.time),
            );
            let working_set = usage.memory_working_set as f64;
            text.gauge(
                "pod_memory_working_set_bytes",
                "Working set of the pod in bytes",
                &labels,
                working_set,
                Some(usage.time),
            );
        }
    }
    text.counter(
        "node_cpu_usage_seconds_total",
        "Cumulative CPU time of the node in core-seconds",
        &[],
        node.cpu_seconds,
        Some(now),
    );
    text.gauge(
        "node_memory_working_set_bytes",
        "Working set of the node in bytes",
        &[],
        node.working_set as f64,
        Some(now),
    );
    text.gauge(
        "resource_scrape_error",
        "1 if there was an error while getting container metrics, 0 otherwise",
        &[],
        0.0,
        None,
    );
    answer::of(StatusCode::OK, PROMETHEUS, text.finish())
}

/// `/metrics/cadvisor`
pub async fn containers(state: &State) -> Response<Body> {
    let measured = match measure(state).await {
        Ok(measured) => measured,
        Err(error) => return failed(&error),
    };
    let mut text = Text::default();
    for one in &measured {
        let name = &one.sandbox.pod;
        for (container, usage) in &one.containers {
            let labels = [
                ("container", &*container.name),
                ("id", &*container.id),
                ("image", &*container.image),
                ("namespace", &*name.namespace),
                ("pod", &*name.name),
            ];
            let at = Some(usage.time);
            let seconds = usage.cpu_nanoseconds as f64 / 1e9;
            text.counter(
                "container_cpu_usage_seconds_total",
                "Cumulative CPU time consumed in seconds",
                &labels,
                seconds,
                at,
            );
            text.gauge(
                "container_memory_usage_bytes",
                "Current memory usage in bytes",
                &labels,
                usage.memory_usage as f64,
                at,
            );
            text.gauge(
                "container_memory_working_set_bytes",
                "Current working set in bytes",
                &labels,
                usage.memory_working_set as f64,
                at,
            );
            text.gauge("container_memory_rss", "Size of RSS in bytes", &labels, usage.memory_rss as f64, at);
            text.gauge(
                "container_processes",
                "Number of processes running inside the container",
                &labels,
                usage.pids as f64,
                at,
            );
        }
        for traffic in one.pod.iter().flat_map(|(_, traffic)| traffic) {
            let labels = [("interface", &*traffic.interface), ("namespace", &*name.namespace), ("pod", &*name.name)];
            for (metric, help, value) in [
                ("container_network_receive_bytes_total", "Cumulative count of bytes received", traffic.rx_bytes),
                (
                    "container_network_receive_errors_total",
                    "Cumulative count of errors while receiving",
                    traffic.rx_errors,
                ),
                ("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", traffic.tx_bytes),
                (
                    "container_network_transmit_errors_total",
                    "Cumulative count of errors while transmitting",
                    traffic.tx_errors,
                ),
            ] {
                text.counter(metric, help, &labels, value as f64, None);
            }
        }
    }
    answer::of(StatusCode::OK, PROMETHEUS, text.finish())
}

/// `/metrics`
pub async fn metrics(state: &State) -> Response<Body> {
    let runtime = state.lookup.runtime();
    let (sandboxes, containers) = match tokio::try_join!(runtime.sandboxes.list(), runtime.containers.list()) {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let mut text = Text::default();
    text.gauge("kubelet_node_name", "The node's name. The count is always 1.", &[("node", &state.node)], 1.0, None);
    let ready = sandboxes.iter().filter(|sandbox| sandbox.ready).count();
    text.gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox", &[], ready as f64, None);
    for (name, is) in [
        ("created", (|state| matches!(state, Running::Created)) as fn(&Running) -> bool),
        ("running", |state| matches!(state, Running::Running { .. })),
        ("exited", |state| matches!(state, Running::Exited { .. })),
    ] {
        let count = containers.iter().filter(|container| is(&container.state)).count();
        let labels = [("container_state", name)];
        text.gauge("kubelet_running_containers", "Number of containers by their state", &labels, count as f64, None);
    }
    let own = host::process();
    text.counter("process_cpu_seconds_total", "CPU time of the process in seconds", &[], own.cpu_seconds, None);
    text.gauge(
        "process_resident_memory_bytes",
        "Resident memory of the process in bytes",
        &[],
        own.working_set as f64,
        None,
    );
    let started = state.started.as_millisecond() as f64 / 1e3;
    text.gauge("process_start_time_seconds", "Start of the process, seconds since 1970", &[], started, None);
    answer::of(StatusCode::OK, PROMETHEUS, text.finish())
}

/// `/stats/summary`
pub async fn summary(state: &State) -> Response<Body> {
    let measured = match measure(state).await {
        Ok(measured) => measured,
        Err(error) => return failed(&error),
    };
    let (now, node) = (Timestamp::now(), host::usage());
    let mut about = json!({
        "nodeName": state.node, "startTime": state.started,
        "cpu": {"time": now, "usageCoreNanoSeconds": (node.cpu_seconds * 1e9) as u64},
        "memory": {"time": now, "workingSetBytes": node.working_set, "availableBytes": node.available},
    });
    if let Ok(disk) = state.lookup.runtime().images.disk().await {
        let used = disk.capacity.saturating_sub(disk.available);
        let file_system = json!({
            "time": now, "availableBytes": disk.available, "capacityBytes": disk.capacity, "usedBytes": used,
            "inodes": disk.inodes, "inodesFree": disk.inodes_free, "inodesUsed": disk.inodes.saturating_sub(disk.inodes_free),
        });
        about["fs"] = file_system.clone();
        about["runtime"] = json!({"imageFs": file_system});
        about["runtime"]["imageFs"]["usedBytes"] = disk.images_used.into();
    }
    let pods: Vec<Value> = measured.iter().map(pod_summary).collect();
    answer::json(&json!({"node": about, "pods": pods}))
}

fn pod_summary(one: &Measured) -> Value {
    let name = &one.sandbox.pod;
    let containers: Vec<Value> = one
        .containers
        .iter()
        .map(|(container, usage)| {
            let mut about = usage_summary(usage);
            about["name"] = container.name.as_str().into();
            if let Running::Running { started } = container.state {
                about["startTime"] = started.to_string().into();
            }
            about
        })
        .collect();
    let mut about = one.pod.as_ref().map_or_else(|| json!({}), |(usage, _)| usage_summary(usage));
    about["podRef"] = json!({"name": name.name, "namespace": name.namespace, "uid": name.uid});
    about["startTime"] = one.sandbox.created.to_string().into();
    about["containers"] = containers.into();
    if let Some((usage, traffic)) = &one.pod {
        about["process_stats"] = json!({"process_count": usage.pids});
        let interface = |traffic: &Traffic| {
            json!({
                "name": traffic.interface, "rxBytes": traffic.rx_bytes, "rxErrors": traffic.rx_errors,
                "txBytes": traffic.tx_bytes, "txErrors": traffic.tx_errors,
            })
        };
        if let Some(first) = traffic.first() {
            about["network"] = interface(first);
            about["network"]["time"] = usage.time.to_string().into();
            about["network"]["interfaces"] = traffic.iter().map(interface).collect();
        }
    }
    about
}

fn usage_summary(usage: &Usage) -> Value {
    json!({
        "cpu": {"time": usage.time, "usageCoreNanoSeconds": usage.cpu_nanoseconds},
        "memory": {
            "time": usage.time, "usageBytes": usage.memory_usage, "workingSetBytes": usage.memory_working_set, "rssBytes": usage.memory_rss,
            "pageFaults": usage.page_faults, "majorPageFaults": usage.major_page_faults,
        },
    })
}
