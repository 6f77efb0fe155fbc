//! Lists of containers, and their pruning.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::Engine;
use crate::containers::Handle;
use crate::engine::{Inner, blocking};
use crate::error::{Error, Result};
use crate::inspect;
use crate::keeper::Command;
use crate::lifecycle::State;
use crate::model::config::Port;
use crate::model::event::EventKind;
use crate::model::filters::Filters;
use crate::model::system::Pruned;
use crate::model::view::{ContainerSummary, HealthStatus, ListQuery, PortView, RemoveOptions, Status};
use crate::pattern::Pattern;
use crate::record::Record;

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

impl Engine {
    pub async fn list(&self, query: ListQuery) -> Result<Vec<ContainerSummary>> {
        let filter = Filter::new(&self.inner, &query.filters)?;
        let mut records: Vec<Arc<Record>> = self.inner.containers.all().iter().map(|it| it.record()).collect();
        records.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        let every = query.all || query.limit.is_some_and(|it| it > 0) || filter.about_stopped();
        records.retain(|it| (every || is_shown(it)) && filter.accepts(it));
        if let Some(limit) = query.limit.filter(|it| *it > 0) {
            records.truncate(limit);
        }
        let inner = self.inner.clone();
        blocking(move || Ok(records.iter().map(|it| summary(&inner, it, query.size)).collect())).await
    }

    /// Stopped ones.
    pub async fn prune_containers(&self, filters: Filters) -> Result<Pruned> {
        filters.accept(&["label", "label!", "until"])?;
        let until = match filters.values("until").next() {
            Some(text) => Some(crate::images::moment(text)?),
            None => None,
        };
        let mut pruned = Pruned::default();
        for handle in self.inner.containers.all() {
            let record = handle.record();
            let idle = matches!(record.state, State::Created(_) | State::Exited(_) | State::Dead(_));
            let old = until.is_none_or(|until| record.created < until);
            if !idle || !old || !filters.labels("label", &record.config.labels) {
                continue;
            }
            let size = self.inner.store.usage(record.snapshot()).map_or(0, |it| it.bytes);
            if self.prune_one(&handle).await {
                pruned.reclaimed += size;
                pruned.deleted.push(record.id.clone());
            }
        }
        let reclaimed = pruned.reclaimed.to_string();
        self.inner.tell_of(EventKind::Container, "prune", "", &[("reclaimed", &reclaimed)]);
        Ok(pruned)
    }

    async fn prune_one(&self, handle: &Handle) -> bool {
        let options = RemoveOptions::default();
        match handle.ask(|reply| Command::Remove { options, reply }).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(container = handle.id, %error, "could not be pruned");
                false
            }
        }
    }
}

/// One entry of a list.
pub(crate) fn summary(inner: &Inner, record: &Record, size: bool) -> ContainerSummary {
    let (size_rw, size_root) = match size {
        true => inspect::sizes(inner, record),
        false => (None, None),
    };
    ContainerSummary {
        id: record.id.clone(),
        names: vec![format!("/{}", record.name)],
        image: image_name(inner, record),
        image_id: record.image.clone(),
        command: command(&record.args),
        created: record.created,
        ports: ports(record),
        labels: record.config.labels.clone(),
        state: record.state.status(),
        status: status(record, Timestamp::now()),
        network_mode: record.host.network_mode.to_string(),
        annotations: record.host.annotations.clone(),
        network: inspect::network(record),
        mounts: record.mounts.iter().map(|it| it.point.clone()).collect(),
        size_rw,
        size_root,
    }
}

/// The name the container was made with, as long as it still means its image.
fn image_name(inner: &Inner, record: &Record) -> String {
    match inner.store.resolve(&record.config.image) {
        Ok(image) if image.id.as_str() == record.image => record.config.image.clone(),
        Ok(_) | Err(_) => record.image.clone(),
    }
}

fn command(args: &[String]) -> String {
    let quote = |arg: &String| match arg.contains(' ') {
        true => format!("'{arg}'"),
        false => arg.clone(),
    };
    let mut words = args.iter();
    let first = words.next().cloned().unwrap_or_default();
    std::iter::once(first).chain(words.map(quote)).collect::<Vec<_>>().join(" ")
}

fn ports(record: &Record) -> Vec<PortView> {
    let bound = record.networks.values().filter_map(|it| it.endpoint.as_ref()).flat_map(|it| &it.ports);
    let mut ports: BTreeSet<PortView> = bound
        .map(|it| PortView { port: Port { number: it.container_port, protocol: it.protocol }, public: Some(it.host) })
        .collect();
    if record.state.is_live() {
        for port in &record.config.exposed_ports {
            if !ports.iter().any(|it| it.port == *port) {
                ports.insert(PortView { port: *port, public: None });
            }
        }
    }
    ports.into_iter().collect()
}

/// `Up 3 minutes (healthy)`.
fn status(record: &Record, now: Timestamp) -> String {
    let ago = |at: Option<Timestamp>| at.map(|at| human(now.duration_since(at).as_secs())).unwrap_or_default();
    match &record.state {
        State::Running { started, .. } => {
            let up = format!("Up {}", ago(Some(*started)));
            match record.health.as_ref().map(|it| it.status) {
                None => up,
                Some(HealthStatus::Starting) => format!("{up} (health: starting)"),
                Some(health) => format!("{up} ({})", health.as_str()),
            }
        }
        State::Paused { started, .. } => format!("Up {} (Paused)", ago(Some(*started))),
        State::Restarting(ended) => format!("Restarting ({}) {} ago", ended.code, ago(ended.finished)),
        State::Removing(_) => "Removal In Progress".to_owned(),
        State::Dead(_) => "Dead".to_owned(),
        State::Created(_) => "Created".to_owned(),
        State::Exited(ended) => match ended.finished {
            None => String::new(),
            finished => format!("Exited ({}) {} ago", ended.code, ago(finished)),
        },
    }
}

/// A duration in seconds in docker's words.
fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds as f64 / 3600.0).round() as i64);
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

fn is_shown(record: &Record) -> bool {
    record.state.is_live() || matches!(record.state, State::Restarting(_))
}

/// Filters with what they refer to.
struct Filter<'a> {
    filters: &'a Filters,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    ancestors: Option<Vec<String>>,
    ids: Vec<Pattern>,
    names: Vec<Pattern>,
}

impl<'a> Filter<'a> {
    fn new(inner: &Inner, filters: &'a Filters) -> Result<Filter<'a>> {
        filters.accept(FILTERS)?;
        filters.truth("is-task")?;
        let invalid = |key: &str, value: &str| Error::invalid(format!("invalid filter '{key}={value}'"));
        for value in filters.values("status") {
            let known = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
            if !known.contains(&value) {
                return Err(invalid("status", value));
            }
        }
        for value in filters.values("health") {
            if !["starting", "healthy", "unhealthy", "none"].contains(&value) {
                return Err(invalid("health", value));
            }
        }
        for value in filters.values("exited") {
            value.parse::<i32>().map_err(|_| invalid("exited", value))?;
        }
        let moment = |key: &str| -> Result<Option<Timestamp>> {
            filters.values(key).map(|name| Ok(inner.containers.find(name)?.record().created)).next().transpose()
        };
        let ancestors = filters.has("ancestor").then(|| {
            let images = filters.values("ancestor").filter_map(|it| inner.store.resolve(it).ok());
            images.map(|it| it.id.to_string()).collect()
        });
        let patterns = |key: &str| filters.values(key).map(Pattern::new).collect::<Result<_>>();
        let (ids, names) = (patterns("id")?, patterns("name")?);
        Ok(Filter { filters, before: moment("before")?, since: moment("since")?, ancestors, ids, names })
    }

    /// Whether the filters only make sense with stopped containers.
    fn about_stopped(&self) -> bool {
        self.filters.has("status") || self.filters.has("exited") || self.before.is_some() || self.since.is_some()
    }

    fn accepts(&self, record: &Record) -> bool {
        let filters = self.filters;
        let ended = record.state.ended();
        let exited = matches!(record.state.status(), Status::Exited | Status::Dead);
        let health = record.health.as_ref().map_or("none", |it| it.status.as_str());
        let rooted = format!("/{}", record.name);
        (self.ids.is_empty() || self.ids.iter().any(|it| it.is_in(&record.id)))
            && (self.names.is_empty() || self.names.iter().any(|it| it.is_in(&record.name) || it.is_in(&rooted)))
            && filters.any("status", |it| it == record.state.status().as_str())
            && filters.any("exited", |it| exited && it.parse() == Ok(ended.code))
            && filters.any("health", |it| it == health)
            && filters.any("is-task", |it| matches!(it, "0" | "false"))
            && filters.any("isolation", |it| it == record.host.isolation)
            && filters.labels("label", &record.config.labels)
            && self.before.is_none_or(|it| record.created < it)
            && self.since.is_none_or(|it| record.created > it)
            && self.ancestors.as_ref().is_none_or(|it| it.contains(&record.image))
            && filters.any("volume", |it| {
                record.mounts.iter().any(|mount| mount.point.name == it || mount.point.destination == it)
            })
            && filters.any("network", |it| {
                record.networks.iter().any(|(name, view)| name == it || view.network_id.starts_with(it))
            })
            && filters.any("expose", |it| ports(record).iter().any(|port| port_matches(it, port.port)))
            && filters.any("publish", |it| {
                ports(record).iter().any(|port| port.public.is_some() && port_matches(it, port.port))
            })
    }
}

/// `80`, `80/tcp`, `8000-8010/tcp`.
fn port_matches(wanted: &str, port: Port) -> bool {
    let (numbers, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (low, high) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let within = match (low.parse::<u16>(), high.parse::<u16>()) {
        (Ok(low), Ok(high)) => (low..=high).contains(&port.number),
        _ => false,
    };
    within && protocol == port.protocol.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_docker_does() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (3600 * 30, "30 hours"),
            (3600 * 24 * 3, "3 days"),
            (3600 * 24 * 20, "2 weeks"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn names_match_in_part_or_anchored() {
        assert!(port_matches("80-90/tcp", "85/tcp".parse().unwrap()));
        assert!(!port_matches("85/udp", "85/tcp".parse().unwrap()));
    }

    #[test]
    fn arguments_with_spaces_are_quoted() {
        let args = ["sh".to_owned(), "-c".to_owned(), "sleep 1".to_owned()];
        assert_eq!(command(&args), "sh -c 'sleep 1'");
    }
}
