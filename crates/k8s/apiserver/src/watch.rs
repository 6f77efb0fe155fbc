//! Watches: what changes under a row, as events, narrowed to a selection, in the form that was accepted.
//!
//! A watcher pulls; it holds nothing back and keeps nothing but its place. What is sent as it is stored is rendered once for all watchers of
//! the event and shared.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use k8s_store::{Entry, Event, WatchError, Watcher};
use k8s_types::codec::{Format, protobuf};
use k8s_types::status::ApiError;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::catalog::Row;
use crate::http::answer;
use crate::http::negotiate::{Accepted, Shape};
use crate::http::render::{self, Headings, IncludeObject};
use crate::registry::Filter;
use crate::stored::{self, Stored};

/// How often a watcher that wants them gets a bookmark.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// How long before its end a watcher gets the last one.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// How large the pieces of the objects are that are there at the start.
const PIECE: usize = 64 * 1024;

/// What is watched, and how it is told.
pub struct Watch {
    /// The row.
    pub row: Arc<Row>,
    /// The selection.
    pub filter: Filter,
    /// The changes, from where the client begins.
    pub watcher: Watcher,
    /// Objects that are there at the start and told as added, and the revision they are of.
    pub initial: VecDeque<Entry>,
    /// Their revision, where the client asked to be told when they are all told.
    pub initial_end: Option<u64>,
    /// Whether bookmarks are wanted.
    pub bookmarks: bool,
    /// The only key that is watched.
    pub key: Option<String>,
    /// When it ends.
    pub end: Instant,
    /// The form.
    pub accepted: Accepted,
    /// What lines of tables have.
    pub include: IncludeObject,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Added => "ADDED",
            Kind::Modified => "MODIFIED",
            Kind::Deleted => "DELETED",
            Kind::Bookmark => "BOOKMARK",
            Kind::Error => "ERROR",
        }
    }
}

struct State {
    watch: Watch,
    next_bookmark: Instant,
    headings: Headings,
    ended: bool,
}

/// The frames of a watch, until its time or the server ends.
pub fn frames(watch: Watch) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let next_bookmark = next_bookmark(watch.end);
    let state = State { watch, next_bookmark, headings: Headings::Shown, ended: false };
    stream::unfold(Box::new(state), |mut state| async move {
        let frame = state.next().await?;
        Some((Ok(frame), state))
    })
}

fn next_bookmark(end: Instant) -> Instant {
    let now = Instant::now();
    let last = end - LAST_BOOKMARK.min(end.saturating_duration_since(now));
    if last > now { last.min(now + BOOKMARKS) } else { now + BOOKMARKS }
}

impl State {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        match self.step().await {
            Ok(frame) => frame,
            Err(error) => {
                self.ended = true;
                self.frame(Kind::Error, &stored::to_json(&error.to_value()), true)
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Bytes>, ApiError> {
        if !self.watch.initial.is_empty() {
            return self.begin().map(Some);
        }
        if let Some(revision) = self.watch.initial_end.take() {
            return Ok(self.bookmark(revision, true));
        }
        loop {
            let wake = if self.watch.bookmarks { self.next_bookmark.min(self.watch.end) } else { self.watch.end };
            let event = tokio::select! {
                biased;
                event = self.watch.watcher.next() => event,
                () = self.watch.row.behaviour.retired() => return Ok(None),
                () = tokio::time::sleep_until(wake) => {
                    if Instant::now() >= self.watch.end {
                        return Ok(None);
                    }
                    self.next_bookmark = next_bookmark(self.watch.end);
                    let revision = self.watch.watcher.progress();
                    return Ok(self.bookmark(revision, false));
                }
            };
            match event {
                Ok(event) => {
                    if let Some(frame) = self.event(&event)? {
                        return Ok(Some(frame));
                    }
                }
                Err(WatchError::TooOld { after, oldest }) => {
                    return Err(ApiError::expired(format!("too old resource version: {after} ({oldest})")));
                }
                Err(WatchError::Closed) => return Ok(None),
            }
        }
    }

    /// A piece of the objects that are there at the start.
    fn begin(&mut self) -> Result<Bytes, ApiError> {
        let mut out = Vec::new();
        while out.len() < PIECE {
            let Some(entry) = self.watch.initial.pop_front() else { break };
            let stored = Stored { row: self.watch.row.clone(), bytes: entry.value, revision: entry.revision };
            out.extend_from_slice(&self.render(Kind::Added, &stored)?);
        }
        Ok(out.into())
    }

    /// The frame of a change; `None` where it is not selected.
    fn event(&mut self, event: &Arc<Event>) -> Result<Option<Bytes>, ApiError> {
        let watch = &self.watch;
        if watch.key.as_deref().is_some_and(|key| key != &*event.key) {
            return Ok(None);
        }
        let selected = |bytes: Option<&Bytes>| match bytes {
            None => Ok(false),
            Some(_) if watch.filter.is_everything() => Ok(true),
            Some(bytes) => watch.filter.matches(&watch.row, &event.key, bytes),
        };
        let before = event.previous.as_ref().map(|previous| &previous.value);
        let kind = match (selected(before)?, selected(event.value.as_ref())?) {
            (false, false) => return Ok(None),
            (false, true) => Kind::Added,
            (true, true) => Kind::Modified,
            (true, false) => Kind::Deleted,
        };
        let bytes = if kind == Kind::Deleted { before } else { event.value.as_ref() };
        let Some(bytes) = bytes else { return Ok(None) };
        // what everybody is sent who selects nothing
        let plain = match (&event.value, &event.previous) {
            (Some(_), None) => Kind::Added,
            (Some(_), Some(_)) => Kind::Modified,
            (None, _) => Kind::Deleted,
        };
        let shared = self.watch.accepted == Accepted::JSON && !self.watch.row.stored.converted && kind == plain;
        if shared {
            let metadata_at = self.watch.row.stored.metadata_at;
            return Ok(Some(event.frame.get_or_init(|| json_frame(kind, bytes, metadata_at, event.revision)).clone()));
        }
        let stored = Stored { row: self.watch.row.clone(), bytes: bytes.clone(), revision: event.revision };
        self.render(kind, &stored).map(Some)
    }

    fn render(&mut self, kind: Kind, stored: &Stored) -> Result<Bytes, ApiError> {
        let accepted = self.watch.accepted;
        if accepted == Accepted::JSON && !stored.row.stored.converted {
            return Ok(json_frame(kind, &stored.bytes, stored.row.stored.metadata_at, stored.revision));
        }
        if let Shape::Table(version) = accepted.shape {
            let line = render::line(stored, version, self.watch.include, Timestamp::now())?;
            let about = json!({"resourceVersion": stored.revision.to_string()});
            let headings = std::mem::replace(&mut self.headings, Headings::Known);
            let table = render::table(&stored.row, version, about, vec![line], headings);
            return Ok(self.frame(kind, &stored::to_json(&table), true).unwrap_or_default());
        }
        let object = render::object(stored, accepted, self.watch.include)?;
        Ok(self.frame(kind, &object, false).unwrap_or_default())
    }

    fn bookmark(&mut self, revision: u64, initial_end: bool) -> Option<Bytes> {
        let row = &self.watch.row;
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.watch.accepted.shape {
            Shape::Object => {
                json!({"kind": &*row.resource.kind, "apiVersion": row.resource.api_version(), "metadata": metadata})
            }
            Shape::Metadata(version) => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": version.api_version(), "metadata": metadata})
            }
            Shape::Table(version) => {
                let object =
                    json!({"kind": "PartialObjectMetadata", "apiVersion": version.api_version(), "metadata": metadata});
                let lines = if initial_end {
                    vec![json!({"cells": row.columns().iter().map(|_| "").collect::<Vec<_>>(), "object": object})]
                } else {
                    Vec::new()
                };
                let about = json!({"resourceVersion": revision.to_string()});
                render::table(row, version, about, lines, Headings::Known)
            }
        };
        self.value_frame(Kind::Bookmark, &object)
    }

    /// A frame around a value that has no stored form.
    fn value_frame(&self, kind: Kind, object: &Value) -> Option<Bytes> {
        match self.watch.accepted.format {
            Format::Protobuf => match self.watch.accepted.shape {
                Shape::Object => self.frame(kind, &protobuf::encode(object, &self.watch.row.resource.ty()), false),
                _ => self.frame(kind, &answer::write(Format::Protobuf, object)?, false),
            },
            _ => self.frame(kind, &stored::to_json(object), true),
        }
    }

    /// A frame around an object that is written already; `json` tells that it is JSON whatever was accepted.
    fn frame(&self, kind: Kind, object: &[u8], json: bool) -> Option<Bytes> {
        if self.watch.accepted.format == Format::Protobuf {
            let object = if json {
                let value: Value = serde_json::from_slice(object).ok()?;
                answer::write(Format::Protobuf, &value)?
            } else {
                object.to_vec()
            };
            let message = protobuf::watch_event(kind.name(), &object);
            let mut out = Vec::with_capacity(message.len() + 4);
            out.extend_from_slice(&(message.len() as u32).to_be_bytes());
            out.extend_from_slice(&message);
            return Some(out.into());
        }
        let mut out = Vec::with_capacity(object.len() + 40);
        open(&mut out, kind);
        out.extend_from_slice(object);
        out.extend_from_slice(b"}\n");
        Some(out.into())
    }
}

fn open(out: &mut Vec<u8>, kind: Kind) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.name().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
}

fn json_frame(kind: Kind, bytes: &[u8], metadata_at: usize, revision: u64) -> Bytes {
    let mut out = Vec::with_capacity(bytes.len() + 84);
    open(&mut out, kind);
    stored::splice(&mut out, bytes, 0, metadata_at, revision);
    out.extend_from_slice(b"}\n");
    out.into()
}
