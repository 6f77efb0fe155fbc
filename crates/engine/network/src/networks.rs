//! The handle: networks, sandboxes and endpoints of one daemon.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::config::NetworkConfig;
use crate::endpoint::{AttachRequest, Endpoint, EndpointId, Live};
use crate::error::Result;
use crate::network::{Network, NetworkId, NetworkSpec};

/// Networks of one daemon; cloning gives another handle on the same ones.
#[derive(Clone)]
pub struct Networks {
    _db: Arc<redb::Database>,
}

/// What `reconcile` found.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Endpoints that go on, with their addresses and ports held again.
    pub adopted: Vec<EndpointId>,
    /// Endpoints that could not go on (their network is gone, their address is another's), and why.
    pub lost: Vec<(EndpointId, String)>,
    /// Elements of our table that belonged to nobody and were deleted.
    pub stale: usize,
}

impl Networks {
    /// Opens the networks of an instance: makes or adopts its table, the predefined networks and the bridges of the
    /// others. Existing traffic is not interrupted. Called once, before any endpoint exists; may take milliseconds.
    pub fn open(_db: Arc<redb::Database>, _config: NetworkConfig) -> Result<Self> {
        todo!()
    }

    /// Takes over the endpoints that live and drops from the table what belongs to nobody. Called once after `open`,
    /// before the first `attach`.
    pub fn reconcile(&self, _live: Vec<Live>) -> Result<Reconciled> {
        todo!()
    }

    /// All networks, predefined ones included.
    pub fn list(&self) -> Vec<Network> {
        todo!()
    }

    /// A network by name, id, or unambiguous beginning of an id.
    pub fn find(&self, _network: &str) -> Result<Network> {
        todo!()
    }

    /// Endpoints on a network.
    pub fn endpoints(&self, _network: &NetworkId) -> Vec<Endpoint> {
        todo!()
    }

    /// Makes a network.
    pub fn create(&self, _spec: NetworkSpec) -> Result<Network> {
        todo!()
    }

    /// Removes a network that has no endpoint; by name, id or beginning of an id.
    pub fn remove(&self, _network: &str) -> Result<Network> {
        todo!()
    }

    /// A new network namespace with loopback up, ready for `attach` to `network` (usually prepared ahead: then it
    /// takes microseconds). For `none` and for `container:` users too; `host` has no sandbox.
    pub fn create_sandbox(&self, _network: Option<&str>) -> Result<OwnedFd> {
        todo!()
    }

    /// Puts a sandbox on a network. On failure nothing is left of the attempt but the sandbox itself.
    pub fn attach(&self, _request: AttachRequest<'_>) -> Result<Endpoint> {
        todo!()
    }

    /// Gives up an endpoint whose namespace is about to die: its address and ports are free afterwards. Goes on after
    /// errors and returns the first.
    pub fn detach(&self, _endpoint: &EndpointId) -> Result<()> {
        todo!()
    }

    /// Takes a container that goes on running off a network: as `detach`, and its device is removed.
    pub fn disconnect(&self, _endpoint: &EndpointId, _netns: BorrowedFd<'_>) -> Result<()> {
        todo!()
    }

    /// A container was renamed; names on its networks follow.
    pub fn rename(&self, _container: &str, _name: &str) {
        todo!()
    }

    /// Takes bridges and the table away if no endpoint uses them; otherwise leaves them so that traffic goes on.
    pub fn shutdown(&self) -> Result<()> {
        todo!()
    }

    /// Takes bridges, table and stored networks away, used or not. For tests and uninstalling.
    pub fn purge(&self) -> Result<()> {
        todo!()
    }
}

/// `bytes` random bytes as hexadecimal digits.
pub(crate) fn random_hex(_bytes: usize) -> String {
    todo!()
}
