//! Makes what the containers of a pod share: its volumes and its sandbox.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_client::Severity::Warning;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::Api;
use pods::runtime::{HostPort, SandboxSpec, Scope};
use tokio::sync::watch;

use crate::context::Context;
use crate::network_files;
use crate::security::{self, resources};
use crate::start::ends;
use crate::view::View;
use crate::volumes::MountedVolumes;

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSandbox {
    /// What is tried again.
    Failed(String),
    /// What the node never lets run: the reason and the message.
    Refused(&'static str, String),
    Ending,
}

/// Mounts the volumes, waiting for what is not there yet, and runs a sandbox where one is wanted; those before it are stopped.
pub async fn make(
    context: Arc<Context>,
    view: View,
    attempt: Option<u32>,
    dead: Vec<String>,
    mounted: Option<Arc<MountedVolumes>>,
    mut ending: watch::Receiver<bool>,
) -> Result<Arc<MountedVolumes>, NoSandbox> {
    let until = ending.clone();
    let run = async {
        for id in &dead {
            if let Err(error) = context.runtime.sandboxes.stop(id).await {
                tracing::debug!(sandbox = %id, %error, "a dead sandbox is not cleared");
            }
        }
        match attempt {
            Some(attempt) => run(&context, &view, attempt, until).await,
            None => Ok(()),
        }
    };
    let mount = async {
        match mounted {
            Some(mounted) => Ok(mounted),
            None => mount(&context, &view, &mut ending).await,
        }
    };
    let (ran, mounted) = tokio::join!(run, mount);
    ran?;
    mounted
}

async fn mount(
    context: &Context,
    view: &View,
    ending: &mut watch::Receiver<bool>,
) -> Result<Arc<MountedVolumes>, NoSandbox> {
    loop {
        // A mount that was begun is not left half done: only waiting is broken off.
        match context.volumes.mount(&view.pod).await {
            Ok(mounted) => return Ok(Arc::new(mounted)),
            Err(error) => context.event(view, Warning, "FailedMount", error.to_string()),
        }
        tokio::select! {
            () = context.volumes.ready(&view.pod) => {}
            () = ends(ending) => return Err(NoSandbox::Ending),
        }
    }
}

/// What runtime classes may name: containers here have one runtime.
const HANDLERS: &[&str] = &["sampan", "runc"];

/// Whether the runtime that a pod's class names is here.
async fn handler(context: &Context, view: &View) -> Result<(), String> {
    let Some(name) = view.spec().runtime_class_name.as_deref().filter(|name| !name.is_empty()) else { return Ok(()) };
    let class = Api::<RuntimeClass>::all(context.client.clone()).get(name).await;
    let class = class.map_err(|error| format!("failed to get RuntimeClass \"{name}\": {error}"))?;
    match HANDLERS.contains(&class.handler.as_str()) {
        true => Ok(()),
        false => Err(format!("failed to get sandbox runtime: no runtime for \"{}\" is configured", class.handler)),
    }
}

async fn run(context: &Context, view: &View, attempt: u32, mut ending: watch::Receiver<bool>) -> Result<(), NoSandbox> {
    if let Err(message) = handler(context, view).await {
        let told = format!("Failed to create pod sandbox: {message}");
        context.event(view, Warning, "FailedCreatePodSandBox", told);
        return Err(NoSandbox::Failed(message));
    }
    let spec = spec(context, view, attempt)?;
    if let Err(error) = std::fs::create_dir_all(&spec.log_directory) {
        return Err(NoSandbox::Failed(format!("make {}: {error}", spec.log_directory.display())));
    }
    if spec.network == Scope::Pod {
        let mut known = context.network.subscribe();
        tokio::select! {
            _ = known.wait_for(|known| *known) => {}
            () = ends(&mut ending) => return Err(NoSandbox::Ending),
        }
    }
    match context.runtime.sandboxes.run(spec).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let message = format!("Failed to create pod sandbox: {error}");
            context.event(view, Warning, "FailedCreatePodSandBox", message);
            Err(NoSandbox::Failed(error.to_string()))
        }
    }
}

/// What the sandbox is asked to be.
fn spec(context: &Context, view: &View, attempt: u32) -> Result<SandboxSpec, NoSandbox> {
    let (config, pod, spec) = (&context.config, &*view.pod, view.spec());
    let sysctls =
        security::sysctls(config, pod).map_err(|error| NoSandbox::Refused("SysctlForbidden", error.to_string()))?;
    for warning in network_files::dns_warnings(config, pod) {
        context.event(view, Warning, "DNSConfigForming", warning);
    }
    let dns = network_files::dns(config, pod).map_err(|error| NoSandbox::Failed(error.to_string()))?;
    let name = view.name();
    let scope = |node: Option<bool>| if node == Some(true) { Scope::Node } else { Scope::Pod };
    Ok(SandboxSpec {
        attempt,
        hostname: network_files::hostname(config, pod),
        labels: view.labels(),
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        log_directory: config.log_folder(&name),
        dns,
        host_ports: host_ports(view),
        network: scope(spec.host_network),
        ipc: scope(spec.host_ipc),
        pid: match (spec.host_pid, spec.share_process_namespace) {
            (Some(true), _) => Scope::Node,
            (_, Some(true)) => Scope::Pod,
            _ => Scope::Container,
        },
        sysctls,
        cgroup_parent: security::cgroup_parent(security::qos(pod), &view.uid),
        resources: resources::of_pod(pod),
        pod: name,
    })
}

/// On the node's network the ports are the node's already.
fn host_ports(view: &View) -> Vec<HostPort> {
    if view.host_network() {
        return Vec::new();
    }
    let all = view.init.iter().chain(&view.app).flat_map(|part| part.container.ports.iter().flatten());
    let ports = all.filter_map(|port| {
        Some(HostPort {
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            container_port: port.container_port.try_into().ok()?,
            host_port: port.host_port?.try_into().ok().filter(|port| *port != 0)?,
            host_ip: port.host_ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok()).filter(|ip| !ip.is_unspecified()),
        })
    });
    ports.collect()
}
