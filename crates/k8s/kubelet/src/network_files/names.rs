//! The host name of a pod and the domain that it is in.

use k8s_openapi::api::core::v1::Pod;

/// As long as a host name may be in the kernel.
const LONGEST_NAME: usize = 64;
/// As long as one label of a domain name may be.
const LONGEST_LABEL: usize = 63;

/// What a pod is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// One label.
    pub host: String,
    /// `<subdomain>.<namespace>.svc.<cluster domain>`; empty without a subdomain.
    pub domain: String,
    /// What the pod's kernel says: the whole name where the pod wants that.
    pub kernel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error(
        "failed to construct FQDN from pod hostname and cluster domain, FQDN {name} is too long ({LONGEST_NAME} characters is the max, {length} characters requested)"
    )]
    TooLong { name: String, length: usize },
    #[error("hostname {0:?} from pod name or pod.spec.hostname is invalid: it has no valid character to end with")]
    Invalid(String),
}

/// Names a pod.
///
/// # Errors
/// When the whole name is wanted as host name and too long for that.
pub fn names(pod: &Pod, cluster_domain: &str) -> Result<Names, Fault> {
    let Some(spec) = &pod.spec else { return Ok(Names::default()) };
    if let Some(name) = spec.hostname_override.as_deref().filter(|name| !name.is_empty()) {
        return Ok(Names { host: name.to_owned(), domain: String::new(), kernel: name.to_owned() });
    }
    let own = spec.hostname.as_deref().filter(|name| !name.is_empty());
    let full = own.or(pod.metadata.name.as_deref()).unwrap_or_default();
    let host = shortened(full)?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let domain = match spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty()) {
        Some(subdomain) => format!("{subdomain}.{namespace}.svc.{cluster_domain}"),
        None => String::new(),
    };
    let mut kernel = host.clone();
    if spec.set_hostname_as_fqdn == Some(true) && !domain.is_empty() {
        kernel = format!("{host}.{domain}");
        if kernel.len() > LONGEST_NAME {
            return Err(Fault::TooLong { length: kernel.len(), name: kernel });
        }
    }
    Ok(Names { host, domain, kernel })
}

/// Names of pods can be longer than a label.
fn shortened(name: &str) -> Result<String, Fault> {
    let Some(cut) = name.get(..LONGEST_LABEL).filter(|_| name.len() > LONGEST_LABEL) else {
        return Ok(name.to_owned());
    };
    let cut = cut.trim_end_matches(['-', '.']);
    if cut.is_empty() { Err(Fault::Invalid(name.to_owned())) } else { Ok(cut.to_owned()) }
}
