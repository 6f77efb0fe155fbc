//! One question to a container: by a command in it, by HTTP, by a connection, by gRPC.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerPort, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use pods::runtime::{Kind, Runtime};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, grpc, http};

/// Whom to ask.
pub struct Target {
    pub runtime: Runtime,
    /// Its id.
    pub container: String,
    /// The pod's.
    pub address: Option<IpAddr>,
    pub ports: Vec<ContainerPort>,
}

const LATE: &str = "context deadline exceeded";

/// Asks once, for so long at most.
pub async fn ask(target: &Target, probe: &Probe, limit: Duration) -> Answer {
    if let Some(exec) = &probe.exec {
        return command(target, exec.command.clone().unwrap_or_default(), limit).await;
    }
    let asked = async {
        if let Some(get) = &probe.http_get {
            return get_once(target, get).await;
        }
        if let Some(socket) = &probe.tcp_socket {
            let at = match address(target, socket.host.as_deref(), &socket.port).await {
                Ok(at) => at,
                Err(said) => return Answer::Ill(said),
            };
            return match TcpStream::connect(at).await {
                Ok(_) => Answer::Well,
                Err(error) => Answer::Ill(format!("dial tcp {at}: connect: {}", plain(&error))),
            };
        }
        if let Some(call) = &probe.grpc {
            let at = match address(target, None, &IntOrString::Int(call.port)).await {
                Ok(at) => at,
                Err(said) => return Answer::Ill(said),
            };
            return grpc::check(at, call.service.as_deref().unwrap_or("")).await;
        }
        Answer::Ill("the probe says neither a command nor a port".into())
    };
    match timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_) => Answer::Ill(late(target, probe, limit)),
    }
}

fn late(target: &Target, probe: &Probe, limit: Duration) -> String {
    match (&probe.http_get, target.address) {
        (Some(get), Some(address)) => {
            let port = port(&get.port, &target.ports).unwrap_or(0);
            let url = http::url(get, &SocketAddr::new(address, port).to_string());
            format!("Get \"{url}\": {LATE} (Client.Timeout exceeded while awaiting headers)")
        }
        _ if probe.grpc.is_some() => format!("timeout: failed to connect service within {}s: {LATE}", limit.as_secs()),
        _ => format!("dial tcp: i/o timeout after {}s", limit.as_secs()),
    }
}

/// An error as Go words it.
pub fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        std::io::ErrorKind::HostUnreachable => "no route to host".into(),
        _ => error.to_string(),
    }
}

async fn command(target: &Target, command: Vec<String>, limit: Duration) -> Answer {
    match target.runtime.streams.exec_sync(&target.container, command.clone(), limit).await {
        Ok(said) if said.code == 0 => Answer::Well,
        Ok(said) => {
            let mut text = String::from_utf8_lossy(&said.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&said.stderr));
            Answer::Ill(text)
        }
        Err(error) if error.kind == Kind::Unavailable => {
            Answer::Ill(format!("command timed out: {:?} timed out after {}s", command.join(" "), limit.as_secs()))
        }
        Err(error) => Answer::Ill(error.to_string()),
    }
}

/// A port by its number or by the name that the container gives it.
pub fn port(wanted: &IntOrString, ports: &[ContainerPort]) -> Option<u16> {
    match wanted {
        IntOrString::Int(number) => (*number).try_into().ok(),
        IntOrString::String(name) => {
            let named = ports.iter().find(|port| port.name.as_deref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())?.try_into().ok()
        }
    }
}

async fn address(target: &Target, host: Option<&str>, wanted: &IntOrString) -> Result<SocketAddr, String> {
    let Some(port) = port(wanted, &target.ports) else { return Err(format!("couldn't find port: {wanted:?}")) };
    match host.filter(|host| !host.is_empty()) {
        None => match target.address {
            Some(address) => Ok(SocketAddr::new(address, port)),
            None => Err("the pod has no address".into()),
        },
        Some(host) => {
            if let Ok(address) = host.parse::<IpAddr>() {
                return Ok(SocketAddr::new(address, port));
            }
            let mut found = tokio::net::lookup_host((host, port)).await.map_err(|error| error.to_string())?;
            found.next().ok_or_else(|| format!("lookup {host}: no such host"))
        }
    }
}

async fn get_once(target: &Target, get: &HTTPGetAction) -> Answer {
    match address(target, get.host.as_deref(), &get.port).await {
        Ok(at) => http::get(at, get).await,
        Err(said) => Answer::Ill(said),
    }
}
