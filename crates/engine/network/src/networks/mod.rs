//! The handle: networks, sandboxes and endpoints of one daemon.
//!
//! Locks, in the order they are taken: `defining` (held while a network is made or removed, which takes
//! milliseconds), `state` (bookkeeping in memory and the binding of ports, never held over netlink), then one of the
//! sockets. An endpoint is entered into the state before the kernel is told, and taken out if the kernel refuses:
//! nobody else can get its address or ports meanwhile.

mod attach;
mod define;
mod pods;
mod reconcile;

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netlink::{Protocol, Socket};

use crate::binding::PortTable;
use crate::bridge;
use crate::config::NetworkConfig;
use crate::dns::Resolver;
use crate::endpoint::{Endpoint, EndpointId, MacAddr};
use crate::error::{Error, Result, netlink_error};
use crate::firewall::Firewall;
use crate::ipam::{self, Leases4, Leases6};
use crate::network::{Driver, Network, NetworkId};
use crate::pool::Pool;
use crate::records::Records;
use crate::sandbox::{HandedOut, Plug};

pub use pods::{PODS, PodNetwork};
pub use reconcile::Reconciled;

/// Networks of one daemon; cloning gives another handle on the same ones.
#[derive(Clone)]
pub struct Networks {
    inner: Arc<Inner>,
}

struct Inner {
    config: NetworkConfig,
    records: Records,
    firewall: Firewall,
    /// Links and addresses of the host's namespace.
    host: Mutex<Socket>,
    pool: Pool,
    resolver: Resolver,
    defining: Mutex<()>,
    state: Mutex<State>,
    handed_out: Mutex<HandedOut>,
}

#[derive(Default)]
struct State {
    networks: BTreeMap<NetworkId, Entry>,
    endpoints: HashMap<EndpointId, Endpoint>,
    ports: PortTable,
}

/// A network and what is known of it while the daemon runs.
struct Entry {
    network: Network,
    /// Index of the bridge; absent on `host` and `none`, and where making it failed.
    bridge_index: Option<u32>,
    leases4: Option<Leases4>,
    leases6: Option<Leases6>,
}

impl Networks {
    /// Opens the networks of an instance: makes or adopts its table, the predefined networks and the bridges of the
    /// others. Existing traffic is not interrupted. Called once, before any endpoint exists; may take milliseconds.
    /// Everything belongs to the calling thread's network namespace.
    pub fn open(db: Arc<redb::Database>, config: NetworkConfig) -> Result<Self> {
        let short = short_name(&config.instance);
        let inner = Inner {
            firewall: Firewall::new(format!("sampan-{short}"))?,
            host: Mutex::new(Socket::open(Protocol::Route).map_err(netlink_error("open netlink socket"))?),
            pool: Pool::start(config.ready)?,
            resolver: Resolver::new(&config.dns)?,
            records: Records(db),
            defining: Mutex::new(()),
            state: Mutex::new(State::default()),
            handed_out: Mutex::new(HandedOut::default()),
            config,
        };
        let networks = Networks { inner: Arc::new(inner) };
        networks.restore()?;
        Ok(networks)
    }

    /// All networks, predefined ones included.
    pub fn list(&self) -> Vec<Network> {
        self.inner.state().networks.values().map(|entry| entry.network.clone()).collect()
    }

    /// A network by name, id, or unambiguous beginning of an id.
    pub fn find(&self, network: &str) -> Result<Network> {
        self.inner.state().find(network).map(|entry| entry.network.clone())
    }

    /// Endpoints on a network.
    pub fn endpoints(&self, network: &NetworkId) -> Vec<Endpoint> {
        self.inner.state().endpoints.values().filter(|endpoint| endpoint.network == *network).cloned().collect()
    }

    /// A new network namespace with loopback up, ready for `attach` to `network` (usually prepared ahead: then it
    /// takes microseconds). For `none` and for `container:` users too; `host` has no sandbox.
    pub fn create_sandbox(&self, network: Option<&str>) -> Result<OwnedFd> {
        let plug = match network {
            Some(name) => self.plug(&self.find(name)?)?,
            None => None,
        };
        let sandbox = self.inner.pool.take(plug)?;
        lock(&self.inner.handed_out).give(sandbox)
    }

    /// A container was renamed; what its endpoints tell follows.
    pub fn rename(&self, container: &str, name: &str) {
        let mut state = self.inner.state();
        let State { networks, endpoints, .. } = &mut *state;
        for endpoint in endpoints.values_mut().filter(|endpoint| endpoint.container == container) {
            name.clone_into(&mut endpoint.container_name);
            if let Some(entry) = networks.get(&endpoint.network).filter(|entry| entry.network.has_dns()) {
                self.inner.resolver.add_name(endpoint, entry.network.internal);
            }
        }
    }

    /// Takes bridges and the table away if no endpoint uses them; otherwise leaves them so that traffic goes on.
    pub fn shutdown(&self) -> Result<()> {
        self.inner.pool.close();
        if self.inner.state().endpoints.values().any(|endpoint| !endpoint.interface.is_empty()) {
            return Ok(());
        }
        self.take_away()
    }

    /// Takes bridges, table and stored networks away, used or not. For tests and uninstalling.
    pub fn purge(&self) -> Result<()> {
        self.inner.pool.close();
        let ids: Vec<_> = self.inner.state().networks.keys().cloned().collect();
        let mut result = self.take_away();
        for id in ids {
            result = result.and(self.inner.records.delete(&id));
        }
        *self.inner.state() = State::default();
        result
    }

    /// Bridges and table; goes on after an error and returns the first.
    fn take_away(&self) -> Result<()> {
        let _defining = lock(&self.inner.defining);
        let bridges: Vec<_> = self.list().into_iter().filter(|network| network.driver == Driver::Bridge).collect();
        let mut result = Ok(());
        for network in bridges {
            let removed = bridge::remove(&mut lock(&self.inner.host), &network.bridge);
            result = result.and(removed);
            if let Some(entry) = self.inner.state().networks.get_mut(&network.id) {
                entry.bridge_index = None;
            }
        }
        result.and(self.inner.firewall.remove())
    }

    /// What a pair on this network is plugged into; makes the bridge if it is missing.
    fn plug(&self, network: &Network) -> Result<Option<Plug>> {
        if network.driver != Driver::Bridge {
            return Ok(None);
        }
        let known = self.inner.state().networks.get(&network.id).and_then(|entry| entry.bridge_index);
        let bridge_index = match known {
            Some(index) => index,
            None => self.ensure_bridge(network)?,
        };
        Ok(Some(Plug {
            network: network.id.clone(),
            bridge_index,
            mtu: network.mtu(),
            ipv6: network.ipv6,
            isolated: !network.icc(),
            routed: network.is_routed(),
            dns: network.has_dns(),
        }))
    }

    fn ensure_bridge(&self, network: &Network) -> Result<u32> {
        let index = bridge::ensure(&mut lock(&self.inner.host), network)?;
        if let Some(entry) = self.inner.state().networks.get_mut(&network.id) {
            entry.bridge_index = Some(index);
        }
        Ok(index)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn find(&self, wanted: &str) -> Result<&Entry> {
        let exact = |entry: &&Entry| entry.network.id.0 == wanted || entry.network.name == wanted;
        if let Some(entry) = self.networks.values().find(exact) {
            return Ok(entry);
        }
        let mut beginning = self.networks.values().filter(|entry| entry.network.id.0.starts_with(wanted));
        match (wanted.is_empty(), beginning.next(), beginning.count()) {
            (false, Some(entry), 0) => Ok(entry),
            (false, Some(_), more) => Err(Error::Ambiguous(wanted.to_owned(), more + 1)),
            _ => Err(Error::NoSuchNetwork(wanted.to_owned())),
        }
    }
}

impl Entry {
    fn new(network: Network) -> Self {
        let leases4 = network.pool4().map(|(pool, subnet)| {
            let reserved = pool.reserved.values().chain(&pool.gateway);
            let reserved = reserved.filter_map(|addr| match addr {
                std::net::IpAddr::V4(addr) => Some(*addr),
                std::net::IpAddr::V6(_) => None,
            });
            Leases4::new(subnet, pool.range.and_then(crate::network::Subnet::v4), reserved)
        });
        let leases6 = network.pool6().map(|(pool, subnet)| {
            let reserved = pool.reserved.values().chain(&pool.gateway);
            let reserved = reserved.filter_map(|addr| match addr {
                std::net::IpAddr::V6(addr) => Some(*addr),
                std::net::IpAddr::V4(_) => None,
            });
            Leases6::new(subnet, pool.range.and_then(crate::network::Subnet::v6), reserved)
        });
        Entry { network, bridge_index: None, leases4, leases6 }
    }
}

/// The first name of an instance that fits after `sampan-` in the name of a device: itself, or a number made of it.
fn short_name(instance: &str) -> String {
    let fits = (1..=8).contains(&instance.len())
        && instance.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if fits { instance.to_owned() } else { format!("{:08x}", ipam::fnv(instance) as u32) }
}

/// `bytes` random bytes as hexadecimal digits.
pub(crate) fn random_hex(bytes: usize) -> String {
    random(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A random Ethernet address of docker's kind.
pub(crate) fn random_mac() -> [u8; 6] {
    let random = random(4);
    MacAddr([0x02, 0x42, random[0], random[1], random[2], random[3]]).0
}

fn random(bytes: usize) -> Vec<u8> {
    let mut random = vec![0; bytes];
    // only an interrupted call or a kernel that just boots gives less than asked for
    let mut filled = 0;
    while filled < bytes {
        if let Ok(more) = rustix::rand::getrandom(&mut random[filled..], rustix::rand::GetRandomFlags::empty()) {
            filled += more;
        }
    }
    random
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
