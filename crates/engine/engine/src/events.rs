//! What happened, told to whoever listens; the last few are remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, mpsc};

use crate::error::{Error, Result};
use crate::model::event::{Event, EventKind, EventQuery};
use crate::model::filters::Filters;
use crate::model::stream::EventStream;

/// As many as docker remembers.
const REMEMBERED: usize = 256;
/// A listener that is further behind loses the oldest ones.
const BACKLOG: usize = 4096;

/// The channel of events. The lock orders remembering and sending, so that a new listener sees each event once.
pub struct Events {
    past: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Arc<Event>>,
}

impl Events {
    pub fn new() -> Events {
        Events { past: Mutex::default(), live: broadcast::channel(BACKLOG).0 }
    }

    /// Tells everyone.
    pub fn tell(&self, event: Event) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == REMEMBERED {
            past.pop_front();
        }
        past.push_back(event.clone());
        // No listener is no error.
        let _ = self.live.send(Arc::new(event));
    }

    pub fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    /// Past events when asked for, then those to come until the query's end.
    pub fn listen(&self, query: EventQuery) -> Result<EventStream> {
        query.filters.accept(&[
            "config",
            "container",
            "daemon",
            "event",
            "image",
            "label",
            "label!",
            "network",
            "node",
            "plugin",
            "scope",
            "secret",
            "service",
            "type",
            "volume",
        ])?;
        if let (Some(since), Some(until)) = (query.since, query.until)
            && until < since
        {
            return Err(Error::invalid("`since` time cannot be after `until` time"));
        }
        let (past, live) = {
            let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            (past.clone(), self.live.subscribe())
        };
        let (send, receive) = mpsc::channel(64);
        tokio::spawn(forward(query, past, live, send));
        Ok(EventStream(receive))
    }
}

async fn forward(
    query: EventQuery,
    past: VecDeque<Event>,
    mut live: broadcast::Receiver<Arc<Event>>,
    to: mpsc::Sender<Event>,
) {
    if query.since.is_some() || query.until.is_some() {
        for event in past {
            let early = query.since.is_some_and(|since| event.time < since);
            let late = query.until.is_some_and(|until| event.time > until);
            if !early && !late && wanted(&query.filters, &event) && to.send(event).await.is_err() {
                return;
            }
        }
    }
    let left = query.until.map(|until| until.duration_since(jiff::Timestamp::now()));
    let left = left.map(|left| std::time::Duration::try_from(left).unwrap_or_default());
    let end = async {
        match left {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    loop {
        let event = tokio::select! {
            () = &mut end => return,
            () = to.closed() => return,
            event = live.recv() => event,
        };
        match event {
            Ok(event) => {
                if wanted(&query.filters, &event) && to.send(Event::clone(&event)).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "a listener to events was too slow");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Docker's rules: ids by their beginning, names in full, actions by their first word.
fn wanted(filters: &Filters, event: &Event) -> bool {
    let name = event.attributes.get("name").map_or("", String::as_str);
    let of = |kind, key| {
        filters.any(key, |value| {
            event.kind == kind && (event.actor.starts_with(value) || name == value.trim_start_matches('/'))
        })
    };
    let action = event.action.split(':').next().unwrap_or_default();
    filters.any("type", |value| event.kind.as_str() == value)
        && filters.any("event", |value| value == action || value == event.action)
        && filters.any("scope", |value| value == "local")
        && of(EventKind::Container, "container")
        && of(EventKind::Volume, "volume")
        && of(EventKind::Network, "network")
        && of(EventKind::Daemon, "daemon")
        && filters.any("image", |value| image_matches(event, value, name))
        && filters.labels("label", &event.attributes)
}

fn image_matches(event: &Event, value: &str, name: &str) -> bool {
    let of_container = event.attributes.get("image").map(String::as_str);
    let image = match event.kind {
        EventKind::Image => name,
        EventKind::Container => of_container.unwrap_or_default(),
        EventKind::Network | EventKind::Volume | EventKind::Daemon | EventKind::Builder => return false,
    };
    let bare = image.rsplit_once(':').map_or(image, |(bare, _)| bare);
    image == value || bare == value || (event.kind == EventKind::Image && event.actor == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str) -> Event {
        Event {
            kind: EventKind::Container,
            action: action.into(),
            actor: "abcdef".into(),
            attributes: [("name", "web"), ("image", "debian:12"), ("a", "b")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            time: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn matches(key: &str, value: &str) -> bool {
        let filters = Filters([(key.to_owned(), [value.to_owned()].into())].into());
        wanted(&filters, &event("exec_start: ps"))
    }

    #[test]
    fn filters_match_as_dockers_do() {
        for (key, value) in [
            ("container", "abc"),
            ("container", "web"),
            ("event", "exec_start"),
            ("type", "container"),
            ("image", "debian"),
            ("image", "debian:12"),
            ("label", "a=b"),
        ] {
            assert!(matches(key, value), "{key}={value}");
        }
        for (key, value) in [("container", "we"), ("event", "start"), ("volume", "web"), ("label", "a=c")] {
            assert!(!matches(key, value), "{key}={value}");
        }
    }
}
