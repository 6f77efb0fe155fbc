//! The handle on everything.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use network::Networks;
use store::Store;

use crate::containers::Containers;
use crate::error::{Error, Kind, Result};
use crate::events::Events;
use crate::exec::Entry;
use crate::facts::Facts;
use crate::images::PodImage;
use crate::journal::Journal;
use crate::model::event::{Event, EventKind};
use crate::pod::Sandboxes;
use crate::record::{Folder, Record};
use crate::settings::EngineConfig;

/// The engine of one daemon; cloning gives another handle on the same one. Containers and images are named by id,
/// unambiguous beginning of an id, or name.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// What the engine is made of. Locks are held only for look-ups; what a container is, its own task decides.
pub(crate) struct Inner {
    pub config: EngineConfig,
    /// Identity of this engine among those of the host, and what its control groups are named after.
    pub id: String,
    pub instance: String,
    pub facts: Facts,
    pub journal: Journal,
    pub store: Store,
    pub networks: Networks,
    pub registry: registry::Client,
    pub supervisor: supervisor::Client,
    pub events: Events,
    pub containers: Containers,
    pub sandboxes: Sandboxes,
    /// Images that were pulled for pods, by id.
    pub pod_images: Mutex<HashMap<String, PodImage>>,
    /// Processes started in containers, by id.
    pub execs: Arc<Mutex<HashMap<String, Arc<Entry>>>>,
    /// Text of `--seccomp-profile`.
    pub seccomp_profile: Option<String>,
}

impl Inner {
    pub fn folder(&self, id: &str) -> Folder {
        Folder::new(&self.config.data_root, id)
    }

    /// Path of a container's control group beneath the mounts.
    pub fn cgroup(&self, record: &Record) -> String {
        if let Some(member) = &record.pod
            && let Some(sandbox) = self.sandboxes.get(&member.sandbox)
        {
            return format!("{}/{}", self.sandbox_cgroup(&member.sandbox, &sandbox.record().spec), record.id);
        }
        let parent = match (record.host.resources.cgroup_parent.as_str(), self.config.cgroup_parent.as_str()) {
            ("", "") => return format!("/sampan/{}/{}", self.instance, record.id),
            ("", parent) | (parent, _) => parent,
        };
        format!("/{}/{}", parent.trim_matches('/'), record.id)
    }

    /// Where a container's log is.
    pub fn log_path(&self, record: &Record) -> PathBuf {
        match &record.pod {
            Some(member) => member.log.clone(),
            None => self.folder(&record.id).log(&record.id),
        }
    }

    /// Tells an event of a container, with its labels, name and image.
    pub fn tell(&self, record: &Record, action: impl Into<String>, more: &[(&str, String)]) {
        let mut attributes = record.config.labels.clone();
        attributes.insert("name".to_owned(), record.name.clone());
        attributes.insert("image".to_owned(), record.config.image.clone());
        for (name, value) in more {
            attributes.insert((*name).to_owned(), value.clone());
        }
        self.events.tell(Event {
            kind: EventKind::Container,
            action: action.into(),
            actor: record.id.clone(),
            attributes,
            time: Timestamp::now(),
        });
    }

    /// Tells an event of something else than a container.
    pub fn tell_of(&self, kind: EventKind, action: &str, actor: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.events.tell(Event {
            kind,
            action: action.to_owned(),
            actor: actor.to_owned(),
            attributes: attributes.collect(),
            time: Timestamp::now(),
        });
    }
}

/// Runs synchronous work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::because(Kind::Internal, "a task of the engine ended", error)))
}

/// An error of a file operation, with the path.
pub(crate) fn file_error(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::because(Kind::Internal, format_args!("{what} {}", path.display()), error)
}
