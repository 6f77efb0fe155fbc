//! At the start: what services have is noted, claims that are missing are made, claims of nobody are given back.

use std::collections::HashSet;

use k8s_store::{At, ListOptions, Write, WriteError};
use k8s_types::object;
use k8s_types::policy::read::Read;
use serde_json::Value;

use super::{Allocator, Claims, PORTS, claims};
use crate::registry::Registry;
use crate::{OpenError, stored};

impl Allocator {
    /// Learns what the stored services have; once, before serving.
    pub async fn load(&self, registry: &Registry) -> Result<(), OpenError> {
        let failed = |error: String| OpenError::Store(format!("load the addresses of services: {error}"));
        let store = registry.store();
        let options = || ListOptions { at: At::Latest, ..ListOptions::default() };
        let list = |prefix: &'static str| async move {
            store.list(prefix, options()).await.map(|listing| listing.entries).map_err(|e| failed(e.to_string()))
        };
        let services = list("core/services/").await?;
        let (addresses, ports) = (list(claims::addresses_prefix()).await?, list(PORTS).await?);
        let claimed: HashSet<String> = addresses.iter().chain(&ports).map(|entry| entry.key.to_string()).collect();
        let (mut writes, mut held) = (Vec::new(), HashSet::new());
        for entry in &services {
            let service = stored::parse(&entry.value, entry.revision).map_err(|e| failed(e.to_string()))?;
            self.note(&service, &claimed, &mut held, &mut writes);
        }
        for entry in addresses.iter().filter(|entry| !held.contains(&*entry.key)) {
            let address = stored::parse(&entry.value, entry.revision).map_err(|e| failed(e.to_string()))?;
            if of_service(&address) {
                writes.push(Write::delete(&*entry.key, k8s_store::Expect::Revision(entry.revision)));
            } else {
                self.note_taken(&entry.key);
            }
        }
        for entry in ports.iter().filter(|entry| !held.contains(&*entry.key)) {
            writes.push(Write::delete(&*entry.key, k8s_store::Expect::Revision(entry.revision)));
        }
        self.mend(registry, writes).await
    }

    fn note(&self, service: &Value, claimed: &HashSet<String>, held: &mut HashSet<String>, writes: &mut Vec<Write>) {
        let has = Claims::of(service);
        let ips = has.ips.iter().map(|ip| (claims::ip_key(*ip), claims::take_ip(*ip, service)));
        let ports = has.ports.iter().map(|port| (claims::port_key(*port), claims::take_port(*port, service)));
        for (key, write) in ips.chain(ports) {
            self.note_taken(&key);
            if !held.insert(key.clone()) {
                let (namespace, name) = (object::namespace(service), object::name(service));
                tracing::error!(%key, "service {namespace}/{name} has what another service has too");
            } else if !claimed.contains(&key) {
                tracing::warn!(%key, "a claim of a service was missing");
                writes.push(write);
            }
        }
    }

    /// Each alone: another server may mend the same.
    async fn mend(&self, registry: &Registry, writes: Vec<Write>) -> Result<(), OpenError> {
        for write in writes {
            match registry.store().write(write).await {
                Ok(_) | Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(OpenError::Store(format!("mend the addresses of services: {error}"))),
            }
        }
        Ok(())
    }
}

/// Whether an address belongs to a service, or did.
fn of_service(address: &Value) -> bool {
    object::label(address, claims::MANAGED_BY.0) == Some(claims::MANAGED_BY.1)
        && address["spec"]["parentRef"]["resource"].text() == "services"
}
