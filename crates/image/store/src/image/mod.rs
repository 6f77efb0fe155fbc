//! Images: their names, digests, history and removal.

mod lookup;
mod record;
mod remove;

use std::sync::Arc;

use spec::{
    digest::{ChainId, DiffId, ImageId},
    image::ImageConfig,
};

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

#[cfg(test)]
mod tests;
