//! What tests of several modules start from.

use k8s_store::{Options, Store};

use crate::allocate::Allocator;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::pki::{Pki, PkiConfig};
use crate::registry::Registry;

/// Built-in rows over an empty store in memory, and keys in a folder that goes with them.
pub(crate) struct Parts {
    pub registry: Registry,
    pub pki: Pki,
    pub config: Config,
    pub folder: tempfile::TempDir,
}

impl Parts {
    pub fn new() -> Parts {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new(folder.path());
        let pki = Pki::open_with(PkiConfig::new(folder.path(), &[])).unwrap();
        let allocator = Allocator::new(&config).unwrap();
        let registry = Registry::new(Store::in_memory(Options::default()), Catalog::default(), allocator);
        Parts { registry, pki, config, folder }
    }
}
