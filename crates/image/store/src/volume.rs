//! Named local volumes: directories under `volumes/<name>/_data`.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{Result, Store};

/// A volume as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Always `local`.
    pub driver: String,
    /// The caller's labels.
    pub labels: BTreeMap<String, String>,
    /// The driver's options: `type`, `o`, `device`.
    pub options: BTreeMap<String, String>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Made for a container, without a name of the user's.
    #[serde(default)]
    pub anonymous: bool,
    /// Its data.
    #[serde(skip)]
    pub mountpoint: PathBuf,
}

/// What to make.
#[derive(Clone, Debug, Default)]
pub struct VolumeSpec {
    /// Empty makes a random name, and an anonymous volume.
    pub name: String,
    /// Empty or `local`.
    pub driver: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// Volumes of the store.
impl Store {
    /// Makes a volume, or gives the one of this name if its options are the same.
    pub fn create_volume(&self, spec: &VolumeSpec) -> Result<Volume> {
        todo!("{spec:?}")
    }

    /// Finds a volume.
    pub fn volume(&self, name: &str) -> Result<Volume> {
        todo!("{name}")
    }

    /// All volumes, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        todo!()
    }

    /// Removes a volume and its data; `users` are the containers that have it.
    pub fn remove_volume(&self, name: &str, users: &[String]) -> Result<()> {
        todo!("{name} {users:?}")
    }

    /// Bytes of the volume's files.
    pub fn volume_usage(&self, name: &str) -> Result<u64> {
        todo!("{name}")
    }
}
