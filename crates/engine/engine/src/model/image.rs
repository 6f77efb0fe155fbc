//! Views of images, and what is asked of them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::config::Config;

/// One entry of a list of images.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSummary {
    /// `sha256:...`.
    pub id: String,
    pub parent: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub created: Timestamp,
    pub size: u64,
    pub shared_size: Option<u64>,
    pub labels: BTreeMap<String, String>,
    /// Number of containers that use it, where that was asked for.
    pub containers: Option<u64>,
}

/// One image as inspection tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInspect {
    pub id: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub parent: String,
    pub comment: String,
    pub created: Option<Timestamp>,
    pub docker_version: String,
    pub author: String,
    pub config: Config,
    pub architecture: String,
    pub variant: String,
    pub os: String,
    pub os_version: String,
    pub size: u64,
    /// Storage driver and what it says of the image.
    pub driver: String,
    pub driver_data: BTreeMap<String, String>,
    /// diffIDs.
    pub layers: Vec<String>,
    pub last_tagged: Option<Timestamp>,
}

/// One step in the history of an image, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageHistory {
    /// `<missing>` where no image is known for the step.
    pub id: String,
    pub created: Option<Timestamp>,
    pub created_by: String,
    pub tags: Vec<String>,
    pub size: u64,
    pub comment: String,
}

/// An image as whoever runs pods sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PodImageView {
    /// `sha256:...`.
    pub id: String,
    /// In full, with registry and tag.
    pub tags: Vec<String>,
    pub digests: Vec<String>,
    pub size: u64,
    pub user: String,
    /// It was pulled for pods, and nobody has named, loaded or pulled it by hand.
    pub collectable: bool,
    pub used: Option<Timestamp>,
}

/// What removing images did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageRemoved {
    Untagged(String),
    Deleted(String),
}

/// A request to make an image from a container.
#[derive(Debug, Clone, Default)]
pub struct CommitSpec {
    pub container: String,
    /// `repository[:tag]`; nothing leaves it without a name.
    pub reference: Option<String>,
    pub author: String,
    pub comment: String,
    /// Pause while the file system is read.
    pub pause: bool,
    /// Dockerfile instructions applied to the configuration.
    pub changes: Vec<String>,
    /// Configuration to use instead of the container's, as the client sent it.
    pub config: Option<Config>,
}

/// A request to make an image from a tar stream.
#[derive(Debug, Clone, Default)]
pub struct ImportSpec {
    pub reference: Option<String>,
    pub message: String,
    pub changes: Vec<String>,
    pub platform: Option<String>,
}

/// Who asks a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth {
    pub username: String,
    pub password: String,
    pub identity_token: String,
    pub registry_token: String,
    pub server: String,
}

/// Progress of a pull, push, load or import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// What a registry's transfer tells.
    Transfer(registry::Event),
    /// A line of output (`Loaded image: ...`).
    Output(String),
}
