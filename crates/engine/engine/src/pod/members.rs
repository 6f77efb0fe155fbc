//! Containers of sandboxes: listed, their logs reopened, their sandbox looked into and connected to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use cgroup::Cgroup;
use network::{PODS, PodNetwork};

use super::namespaces::role;
use crate::Engine;
use crate::engine::blocking;
use crate::error::{Error, Kind, Result};
use crate::inspect;
use crate::keeper::Command;
use crate::model::host::{Resources, UpdateSpec};
use crate::model::pod::{MemberView, Whose};
use crate::model::stats::{CgroupStats, NetworkCounters};

/// How long a connection into a sandbox may take to come to be.
const CONNECT: Duration = Duration::from_secs(10);

impl Engine {
    /// Every container of a sandbox.
    pub fn members(&self) -> Vec<MemberView> {
        let all = self.inner.containers.all();
        all.iter()
            .filter_map(|handle| {
                let record = handle.record();
                Some(MemberView {
                    id: record.id.clone(),
                    member: record.pod.clone()?,
                    image: record.image.clone(),
                    created: record.created,
                    state: inspect::state(&record),
                })
            })
            .collect()
    }

    /// Begins a new log of a member at its path, after somebody has moved the old one. One that does not run writes none.
    pub async fn reopen_log(&self, container: &str) -> Result<()> {
        let record = self.inner.containers.find(container)?.record();
        if !record.state.is_live() {
            return Ok(());
        }
        Ok(self.inner.supervisor.reopen_log(&record.id).await?)
    }

    /// A connection to a port of a sandbox's loopback device, made from inside: IPv4 first, then IPv6.
    pub async fn sandbox_connect(&self, id: &str, port: u16) -> Result<tokio::net::TcpStream> {
        let record = self.inner.sandboxes.find(id)?.record();
        let what = format!("connect to port {port} of sandbox {id}");
        let failed = |error| Error::because(Kind::Unavailable, what.clone(), error);
        let stream = match record.spec.network {
            Whose::Node => tokio::task::spawn_blocking(move || connect(port)).await,
            Whose::Pod => {
                let netns = self.netns(id)?;
                tokio::task::spawn_blocking(move || network::run_inside(netns.as_fd(), move || connect(port))).await
            }
        };
        let stream = stream.map_err(|error| Error::because(Kind::Internal, &what, error))?.map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        tokio::net::TcpStream::from_std(stream).map_err(failed)
    }

    /// What a sandbox's control group uses, and the counters of its devices but loopback.
    pub async fn sandbox_usage(&self, id: &str) -> Result<(CgroupStats, Vec<(String, NetworkCounters)>)> {
        let record = self.inner.sandboxes.find(id)?.record();
        let path = self.inner.sandbox_cgroup(id, &record.spec);
        let netns = match record.spec.network {
            Whose::Pod => self.netns(id).ok(),
            Whose::Node => None,
        };
        let hierarchy = self.inner.facts.hierarchy.clone();
        blocking(move || {
            let stats = Cgroup::open(&hierarchy, &path).and_then(|group| group.stats());
            let stats = stats.map_err(|error| Error::because(Kind::Unavailable, "usage of the pod", error))?;
            let table = netns.map(|netns| {
                network::run_inside(netns.as_fd(), || std::fs::read_to_string("/proc/thread-self/net/dev"))
            });
            let table =
                table.transpose().map_err(|error| Error::because(Kind::Internal, "network of the pod", error))?;
            Ok((stats, crate::stats::devices(&table.unwrap_or_default()).into_iter().collect()))
        })
        .await
    }

    /// What a container's control group uses.
    pub async fn member_usage(&self, container: &str) -> Result<CgroupStats> {
        let record = self.inner.containers.find(container)?.record();
        if !record.state.is_live() {
            return Err(Error::conflict(format!("container {} is not running", record.id)));
        }
        Ok(self.inner.supervisor.stats(&record.id).await?)
    }

    /// Changes limits of a member, whatever they were.
    pub async fn update_member(&self, container: &str, update: UpdateSpec) -> Result<()> {
        let handle = self.inner.containers.find(container)?;
        handle.ask(|reply| Command::Update { update: Box::new(update), reply }).await
    }

    /// Changes the limits of a sandbox's control group, which all containers of the pod share.
    pub async fn update_sandbox(&self, id: &str, resources: Resources) -> Result<()> {
        let record = self.inner.sandboxes.find(id)?.record();
        let inner = self.inner.clone();
        blocking(move || inner.limit_sandbox_cgroup(&record.id, &record.spec, &resources)).await
    }

    /// Makes the network of pods, or changes it as long as no pod is on it.
    pub async fn set_pod_network(&self, wanted: PodNetwork) -> Result<()> {
        let inner = self.inner.clone();
        blocking(move || Ok(inner.networks.ensure_pods(&wanted).map(drop)?)).await
    }

    /// Whether there is a network of pods.
    pub fn has_pod_network(&self) -> bool {
        self.inner.networks.find(PODS).is_ok()
    }

    fn netns(&self, sandbox: &str) -> Result<std::os::fd::OwnedFd> {
        let held = self.inner.supervisor.kept(sandbox).unwrap_or_default();
        let netns = held.into_iter().find(|(what, _)| what == role::NET);
        netns.map(|(_, fd)| fd).ok_or_else(|| Error::conflict(format!("sandbox {sandbox} is not ready")))
    }
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let four = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&four, CONNECT)
        .or_else(|error| TcpStream::connect_timeout(&six, CONNECT).map_err(|_| error))
}
