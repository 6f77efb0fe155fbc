//! Who a container's processes are, what they may do and what they may use.

pub mod context;
pub mod pull_secrets;
pub mod qos;
pub mod resources;
mod sysctls;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{Container, Pod};
use pods::runtime::{Image, Security};

use crate::config::Config;

pub use context::{Error, Refusal, admit};
pub use qos::{Qos, cgroup_parent, qos};
pub use sysctls::sysctls;

/// Whether this node runs a pod at all, as its contexts want it.
///
/// # Errors
/// What it may not have or this node has not: then the pod fails with the reason and the message.
pub fn allowed(config: &Config, pod: &Pod) -> Result<(), Refusal> {
    admit(pod)?;
    sysctls(config, pod).map(drop).map_err(|error| Refusal { reason: "SysctlForbidden", message: error.to_string() })
}

/// The security context of a container: its own over the pod's, with the image's user where neither says one.
///
/// # Errors
/// When it may not run as it is; becomes `CreateContainerConfigError` with this as the message (`container has runAsNonRoot and image will run as root`).
pub fn security(config: &Config, pod: &Pod, container: &Container, image: &Image) -> Result<Security, Error> {
    admit(pod)?;
    context::of_container(pod, container, &image.user, &[], &config.data.join("seccomp"))
}
