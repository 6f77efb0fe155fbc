//! The way of layers and images into the store, under a lease.

mod compression;
mod pipeline;

use std::{
    fs::File,
    io::Read,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use spec::{
    digest::{DiffId, Digest, ImageId},
    image::ImageConfig,
    reference::Reference,
};

use crate::{
    Error, Image, Result, Store,
    error::Context,
    layer::{LayerMeta, TAR},
};

pub(crate) use compression::{decompress, stream_failed};

/// What is known of a layer before its bytes arrive.
#[derive(Clone, Debug, Default)]
pub struct LayerSource {
    /// Its media type; the compression is recognised by the bytes, this only rejects what cannot be a layer.
    pub media_type: String,
    /// The digest of the bytes as they arrive (compressed), to be verified.
    pub digest: Option<Digest>,
    /// The digest of the uncompressed tar, to be verified.
    pub diff_id: Option<DiffId>,
    /// What to call it in errors; the digest when empty.
    pub name: String,
}

/// How a layer is known in a repository.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Distribution {
    /// Media type of the blob.
    pub media_type: String,
    /// Digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
}

/// What makes an image of ingested layers.
#[derive(Clone, Debug, Default)]
pub struct ImageCommit {
    /// The configuration, byte for byte; its digest is the image's id.
    pub config: Vec<u8>,
    /// Tags the image gets, taken from whoever has them.
    pub names: Vec<Reference>,
    /// What it was pulled as: repository and the digest of the manifest (or of the index that named it).
    pub repo_digest: Option<(Reference, Digest)>,
    /// The manifest as pulled, byte for byte.
    pub manifest: Option<Vec<u8>>,
    /// How its layers are known in `repo_digest`'s repository, lowest first; empty when unknown.
    pub distribution: Vec<Distribution>,
    /// What files of an archive began with, and the layers they were: they need not be read when they come again.
    pub starts: Vec<(String, DiffId)>,
    /// The image it was made from by commit.
    pub parent: Option<ImageId>,
}

/// A lease: the layers it brought or asked for are not collected while it lives; what is not committed when it is
/// dropped is gone. Shared by threads that fetch layers in parallel.
pub struct Ingest {
    store: Store,
    leased: Mutex<Vec<DiffId>>,
    /// Something came in that may have to go again.
    brought: AtomicBool,
}

impl Store {
    /// Starts to bring something in.
    pub fn ingest(&self) -> Result<Ingest> {
        Ok(Ingest { store: self.clone(), leased: Mutex::default(), brought: AtomicBool::new(false) })
    }
}

impl Ingest {
    /// Whether the layer is in the store; if it is, it stays while this ingest lives.
    pub fn has_layer(&self, layer: &DiffId) -> Result<bool> {
        let here = self.store.layers().lease(layer);
        if here {
            self.leased().push(layer.clone());
        }
        Ok(here)
    }

    /// Brings a layer in, in one pass: verify, inflate, hash, write, index. Blocks; several may run in parallel.
    pub fn layer(&self, source: &LayerSource, reader: impl Read + Send) -> Result<DiffId> {
        let folder = self.store.temporary()?;
        let tar_path = folder.path.join(TAR);
        let tar = File::options().read(true).write(true).create_new(true).open(&tar_path).at("create", &tar_path)?;
        let received = pipeline::receive(source, reader, &tar, &tar_path)?;
        let meta = LayerMeta::new(&received.tree, received.tar_size);
        self.store.inner.snapshotter.prepare_layer(&folder.path, &received.tree, &tar, received.tar_size)?;
        meta.write(&folder.path)?;
        File::open(&folder.path).and_then(|d| d.sync_all()).at("sync", &folder.path)?;
        let diff_id = DiffId(received.diff_id);
        self.brought.store(true, Ordering::Relaxed);
        self.store.layers().adopt(&diff_id, &folder.path, &self.store.layers_folder())?;
        self.leased().push(diff_id.clone());
        Ok(diff_id)
    }

    /// Makes the image visible, in one transaction. Its layers must have been brought in or be here.
    pub fn commit(&self, image: ImageCommit) -> Result<Image> {
        let invalid = |problem: String| Error::Config { what: "image configuration".to_owned(), problem };
        let config: ImageConfig = serde_json::from_slice(&image.config).map_err(|e| invalid(e.to_string()))?;
        for layer in &config.rootfs.diff_ids {
            if !self.has_layer(layer)? {
                return Err(Error::NoSuchLayer(layer.to_string()));
            }
        }
        let limit = crate::snapshot::MAX_LAYERS;
        if config.rootfs.diff_ids.len() > limit {
            return Err(Error::TooManyLayers { count: config.rootfs.diff_ids.len(), limit });
        }
        let image = self.store.record_image(&image, &config)?;
        // Now rather than when the first container waits for it.
        if let Err(error) = self.store.make_init_layer(&image.layers) {
            tracing::warn!(image = %image.id, %error, "the first container will try again");
        }
        Ok(image)
    }

    fn leased(&self) -> MutexGuard<'_, Vec<DiffId>> {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let leased = std::mem::take(&mut *self.leased());
        {
            let mut layers = self.store.layers();
            leased.iter().for_each(|id| layers.release(id));
        }
        if !self.brought.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.store.collect() {
            tracing::warn!(%error, "collecting after an ingest");
        }
    }
}

#[cfg(test)]
mod tests;
