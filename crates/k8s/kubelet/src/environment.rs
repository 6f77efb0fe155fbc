//! Variables, commands and arguments of a container, as its pod means them.

mod envfile;
mod expand;
pub mod fields;
mod services;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Node, Pod};
use k8s_types::quantity::Quantity;
use kube::{Api, Client};
use pods::runtime::PullAuth;

use crate::config::Config;
use crate::security::pull_secrets::pull_auths;
use crate::security::resources::amounts;
use crate::sources::{Sources, pod_name};

pub use expand::{MissingVariable, expand, expand_all};
pub use services::variables as service_variables;
/// Why a container's variables cannot be told; becomes `CreateContainerConfigError` with this as the message, as Kubernetes words it
/// (`configmap "a" not found`, `couldn't find key b in Secret ns/a`).
pub use variables::Error;
pub use variables::{Facts, Inputs, Made, make};

/// Files of variables are no larger than this.
const LARGEST_FILE: u64 = 1 << 20;

/// Looks up what variables are made of; a cheap handle.
#[derive(Clone)]
pub struct Environment {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    client: Client,
    sources: Sources,
    services: services::Services,
}

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
    /// Worth an event `InvalidEnvironmentVariableNames` each.
    pub warnings: Vec<String>,
}

impl Environment {
    /// With the objects that volumes are made of too.
    pub fn new(config: &Config, client: Client, sources: &Sources) -> Environment {
        let services = services::Services::new(client.clone());
        Environment { inner: Arc::new(Inner { config: config.clone(), client, sources: sources.clone(), services }) }
    }

    /// Variables (`env`, `envFrom`, those of services) of a container with `$(VAR)` expanded in them, in its command and in its arguments.
    ///
    /// # Errors
    /// When something is missing that is not optional; [`Sources::changed`] says when it is worth trying again.
    pub async fn expand(&self, pod: &Pod, container: &Container, addresses: &Addresses) -> Result<Expanded, Error> {
        let inner = &self.inner;
        let found = inner.sources.found(pod).await?;
        let spec = pod.spec.as_ref();
        let links = spec.and_then(|spec| spec.enable_service_links).unwrap_or(true);
        let services = inner.services.of(pod.metadata.namespace.as_deref().unwrap_or_default(), links).await;
        let mut facts =
            Facts { pod_ips: addresses.pod.clone(), host_ips: addresses.host.clone(), allocatable: BTreeMap::new() };
        if asks_for_resources(container) {
            facts.allocatable = allocatable(&inner.client, &inner.config.node_name).await?;
        }
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let folder = inner.config.pod_folder(uid);
        let file = move |volume: &str, path: &str| read(&folder, volume, path);
        let made = make(&Inputs { pod, container, facts: &facts, found: &found, services: &services, file: &file })?;
        let (command, args) = expand::command(container, &made.env);
        Ok(Expanded { env: made.env, command, args, warnings: made.warnings })
    }

    /// The credentials that a pod has for an image.
    ///
    /// # Errors
    /// When the server does not tell the pod's secrets.
    pub async fn pull_auths(&self, pod: &Pod, image: &str) -> Result<Vec<PullAuth>, Error> {
        let names = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
        let names: Vec<&str> = names.map(|secret| secret.name.as_str()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.inner.sources.found(pod).await?;
        let secrets = names.iter().filter_map(|name| found.secrets.get(*name)).map(|secret| secret.as_ref());
        Ok(pull_auths(secrets, image))
    }

    /// Returns when it is worth to try again for a pod whose last [`Environment::expand`] failed: something that it names changed, or a minute has passed.
    pub async fn ready(&self, pod: &Pod) {
        let _ = tokio::time::timeout(AGAIN, self.inner.sources.changed(&pod_name(pod))).await;
    }
}

/// What no watch tells of is looked at again after this long.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

fn asks_for_resources(container: &Container) -> bool {
    let mut sources = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
    sources.any(|source| source.resource_field_ref.is_some())
}

/// What pods may use of the node, as the API knows it.
///
/// # Errors
/// When the node cannot be read.
pub async fn allocatable(client: &Client, node: &str) -> Result<BTreeMap<String, Quantity>, Error> {
    let got = Api::<Node>::all(client.clone()).get(node).await;
    let got = got.map_err(|error| Error::Node { name: node.to_owned(), message: error.to_string() })?;
    Ok(amounts(got.status.as_ref().and_then(|status| status.allocatable.as_ref())))
}

/// Reads a file of an `emptyDir`, which is resolved beneath the volume: containers write there.
fn read(folder: &Path, volume: &str, path: &str) -> Result<Option<String>, String> {
    use std::io::Read;
    let root: PathBuf = crate::volumes::empty_dir(folder, volume);
    let opened = crate::volumes::beneath::open(&root, Path::new(path));
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = String::new();
    let mut limited = std::fs::File::from(file).take(LARGEST_FILE + 1);
    limited.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LARGEST_FILE { Err("the file is larger than a megabyte".to_owned()) } else { Ok(Some(text)) }
}
