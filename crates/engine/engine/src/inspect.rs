//! One container in full.

use crate::Engine;
use crate::engine::{Inner, blocking};
use crate::error::Result;
use crate::lifecycle::State;
use crate::model::network::NetworkView;
use crate::model::view::{Container, StateView};
use crate::record::Record;

impl Engine {
    pub async fn inspect(&self, container: &str, size: bool) -> Result<Container> {
        let record = self.inner.containers.find(container)?.record();
        let inner = self.inner.clone();
        if !size {
            return Ok(view(&inner, &record, false));
        }
        blocking(move || Ok(view(&inner, &record, true))).await
    }
}

fn view(inner: &Inner, record: &Record, size: bool) -> Container {
    let folder = inner.folder(&record.id);
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let ran = record.ran || record.state.is_live();
    let own = |it: std::path::PathBuf| if ran { path(it) } else { String::new() };
    let (size_rw, size_root) = match size {
        true => sizes(inner, record),
        false => (None, None),
    };
    let logs = record.host.log.driver == "json-file" && ran;
    let mut args = record.args.iter().cloned();
    Container {
        id: record.id.clone(),
        name: record.name.clone(),
        created: record.created,
        path: args.next().unwrap_or_default(),
        args: args.collect(),
        state: state(record),
        image: record.image.clone(),
        resolv_conf_path: own(folder.resolv_conf()),
        hostname_path: own(folder.hostname()),
        hosts_path: own(folder.hosts()),
        log_path: if logs { path(inner.log_path(record)) } else { String::new() },
        restart_count: record.restarts,
        driver: inner.store.snapshotter_name().to_owned(),
        driver_data: Default::default(),
        platform: "linux".to_owned(),
        execs: inner.execs_of(&record.id),
        config: record.config.clone(),
        host: record.host.clone(),
        mounts: record.mounts.iter().map(|it| it.point.clone()).collect(),
        network: network(record),
        size_rw,
        size_root,
    }
}

/// Size of the writable layer and of everything; `None` where it cannot be told.
pub(crate) fn sizes(inner: &Inner, record: &Record) -> (Option<u64>, Option<u64>) {
    let own = inner.store.usage(record.snapshot()).map(|it| it.bytes);
    let image = inner.store.resolve(&record.image).map(|it| it.size);
    match (own, image) {
        (Ok(own), Ok(image)) => (Some(own), Some(own + image)),
        (Ok(own), Err(_)) => (Some(own), None),
        (Err(error), _) => {
            tracing::debug!(container = record.id, %error, "size of the writable layer");
            (None, None)
        }
    }
}

pub(crate) fn state(record: &Record) -> StateView {
    let state = &record.state;
    let ended = state.ended();
    let live = state.is_live();
    let restarting = matches!(state, State::Restarting(_));
    StateView {
        status: state.status(),
        running: live || restarting,
        paused: matches!(state, State::Paused { .. }),
        restarting,
        oom_killed: !live && ended.oom,
        dead: matches!(state, State::Dead(_)),
        pid: state.pid().unwrap_or(0),
        exit_code: if live { 0 } else { ended.code },
        error: ended.error.clone(),
        started: state.started(),
        finished: ended.finished,
        health: record.health.clone(),
    }
}

/// The networks with what they are found by.
pub(crate) fn network(record: &Record) -> NetworkView {
    let mut networks = record.networks.clone();
    for (name, view) in &mut networks {
        if !["bridge", "host", "none"].contains(&name.as_str()) {
            let mut names = vec![record.name.clone()];
            names.extend(view.spec.aliases.iter().cloned());
            names.push(record.short_id().to_owned());
            if record.config.hostname != record.short_id() {
                names.push(record.config.hostname.clone());
            }
            let mut seen = Vec::new();
            names.retain(|it| {
                let new = !seen.contains(it);
                seen.push(it.clone());
                new
            });
            view.dns_names = names;
        }
    }
    let ports = networks.values().filter_map(|it| it.endpoint.as_ref()).flat_map(|it| it.ports.clone()).collect();
    let pid = record.state.pid();
    NetworkView {
        sandbox_id: if pid.is_some() { record.sandbox.clone() } else { String::new() },
        sandbox_key: pid.map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default(),
        networks,
        ports,
    }
}
