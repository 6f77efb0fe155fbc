//! A container's networks: joined at the start, left at the end, and changed while it runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use network::{AttachRequest, EndpointId, HostPorts, Networks, PortRequest};

use super::Keeper;
use crate::engine::{blocking, file_error};
use crate::error::{Error, Result};
use crate::model::config::Port;
use crate::model::event::EventKind;
use crate::model::host::PortBinding;
use crate::model::mode::NetworkMode;
use crate::model::network::{Endpoint, EndpointSpec, EndpointView};
use crate::pod::Joined;
use crate::record::Record;

/// A sandbox with its endpoints by network name.
pub struct Network {
    /// `None`: the host's own namespace.
    pub netns: Option<OwnedFd>,
    pub endpoints: BTreeMap<String, Endpoint>,
    pub sandbox: String,
    pub embedded_dns: bool,
    /// What a member of a sandbox gets of it.
    pub pod: Option<Joined>,
}

impl Network {
    /// Puts the endpoints into the record.
    pub fn enter(&self, record: &mut Record) {
        record.sandbox.clone_from(&self.sandbox);
        for (name, endpoint) in &self.endpoints {
            let view = record.networks.entry(name.clone()).or_default();
            view.network_id = endpoint.network.to_string();
            view.endpoint = Some(endpoint.clone());
        }
    }

    pub fn addresses(&self) -> Vec<IpAddr> {
        let of = |it: &Endpoint| {
            let four = it.ipv4.map(|(ip, _)| IpAddr::V4(ip));
            let six = it.ipv6.map(|(ip, _)| IpAddr::V6(ip));
            four.into_iter().chain(six)
        };
        self.endpoints.values().flat_map(of).collect()
    }

    pub fn has_ipv6(&self) -> bool {
        self.endpoints.values().any(|it| it.ipv6.is_some())
    }
}

impl Keeper {
    /// Makes the sandbox and its endpoints. On failure nothing is left.
    pub(super) async fn join_network(&self) -> Result<Network> {
        if let Some(member) = &self.record.pod {
            let mut joined = self.inner.join_sandbox(member)?;
            let (netns, sandbox) = (joined.netns.take(), member.sandbox.clone());
            return Ok(Network { netns, endpoints: BTreeMap::new(), sandbox, embedded_dns: false, pod: Some(joined) });
        }
        let sandbox = EndpointId::random().0;
        if let NetworkMode::Container(other) = &self.record.host.network_mode {
            let netns = Some(self.netns_of(other)?);
            let (endpoints, sandbox) = (BTreeMap::new(), String::new());
            return Ok(Network { netns, endpoints, sandbox, embedded_dns: false, pod: None });
        }
        let networks = self.inner.networks.clone();
        let record = self.record.clone();
        blocking(move || {
            let host = record.host.network_mode == NetworkMode::Host && !record.config.network_disabled;
            let main = main_network(&record);
            let netns = if host {
                let path = std::path::Path::new("/proc/self/ns/net");
                OwnedFd::from(File::open(path).map_err(|error| file_error("open", path, error))?)
            } else {
                networks.create_sandbox(main.filter(|it| *it != "none"))?
            };
            let mut endpoints = BTreeMap::new();
            for (name, view) in &record.networks {
                let first = main == Some(name.as_str()) && !host;
                match attach(&networks, &record, name, &view.spec, &netns, first) {
                    Ok(endpoint) => {
                        endpoints.insert(name.clone(), endpoint);
                    }
                    Err(error) => {
                        detach_all(&networks, &endpoints);
                        return Err(error);
                    }
                }
            }
            let has_dns = |name: &String| networks.find(name).is_ok_and(|it| it.has_dns());
            let embedded_dns = endpoints.keys().any(has_dns);
            Ok(Network { netns: (!host).then_some(netns), endpoints, sandbox, embedded_dns, pod: None })
        })
        .await
    }

    /// Undoes [`Keeper::join_network`].
    pub(super) async fn leave_network(&self, network: &Network) {
        let networks = self.inner.networks.clone();
        let endpoints = network.endpoints.clone();
        let left = blocking(move || {
            detach_all(&networks, &endpoints);
            Ok(())
        });
        if let Err(error) = left.await {
            tracing::warn!(container = self.record.id, %error, "endpoints could not be given back");
        }
    }

    /// Tells that endpoints came or went.
    pub(super) fn tell_networks(&self, action: &str) {
        for endpoint in self.record.networks.values().filter_map(|it| it.endpoint.as_ref()) {
            self.tell_network(action, &endpoint.network.0, &endpoint.network_name);
        }
    }

    fn tell_network(&self, action: &str, id: &str, name: &str) {
        let kind = match name {
            "host" => "host",
            "none" => "null",
            _ => "bridge",
        };
        let attributes = [("container", self.record.id.as_str()), ("name", name), ("type", kind)];
        self.inner.tell_of(EventKind::Network, action, id, &attributes);
    }

    fn netns_of(&self, other: &str) -> Result<OwnedFd> {
        let joining = "joining network namespace of container: ";
        let handle = self.inner.containers.find(other).map_err(|error| error.prefixed(joining))?;
        let record = handle.record();
        if record.id == self.record.id {
            return Err(Error::internal("cannot join own network namespace"));
        }
        let Some(pid) = record.state.pid() else {
            return Err(Error::conflict(format!(
                "cannot join network namespace of a non running container: container {} is {}",
                record.name,
                record.state.status().as_str()
            )));
        };
        let path = format!("/proc/{pid}/ns/net");
        Ok(File::open(&path).map_err(|error| file_error("open", path.as_ref(), error))?.into())
    }

    /// Puts the container on a further network.
    pub(super) async fn connect(&mut self, network: String, spec: EndpointSpec) -> Result<()> {
        let found = self.inner.networks.find(&network)?;
        match &self.record.host.network_mode {
            NetworkMode::Host | NetworkMode::Container(_) => {
                return Err(Error::invalid(
                    "container sharing network namespace with another container or host cannot be connected to any other network",
                ));
            }
            NetworkMode::None | NetworkMode::Default | NetworkMode::Network(_) => {}
        }
        if found.name == "host" {
            return Err(Error::invalid(
                "cannot connect container to host network - container must be created in host network mode",
            ));
        }
        if self.record.networks.contains_key("none") || found.name == "none" {
            return Err(Error::invalid(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            ));
        }
        if self.record.networks.contains_key(&found.name) {
            return Err(
                network::Error::AlreadyConnected { container: self.record.name.clone(), network: found.name }.into()
            );
        }
        let mut view = EndpointView { spec, network_id: found.id.0.clone(), ..EndpointView::default() };
        if let Some(pid) = self.record.state.pid() {
            let networks = self.inner.networks.clone();
            let (record, name, spec) = (self.record.clone(), found.name.clone(), view.spec.clone());
            let endpoint = blocking(move || {
                let path = format!("/proc/{pid}/ns/net");
                let netns = File::open(&path).map_err(|error| file_error("open", path.as_ref(), error))?;
                attach(&networks, &record, &name, &spec, &netns.into(), false)
            });
            view.endpoint = Some(endpoint.await?);
        }
        self.record.networks.insert(found.name.clone(), view);
        self.inner.journal.put(&self.record).await?;
        self.publish();
        self.tell_network("connect", &found.id.0, &found.name);
        Ok(())
    }

    /// Takes the container off a network.
    pub(super) async fn disconnect(&mut self, network: &str, force: bool) -> Result<()> {
        let found = self.inner.networks.find(network)?;
        if self.record.host.network_mode == NetworkMode::Host && found.name == "host" {
            return Err(Error::invalid(
                "cannot disconnect container from host network - container was created in host network mode",
            ));
        }
        let Some(view) = self.record.networks.remove(&found.name) else {
            if force {
                return Ok(());
            }
            return Err(network::Error::NotConnected { container: self.record.id.clone(), network: found.name }.into());
        };
        if let (Some(pid), Some(endpoint)) = (self.record.state.pid(), view.endpoint) {
            let networks = self.inner.networks.clone();
            blocking(move || {
                let path = format!("/proc/{pid}/ns/net");
                let netns = File::open(&path).map_err(|error| file_error("open", path.as_ref(), error))?;
                Ok(networks.disconnect(&endpoint.id, netns.as_fd())?)
            })
            .await?;
        }
        self.inner.journal.put(&self.record).await?;
        self.publish();
        self.tell_network("disconnect", &found.id.0, &found.name);
        Ok(())
    }
}

/// The network that gives the default route and carries the published ports.
fn main_network(record: &Record) -> Option<&str> {
    let named = match &record.host.network_mode {
        NetworkMode::Network(name) => record.networks.get_key_value(name),
        NetworkMode::Default | NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => None,
    };
    named.or_else(|| record.networks.first_key_value()).map(|(name, _)| name.as_str())
}

fn detach_all(networks: &Networks, endpoints: &BTreeMap<String, Endpoint>) {
    for endpoint in endpoints.values() {
        if let Err(error) = networks.detach(&endpoint.id) {
            tracing::warn!(endpoint = %endpoint.id, %error, "an endpoint could not be given back");
        }
    }
}

fn attach(
    networks: &Networks,
    record: &Record,
    name: &str,
    spec: &EndpointSpec,
    netns: &OwnedFd,
    first: bool,
) -> Result<Endpoint> {
    let address = |text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Error::invalid(format!("invalid IPv4 address: {text}"))),
    };
    let ipv6 = match spec.ipv6.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| Error::invalid(format!("invalid IPv6 address: {text}")))?),
    };
    let mac = match (spec.mac.as_str(), record.config.mac_address.as_str()) {
        ("", "") => None,
        ("", text) | (text, _) => {
            Some(text.parse().map_err(|error| Error::because(crate::Kind::Invalid, "invalid MAC address", error))?)
        }
    };
    let mut aliases = spec.aliases.clone();
    aliases.push(record.short_id().to_owned());
    let request = AttachRequest {
        endpoint: EndpointId::random(),
        container: record.id.clone(),
        container_name: record.name.clone(),
        netns: netns.as_fd(),
        network: name.to_owned(),
        ipv4: address(&spec.ipv4)?,
        ipv6,
        mac,
        aliases,
        dns: record.host.dns.iter().filter_map(|it| it.parse().ok()).collect(),
        ports: if first { ports(record)? } else { Vec::new() },
        default_route: first,
    };
    Ok(networks.attach(request)?)
}

/// What is to be published: what was asked for, and with `--publish-all` every other exposed port on a free one.
pub fn ports(record: &Record) -> Result<Vec<PortRequest>> {
    let host = &record.host;
    let mut requests = Vec::new();
    for (port, bindings) in &host.port_bindings {
        let any = [PortBinding::default()];
        let bindings = if bindings.is_empty() { &any[..] } else { bindings };
        for binding in bindings {
            requests.push(request(*port, binding)?);
        }
    }
    if host.publish_all_ports {
        for port in record.config.exposed_ports.iter().filter(|it| !host.port_bindings.contains_key(it)) {
            requests.push(request(*port, &PortBinding::default())?);
        }
    }
    Ok(requests)
}

fn request(port: Port, binding: &PortBinding) -> Result<PortRequest> {
    let bad = || Error::invalid(format!("invalid port specification: \"{}\"", binding.host_port));
    let host_ip = match binding.host_ip.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| Error::invalid(format!("invalid IP address: {text}")))?),
    };
    let number = |text: &str| text.parse::<u16>().map_err(|_| bad());
    let host_ports = match binding.host_port.split_once('-') {
        Some((low, high)) => {
            let (low, high) = (number(low)?, number(high)?);
            if low > high {
                return Err(bad());
            }
            HostPorts::Range(low, high)
        }
        None => match binding.host_port.as_str() {
            "" | "0" => HostPorts::Any,
            text => HostPorts::One(number(text)?),
        },
    };
    Ok(PortRequest { container_port: port.number, protocol: port.protocol, host_ip, host_ports })
}
