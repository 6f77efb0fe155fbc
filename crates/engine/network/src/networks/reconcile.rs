//! After a start: endpoints that live are taken over, elements of the table that belong to nobody go.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use super::attach::published;
use super::{Networks, State};
use crate::endpoint::{Endpoint, EndpointId, Live};
use crate::error::Result;
use crate::network::{Driver, Network};
use crate::sandbox;

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
    /// Takes over the endpoints that live and drops from the table what belongs to nobody. Called once after `open`,
    /// before the first `attach`.
    pub fn reconcile(&self, live: Vec<Live>) -> Result<Reconciled> {
        let mut found = Reconciled::default();
        for Live { endpoint, netns, dns } in live {
            let adopted = self.inner.state().adopt(&endpoint);
            match adopted {
                Ok(network) => {
                    self.hear_again(&network, &endpoint, netns, &dns);
                    found.adopted.push(endpoint.id);
                }
                Err(why) => found.lost.push((endpoint.id, why)),
            }
        }
        let ports: Vec<_> = self.inner.state().endpoints.values().flat_map(published).collect();
        found.stale = self.inner.firewall.set_ports(&ports)?;
        Ok(found)
    }

    /// Names of an endpoint, and the sockets in its sandbox; without them the container goes on, but finds nobody.
    fn hear_again(&self, network: &Network, endpoint: &Endpoint, netns: OwnedFd, servers: &[IpAddr]) {
        if !network.has_dns() {
            return;
        }
        self.inner.resolver.add_name(endpoint, network.internal);
        if self.inner.resolver.listens(&endpoint.container) {
            return;
        }
        let listening = sandbox::listen_in(netns.as_fd())
            .and_then(|ears| self.inner.resolver.listen(&endpoint.container, servers, ears));
        if let Err(error) = listening {
            tracing::warn!(container = endpoint.container_name, %error, "no names in an adopted container");
        }
    }
}

impl State {
    fn adopt(&mut self, endpoint: &Endpoint) -> Result<Network, String> {
        let Some(entry) = self.networks.get_mut(&endpoint.network) else {
            return Err(format!("network {} not found", endpoint.network_name));
        };
        if entry.network.driver == Driver::Bridge {
            if let (Some(leases), Some((addr, _))) = (&mut entry.leases4, endpoint.ipv4) {
                leases.take(addr).map_err(|why| format!("address {addr} cannot be kept: {why:?}"))?;
            }
            if let (Some(leases), Some((addr, _))) = (&mut entry.leases6, endpoint.ipv6)
                && let Err(why) = leases.take(addr)
            {
                if let (Some(leases), Some((addr, _))) = (&mut entry.leases4, endpoint.ipv4) {
                    leases.give_back(addr);
                }
                return Err(format!("address {addr} cannot be kept: {why:?}"));
            }
        }
        let network = entry.network.clone();
        for host in self.ports.adopt(&endpoint.id, &endpoint.ports) {
            tracing::warn!(%host, container = endpoint.container_name, "published port was taken while no daemon ran");
        }
        self.endpoints.insert(endpoint.id.clone(), endpoint.clone());
        Ok(network)
    }
}
