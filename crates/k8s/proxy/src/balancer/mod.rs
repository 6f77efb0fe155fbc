//! Services in the kernel: one nf_tables table whose rules stand still while elements of its maps come and go.
//!
//! [`Balancer::look_at`] says what one service is now; [`Balancer::commit`] writes everything that differs since the last one, in one transaction. The
//! first commit adopts the table of an earlier daemon: rules are replaced and elements corrected in one step, so that connections are led on without a
//! gap. The kernel goes on when nobody is there.

mod choose;
mod ledger;
mod plan;
mod rules;
mod sets;
mod table;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use netlink::{Protocol, Socket, conntrack};

use crate::config::Config;
use crate::error::{Result, failed};
use crate::facts::Here;
use ledger::{Changes, Ledger};
use plan::{Aim, Plan, plan};
use sets::{Family, Place};
use table::Installed;

/// Namespace and name of a service.
pub type Name = (String, String);

const UDP: u8 = 17;

/// The services of one node.
pub struct Balancer {
    config: Config,
    here: Here,
    table: Installed,
    connections: Socket,
    ledger: Ledger,
    changes: Changes,
    services: HashMap<Name, (u32, Plan)>,
    next: u32,
    /// Whether the kernel has what the ledger says, but for the changes.
    written: bool,
    /// Where clients may still be led to places that are gone.
    moved: BTreeSet<Aim>,
}

impl Balancer {
    /// Opens sockets in the calling thread's network namespace; nothing is changed yet.
    pub fn open(config: &Config) -> Result<Balancer> {
        Ok(Balancer {
            config: config.clone(),
            here: Here { node: config.node_name.clone(), zone: String::new() },
            table: Installed::open(config)?,
            connections: Socket::open(Protocol::Conntrack).map_err(failed("open conntrack socket"))?,
            ledger: Ledger::default(),
            changes: Changes::default(),
            services: HashMap::new(),
            next: 0,
            written: false,
            moved: BTreeSet::new(),
        })
    }

    /// The zone that the node is in; services have to be looked at again if this says that it is another one.
    pub fn set_zone(&mut self, zone: &str) -> bool {
        let changed = self.here.zone != zone;
        self.here.zone = zone.to_owned();
        changed
    }

    /// What a service is now; nothing if it is gone.
    pub fn look_at(&mut self, name: &Name, service: Option<&Service>, slices: &[Arc<EndpointSlice>]) {
        let (owner, before) = self.services.remove(name).unwrap_or_else(|| {
            self.next += 1;
            (self.next, Plan::default())
        });
        let mut after = match service {
            Some(service) => plan(service, slices, &self.config, &self.here, &before),
            None => Plan::default(),
        };
        self.ledger.set(owner, std::mem::take(&mut after.entries), &mut self.changes);
        let aims: HashSet<&Aim> = before.places.keys().chain(after.places.keys()).collect();
        for aim in aims {
            let (old, new) = (before.places.get(aim), after.places.get(aim));
            let udp = matches!(aim, Aim::Address(_, UDP, _) | Aim::Port(_, UDP, _));
            let lost = old.is_some_and(|old| old.iter().any(|place| new.is_none_or(|new| !new.contains(place))));
            // clients who sent before there was anybody are still led nowhere
            let first = udp && old.is_none_or(Vec::is_empty) && new.is_some_and(|new| !new.is_empty());
            if (lost && (udp || before.sticky || after.sticky)) || first {
                self.moved.insert(*aim);
            }
        }
        if service.is_some() {
            self.services.insert(name.clone(), (owner, after));
        }
    }

    /// Whether it is worth to commit.
    pub fn is_changed(&self) -> bool {
        !self.written || !self.changes.is_empty()
    }

    /// Writes what differs; returns how many elements that were.
    pub fn commit(&mut self) -> Result<usize> {
        let changes = self.changes.take();
        let written = if self.written {
            match self.table.apply(&changes) {
                Ok(()) => changes.len(),
                Err(error) => {
                    tracing::warn!(%error, "the table of services is not as it was left; it is set right");
                    self.written = false;
                    self.table.install(&self.ledger, &self.config)?
                }
            }
        } else {
            self.table.install(&self.ledger, &self.config)?
        };
        self.written = true;
        let moved = std::mem::take(&mut self.moved);
        if !moved.is_empty()
            && let Err(error) = self.forget(&moved)
        {
            tracing::warn!(%error, "clients may be led to endpoints that are gone");
        }
        Ok(written)
    }

    /// Elements that should be in the table.
    pub fn len(&self) -> usize {
        self.ledger.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ports of health checks, with the service and how many of its endpoints are on this node.
    pub fn health(&self) -> HashMap<u16, (Name, usize)> {
        let checks = self.services.iter().filter_map(|(name, (_, plan))| {
            let (port, count) = plan.health?;
            Some((port, (name.clone(), count)))
        });
        checks.collect()
    }

    /// Takes the table away.
    pub fn remove(mut self) -> Result<()> {
        self.table.remove()
    }

    /// Forgets who was led to places that are gone: UDP "connections", and clients that would come back.
    fn forget(&mut self, moved: &BTreeSet<Aim>) -> Result<()> {
        let mut now: HashMap<Aim, &[Place]> = moved.iter().map(|aim| (*aim, &[][..])).collect();
        for (_, plan) in self.services.values() {
            for aim in moved {
                if let Some(places) = plan.places.get(aim) {
                    now.insert(*aim, places);
                }
            }
        }
        let is_stale = |aims: [Aim; 2], place: Place| {
            let places = aims.iter().find_map(|aim| now.get(aim));
            places.is_some_and(|places| !places.contains(&place))
        };
        let stale = self.table.forget_clients(|to, protocol, place| {
            let port = Aim::Port(Family::of(to.ip()), protocol, to.port());
            is_stale([Aim::Address(to.ip(), protocol, to.port()), port], place)
        });
        if now.keys().any(|aim| matches!(aim, Aim::Address(_, UDP, _) | Aim::Port(_, UDP, _))) {
            let chosen = |flow: &conntrack::Flow| {
                let place = Place { address: flow.answered_by.ip(), port: flow.answered_by.port() };
                let port = Aim::Port(Family::of(flow.to.ip()), UDP, flow.to.port());
                flow.protocol == UDP && is_stale([Aim::Address(flow.to.ip(), UDP, flow.to.port()), port], place)
            };
            conntrack::forget(&mut self.connections, chosen).map_err(failed("forget UDP connections"))?;
        }
        stale
    }
}
