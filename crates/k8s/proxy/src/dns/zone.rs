//! The cluster's names: what the Kubernetes DNS specification (version 1.1) says about services, endpoints and pods.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dns::{Code, Data, Kind, Query, Record, Reply};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::balancer::Name;
use crate::config::Config;
use crate::facts;

/// Seconds that an answer may be kept.
pub(crate) const TTL: u32 = 5;
const VERSION: &str = "1.1.0";

/// What a question comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Here(Reply),
    /// The name is another one's, outside the cluster.
    Alias(String),
    /// Others have to be asked.
    Elsewhere,
}

/// All names.
pub(crate) struct Zone {
    config: Config,
    services: HashMap<Name, Entry>,
    /// Namespaces that have services, and how many.
    namespaces: HashMap<String, usize>,
    reverse: HashMap<IpAddr, Vec<(Name, String)>>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Entry {
    /// Of the service itself; none if it is headless.
    addresses: Vec<IpAddr>,
    ports: Vec<Named>,
    /// Of a headless service, by the first label of their names.
    hosts: BTreeMap<String, Host>,
    external: Option<String>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Host {
    addresses: Vec<IpAddr>,
    ports: Vec<Named>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    name: String,
    protocol: &'static str,
    port: u16,
}

impl Zone {
    pub fn new(config: &Config) -> Zone {
        let config = Config { domain: config.domain.trim_matches('.').to_lowercase(), ..config.clone() };
        Zone { config, services: HashMap::new(), namespaces: HashMap::new(), reverse: HashMap::new() }
    }

    /// What a service is now; nothing if it is gone.
    pub fn set(&mut self, name: &Name, service: Option<&Service>, slices: &[Arc<EndpointSlice>]) {
        let entry = service.map(|service| Entry::of(service, slices));
        if self.services.get(name) == entry.as_ref() {
            return;
        }
        if let Some(old) = self.services.remove(name) {
            for (address, _) in self.pointers(name, &old) {
                if let Some(all) = self.reverse.get_mut(&address) {
                    all.retain(|(owner, _)| owner != name);
                    if all.is_empty() {
                        self.reverse.remove(&address);
                    }
                }
            }
            if let Some(count) = self.namespaces.get_mut(&name.0) {
                *count -= 1;
                if *count == 0 {
                    self.namespaces.remove(&name.0);
                }
            }
        }
        if let Some(new) = entry {
            for (address, text) in self.pointers(name, &new) {
                self.reverse.entry(address).or_default().push((name.clone(), text));
            }
            *self.namespaces.entry(name.0.clone()).or_default() += 1;
            self.services.insert(name.clone(), new);
        }
    }

    /// Answers a question.
    pub fn find(&self, query: &Query) -> Found {
        if let Some(address) = query.reverse_address() {
            return self.find_name(address, query.kind);
        }
        let domain = self.config.domain.as_str();
        let rest = match query.name.strip_suffix(domain) {
            Some("") => "",
            Some(rest) if rest.ends_with('.') => &rest[..rest.len() - 1],
            _ => return Found::Elsewhere,
        };
        let labels: Vec<&str> = rest.split('.').filter(|label| !label.is_empty()).rev().collect();
        match labels[..] {
            [] => self.apex(query.kind),
            ["dns-version"] => self.here(of_kind(query.kind, Kind::Txt, || vec![Data::Txt(VERSION.to_owned())])),
            ["dns", "ns"] => self.here(addresses(query.kind, &self.config.dns)),
            ["svc" | "pod" | "dns"] => self.here(Vec::new()),
            ["svc", namespace] if self.namespaces.contains_key(namespace) => self.here(Vec::new()),
            ["svc", namespace, service, ref more @ ..] => self.service(query, namespace, service, more),
            ["pod", namespace] if self.namespaces.contains_key(namespace) => self.here(Vec::new()),
            ["pod", _, dashed] => match undashed(dashed).filter(|address| self.config.is_cluster(*address)) {
                Some(address) => self.here(addresses(query.kind, &[address])),
                None => self.nowhere(),
            },
            _ => self.nowhere(),
        }
    }

    fn service(&self, query: &Query, namespace: &str, service: &str, more: &[&str]) -> Found {
        let Some(entry) = self.services.get(&(namespace.to_owned(), service.to_owned())) else { return self.nowhere() };
        let own = format!("{service}.{namespace}.svc.{}", self.config.domain);
        if let (Some(external), []) = (&entry.external, more) {
            return Found::Alias(external.clone());
        }
        // a headless service that nobody is ready of has no name either
        if entry.addresses.is_empty() && entry.hosts.is_empty() {
            return self.nowhere();
        }
        match *more {
            [] if query.kind == Kind::Srv => self.ports(entry, &own, |_| true),
            [] => {
                let hosts = entry.hosts.values().flat_map(|host| &host.addresses);
                let all: Vec<IpAddr> = entry.addresses.iter().chain(hosts).copied().collect();
                self.here(addresses(query.kind, &all))
            }
            [protocol, port] if protocol.starts_with('_') && port.starts_with('_') => {
                let is_meant = |named: &Named| named.name == port[1..] && named.protocol == &protocol[1..];
                match self.ports(entry, &own, is_meant) {
                    Found::Here(reply) if reply.answers.is_empty() => self.nowhere(),
                    _ if query.kind != Kind::Srv => self.here(Vec::new()),
                    found => found,
                }
            }
            [protocol] if protocol.starts_with('_') => {
                let known = entry.ports.iter().any(|port| port.protocol == &protocol[1..]);
                if known { self.here(Vec::new()) } else { self.nowhere() }
            }
            [host] => match entry.hosts.get(host) {
                Some(host) => self.here(addresses(query.kind, &host.addresses)),
                None => self.nowhere(),
            },
            _ => self.nowhere(),
        }
    }

    /// Where ports of a service are: at the service itself, or at each of its hosts.
    fn ports(&self, entry: &Entry, own: &str, is_meant: impl Fn(&Named) -> bool) -> Found {
        let mut targets: Vec<(String, &Named, &[IpAddr])> = Vec::new();
        if entry.hosts.is_empty() {
            let meant = entry.ports.iter().filter(|port| is_meant(port));
            targets.extend(meant.map(|port| (own.to_owned(), port, &entry.addresses[..])));
        }
        for (label, host) in &entry.hosts {
            let meant = host.ports.iter().filter(|port| is_meant(port));
            targets.extend(meant.map(|port| (format!("{label}.{own}"), port, &host.addresses[..])));
        }
        let weight = (100 / targets.len().max(1)).max(1) as u16;
        let mut reply = Reply { authoritative: true, ..Reply::new(Code::Ok) };
        for (target, port, addresses) in targets {
            let additional = |address: &IpAddr| Record::of(&target, TTL, Data::Address(*address));
            if !reply.additional.iter().any(|record| record.name.as_ref() == Some(&target)) {
                reply.additional.extend(addresses.iter().map(additional));
            }
            let data = Data::Srv { priority: 0, weight, port: port.port, target };
            reply.answers.push(Record::new(TTL, data));
        }
        Found::Here(reply)
    }

    fn find_name(&self, address: IpAddr, kind: Kind) -> Found {
        match self.reverse.get(&address) {
            Some(names) => {
                self.here(of_kind(kind, Kind::Ptr, || names.iter().map(|(_, name)| Data::Ptr(name.clone())).collect()))
            }
            // nobody else knows about these
            None if self.config.is_cluster(address) => self.nowhere(),
            None => Found::Elsewhere,
        }
    }

    fn apex(&self, kind: Kind) -> Found {
        match kind {
            Kind::Ns => self.here(vec![Data::Ns(format!("ns.dns.{}", self.config.domain))]),
            Kind::Soa => self.here(vec![self.authority()]),
            _ => self.here(Vec::new()),
        }
    }

    /// An answer; without data, that there is nothing of this kind.
    fn here(&self, data: Vec<Data>) -> Found {
        let mut reply = Reply::with(data.into_iter().map(|data| Record::new(TTL, data)).collect());
        reply.authoritative = true;
        if reply.answers.is_empty() {
            reply.authority.push(Record::of(&self.config.domain, TTL, self.authority()));
        }
        Found::Here(reply)
    }

    fn nowhere(&self) -> Found {
        let mut reply = Reply { authoritative: true, ..Reply::new(Code::NoSuchName) };
        reply.authority.push(Record::of(&self.config.domain, TTL, self.authority()));
        Found::Here(reply)
    }

    fn authority(&self) -> Data {
        let domain = &self.config.domain;
        Data::Soa { server: format!("ns.dns.{domain}"), mailbox: format!("hostmaster.{domain}"), serial: 1, least: TTL }
    }

    /// Addresses that have the names of a service.
    fn pointers(&self, (namespace, service): &Name, entry: &Entry) -> Vec<(IpAddr, String)> {
        let own = format!("{service}.{namespace}.svc.{}", self.config.domain);
        let mut all: Vec<_> = entry.addresses.iter().map(|address| (*address, own.clone())).collect();
        for (label, host) in &entry.hosts {
            all.extend(host.addresses.iter().map(|address| (*address, format!("{label}.{own}"))));
        }
        all
    }
}

impl Entry {
    fn of(service: &Service, slices: &[Arc<EndpointSlice>]) -> Entry {
        let spec = service.spec.as_ref();
        if let Some(spec) = spec.filter(|spec| spec.type_.as_deref() == Some("ExternalName")) {
            let external = spec.external_name.as_ref().map(|name| name.trim_end_matches('.').to_lowercase());
            return Entry { external, ..Entry::default() };
        }
        let ports = facts::ports(service);
        let named = |port: &facts::Port, number| Named {
            name: port.name.to_lowercase(),
            protocol: facts::protocol_name(port.protocol),
            port: number,
        };
        let mut entry = Entry {
            addresses: facts::cluster_ips(service),
            ports: ports.iter().map(|port| named(port, port.port)).collect(),
            ..Entry::default()
        };
        if !facts::is_headless(service) {
            return entry;
        }
        for port in &ports {
            for backend in facts::backends(slices, port).into_iter().filter(|backend| backend.ready) {
                let host = entry.host(backend.hostname.as_deref(), backend.address);
                host.ports.push(named(port, backend.port));
            }
        }
        if ports.is_empty() {
            entry.take_addresses(slices);
        }
        entry
    }

    /// Of a headless service without ports.
    fn take_addresses(&mut self, slices: &[Arc<EndpointSlice>]) {
        for endpoint in slices.iter().flat_map(|slice| slice.endpoints.iter().flatten()) {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            let address = endpoint.addresses.first().and_then(|address| address.parse().ok());
            if let Some(address) = address.filter(|_| ready) {
                self.host(endpoint.hostname.as_deref().filter(|name| !name.is_empty()), address);
            }
        }
    }

    /// The host of that name, or else of that address.
    fn host(&mut self, name: Option<&str>, address: IpAddr) -> &mut Host {
        let label = name.map_or_else(|| dashed(address), str::to_lowercase);
        let host = self.hosts.entry(label).or_default();
        if !host.addresses.contains(&address) {
            host.addresses.push(address);
        }
        host
    }
}

fn of_kind(asked: Kind, kind: Kind, data: impl FnOnce() -> Vec<Data>) -> Vec<Data> {
    if asked == kind || asked == Kind::Any { data() } else { Vec::new() }
}

fn addresses(asked: Kind, all: &[IpAddr]) -> Vec<Data> {
    let is_wanted = |address: &&IpAddr| match asked {
        Kind::A => address.is_ipv4(),
        Kind::Aaaa => address.is_ipv6(),
        Kind::Any => true,
        _ => false,
    };
    all.iter().filter(is_wanted).map(|address| Data::Address(*address)).collect()
}

/// `10-42-0-7`, `fd00--7`
fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

fn undashed(label: &str) -> Option<IpAddr> {
    let v4 = label.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::from);
    v4.or_else(|| label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::from))
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;
