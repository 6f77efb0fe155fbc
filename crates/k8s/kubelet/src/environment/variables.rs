//! The variables of a container, from everything that they come from.
//!
//! Order and precedence are Kubernetes': what `envFrom` brings, then `env` in its order (a later one of the same name wins), then the services that no
//! variable has the name of. `$(NAME)` in a value sees the variables before it and the services.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod, Service};
use k8s_types::quantity::Quantity;

use super::expand::expand;
use super::{envfile, fields, services};
use crate::sources::Found;

/// What a pod may see of itself and its node, beside its object.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Of the sandbox; the first is the one that the pod is known by.
    pub pod_ips: Vec<IpAddr>,
    pub host_ips: Vec<IpAddr>,
    /// What pods may use of the node: limits of containers that have none.
    pub allocatable: BTreeMap<String, Quantity>,
}

/// Why a container cannot be created yet (`CreateContainerConfigError`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey { kind: &'static str, namespace: String, name: String, key: String },
    #[error("{0}")]
    Field(#[from] fields::Error),
    #[error("{0}")]
    NotSynced(#[from] crate::sources::NotSynced),
    #[error("get node {name}: {message}")]
    Node { name: String, message: String },
    #[error("couldn't find key {key} in file {path} of volume {volume}: {why}")]
    File { volume: String, path: String, key: String, why: String },
}

/// A container's variables, and what is worth an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    pub env: Vec<(String, String)>,
    /// `InvalidEnvironmentVariableNames`.
    pub warnings: Vec<String>,
}

/// Reads a file by the name of its volume and its path there.
pub type ReadFile<'a> = dyn Fn(&str, &str) -> Result<Option<String>, String> + 'a;

/// Everything that variables come from.
pub struct Inputs<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub facts: &'a Facts,
    pub found: &'a Found,
    /// Those of the pod's namespace and of `default`.
    pub services: &'a [Arc<Service>],
    /// Reads a file of a volume, at most a megabyte; `None` where there is none.
    pub file: &'a ReadFile<'a>,
}

/// Makes a container's variables.
///
/// # Errors
/// When something is missing that is not optional.
pub fn make(inputs: &Inputs<'_>) -> Result<Made, Error> {
    let namespace = inputs.pod.metadata.namespace.as_deref().unwrap_or_default();
    let links = inputs.pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let services = services::of_pod(inputs.services, namespace, links);
    let mut made = Made::default();
    let mut variables = Variables::default();
    from_sources(inputs, namespace, &mut variables, &mut made.warnings)?;
    for variable in inputs.container.env.iter().flatten() {
        let value = match (variable.value.as_deref().filter(|value| !value.is_empty()), &variable.value_from) {
            (Some(value), _) => {
                Some(expand(value, |name| variables.get(name).or_else(|| services.get(name).map(String::as_str))))
            }
            (None, Some(source)) => from_source(inputs, namespace, source)?,
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            variables.set(&variable.name, value);
        }
    }
    for (name, value) in services {
        if variables.get(&name).is_none() {
            variables.set(&name, value);
        }
    }
    made.env = variables.ordered;
    Ok(made)
}

/// Variables in the order in which they were first set.
#[derive(Default)]
struct Variables {
    ordered: Vec<(String, String)>,
    places: BTreeMap<String, usize>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|place| self.ordered[*place].1.as_str())
    }

    fn set(&mut self, name: &str, value: String) {
        if let Some(place) = self.places.get(name) {
            self.ordered[*place].1 = value;
            return;
        }
        self.places.insert(name.to_owned(), self.ordered.len());
        self.ordered.push((name.to_owned(), value));
    }
}

fn from_sources(
    inputs: &Inputs<'_>,
    namespace: &str,
    variables: &mut Variables,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    for source in inputs.container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut take = |kind: &str, name: &str, data: Vec<(String, String)>| {
            let mut refused = Vec::new();
            for (key, value) in data {
                let key = format!("{prefix}{key}");
                if valid_name(&key) {
                    variables.set(&key, value);
                } else {
                    refused.push(key);
                }
            }
            if !refused.is_empty() {
                let keys = refused.join(", ");
                warnings.push(format!(
                    "Keys [{keys}] from the EnvFrom {kind} {namespace}/{name} were skipped since they are considered \
                     invalid environment variable names."
                ));
            }
        };
        if let Some(reference) = &source.config_map_ref {
            match inputs.found.config_maps.get(&reference.name) {
                Some(map) => {
                    let data = map.data.clone().unwrap_or_default();
                    take("configMap", &reference.name, data.into_iter().collect());
                }
                None if reference.optional == Some(true) => {}
                None => return Err(Error::NotFound { kind: "configmap", name: reference.name.clone() }),
            }
        } else if let Some(reference) = &source.secret_ref {
            match inputs.found.secrets.get(&reference.name) {
                Some(secret) => {
                    let data = secret.data.iter().flatten();
                    let data = data.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()));
                    take("secret", &reference.name, data.collect());
                }
                None if reference.optional == Some(true) => {}
                None => return Err(Error::NotFound { kind: "secret", name: reference.name.clone() }),
            }
        }
    }
    Ok(())
}

/// Printable ASCII without `=`, which is what the API takes for a name.
fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

fn from_source(inputs: &Inputs<'_>, namespace: &str, source: &EnvVarSource) -> Result<Option<String>, Error> {
    if let Some(field) = &source.field_ref {
        return Ok(Some(fields::of_variable(inputs.pod, inputs.facts, &field.field_path)?));
    }
    if let Some(field) = &source.resource_field_ref {
        return Ok(Some(fields::resource(inputs.pod, Some(inputs.container), inputs.facts, field)?));
    }
    if let Some(wanted) = &source.config_map_key_ref {
        let object = inputs.found.config_maps.get(&wanted.name);
        let value = object.and_then(|map| map.data.as_ref()?.get(&wanted.key).cloned());
        if value.is_some() || wanted.optional == Some(true) {
            return Ok(value);
        }
        let kind = if object.is_some() { "ConfigMap" } else { "configmap" };
        return Err(missing(kind, namespace, &wanted.name, &wanted.key, object.is_some()));
    }
    if let Some(wanted) = &source.secret_key_ref {
        let object = inputs.found.secrets.get(&wanted.name);
        let value = object.and_then(|secret| secret.data.as_ref()?.get(&wanted.key));
        let value = value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        if value.is_some() || wanted.optional == Some(true) {
            return Ok(value);
        }
        let kind = if object.is_some() { "Secret" } else { "secret" };
        return Err(missing(kind, namespace, &wanted.name, &wanted.key, object.is_some()));
    }
    if let Some(wanted) = &source.file_key_ref {
        let fail = |why: String| Error::File {
            volume: wanted.volume_name.clone(),
            path: wanted.path.clone(),
            key: wanted.key.clone(),
            why,
        };
        let text = (inputs.file)(&wanted.volume_name, &wanted.path).map_err(fail)?;
        let value = match text {
            Some(text) => envfile::value(&text, &wanted.key).map_err(|fault| fail(fault.to_string()))?,
            None => None,
        };
        if value.is_none() && wanted.optional != Some(true) {
            return Err(fail("it is not there".to_owned()));
        }
        return Ok(value);
    }
    Ok(Some(String::new()))
}

fn missing(kind: &'static str, namespace: &str, name: &str, key: &str, there: bool) -> Error {
    match there {
        true => Error::NoKey { kind, namespace: namespace.to_owned(), name: name.to_owned(), key: key.to_owned() },
        false => Error::NotFound { kind, name: name.to_owned() },
    }
}
