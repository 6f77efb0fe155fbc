//! Named places that outlive containers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A request to make a volume; without a name it is anonymous.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeSpec {
    pub name: String,
    pub driver: String,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    pub mountpoint: String,
    pub created: Timestamp,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Bytes, where that was asked for.
    pub size: Option<u64>,
    /// Number of containers that use it, where that was asked for.
    pub references: Option<u64>,
}
