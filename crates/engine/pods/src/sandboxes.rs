//! Sandboxes in the border's terms.

use engine::{Processes, Resolver, Whose};
use network::{HostPorts, PortRequest, Protocol, Subnet4};
use tokio::sync::broadcast;

use crate::owner::{OfSandbox, text};
use crate::pods::{Pods, error, invalid};
use crate::runtime::{
    Changed, Connection, Future, HostPort, Resources, Result, Sandbox, SandboxSpec, Sandboxes, Scope, Traffic, Usage,
};
use crate::usage;

impl Sandboxes for Pods {
    fn configure<'a>(&'a self, pod_cidr: &'a str) -> Future<'a, ()> {
        Box::pin(async move {
            let subnet: Subnet4 = pod_cidr.parse().map_err(|_| invalid(format!("{pod_cidr:?} is no IPv4 subnet")))?;
            self.set_network(subnet).await
        })
    }

    fn run(&self, spec: SandboxSpec) -> Future<'_, Sandbox> {
        Box::pin(async move {
            let asked = asked(&spec)?;
            if asked.network == Whose::Pod {
                self.ensure_network().await?;
            }
            let view = self.engine.sandbox_run(asked).await.map_err(error)?;
            self.tell(spec.pod);
            Ok(told(&view))
        })
    }

    fn stop<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        Box::pin(async move {
            let owner = self.engine.sandbox(id).ok().map(|view| OfSandbox::read(&view.spec.owner));
            self.engine.sandbox_stop(id).await.map_err(error)?;
            if let Some(owner) = owner {
                self.tell(owner.pod());
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> Future<'a, ()> {
        Box::pin(async move {
            let owner = self.engine.sandbox(id).ok().map(|view| OfSandbox::read(&view.spec.owner));
            self.engine.sandbox_remove(id).await.map_err(error)?;
            if let Some(owner) = owner {
                self.tell(owner.pod());
            }
            Ok(())
        })
    }

    fn list(&self) -> Future<'_, Vec<Sandbox>> {
        Box::pin(async move { Ok(self.engine.sandboxes().iter().map(told).collect()) })
    }

    fn events(&self) -> broadcast::Receiver<Changed> {
        self.subscribe()
    }

    fn connect<'a>(&'a self, id: &'a str, port: u16) -> Future<'a, Box<dyn Connection>> {
        Box::pin(async move {
            let stream = self.engine.sandbox_connect(id, port).await.map_err(error)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }

    fn update<'a>(&'a self, id: &'a str, resources: Resources) -> Future<'a, ()> {
        Box::pin(async move { self.engine.update_sandbox(id, usage::limits(&resources)).await.map_err(error) })
    }

    fn usage<'a>(&'a self, id: &'a str) -> Future<'a, (Usage, Vec<Traffic>)> {
        Box::pin(async move {
            let (stats, devices) = self.engine.sandbox_usage(id).await.map_err(error)?;
            let traffic = devices.into_iter().map(|(interface, counters)| Traffic {
                interface,
                rx_bytes: counters.rx_bytes,
                rx_errors: counters.rx_errors,
                tx_bytes: counters.tx_bytes,
                tx_errors: counters.tx_errors,
            });
            Ok((usage::usage(&stats), traffic.collect()))
        })
    }
}

fn asked(spec: &SandboxSpec) -> Result<engine::SandboxSpec> {
    let whose = |scope: &Scope| if *scope == Scope::Node { Whose::Node } else { Whose::Pod };
    let network = whose(&spec.network);
    let ports = match network {
        Whose::Pod => spec.host_ports.iter().filter(|it| it.host_port != 0).map(port).collect::<Result<_>>()?,
        Whose::Node => Vec::new(),
    };
    Ok(engine::SandboxSpec {
        hostname: spec.hostname.clone(),
        owner: text(&OfSandbox::of(spec)),
        log_directory: spec.log_directory.clone(),
        resolver: spec.dns.as_ref().map(|dns| Resolver {
            servers: dns.servers.clone(),
            searches: dns.searches.clone(),
            options: dns.options.clone(),
        }),
        ports,
        network,
        ipc: whose(&spec.ipc),
        processes: if spec.pid == Scope::Pod { Processes::Shared } else { Processes::Apart },
        sysctls: spec.sysctls.clone(),
        cgroup_parent: spec.cgroup_parent.clone(),
        resources: usage::limits(&spec.resources),
    })
}

fn port(port: &HostPort) -> Result<PortRequest> {
    let protocol = match port.protocol.to_ascii_uppercase().as_str() {
        "TCP" | "" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        other => return Err(invalid(format!("{other:?} is none of TCP, UDP and SCTP"))),
    };
    Ok(PortRequest {
        container_port: port.container_port,
        protocol,
        host_ip: port.host_ip.filter(|ip| !ip.is_unspecified()),
        host_ports: HostPorts::One(port.host_port),
    })
}

fn told(view: &engine::SandboxView) -> Sandbox {
    let owner = OfSandbox::read(&view.spec.owner);
    Sandbox {
        id: view.id.clone(),
        pod: owner.pod(),
        attempt: owner.attempt,
        ready: view.ready,
        created: view.created,
        addresses: view.addresses.clone(),
        labels: owner.labels,
        annotations: owner.annotations,
        cgroup_parent: view.spec.cgroup_parent.clone(),
    }
}
