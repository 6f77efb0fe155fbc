//! Networks: made, looked at, removed, and containers put on them and taken off.

use crate::engine::{Engine, Inner, blocking};
use crate::error::{Error, Kind, Result};
use crate::keeper::Command;
use crate::model::event::EventKind;
use crate::model::filters::Filters;
use crate::model::network::{EndpointSpec, Network, NetworkInspect, NetworkSpec};
use crate::model::system::Pruned;

impl Engine {
    pub async fn networks(&self, filters: Filters) -> Result<Vec<Network>> {
        filters.accept(&["dangling", "driver", "id", "label", "label!", "name", "scope", "type"])?;
        let dangling = filters.truth("dangling")?;
        let kind = filters.values("type").next().map(str::to_owned);
        if let Some(kind) = kind.as_deref().filter(|kind| !["builtin", "custom"].contains(kind)) {
            return Err(Error::invalid(format!("invalid filter: 'type'='{kind}'")));
        }
        let inner = self.inner.clone();
        blocking(move || {
            let fits = |network: &Network| {
                let id = network.id.to_string();
                let unused = !network.is_predefined() && !inner.network_is_used(network);
                dangling.is_none_or(|wanted| wanted == unused)
                    && kind.as_deref().is_none_or(|kind| (kind == "builtin") == network.is_predefined())
                    && filters.any("driver", |driver| driver == network.driver.as_str())
                    && filters.any("id", |start| id.starts_with(start))
                    && filters.any("name", |part| network.name.contains(part))
                    && filters.any("scope", |scope| scope == "local")
                    && filters.labels("label", &network.labels)
            };
            let mut listed: Vec<Network> = inner.networks.list().into_iter().filter(fits).collect();
            listed.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(listed)
        })
        .await
    }

    pub async fn network_inspect(&self, network: &str) -> Result<NetworkInspect> {
        let (inner, name) = (self.inner.clone(), network.to_owned());
        blocking(move || {
            let network = inner.networks.find(&name)?;
            let endpoints = inner.networks.endpoints(&network.id);
            Ok(NetworkInspect { network, endpoints })
        })
        .await
    }

    pub async fn network_create(&self, spec: NetworkSpec) -> Result<Network> {
        let inner = self.inner.clone();
        blocking(move || {
            let made = inner.networks.create(spec)?;
            inner.tell_of_network("create", &made);
            Ok(made)
        })
        .await
    }

    pub async fn network_remove(&self, network: &str) -> Result<()> {
        let (inner, name) = (self.inner.clone(), network.to_owned());
        blocking(move || {
            let gone = inner.networks.remove(&name)?;
            inner.tell_of_network("destroy", &gone);
            Ok(())
        })
        .await
    }

    pub async fn network_connect(&self, network: &str, container: &str, spec: EndpointSpec) -> Result<()> {
        let handle = self.inner.containers.find(container)?;
        let network = network.to_owned();
        handle.ask(|reply| Command::Connect { network, spec, reply }).await
    }

    pub async fn network_disconnect(&self, network: &str, container: &str, force: bool) -> Result<()> {
        let handle = self.inner.containers.find(container)?;
        let network = network.to_owned();
        handle.ask(|reply| Command::Disconnect { network, force, reply }).await
    }

    /// User-defined ones that no container is on.
    pub async fn networks_prune(&self, filters: Filters) -> Result<Pruned> {
        filters.accept(&["label", "label!", "until"])?;
        let inner = self.inner.clone();
        blocking(move || {
            let mut pruned = Pruned::default();
            for network in inner.networks.list() {
                let wanted =
                    !network.is_predefined() && !network.is_routed() && filters.labels("label", &network.labels);
                if !wanted || inner.network_is_used(&network) {
                    continue;
                }
                match inner.networks.remove(&network.id.to_string()).map_err(Error::from) {
                    Ok(gone) => inner.tell_of_network("destroy", &gone),
                    Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict | Kind::Denied) => continue,
                    Err(error) => return Err(error),
                }
                pruned.deleted.push(network.name);
            }
            inner.tell_of(EventKind::Network, "prune", "", &[("reclaimed", "0")]);
            Ok(pruned)
        })
        .await
    }
}

impl Inner {
    /// Whether a container is on a network, running or not.
    fn network_is_used(&self, network: &Network) -> bool {
        let on_it = |name: &String| *name == network.name;
        self.containers.all().iter().any(|handle| handle.record().networks.keys().any(on_it))
    }

    fn tell_of_network(&self, action: &str, network: &Network) {
        let attributes = [("name", network.name.as_str()), ("type", network.driver.as_str())];
        self.tell_of(EventKind::Network, action, &network.id.to_string(), &attributes);
    }
}
