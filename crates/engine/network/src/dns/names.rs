//! Who is called what on which network.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ::dns::{Data, Kind, Query, Record as Answer};

use crate::endpoint::{Endpoint, EndpointId};
use crate::network::NetworkId;

/// Seconds that an answer may be kept.
const TTL: u32 = 600;

/// What a question comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The name is a container's; without answers, it has no record of that kind.
    Here(Vec<Answer>),
    /// Others have to be asked.
    Elsewhere,
    /// Nobody may be asked: the container is on internal networks only.
    Nowhere,
}

/// Names of all endpoints on networks that have names.
#[derive(Default)]
pub(crate) struct Names {
    records: HashMap<EndpointId, Record>,
    by_name: HashMap<(NetworkId, String), Vec<EndpointId>>,
    /// Endpoints of each container, for what it may see.
    by_container: HashMap<String, Vec<EndpointId>>,
}

struct Record {
    network: NetworkId,
    container: String,
    internal: bool,
    names: HashSet<String>,
    /// What a reverse question gets.
    full_name: String,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// Enters an endpoint, or enters it anew after a change.
    pub fn add(&mut self, endpoint: &Endpoint, internal: bool) {
        self.remove(&endpoint.id);
        let name = endpoint.container_name.trim_start_matches('/');
        let short_id = endpoint.container.get(..12).unwrap_or(&endpoint.container);
        let own = [name, short_id].into_iter().chain(endpoint.aliases.iter().map(String::as_str));
        let with_network =
            |name: &str| [name.to_lowercase(), format!("{name}.{}", endpoint.network_name).to_lowercase()];
        let names: HashSet<_> = own.filter(|name| !name.is_empty()).flat_map(with_network).collect();
        for name in &names {
            let key = (endpoint.network.clone(), name.clone());
            self.by_name.entry(key).or_default().push(endpoint.id.clone());
        }
        self.by_container.entry(endpoint.container.clone()).or_default().push(endpoint.id.clone());
        let v4 = endpoint.ipv4.map(|(addr, _)| IpAddr::V4(addr));
        let v6 = endpoint.ipv6.map(|(addr, _)| IpAddr::V6(addr));
        let record = Record {
            network: endpoint.network.clone(),
            container: endpoint.container.clone(),
            internal,
            names,
            full_name: format!("{name}.{}", endpoint.network_name),
            addresses: v4.into_iter().chain(v6).collect(),
        };
        self.records.insert(endpoint.id.clone(), record);
    }

    pub fn remove(&mut self, endpoint: &EndpointId) {
        let Some(record) = self.records.remove(endpoint) else { return };
        for name in record.names {
            let key = (record.network.clone(), name);
            if let Some(holders) = self.by_name.get_mut(&key) {
                holders.retain(|holder| holder != endpoint);
                if holders.is_empty() {
                    self.by_name.remove(&key);
                }
            }
        }
        if let Some(own) = self.by_container.get_mut(&record.container) {
            own.retain(|one| one != endpoint);
            if own.is_empty() {
                self.by_container.remove(&record.container);
            }
        }
    }

    /// Whether a container has an endpoint with names.
    pub fn has(&self, container: &str) -> bool {
        self.by_container.contains_key(container)
    }

    /// What a container is told.
    pub fn find(&self, container: &str, query: &Query) -> Found {
        let own: Vec<_> =
            self.by_container.get(container).into_iter().flatten().filter_map(|id| self.records.get(id)).collect();
        let elsewhere = if own.iter().all(|record| record.internal) { Found::Nowhere } else { Found::Elsewhere };
        if query.kind == Kind::Ptr {
            let Some(addr) = query.reverse_address() else { return elsewhere };
            let same = |record: &&Record| {
                record.addresses.contains(&addr) && own.iter().any(|mine| mine.network == record.network)
            };
            let found = self.records.values().find(same);
            return found
                .map_or(elsewhere, |record| Found::Here(vec![Answer::new(TTL, Data::Ptr(record.full_name.clone()))]));
        }
        let mut known = false;
        let mut answers = Vec::new();
        for mine in own {
            let holders = self.by_name.get(&(mine.network.clone(), query.name.clone()));
            for record in holders.into_iter().flatten().filter_map(|id| self.records.get(id)) {
                known = true;
                let wanted = |addr: &&IpAddr| match query.kind {
                    Kind::A => addr.is_ipv4(),
                    Kind::Aaaa => addr.is_ipv6(),
                    _ => false,
                };
                answers
                    .extend(record.addresses.iter().filter(wanted).map(|addr| Answer::new(TTL, Data::Address(*addr))));
            }
        }
        if known { Found::Here(answers) } else { elsewhere }
    }
}
