//! Variables, commands and arguments of a container, as its pod means them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::Client;

use crate::config::Config;

/// Why a container's variables cannot be told; becomes `CreateContainerConfigError` with this as the message, as Kubernetes words it
/// (`configmap "a" not found`, `couldn't find key b in Secret ns/a`).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} is not implemented")]
    Unimplemented { what: &'static str },
}

/// Looks up what variables are made of; a cheap handle.
#[derive(Clone)]
pub struct Environment {}

/// What is known of a pod only when its sandbox runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    pub pod: Vec<IpAddr>,
    pub host: Vec<IpAddr>,
}

/// A container's process as it is to be started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    pub env: Vec<(String, String)>,
    pub command: Vec<String>,
    pub args: Vec<String>,
}

impl Environment {
    pub fn new(_config: &Config, _client: Client) -> Environment {
        Environment {}
    }

    /// Variables (`env`, `envFrom`, those of services) of a container with `$(VAR)` expanded in them, in its command and in its arguments.
    pub async fn expand(&self, _pod: &Pod, container: &Container, _addresses: &Addresses) -> Result<Expanded, Error> {
        let mut expanded = Expanded {
            command: container.command.clone().unwrap_or_default(),
            args: container.args.clone().unwrap_or_default(),
            env: Vec::new(),
        };
        if container.env_from.as_ref().is_some_and(|sources| !sources.is_empty()) {
            return Err(Error::Unimplemented { what: "envFrom" });
        }
        for variable in container.env.iter().flatten() {
            let Some(value) = &variable.value else { return Err(Error::Unimplemented { what: "valueFrom" }) };
            expanded.env.push((variable.name.clone(), value.clone()));
        }
        Ok(expanded)
    }
}
