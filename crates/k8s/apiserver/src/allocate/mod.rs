//! Addresses and node ports of services: claimed in the transaction that stores the service, given back in the one that ends it.
//!
//! Who has an address says an `IPAddress` object, who has a node port a record under [`PORTS`]; a service and its claims are written
//! together, so neither a crash nor another server over the same datastore leaves an address with two owners or with none. What is kept in
//! memory only helps to choose: a claim that is taken after all fails the transaction, is noted, and the service is tried again.

mod claims;
mod families;
mod ports;
mod range;
mod repair;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use k8s_store::{At, ListOptions, Write};
use k8s_types::field::{Error, Errors, Path};
use k8s_types::object::{self, GroupKind};
use k8s_types::policy::read::{Read, put};
use k8s_types::status::ApiError;
use serde_json::Value;

use self::families::Families;
use self::range::{Cidr, Numbers, random};
use crate::admission::DryRun;
use crate::admission::lookup;
use crate::registry::{self, Registry};
use crate::{Config, OpenError};

pub use claims::PORTS;

/// What is taken, a cheap handle.
#[derive(Clone)]
pub struct Allocator {
    inner: Arc<Inner>,
}

struct Inner {
    /// Ranges of the configuration, the default family first.
    cidrs: Vec<Cidr>,
    ports: (u16, u16),
    taken: Mutex<Taken>,
}

/// What is known to be taken, and what is about to be.
#[derive(Default)]
struct Taken {
    ips: HashSet<IpAddr>,
    ports: HashSet<u16>,
}

impl Taken {
    fn remove<'a>(&mut self, ips: impl IntoIterator<Item = &'a IpAddr>, ports: impl IntoIterator<Item = &'a u16>) {
        for ip in ips {
            self.ips.remove(ip);
        }
        for port in ports {
            self.ports.remove(port);
        }
    }
}

/// What one write of a service takes and gives back. Dropped without [`Reservation::keep`] nothing has happened.
#[must_use]
pub struct Reservation {
    allocator: Allocator,
    writes: Vec<Write>,
    new_ips: Vec<IpAddr>,
    new_ports: Vec<u16>,
    /// Of those, what this write has marked as taken.
    marked: Taken,
    old_ips: Vec<IpAddr>,
    old_ports: Vec<u16>,
    kept: bool,
}

impl Allocator {
    /// An allocator of the ranges of the configuration, before anything is known.
    pub fn new(config: &Config) -> Result<Allocator, OpenError> {
        let parse = |text: &String| Cidr::parse(text).ok_or_else(|| OpenError::ServiceRange(text.clone()));
        let cidrs = config.service_cidrs.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let inner = Inner { cidrs, ports: config.node_ports, taken: Mutex::default() };
        Ok(Allocator { inner: Arc::new(inner) })
    }

    /// Fills in what a service needs (cluster addresses, families, node ports, health check port) and holds it.
    pub async fn reserve(
        &self,
        registry: &Registry,
        service: &mut Value,
        old: Option<&Value>,
        dry_run: DryRun,
    ) -> Result<Reservation, ApiError> {
        let cidrs = self.ranges(registry).await?;
        let mut reservation = Reservation::empty(self);
        let errors = families_of(&cidrs).settle(service, old);
        if !errors.is_empty() {
            return Err(invalid(service, &errors));
        }
        self.addresses(registry, service, old, &cidrs, &mut reservation).await?;
        self.node_ports(registry, service, old, &mut reservation).await?;
        let held = Claims::of(service);
        let before = old.map(Claims::of).unwrap_or_default();
        reservation.settle(service, &held, &before);
        if dry_run == DryRun::All {
            reservation.writes.clear();
        }
        Ok(reservation)
    }

    /// The writes that give back what a service has, for the transaction that deletes it.
    pub fn release_writes(&self, service: &Value) -> Vec<Write> {
        let held = Claims::of(service);
        let ips = held.ips.iter().map(|ip| claims::give_back_ip(*ip));
        ips.chain(held.ports.iter().map(|port| claims::give_back_port(*port))).collect()
    }

    /// Forgets what a deleted service had.
    pub fn release(&self, service: &Value) {
        let held = Claims::of(service);
        self.taken().remove(&held.ips, &held.ports);
    }

    /// Notes that somebody else has what a key of the store claims; false when it is no claim.
    pub fn note_taken(&self, key: &str) -> bool {
        match claims::of_key(key) {
            Some(claims::Claim::Ip(ip)) => self.taken().ips.insert(ip),
            Some(claims::Claim::Port(port)) => self.taken().ports.insert(port),
            None => return false,
        };
        true
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.inner.taken.lock().expect("no panic while it is held")
    }

    /// The ranges of the configuration and of every ServiceCIDR that stays.
    async fn ranges(&self, registry: &Registry) -> Result<Vec<Cidr>, ApiError> {
        let mut cidrs = self.inner.cidrs.clone();
        for range in lookup::list(registry, "networking.k8s.io", "servicecidrs", "").await? {
            if object::deletion(&range).is_some() {
                continue;
            }
            for cidr in range["spec"]["cidrs"].items().iter().filter_map(|text| Cidr::parse(text.text())) {
                if !cidrs.contains(&cidr) {
                    cidrs.push(cidr);
                }
            }
        }
        Ok(cidrs)
    }

    async fn addresses(
        &self,
        registry: &Registry,
        service: &mut Value,
        old: Option<&Value>,
        cidrs: &[Cidr],
        reservation: &mut Reservation,
    ) -> Result<(), ApiError> {
        let spec = &service["spec"];
        if spec["type"] == "ExternalName" || spec["clusterIPs"][0] == "None" || spec["clusterIP"] == "None" {
            return Ok(());
        }
        let before = old.map(Claims::of).unwrap_or_default();
        let mut ips: Vec<String> = spec["clusterIPs"].items().iter().map(|ip| ip.text().to_owned()).collect();
        if ips.is_empty() && !spec["clusterIP"].is_unset() {
            ips.push(spec["clusterIP"].text().to_owned());
        }
        let families: Vec<String> = spec["ipFamilies"].items().iter().map(|f| f.text().to_owned()).collect();
        for (i, family) in families.iter().enumerate() {
            match ips.get(i).map(|text| text.parse::<IpAddr>()) {
                None => {
                    let ipv4 = family == "IPv4";
                    let chosen = match self.choose_ip(cidrs, ipv4, reservation) {
                        None => {
                            // another server may have given some back
                            self.refresh(registry).await?;
                            self.choose_ip(cidrs, ipv4, reservation)
                        }
                        chosen => chosen,
                    };
                    let full = || ApiError::internal("failed to allocate a serviceIP: range is full");
                    ips.push(chosen.ok_or_else(full)?.to_string());
                }
                Some(Ok(ip)) if !before.ips.contains(&ip) => {
                    self.claim_ip(registry, service, cidrs, ip, reservation).await?;
                }
                // what it has, or what validation refuses
                Some(_) => {}
            }
        }
        if let Some(first) = ips.first() {
            put(service, &["spec", "clusterIP"], first.as_str());
            put(service, &["spec", "clusterIPs"], ips);
        }
        Ok(())
    }

    fn choose_ip(&self, cidrs: &[Cidr], ipv4: bool, reservation: &mut Reservation) -> Option<IpAddr> {
        let mut taken = self.taken();
        for cidr in cidrs.iter().filter(|cidr| cidr.is_ipv4() == ipv4) {
            let free = |number| !taken.ips.contains(&cidr.address(number));
            if let Some(number) = cidr.numbers().choose(random(), free) {
                let ip = cidr.address(number);
                taken.ips.insert(ip);
                reservation.marked.ips.insert(ip);
                return Some(ip);
            }
        }
        None
    }

    /// Knows again what is claimed in the store, and nothing else: what is on its way meets in its transaction.
    async fn refresh(&self, registry: &Registry) -> Result<(), ApiError> {
        let options = ListOptions { at: At::Latest, ..ListOptions::default() };
        let store = registry.store();
        let addresses = store.list(claims::addresses_prefix(), options.clone()).await.map_err(registry::read_error)?;
        let ports = store.list(PORTS, options).await.map_err(registry::read_error)?;
        let mut taken = Taken::default();
        for entry in addresses.entries.iter().chain(&ports.entries) {
            match claims::of_key(&entry.key) {
                Some(claims::Claim::Ip(ip)) => taken.ips.insert(ip),
                Some(claims::Claim::Port(port)) => taken.ports.insert(port),
                None => false,
            };
        }
        *self.taken() = taken;
        Ok(())
    }

    async fn claim_ip(
        &self,
        registry: &Registry,
        service: &Value,
        cidrs: &[Cidr],
        ip: IpAddr,
        reservation: &mut Reservation,
    ) -> Result<(), ApiError> {
        let why = if cidrs.iter().any(|cidr| cidr.usable(ip)) {
            let taken = claims::is_there(registry, &claims::ip_key(ip)).await?;
            taken.then(|| "provided IP is already allocated".to_owned())
        } else {
            let ranges = cidrs.iter().filter(|cidr| cidr.is_ipv4() == ip.is_ipv4()).map(Cidr::to_string);
            let ranges = ranges.collect::<Vec<_>>().join(",");
            Some(format!("the provided IP ({ip}) is not in the valid range. The range of valid IPs is {ranges}"))
        };
        if let Some(why) = why {
            let path = Path::new("spec").child("clusterIPs");
            let wrong = format!("failed to allocate IP {ip}: {why}");
            return Err(invalid(service, &Error::invalid(&path, service["spec"]["clusterIPs"].clone(), wrong).into()));
        }
        if self.taken().ips.insert(ip) {
            reservation.marked.ips.insert(ip);
        }
        Ok(())
    }
}

/// The addresses and ports that a service has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Claims {
    ips: Vec<IpAddr>,
    ports: Vec<u16>,
}

impl Claims {
    fn of(service: &Value) -> Claims {
        let spec = &service["spec"];
        if spec["type"] == "ExternalName" {
            return Claims::default();
        }
        let ips = spec["clusterIPs"].items().iter().filter_map(|ip| ip.text().parse().ok()).collect();
        let ports = spec["ports"].items().iter().map(|port| &port["nodePort"]);
        let ports = ports.chain([&spec["healthCheckNodePort"]]).filter_map(Read::int);
        let mut ports: Vec<u16> = ports.filter_map(|port| u16::try_from(port).ok()).filter(|port| *port != 0).collect();
        ports.sort_unstable();
        ports.dedup();
        Claims { ips, ports }
    }
}

impl Reservation {
    fn empty(allocator: &Allocator) -> Reservation {
        Reservation {
            allocator: allocator.clone(),
            writes: Vec::new(),
            new_ips: Vec::new(),
            new_ports: Vec::new(),
            marked: Taken::default(),
            old_ips: Vec::new(),
            old_ports: Vec::new(),
            kept: false,
        }
    }

    fn settle(&mut self, service: &Value, held: &Claims, before: &Claims) {
        let not_in =
            |list: &[IpAddr], other: &[IpAddr]| list.iter().filter(|ip| !other.contains(ip)).copied().collect();
        let ports_not_in = |list: &[u16], other: &[u16]| list.iter().filter(|p| !other.contains(p)).copied().collect();
        self.new_ips = not_in(&held.ips, &before.ips);
        self.old_ips = not_in(&before.ips, &held.ips);
        self.new_ports = ports_not_in(&held.ports, &before.ports);
        self.old_ports = ports_not_in(&before.ports, &held.ports);
        self.writes.extend(self.new_ips.iter().map(|ip| claims::take_ip(*ip, service)));
        self.writes.extend(self.new_ports.iter().map(|port| claims::take_port(*port, service)));
        self.writes.extend(self.old_ips.iter().map(|ip| claims::give_back_ip(*ip)));
        self.writes.extend(self.old_ports.iter().map(|port| claims::give_back_port(*port)));
    }

    /// What is written together with the service.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The write is stored: what is new is taken, what the old object had and the new one has not is free.
    pub fn keep(mut self) {
        self.kept = true;
        let mut taken = self.allocator.taken();
        taken.ips.extend(&self.new_ips);
        taken.ports.extend(&self.new_ports);
        taken.remove(&self.old_ips, &self.old_ports);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.kept {
            self.allocator.taken().remove(&self.marked.ips, &self.marked.ports);
        }
    }
}

fn families_of(cidrs: &[Cidr]) -> Families {
    let mut families: Vec<&'static str> = Vec::new();
    for family in cidrs.iter().map(|cidr| if cidr.is_ipv4() { "IPv4" } else { "IPv6" }) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    Families(families)
}

fn invalid(service: &Value, errors: &Errors) -> ApiError {
    ApiError::invalid(&GroupKind::new("", "Service"), object::name(service), errors)
}
