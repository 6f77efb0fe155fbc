//! Keys and certificates of the cluster: made at the first start, renewed while running.

use std::sync::Arc;

use crate::{Config, OpenError};

/// The cluster's keys.
#[derive(Clone)]
pub struct Pki {}

impl Pki {
    /// Reads or makes them in `<dir>/pki`, heals what has expired.
    pub fn open(_config: &Config) -> Result<Pki, OpenError> {
        Ok(Pki {})
    }

    /// How to serve: our certificate (the one of the moment), client certificates asked for but not demanded, ALPN h2 and http/1.1.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, OpenError> {
        Err(OpenError::Pki("not there yet".to_owned()))
    }

    /// Writes `<dir>/admin.kubeconfig` for a server at 127.0.0.1:`port`.
    pub fn write_kubeconfig(&self, _port: u16) -> Result<(), OpenError> {
        Ok(())
    }
}
