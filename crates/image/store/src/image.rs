//! Images: their names, digests, history and removal.

use std::sync::Arc;

use spec::{
    digest::{ChainId, DiffId, Digest, ImageId},
    image::ImageConfig,
    reference::Reference,
};

use crate::{Error, Result, Store};

/// An image as the store knows it; a snapshot of the moment.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of its configuration.
    pub id: ImageId,
    /// The configuration, parsed.
    pub config: Arc<ImageConfig>,
    /// The configuration, byte for byte.
    pub config_bytes: Arc<[u8]>,
    /// Its layers, lowest first.
    pub layers: Vec<DiffId>,
    /// Its tags in familiar form (`debian:12`), sorted.
    pub names: Vec<String>,
    /// Its digests by repository (`debian@sha256:...`), sorted.
    pub repo_digests: Vec<String>,
    /// Bytes of all files of its layers.
    pub size: u64,
    /// The image it was committed from, if it is known here.
    pub parent: Option<ImageId>,
    /// When a name was last given to it.
    pub last_tagged: Option<jiff::Timestamp>,
}

/// A line of `docker history`.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// The image this line ends, where one is known; else nothing (`<missing>`).
    pub id: Option<ImageId>,
    /// When, RFC 3339.
    pub created: Option<String>,
    /// The command.
    pub created_by: String,
    /// What was said of it.
    pub comment: String,
    /// Names, of the newest line.
    pub names: Vec<String>,
    /// Bytes of the layer's files; 0 for an empty layer.
    pub size: u64,
}

/// What a removal did, in docker's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone (familiar form).
    Untagged(String),
    /// An image (`sha256:...`) is gone.
    Image(ImageId),
    /// A layer stack is gone; docker names it by its chain id.
    Layers(ChainId),
}

/// A container that uses an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The container's id.
    pub container: String,
    /// It runs now: the image cannot be removed even by force.
    pub running: bool,
}

/// How to remove an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Remove although stopped containers or several names use it.
    pub force: bool,
    /// Keep untagged parents (docker's `--no-prune`).
    pub keep_parents: bool,
}

/// Images of the store.
impl Store {
    /// Finds an image by reference, by digest, by full id or by a unique prefix of an id.
    pub fn resolve(&self, name: &str) -> Result<Image> {
        Err(Error::NoSuchImage(name.to_owned()))
    }

    /// Finds an image by its id.
    pub fn image(&self, id: &ImageId) -> Result<Image> {
        todo!("{id}")
    }

    /// All images, newest first.
    pub fn images(&self) -> Result<Vec<Image>> {
        todo!()
    }

    /// Gives an image a name; whoever had it loses it.
    pub fn tag(&self, id: &ImageId, name: &Reference) -> Result<()> {
        todo!("{id} {name:?}")
    }

    /// Removes a name or an image with docker's rules. `uses` gives the containers made from an image.
    pub fn remove_image(
        &self,
        name: &str,
        options: RemoveOptions,
        uses: &dyn Fn(&ImageId) -> Vec<Use>,
    ) -> Result<Vec<Removed>> {
        let _ = uses;
        todo!("{name} {options:?}")
    }

    /// The lines of `docker history`, newest first.
    pub fn history(&self, image: &Image) -> Result<Vec<HistoryEntry>> {
        todo!("{image:?}")
    }

    /// The manifest an image was pulled or pushed with in `repository`, byte for byte.
    pub fn manifest(&self, image: &ImageId, repository: &Reference) -> Result<Option<(Digest, Vec<u8>)>> {
        todo!("{image} {repository:?}")
    }

    /// Records the manifest an image has in a repository, and its repo digest; used after a push.
    pub fn set_manifest(&self, image: &ImageId, repository: &Reference, manifest: &[u8]) -> Result<()> {
        todo!("{image} {repository:?} {manifest:?}")
    }

    /// How a layer is known in `repository`.
    pub fn distribution(&self, layer: &DiffId, repository: &Reference) -> Result<Option<crate::Distribution>> {
        todo!("{layer} {repository:?}")
    }

    /// In which repositories a layer is known, with their canonical names; for mounting blobs across repositories.
    pub fn distributions(&self, layer: &DiffId) -> Result<Vec<(String, crate::Distribution)>> {
        todo!("{layer}")
    }

    /// Records how a layer is known in a repository.
    pub fn set_distribution(&self, layer: &DiffId, repository: &Reference, known: &crate::Distribution) -> Result<()> {
        todo!("{layer} {repository:?} {known:?}")
    }

    /// The uncompressed tar of a layer, and its length.
    pub fn layer_tar(&self, layer: &DiffId) -> Result<(std::fs::File, u64)> {
        todo!("{layer}")
    }

    /// Bytes of the files of a layer.
    pub fn layer_size(&self, layer: &DiffId) -> Result<u64> {
        todo!("{layer}")
    }
}
