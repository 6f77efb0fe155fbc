//! Who a container's processes are and what they may do.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use pods::runtime::{Image, Security};

use crate::config::Config;

/// Why a container may not run as it is; becomes `CreateContainerConfigError` with this as the message
/// (`container has runAsNonRoot and image will run as root`).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} is not implemented")]
    Unimplemented { what: &'static str },
}

/// The security context of a container: its own over the pod's, with the image's user where neither says one.
pub fn security(_config: &Config, _pod: &Pod, _container: &Container, _image: &Image) -> Result<Security, Error> {
    Ok(Security::default())
}

/// The sysctls of a pod, or the one that it may not set: then the pod fails with the reason `SysctlForbidden`.
pub fn sysctls(_config: &Config, pod: &Pod) -> Result<BTreeMap<String, String>, Error> {
    let context = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let sysctls = context.and_then(|context| context.sysctls.as_ref()).into_iter().flatten();
    Ok(sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect())
}
