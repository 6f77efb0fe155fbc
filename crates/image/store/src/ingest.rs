//! The way of layers and images into the store, under a lease.

use std::io::Read;

use spec::{
    digest::{DiffId, Digest, ImageId},
    reference::Reference,
};

use crate::{Image, Result, Store};

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
    /// The image it was made from by commit.
    pub parent: Option<ImageId>,
}

/// A lease: the layers it brought or asked for are not collected while it lives; what is not committed when it is
/// dropped is gone. Shared by threads that fetch layers in parallel.
pub struct Ingest {
    _store: Store,
}

impl Store {
    /// Starts to bring something in.
    pub fn ingest(&self) -> Result<Ingest> {
        todo!()
    }
}

impl Ingest {
    /// Whether the layer is in the store; if it is, it stays while this ingest lives.
    pub fn has_layer(&self, layer: &DiffId) -> Result<bool> {
        todo!("{layer}")
    }

    /// Brings a layer in, in one pass: verify, inflate, hash, write, index. Blocks; several may run in parallel.
    pub fn layer(&self, source: &LayerSource, reader: impl Read + Send) -> Result<DiffId> {
        let _ = reader;
        todo!("{source:?}")
    }

    /// Makes the image visible, in one transaction. Its layers must have been brought in or be here.
    pub fn commit(&self, image: ImageCommit) -> Result<Image> {
        todo!("{image:?}")
    }
}
