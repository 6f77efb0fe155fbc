//! What the tests have in common: stores, images, a real registry, a registry that misbehaves, a proxy that cuts.
#![allow(dead_code, reason = "every test binary uses a part")]

pub mod fake;
pub mod proxy;
pub mod real;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry::{Client, ClientConfig, Event, LayerStep, Progress, Timeouts};
use spec::digest::Digest;
use spec::reference::Reference;
use store::{Image, ImageCommit, LayerSource, Store, StoreOptions};

/// A store in a folder of its own.
pub struct Shelf {
    pub store: Store,
    folder: tempfile::TempDir,
}

impl Shelf {
    pub fn new() -> Shelf {
        let folder = tempfile::tempdir().expect("a folder");
        let db = redb::Database::create(folder.path().join("db")).expect("a database");
        let store = Store::open(Arc::new(db), &folder.path().join("store"), &StoreOptions::default()).expect("a store");
        Shelf { store, folder }
    }

    /// Makes an image of these layers (uncompressed tars, lowest first).
    pub fn image(&self, name: &str, layers: &[Vec<u8>]) -> Image {
        let ingest = self.store.ingest().expect("an ingest");
        let diff_ids: Vec<String> = layers
            .iter()
            .map(|layer| ingest.layer(&LayerSource::default(), layer.as_slice()).expect("a layer").to_string())
            .collect();
        let config = serde_json::json!({
            "architecture": arch(), "os": "linux", "config": {"Cmd": [name]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let commit = ImageCommit {
            config: config.to_string().into_bytes(),
            names: vec![reference(name)],
            ..ImageCommit::default()
        };
        ingest.commit(commit).expect("a commit")
    }

    pub fn names(&self) -> Vec<String> {
        let images = self.store.images().expect("images");
        images.into_iter().flat_map(|image| image.names).collect()
    }
}

/// This machine's architecture in Go's words.
pub fn arch() -> String {
    spec::platform::Platform::host().architecture
}

pub fn reference(name: &str) -> Reference {
    Reference::parse(name).expect("a reference")
}

/// A tar with one file.
pub fn layer(path: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content).expect("a tar in memory");
    tar.into_inner().expect("a tar in memory")
}

/// Bytes that do not compress.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

/// A client without much patience.
pub fn client() -> Client {
    client_with(|_| ())
}

pub fn client_with(change: impl FnOnce(&mut ClientConfig)) -> Client {
    let mut config = ClientConfig {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            retry: Duration::from_millis(10),
        },
        ..ClientConfig::default()
    };
    change(&mut config);
    Client::new(config).expect("a client")
}

/// Keeps all events.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub fn progress(&self) -> Progress {
        let events = self.0.clone();
        Progress::new(move |event| events.lock().expect("unpoisoned").push(event))
    }

    pub fn all(&self) -> Vec<Event> {
        self.0.lock().expect("unpoisoned").clone()
    }

    /// Steps of layers, without the counts.
    pub fn steps(&self) -> Vec<LayerStep> {
        let steps = self.all().into_iter().filter_map(|event| match event {
            Event::Layer { step, .. } => Some(step),
            _ => None,
        });
        steps.filter(|step| !matches!(step, LayerStep::Downloading { .. } | LayerStep::Pushing { .. })).collect()
    }

    pub fn count(&self, wanted: &LayerStep) -> usize {
        self.steps().iter().filter(|step| *step == wanted).count()
    }

    /// The last line of text.
    pub fn status(&self) -> String {
        let mut lines = self.all().into_iter().rev().filter_map(|event| match event {
            Event::Status(line) => Some(line),
            _ => None,
        });
        lines.next().unwrap_or_default()
    }
}

pub fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}
