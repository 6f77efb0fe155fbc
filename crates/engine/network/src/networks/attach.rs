//! Endpoints come and go: attach, detach, disconnect.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

use netlink::{Batch, Socket, route};

use super::{Networks, State, lock, random_mac};
use crate::binding::{Binder, container_address};
use crate::endpoint::{AttachRequest, Endpoint, EndpointId, MacAddr};
use crate::error::{Error, Result, netlink_error};
use crate::firewall::Published;
use crate::ipam::Refusal;
use crate::network::{Driver, Network};
use crate::sandbox::{self, Listening};

impl Networks {
    /// Puts a sandbox on a network. On failure nothing is left of the attempt but the sandbox itself.
    pub fn attach(&self, request: AttachRequest<'_>) -> Result<Endpoint> {
        let network = self.find(&request.network)?;
        let mut endpoint = self.claim(&network, &request).inspect_err(|_| {
            // the socket that was kept from preparing the sandbox would keep its namespace alive
            let _ = lock(&self.inner.handed_out).take_back(request.netns, &network.id);
        })?;
        if network.driver != Driver::Bridge {
            return Ok(endpoint);
        }
        let wired = self.wire(&network, &request, &mut endpoint).and_then(|()| self.publish(&endpoint));
        if let Err(error) = wired {
            self.inner.resolver.leave(&endpoint.container, &endpoint.id);
            self.inner.state().forget(&endpoint.id);
            return Err(error);
        }
        if network.has_dns() {
            self.inner.resolver.add_name(&endpoint, network.internal);
        }
        self.inner.state().endpoints.insert(endpoint.id.clone(), endpoint.clone());
        Ok(endpoint)
    }

    /// Gives up an endpoint whose namespace is about to die: its address and ports are free afterwards. Goes on after
    /// errors and returns the first. An endpoint that is not known is not missed.
    pub fn detach(&self, endpoint: &EndpointId) -> Result<()> {
        let Some(known) = self.inner.state().endpoints.get(endpoint).cloned() else {
            return Ok(());
        };
        let withdrawn = self.inner.firewall.withdraw(&published(&known));
        self.inner.resolver.leave(&known.container, endpoint);
        self.inner.state().forget(endpoint);
        if !known.host_device.is_empty() {
            self.inner.pool.expect_gone(known.host_device);
        }
        withdrawn
    }

    /// Takes a container that goes on running off a network: as `detach`, and its device is removed, which takes
    /// some milliseconds.
    pub fn disconnect(&self, endpoint: &EndpointId, netns: BorrowedFd<'_>) -> Result<()> {
        let device = self.inner.state().endpoints.get(endpoint).map(|known| known.interface.clone());
        let detached = self.detach(endpoint);
        match device {
            Some(device) if !device.is_empty() => detached.and(sandbox::unplug(netns, &device)),
            _ => detached,
        }
    }

    /// Enters an endpoint into the state, with addresses leased and ports bound.
    fn claim(&self, network: &Network, request: &AttachRequest<'_>) -> Result<Endpoint> {
        let mut state = self.inner.state();
        let mut on_it = state.endpoints.values().filter(|endpoint| endpoint.network == network.id);
        if on_it.any(|endpoint| endpoint.container == request.container) {
            return Err(Error::AlreadyConnected {
                container: request.container_name.clone(),
                network: network.name.clone(),
            });
        }
        let mut endpoint = Endpoint {
            id: request.endpoint.clone(),
            network: network.id.clone(),
            network_name: network.name.clone(),
            container: request.container.clone(),
            container_name: request.container_name.clone(),
            interface: String::new(),
            host_device: String::new(),
            mac: None,
            ipv4: None,
            gateway4: None,
            ipv6: None,
            gateway6: None,
            aliases: request.aliases.clone(),
            ports: Vec::new(),
        };
        if network.driver == Driver::Bridge {
            if let Err(error) = state.lease(network, request, &mut endpoint) {
                state.give_back(&endpoint);
                return Err(error);
            }
            if !network.internal {
                let binder = binder(&endpoint, network.host_binding().unwrap_or(self.inner.config.default_bind));
                match state.ports.bind(&endpoint.id, &request.ports, binder) {
                    Ok(ports) => endpoint.ports = ports,
                    Err(error) => {
                        state.give_back(&endpoint);
                        return Err(Error::Publish {
                            name: request.container_name.clone(),
                            endpoint: endpoint.id.0.clone(),
                            source: Box::new(error),
                        });
                    }
                }
            }
        }
        state.endpoints.insert(endpoint.id.clone(), endpoint.clone());
        Ok(endpoint)
    }

    /// Gives the sandbox its device and the device its addresses.
    fn wire(&self, network: &Network, request: &AttachRequest<'_>, endpoint: &mut Endpoint) -> Result<()> {
        let prepared = lock(&self.inner.handed_out).take_back(request.netns, &network.id)?;
        let (mut inside, mut plugged) = match prepared {
            Some(prepared) => prepared,
            None => {
                let plug = self.plug(network)?.ok_or_else(|| Error::NoDevice(network.name.clone()))?;
                let listens = self.inner.resolver.listens(&request.container);
                sandbox::plug_in(request.netns, plug, if listens { Listening::Yes } else { Listening::No })?
            }
        };
        if let Some(ears) = plugged.ears.take().filter(|_| !self.inner.resolver.listens(&request.container)) {
            self.inner.resolver.listen(&request.container, &request.dns, ears)?;
        }
        endpoint.interface = plugged.device;
        endpoint.host_device = plugged.host_device;
        address(&mut inside, plugged.index, endpoint, request.default_route)
    }

    fn publish(&self, endpoint: &Endpoint) -> Result<()> {
        if endpoint.ports.is_empty() {
            return Ok(());
        }
        self.inner.firewall.publish(&published(endpoint))
    }
}

impl State {
    /// Takes addresses and an Ethernet address for an endpoint; on failure some may be taken already.
    fn lease(&mut self, network: &Network, request: &AttachRequest<'_>, endpoint: &mut Endpoint) -> Result<()> {
        let asks = request.ipv4.is_some() || request.ipv6.is_some();
        if asks && network.is_predefined() {
            return Err(Error::AddressNotOnDefault);
        }
        if asks && !network.subnet_chosen_by_user {
            return Err(Error::AddressWithoutSubnet);
        }
        let exhausted = || Error::AddressesExhausted { network: network.name.clone(), id: network.id.to_string() };
        let entry = self.networks.get_mut(&network.id).ok_or_else(|| Error::NoSuchNetwork(network.name.clone()))?;
        if let Some(leases) = &mut entry.leases4 {
            let addr = match request.ipv4 {
                Some(addr) => leases.take(addr).map(|()| addr).map_err(|why| refused(why, addr.into()))?,
                None => leases.take_any().ok_or_else(exhausted)?,
            };
            let prefix = if network.is_routed() { 32 } else { leases.subnet().prefix() };
            endpoint.ipv4 = Some((addr, prefix));
            endpoint.gateway4 = network.gateway4();
        } else if let Some(addr) = request.ipv4 {
            return Err(Error::AddressOutside(addr.into()));
        }
        if let Some(leases) = &mut entry.leases6 {
            let host_part = endpoint.ipv4.map(|(addr, prefix)| host_part(addr, prefix));
            let addr = match request.ipv6 {
                Some(addr) => leases.take(addr).map(|()| addr).map_err(|why| refused(why, addr.into()))?,
                None => leases.take_any(host_part).ok_or_else(exhausted)?,
            };
            endpoint.ipv6 = Some((addr, leases.subnet().prefix()));
            endpoint.gateway6 = network.gateway6();
        } else if let Some(addr) = request.ipv6 {
            return Err(Error::AddressOutside(addr.into()));
        }
        let derived = || endpoint.ipv4.map_or_else(|| MacAddr(random_mac()), |(addr, _)| MacAddr::of(addr));
        endpoint.mac = Some(request.mac.unwrap_or_else(derived));
        Ok(())
    }

    /// Addresses of an endpoint are free again.
    pub(super) fn give_back(&mut self, endpoint: &Endpoint) {
        let Some(entry) = self.networks.get_mut(&endpoint.network) else {
            return;
        };
        if let (Some(leases), Some((addr, _))) = (&mut entry.leases4, endpoint.ipv4) {
            leases.give_back(addr);
        }
        if let (Some(leases), Some((addr, _))) = (&mut entry.leases6, endpoint.ipv6) {
            leases.give_back(addr);
        }
    }

    /// Takes an endpoint out: addresses and ports are free again.
    pub(super) fn forget(&mut self, endpoint: &EndpointId) {
        if let Some(endpoint) = self.endpoints.remove(endpoint) {
            self.give_back(&endpoint);
        }
        self.ports.release(endpoint);
    }
}

/// The published ports of an endpoint and where each leads.
pub(super) fn published(endpoint: &Endpoint) -> Vec<Published> {
    let binder = binder(endpoint, Ipv4Addr::UNSPECIFIED.into());
    let lead =
        |port: &crate::ports::BoundPort| Published { port: *port, to: container_address(port.host.ip(), binder) };
    endpoint.ports.iter().map(lead).collect()
}

fn binder(endpoint: &Endpoint, default: IpAddr) -> Binder {
    Binder { ipv4: endpoint.ipv4.map(|(addr, _)| addr), ipv6: endpoint.ipv6.map(|(addr, _)| addr), default }
}

/// One batch: Ethernet address, addresses, default routes.
fn address(inside: &mut Socket, index: u32, endpoint: &Endpoint, default_route: bool) -> Result<()> {
    let mut batch = Batch::new();
    if let Some(mac) = endpoint.mac {
        batch.push(route::set_mac(index, mac.0));
    }
    if let Some((addr, prefix)) = endpoint.ipv4 {
        batch.push(route::add_address(index, addr.into(), prefix));
    }
    if let Some((addr, prefix)) = endpoint.ipv6 {
        batch.push(route::add_address(index, addr.into(), prefix));
    }
    if default_route {
        let alone = endpoint.ipv4.is_some_and(|(_, prefix)| prefix == 32);
        let default_route = if alone { route::default_route_onlink } else { route::default_route };
        batch.extend(endpoint.gateway4.map(|gateway| default_route(index, gateway.into())));
        batch.extend(endpoint.gateway6.map(|gateway| route::default_route(index, gateway.into())));
    }
    inside.run(&batch).map_err(netlink_error("give a sandbox its addresses"))
}

fn host_part(addr: Ipv4Addr, prefix: u8) -> u128 {
    u128::from(addr.to_bits() & u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0))
}

fn refused(why: Refusal, addr: IpAddr) -> Error {
    match why {
        Refusal::Outside => Error::AddressOutside(addr),
        Refusal::InUse => Error::AddressInUse(addr),
    }
}
