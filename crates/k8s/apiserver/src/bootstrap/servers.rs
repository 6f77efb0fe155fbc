//! Who serves a datastore that several servers share: each keeps a record that goes by itself when it is not renewed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_store::{At, Expect, ListOptions, Watcher, Write};
use k8s_types::status::ApiError;

use super::kubernetes;
use crate::Config;
use crate::registry::{self, Registry};

/// What the keys of records begin with; the server's address follows. No resource is called so.
const PREFIX: &str = "sampan/servers/";
const RENEW: Duration = Duration::from_secs(10);
const LIVES: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);

/// Keeps this server's record, and the `kubernetes` service leading to all who have one. Runs until dropped.
pub async fn run(registry: Registry, config: Config, port: u16) {
    let mut own = None;
    loop {
        if let Err(error) = follow(&registry, &config, port, &mut own).await {
            tracing::debug!(%error, "the servers of the datastore cannot be followed; again");
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Takes this server's record away: nobody is led here any more.
pub async fn leave(registry: &Registry, config: &Config, port: u16) {
    let Some(address) = kubernetes::address(config) else { return };
    let write = Write::delete(key(SocketAddr::new(address, port)), Expect::Any);
    if let Err(error) = registry.store().write(write).await {
        tracing::debug!(%error, "the record of this server stays until it runs out");
    }
}

async fn follow(registry: &Registry, config: &Config, port: u16, own: &mut Option<SocketAddr>) -> Result<(), ApiError> {
    renew(registry, config, port, own).await?;
    let options = ListOptions { at: At::Latest, ..ListOptions::default() };
    let listing = registry.store().list(PREFIX, options).await.map_err(registry::read_error)?;
    let mut changes = registry.store().watch(PREFIX, listing.revision).map_err(registry::read_error)?;
    let mut known: Option<Vec<SocketAddr>> = None;
    loop {
        let listing = registry.store().list(PREFIX, ListOptions::default()).await.map_err(registry::read_error)?;
        let servers = listing.entries.iter().filter_map(|entry| entry.key.strip_prefix(PREFIX)?.parse().ok());
        let servers: Vec<SocketAddr> = servers.collect();
        if known.as_ref() != Some(&servers) {
            kubernetes::lead_to(registry, config, port, &servers).await?;
            known = Some(servers);
        }
        let mut renewal = std::pin::pin!(tokio::time::sleep(RENEW));
        loop {
            tokio::select! {
                () = &mut renewal => {
                    renew(registry, config, port, own).await?;
                    break;
                }
                came_or_went = next(&mut changes) => {
                    if came_or_went? {
                        break;
                    }
                }
            }
        }
    }
}

/// Whether the next change is of a record that came or went, not of one that was renewed.
async fn next(changes: &mut Watcher) -> Result<bool, ApiError> {
    let event = changes.next().await.map_err(|error| ApiError::internal(format_args!("{error}")))?;
    Ok(event.value.is_none() || event.previous.is_none())
}

/// Renews the record of this server, at the address that it has now.
async fn renew(registry: &Registry, config: &Config, port: u16, own: &mut Option<SocketAddr>) -> Result<(), ApiError> {
    let before = *own;
    let found = kubernetes::address_after(config, before.map(|own| own.ip()));
    *own = found.map(|address| SocketAddr::new(address, port)).or(before);
    let Some(now) = *own else { return Ok(()) };
    let mut writes = vec![Write::put(key(now), Expect::Any, Vec::new()).expiring(LIVES)];
    writes.extend(before.filter(|before| *before != now).map(|before| Write::delete(key(before), Expect::Any)));
    registry.store().commit(writes).await.map(drop).map_err(|error| ApiError::internal(format_args!("{error}")))
}

fn key(server: SocketAddr) -> String {
    format!("{PREFIX}{server}")
}

/// The addresses behind one port.
pub(super) fn by_port(servers: &[SocketAddr]) -> std::collections::BTreeMap<u16, Vec<IpAddr>> {
    let mut ports = std::collections::BTreeMap::<u16, Vec<IpAddr>>::new();
    for server in servers {
        ports.entry(server.port()).or_default().push(server.ip());
    }
    ports
}
