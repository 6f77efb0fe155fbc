//! What is known of a container on disk, in a folder of its own, and what is said about it.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

/// The state that the OCI runtime specification defines, as hooks get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// Version of the specification.
    pub oci_version: &'static str,
    /// The container's name.
    pub id: String,
    /// `creating`, `created`, `running`, `paused` or `stopped`.
    pub status: &'static str,
    /// Its first process; 0 when there is none.
    pub pid: i32,
    /// The bundle's folder.
    pub bundle: String,
    /// As in the configuration.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub annotations: HashMap<String, String>,
}

impl StateView {
    /// A state.
    pub fn new(
        id: &str,
        status: &'static str,
        pid: i32,
        bundle: &Path,
        annotations: Option<&HashMap<String, String>>,
    ) -> StateView {
        StateView {
            oci_version: OCI_VERSION,
            id: id.to_owned(),
            status,
            pid,
            bundle: bundle.display().to_string(),
            annotations: annotations.cloned().unwrap_or_default(),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The version of the OCI runtime specification that is followed.
pub const OCI_VERSION: &str = "1.2.0";
