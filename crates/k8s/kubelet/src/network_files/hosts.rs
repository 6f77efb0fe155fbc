//! `/etc/hosts` of a pod.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use k8s_openapi::api::core::v1::{HostAlias, Pod};

use super::names::Names;

/// Where containers find it.
pub const PLACE: &str = "/etc/hosts";
const LOCAL: &str = "127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
";

/// The file's text. `node` is the text of the node's own file, for pods on the node's network.
pub fn text(pod: &Pod, names: &Names, addresses: &[IpAddr], node: Option<&str>) -> String {
    let aliases = pod.spec.as_ref().and_then(|spec| spec.host_aliases.as_deref()).unwrap_or_default();
    let mut text = match node {
        Some(own) => format!("# Kubernetes-managed hosts file (host network).\n{own}"),
        None => format!("# Kubernetes-managed hosts file.\n{LOCAL}"),
    };
    if node.is_none() {
        let Names { host, domain, .. } = names;
        for address in addresses {
            if domain.is_empty() {
                text.push_str(&format!("{address}\t{host}\n"));
            } else {
                text.push_str(&format!("{address}\t{host}.{domain}\t{host}\n"));
            }
        }
    }
    text.push_str(&of_aliases(aliases));
    text
}

fn of_aliases(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = "\n# Entries added by HostAliases.\n".to_owned();
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    text
}

/// Writes the file where its text is another one. It is written in place: containers have the file itself mounted.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    std::fs::write(path, text)
}
