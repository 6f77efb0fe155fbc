//! Running a sandbox: group, namespaces, network, files; then held and recorded. Undone in reverse when a step fails.

use std::fs;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use jiff::Timestamp;
use network::files::{self, Hosts, Resolv};
use network::{AttachRequest, Endpoint, EndpointId, PODS};

use super::namespaces;
use super::table::Sandbox;
use crate::Engine;
use crate::engine::{Inner, blocking, file_error};
use crate::error::{Error, Result};
use crate::model::pod::{Processes, Resolver, SandboxSpec, SandboxView, Whose};
use crate::names;

/// What was made of a sandbox, until somebody else holds it.
struct Built {
    record: Sandbox,
    held: Vec<(String, OwnedFd)>,
}

impl Engine {
    /// Makes a sandbox. On failure nothing is left of it.
    pub async fn sandbox_run(&self, spec: SandboxSpec) -> Result<SandboxView> {
        let id = names::random_id()?;
        let inner = self.inner.clone();
        let built = {
            let (inner, id) = (inner.clone(), id.clone());
            blocking(move || build(&inner, &id, spec)).await?
        };
        let Built { record, held } = built;
        let kept = inner.supervisor.keep(&id, held);
        let stored = inner.journal.put_sandbox(&record);
        let pause = async {
            match record.spec.processes {
                Processes::Shared => inner.start_pause(&record).await,
                Processes::Apart => Ok(()),
            }
        };
        let (kept, stored, paused) = tokio::join!(kept, stored, pause);
        if let Err(error) = kept.map_err(Error::from).and(stored).and(paused) {
            undo(&inner, record).await;
            return Err(error);
        }
        let view = record.view();
        inner.sandboxes.insert(record);
        Ok(view)
    }
}

/// Gives back what was made; goes on after errors.
async fn undo(inner: &Arc<Inner>, record: Sandbox) {
    inner.end_pause(&record.id).await;
    if let Err(error) = inner.supervisor.let_go(&record.id).await {
        tracing::warn!(sandbox = record.id, %error, "a sandbox that was not finished is held on");
    }
    if let Err(error) = inner.journal.delete_sandbox(&record.id).await {
        tracing::warn!(sandbox = record.id, %error, "a sandbox that was not finished is recorded");
    }
    let inner = inner.clone();
    let cleared = blocking(move || {
        if let Some(endpoint) = &record.endpoint {
            leave(&inner, endpoint);
        }
        inner.clear_sandbox(&record.id, &record.spec);
        Ok(())
    });
    if let Err(error) = cleared.await {
        tracing::warn!(%error, "something is left of a sandbox that was not finished");
    }
}

fn build(inner: &Inner, id: &str, spec: SandboxSpec) -> Result<Built> {
    check(&spec)?;
    let built = build_steps(inner, id, &spec);
    let (endpoint, held) = built.inspect_err(|_| inner.clear_sandbox(id, &spec))?;
    let record = Sandbox { id: id.to_owned(), created: Timestamp::now(), spec, endpoint, stopped: false };
    Ok(Built { record, held })
}

fn check(spec: &SandboxSpec) -> Result<()> {
    if spec.network == Whose::Pod && (spec.hostname.is_empty() || spec.hostname.len() > 64) {
        return Err(Error::invalid(format!("{:?} is no name for a sandbox: want 1 to 64 bytes", spec.hostname)));
    }
    let parts = spec.cgroup_parent.split('/');
    if parts.into_iter().any(|part| part == ".." || part == ".") {
        return Err(Error::invalid(format!("{:?} is no path of a control group", spec.cgroup_parent)));
    }
    Ok(())
}

#[allow(clippy::type_complexity)]
fn build_steps(inner: &Inner, id: &str, spec: &SandboxSpec) -> Result<(Option<Endpoint>, Vec<(String, OwnedFd)>)> {
    inner.make_sandbox_cgroup(id, spec)?;
    let netns = match spec.network {
        Whose::Pod => Some(inner.networks.create_sandbox(Some(PODS))?),
        Whose::Node => None,
    };
    let endpoint = netns.as_ref().map(|netns| attach(inner, id, spec, netns)).transpose()?;
    let held = namespaces::make(spec, netns, inner.config.default_shm_size);
    let done = held.and_then(|held| write_files(inner, id, spec, endpoint.as_ref()).map(|()| held));
    match (done, endpoint) {
        (Ok(held), endpoint) => Ok((endpoint, held)),
        (Err(error), Some(endpoint)) => {
            leave(inner, &endpoint);
            Err(error)
        }
        (Err(error), None) => Err(error),
    }
}

fn attach(inner: &Inner, id: &str, spec: &SandboxSpec, netns: &OwnedFd) -> Result<Endpoint> {
    let request = AttachRequest {
        endpoint: EndpointId::random(),
        container: id.to_owned(),
        container_name: spec.hostname.clone(),
        netns: netns.as_fd(),
        network: PODS.to_owned(),
        ipv4: None,
        ipv6: None,
        mac: None,
        aliases: Vec::new(),
        dns: Vec::new(),
        ports: spec.ports.clone(),
        default_route: true,
    };
    Ok(inner.networks.attach(request)?)
}

pub(super) fn leave(inner: &Inner, endpoint: &Endpoint) {
    if let Err(error) = inner.networks.detach(&endpoint.id) {
        tracing::warn!(endpoint = %endpoint.id, %error, "an endpoint could not be given back");
    }
}

fn write_files(inner: &Inner, id: &str, spec: &SandboxSpec, endpoint: Option<&Endpoint>) -> Result<()> {
    let folder = inner.sandbox_folder(id);
    let create = |path: &std::path::Path| fs::create_dir_all(path).map_err(|error| file_error("create", path, error));
    create(&folder)?;
    if !spec.log_directory.as_os_str().is_empty() {
        create(&spec.log_directory)?;
    }
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| file_error("write", &path, error))
    };
    let name = match spec.network {
        Whose::Pod => spec.hostname.as_str(),
        Whose::Node => inner.facts.hostname.as_str(),
    };
    write("hostname", &files::hostname(name))?;
    let hosts = match endpoint {
        Some(endpoint) => files::hosts(&Hosts {
            hostname: name,
            addresses: endpoint.ipv4.iter().map(|(addr, _)| IpAddr::V4(*addr)).collect(),
            ipv6: true,
            ..Hosts::default()
        }),
        None => fs::read_to_string("/etc/hosts").unwrap_or_default(),
    };
    write("hosts", &hosts)?;
    write("resolv.conf", &resolver(spec))
}

fn resolver(spec: &SandboxSpec) -> String {
    let host = || fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    match (&spec.resolver, spec.network) {
        (Some(resolver), _) => resolver_text(resolver),
        (None, Whose::Node) => host(),
        // The host's own servers on its loopback cannot be reached from here.
        (None, Whose::Pod) => files::resolv_conf(&Resolv { host: &host(), ..Resolv::default() }),
    }
}

fn resolver_text(resolver: &Resolver) -> String {
    let mut text = String::new();
    if !resolver.searches.is_empty() {
        text.push_str(&format!("search {}\n", resolver.searches.join(" ")));
    }
    for server in &resolver.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !resolver.options.is_empty() {
        text.push_str(&format!("options {}\n", resolver.options.join(" ")));
    }
    text
}
