//! The downward API: fields of a pod and resources of its containers as text.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector, ResourceRequirements};
use k8s_types::field::quote;
use k8s_types::quantity::Quantity;

use super::Facts;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    #[error("unsupported container resource : {0}")]
    Resource(String),
    #[error("container {0} not found")]
    Container(String),
    #[error("invalid quantity {0:?}")]
    Quantity(String),
}

/// A field as an environment variable shows it: those of files, and what is known of the node and the network.
pub fn of_variable(pod: &Pod, facts: &Facts, path: &str) -> Result<String, Error> {
    let spec = pod.spec.as_ref();
    let join = |all: &[IpAddr]| all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",");
    let first = |all: &[IpAddr]| all.first().map(IpAddr::to_string).unwrap_or_default();
    Ok(match path {
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "spec.host" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "status.hostIP" => first(&facts.host_ips),
        "status.hostIPs" => join(&facts.host_ips),
        "status.podIP" => first(&facts.pod_ips),
        "status.podIPs" => join(&facts.pod_ips),
        _ => of_file(pod, path)?,
    })
}

/// A field of the metadata; a label or annotation that is not there is empty.
pub fn of_file(pod: &Pod, path: &str) -> Result<String, Error> {
    let meta = &pod.metadata;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    if let Some((field, key)) = subscript(path) {
        let map = match field {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(Error::Field(path.to_owned())),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => text(&meta.name),
        "metadata.namespace" => text(&meta.namespace),
        "metadata.uid" => text(&meta.uid),
        "metadata.labels" => listed(meta.labels.as_ref()),
        "metadata.annotations" => listed(meta.annotations.as_ref()),
        _ => return Err(Error::Field(path.to_owned())),
    })
}

/// `metadata.labels['x']` as its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// One `key="value"` a line, in order.
fn listed(map: Option<&BTreeMap<String, String>>) -> String {
    let mut lines = Vec::new();
    for (key, value) in map.into_iter().flatten() {
        lines.push(format!("{key}={}", quote(value)));
    }
    lines.join("\n")
}

/// A resource of a container, in whole divisors, rounded up. `own` is the container that asks, where one does; a limit that is not set is that of the pod, or what
/// the node has.
pub fn resource(
    pod: &Pod,
    own: Option<&Container>,
    facts: &Facts,
    selector: &ResourceFieldSelector,
) -> Result<String, Error> {
    let named = selector.container_name.as_deref().filter(|name| !name.is_empty());
    let spec = pod.spec.as_ref();
    let container = match named {
        None => own.ok_or_else(|| Error::Container(String::new()))?,
        Some(name) => {
            let all =
                spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
            all.into_iter().find(|container| container.name == name).ok_or_else(|| Error::Container(name.to_owned()))?
        }
    };
    let (list, name) = selector.resource.split_once('.').ok_or_else(|| Error::Resource(selector.resource.clone()))?;
    if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !name.starts_with("hugepages-") {
        return Err(Error::Resource(selector.resource.clone()));
    }
    let of_pod = spec.and_then(|spec| spec.resources.as_ref());
    let amount = match list {
        "limits" => match limit(container.resources.as_ref(), name)? {
            Some(own) => own,
            None => match limit(of_pod, name)? {
                Some(whole) => whole,
                None => facts.allocatable.get(name).cloned().unwrap_or(Quantity::ZERO),
            },
        },
        "requests" => request(container.resources.as_ref(), name)?.unwrap_or(Quantity::ZERO),
        _ => return Err(Error::Resource(selector.resource.clone())),
    };
    let divisor = match &selector.divisor {
        Some(divisor) => parse(&divisor.0)?,
        None => Quantity::ZERO,
    };
    let (amount, divisor) = match name {
        "cpu" => (amount.milli_value(), if divisor.is_zero() { 1000 } else { divisor.milli_value() }),
        _ => (amount.value(), if divisor.is_zero() { 1 } else { divisor.value() }),
    };
    let (amount, divisor) = (i128::from(amount), i128::from(divisor.max(1)));
    Ok(((amount + divisor - 1) / divisor).to_string())
}

fn limit(resources: Option<&ResourceRequirements>, name: &str) -> Result<Option<Quantity>, Error> {
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let amount = limits.and_then(|limits| limits.get(name)).map(|amount| parse(&amount.0)).transpose()?;
    Ok(amount.filter(|amount| !amount.is_zero()))
}

fn request(resources: Option<&ResourceRequirements>, name: &str) -> Result<Option<Quantity>, Error> {
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    requests.and_then(|requests| requests.get(name)).map(|amount| parse(&amount.0)).transpose()
}

fn parse(text: &str) -> Result<Quantity, Error> {
    Quantity::parse(text).map_err(|_| Error::Quantity(text.to_owned()))
}
