//! Networks come and go: the predefined ones, restoring at start, create and remove.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use super::{Entry, Networks, lock, random_hex, short_name};
use crate::bridge;
use crate::error::{Error, Result};
use crate::ipam::{choose_subnet, choose_subnet6, default_pools};
use crate::network::{Driver, Ipam, IpamPool, Network, NetworkId, NetworkSpec, Subnet, Subnet4, Subnet6, option};

/// Subnets that new ones must not overlap with.
struct Taken {
    networks4: Vec<Subnet4>,
    networks6: Vec<Subnet6>,
    host4: Vec<Subnet4>,
    host6: Vec<Subnet6>,
}

impl Networks {
    /// Makes a network.
    pub fn create(&self, spec: NetworkSpec) -> Result<Network> {
        let _defining = lock(&self.inner.defining);
        let bridge_name = self.check(&spec)?;
        let ipv4 = spec.ipv4.unwrap_or(true);
        let subnet_chosen_by_user = !spec.ipam.pools.is_empty();
        let ipam = self.complete(spec.ipam, ipv4, spec.ipv6)?;
        let id = NetworkId(random_hex(32));
        let bridge = bridge_name.unwrap_or_else(|| format!("br-{}", &id.0[..12]));
        let network = Network {
            bridge,
            id,
            name: spec.name,
            driver: Driver::Bridge,
            created: SystemTime::now(),
            internal: spec.internal,
            attachable: spec.attachable,
            ipv4,
            ipv6: spec.ipv6,
            ipam,
            subnet_chosen_by_user,
            options: spec.options,
            labels: spec.labels,
        };
        // elements first: a bridge that is not in the database is then found by the next daemon and removed
        self.inner.firewall.add_network(&network.facts())?;
        if let Err(error) = self.enter(&network) {
            let _ = bridge::remove(&mut lock(&self.inner.host), &network.bridge);
            let _ = self.inner.firewall.remove_network(&network.facts());
            self.inner.state().networks.remove(&network.id);
            return Err(error);
        }
        Ok(network)
    }

    /// Removes a network that has no endpoint; by name, id or beginning of an id.
    pub fn remove(&self, wanted: &str) -> Result<Network> {
        let _defining = lock(&self.inner.defining);
        let network = self.find(wanted)?;
        if network.is_predefined() {
            return Err(Error::RemovePredefined(network.name));
        }
        {
            let mut state = self.inner.state();
            let on_it = state.endpoints.values().filter(|endpoint| endpoint.network == network.id);
            let mut names: Vec<_> =
                on_it.map(|one| format!("name:{:?} id:{:?}", one.container_name, short(&one.id.0))).collect();
            names.sort();
            if !names.is_empty() {
                return Err(Error::InUse { network: network.name, endpoints: names.join(", ") });
            }
            state.networks.remove(&network.id);
        }
        if let Err(error) = self.inner.records.delete(&network.id) {
            self.inner.state().networks.insert(network.id.clone(), Entry::new(network));
            return Err(error);
        }
        self.inner.pool.forget(&network.id);
        let removed = bridge::remove(&mut lock(&self.inner.host), &network.bridge);
        removed.and(self.inner.firewall.remove_network(&network.facts()))?;
        Ok(network)
    }

    /// At start: what is stored, what always exists, the rules and bridges for it.
    pub(super) fn restore(&self) -> Result<()> {
        let _defining = lock(&self.inner.defining);
        for network in self.inner.records.load()? {
            self.inner.state().networks.insert(network.id.clone(), Entry::new(network));
        }
        for (name, driver) in [("host", Driver::Host), ("none", Driver::Null)] {
            if self.find(name).is_err() {
                self.store(&predefined(name, driver))?;
            }
        }
        self.restore_default_bridge()?;
        let networks: Vec<_> = self.list().into_iter().filter(|network| network.driver == Driver::Bridge).collect();
        let facts: Vec<_> = networks.iter().map(Network::facts).collect();
        self.inner.firewall.install()?;
        for stray in self.inner.firewall.bridges()? {
            if !networks.iter().any(|network| network.bridge == stray) {
                tracing::info!(bridge = stray, "removing the bridge of a network that was not finished or not removed");
                bridge::remove(&mut lock(&self.inner.host), &stray)?;
            }
        }
        self.inner.firewall.set_networks(&facts)?;
        if self.inner.config.ip_forward && !networks.is_empty() {
            bridge::forward(networks.iter().any(|network| network.ipv6))?;
        }
        for network in &networks {
            if let Err(error) = self.ensure_bridge(network) {
                // containers cannot be attached to it until that works; the others are none the worse
                tracing::error!(network = network.name, %error, "bridge cannot be set up");
            }
        }
        Ok(())
    }

    /// The network `bridge` as the configuration wants it now, keeping its identity and a chosen subnet.
    fn restore_default_bridge(&self) -> Result<()> {
        let old = self.find("bridge").ok();
        let config = &self.inner.config;
        if !config.default_bridge {
            return match old {
                Some(old) => {
                    self.inner.state().networks.remove(&old.id);
                    self.inner.records.delete(&old.id)
                }
                None => Ok(()),
            };
        }
        let derived = || format!("sampan-{}", short_name(&config.instance));
        let mut network = predefined("bridge", Driver::Bridge);
        network.bridge = config.bridge_name.clone().unwrap_or_else(derived);
        network.ipv6 = config.ipv6;
        network.options = default_options(&network.bridge, config);
        let mut kept = Ipam::default();
        if let Some(old) = &old {
            network.id = old.id.clone();
            network.created = old.created;
            kept = old.ipam.clone();
            self.inner.state().networks.remove(&old.id);
        }
        network.ipam = self.default_ipam(kept)?;
        self.store(&network)
    }

    fn default_ipam(&self, kept: Ipam) -> Result<Ipam> {
        let config = &self.inner.config;
        let mut wanted = Ipam { driver: "default".to_owned(), ..Ipam::default() };
        if let Some((addr, prefix)) = config.bip {
            wanted.pools.push(IpamPool {
                subnet: Subnet::V4(Subnet4::new(addr, prefix)),
                range: None,
                gateway: Some(addr.into()),
                reserved: BTreeMap::new(),
            });
        } else {
            wanted.pools.extend(kept.pools.iter().find(|pool| pool.subnet.v4().is_some()).cloned());
        }
        match config.fixed_cidr_v6 {
            Some(subnet) => wanted.pools.push(IpamPool::of(Subnet::V6(subnet))),
            None if config.ipv6 => {
                wanted.pools.extend(kept.pools.iter().find(|pool| pool.subnet.v6().is_some()).cloned());
            }
            None => {}
        }
        let mut ipam = self.complete(wanted, true, config.ipv6)?;
        for pool in &mut ipam.pools {
            if let Subnet::V4(subnet) = pool.subnet {
                pool.range = config.fixed_cidr.filter(|range| subnet.overlaps(*range)).map(Subnet::V4);
                pool.reserved.clear();
                let gateway = config.default_gateway.map(|addr| (option::DEFAULT_GATEWAY.to_owned(), addr.into()));
                pool.reserved.extend(gateway);
            }
        }
        Ok(ipam)
    }

    /// Puts a network into memory and database and makes its bridge.
    fn enter(&self, network: &Network) -> Result<()> {
        if self.inner.config.ip_forward {
            bridge::forward(network.ipv6)?;
        }
        self.inner.state().networks.insert(network.id.clone(), Entry::new(network.clone()));
        self.ensure_bridge(network)?;
        self.inner.records.save(network)
    }

    fn store(&self, network: &Network) -> Result<()> {
        self.inner.records.save(network)?;
        self.inner.state().networks.insert(network.id.clone(), Entry::new(network.clone()));
        Ok(())
    }

    /// Refuses what cannot be made; returns the name that the user wants for the bridge.
    fn check(&self, spec: &NetworkSpec) -> Result<Option<String>> {
        if spec.name.trim().is_empty() {
            return Err(Error::BadSpec("invalid network name: name is empty".to_owned()));
        }
        if matches!(spec.name.as_str(), "bridge" | "host" | "none" | "default") {
            return Err(Error::Predefined(spec.name.clone()));
        }
        match spec.driver.as_str() {
            "" | "bridge" | "default" => {}
            "host" | "null" => return Err(Error::OnlyOne(spec.driver.clone())),
            "overlay" | "macvlan" | "ipvlan" => {
                return Err(Error::Unimplemented(format!("network driver {:?}", spec.driver)));
            }
            other => return Err(Error::NoSuchDriver(other.to_owned())),
        }
        if !matches!(spec.ipam.driver.as_str(), "" | "default") {
            return Err(Error::NoSuchDriver(spec.ipam.driver.clone()));
        }
        if spec.ipv4 == Some(false) && !spec.ipv6 {
            return Err(Error::BadSpec("IPv4 or IPv6 must be enabled".to_owned()));
        }
        let bridge = spec.options.get(option::BRIDGE_NAME).filter(|name| !name.is_empty());
        if let Some(name) = bridge
            && (name.len() > 15 || name.contains(['/', ' ']) || name.contains(char::is_whitespace))
        {
            return Err(Error::BadSpec(format!("invalid bridge name {name:?}")));
        }
        let state = self.inner.state();
        for entry in state.networks.values() {
            if entry.network.name == spec.name {
                return Err(Error::NameTaken(spec.name.clone()));
            }
            if bridge.is_some_and(|name| *name == entry.network.bridge) {
                return Err(Error::BridgeTaken {
                    bridge: entry.network.bridge.clone(),
                    network: entry.network.id.0.clone(),
                });
            }
        }
        Ok(bridge.cloned())
    }

    /// Checks the subnets of a request and adds what is missing: subnets and gateways.
    fn complete(&self, mut ipam: Ipam, ipv4: bool, ipv6: bool) -> Result<Ipam> {
        "default".clone_into(&mut ipam.driver);
        let mut taken = self.taken()?;
        ipam.pools.retain(|pool| if pool.subnet.v4().is_some() { ipv4 } else { ipv6 });
        for pool in &ipam.pools {
            pool.check()?;
            let overlaps = match pool.subnet {
                Subnet::V4(subnet) => taken.networks4.iter().any(|other| other.overlaps(subnet)),
                Subnet::V6(subnet) => taken.networks6.iter().any(|other| other.overlaps(subnet)),
            };
            if overlaps {
                return Err(Error::PoolOverlaps);
            }
            match pool.subnet {
                Subnet::V4(subnet) => taken.networks4.push(subnet),
                Subnet::V6(subnet) => taken.networks6.push(subnet),
            }
        }
        if ipv4 && !ipam.pools.iter().any(|pool| pool.subnet.v4().is_some()) {
            let defaults = default_pools();
            let pools = if self.inner.config.pools.is_empty() { &defaults } else { &self.inner.config.pools };
            let taken = [taken.networks4, taken.host4].concat();
            let subnet = choose_subnet(pools, &taken).ok_or(Error::PoolsExhausted)?;
            ipam.pools.insert(0, IpamPool::of(Subnet::V4(subnet)));
        }
        if ipv6 && !ipam.pools.iter().any(|pool| pool.subnet.v6().is_some()) {
            let taken = [taken.networks6, taken.host6].concat();
            let subnet = choose_subnet6(&self.inner.config.instance, &taken).ok_or(Error::PoolsExhausted)?;
            ipam.pools.push(IpamPool::of(Subnet::V6(subnet)));
        }
        for pool in &mut ipam.pools {
            pool.gateway = pool.gateway.or_else(|| pool.first_free());
        }
        Ok(ipam)
    }

    fn taken(&self) -> Result<Taken> {
        let networks = self.list();
        let bridges: Vec<_> = networks.iter().map(|network| network.bridge.clone()).collect();
        let (host4, host6) = bridge::in_use(&mut lock(&self.inner.host), &bridges)?;
        let pools = || networks.iter().flat_map(|network| &network.ipam.pools);
        Ok(Taken {
            networks4: pools().filter_map(|pool| pool.subnet.v4()).collect(),
            networks6: pools().filter_map(|pool| pool.subnet.v6()).collect(),
            host4,
            host6,
        })
    }
}

fn predefined(name: &str, driver: Driver) -> Network {
    Network {
        id: NetworkId(random_hex(32)),
        name: name.to_owned(),
        driver,
        created: SystemTime::now(),
        internal: false,
        attachable: false,
        ipv4: true,
        ipv6: false,
        ipam: Ipam { driver: "default".to_owned(), ..Ipam::default() },
        subnet_chosen_by_user: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        bridge: String::new(),
    }
}

fn default_options(bridge: &str, config: &crate::config::NetworkConfig) -> BTreeMap<String, String> {
    let mtu = if config.mtu == 0 { 1500 } else { config.mtu };
    let bind = match config.default_bind {
        IpAddr::V4(addr) => addr.to_string(),
        IpAddr::V6(addr) => addr.to_string(),
    };
    BTreeMap::from([
        ("com.docker.network.bridge.default_bridge".to_owned(), "true".to_owned()),
        (option::ICC.to_owned(), config.icc.to_string()),
        (option::MASQUERADE.to_owned(), config.ip_masq.to_string()),
        (option::HOST_BINDING.to_owned(), bind),
        (option::BRIDGE_NAME.to_owned(), bridge.to_owned()),
        (option::MTU.to_owned(), mtu.to_string()),
    ])
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
