//! Hooks of containers: what runs in them right after they started and right before they end.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use pods::runtime::Runtime;
use tokio::net::TcpStream;

use crate::probes::{self, Answer};

/// What nobody limits is limited all the same.
const LONGEST: Duration = Duration::from_secs(3600);

/// Runs a hook to its end, or until the limit.
///
/// # Errors
/// What it said when it failed.
pub async fn run(
    runtime: &Runtime,
    container: &Container,
    id: &str,
    address: Option<IpAddr>,
    handler: &LifecycleHandler,
    limit: Option<Duration>,
) -> Result<(), String> {
    let limit = limit.unwrap_or(LONGEST);
    if let Some(exec) = &handler.exec {
        let command = exec.command.clone().unwrap_or_default();
        return match runtime.streams.exec_sync(id, command.clone(), limit).await {
            Ok(said) if said.code == 0 => Ok(()),
            Ok(said) => Err(format!(
                "command '{}' exited with {}: {}",
                command.join(" "),
                said.code,
                String::from_utf8_lossy(&said.stderr)
            )),
            Err(error) => Err(error.to_string()),
        };
    }
    let asked = async {
        if let Some(sleep) = &handler.sleep {
            tokio::time::sleep(Duration::from_secs(sleep.seconds.try_into().unwrap_or(0))).await;
            return Ok(());
        }
        let ports = container.ports.clone().unwrap_or_default();
        let address = address.ok_or_else(|| "the pod has no address".to_owned())?;
        if let Some(get) = &handler.http_get {
            let port = probes::port(&get.port, &ports).ok_or_else(|| "couldn't find its port".to_owned())?;
            let host = get.host.as_deref().and_then(|host| host.parse().ok()).unwrap_or(address);
            return match probes::http::get((host, port).into(), get).await {
                Answer::Well => Ok(()),
                Answer::Ill(said) => Err(said),
            };
        }
        if let Some(socket) = &handler.tcp_socket {
            let port = probes::port(&socket.port, &ports).ok_or_else(|| "couldn't find its port".to_owned())?;
            return TcpStream::connect((address, port)).await.map(drop).map_err(|error| error.to_string());
        }
        Err("the hook says nothing to do".to_owned())
    };
    match tokio::time::timeout(limit, asked).await {
        Ok(result) => result,
        Err(_) => Err(format!("it took longer than {}s", limit.as_secs())),
    }
}
