//! Where a pod asks for names.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};
use pods::runtime::Dns;

/// What resolvers take at most.
const MOST_SERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;
const LONGEST_SEARCHES: usize = 2048;
const CLUSTER_OPTIONS: &str = "ndots:5";

/// The cluster's own name service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    pub servers: Vec<IpAddr>,
    /// `cluster.local`
    pub domain: String,
}

/// What a pod gets, and what had to be left out (`DNSConfigForming`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    pub dns: Dns,
    pub warnings: Vec<String>,
}

#[derive(PartialEq, Eq)]
enum From {
    Cluster,
    Node,
    Nothing,
}

/// The resolver's configuration of a pod, by its policy and its own additions.
pub fn dns(pod: &Pod, cluster: &Cluster, node: &Dns) -> Resolved {
    let mut resolved = Resolved::default();
    let Some(spec) = &pod.spec else { return resolved };
    let on_node = spec.host_network == Some(true);
    let mut from = match spec.dns_policy.as_deref() {
        Some("None") => From::Nothing,
        Some("Default") => From::Node,
        Some("ClusterFirstWithHostNet") => From::Cluster,
        _ if on_node => From::Node,
        _ => From::Cluster,
    };
    if from == From::Cluster && cluster.servers.is_empty() {
        let message = "MissingClusterDNS: kubelet does not have ClusterDNS IP configured and cannot create Pod using \
                       \"ClusterFirst\" policy. Falling back to \"Default\" policy.";
        resolved.warnings.push(message.to_owned());
        from = From::Node;
    }
    let mut made = match from {
        From::Nothing => Dns::default(),
        From::Node => node.clone(),
        From::Cluster => of_cluster(pod.metadata.namespace.as_deref().unwrap_or_default(), cluster, node),
    };
    if let Some(own) = &spec.dns_config {
        append(&mut made, own);
    }
    limit(&mut made, &mut resolved.warnings);
    resolved.dns = made;
    resolved
}

fn of_cluster(namespace: &str, cluster: &Cluster, node: &Dns) -> Dns {
    let domain = &cluster.domain;
    let mut searches = Vec::new();
    if !domain.is_empty() {
        searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    }
    searches.extend(node.searches.iter().cloned());
    Dns {
        servers: cluster.servers.iter().map(IpAddr::to_string).collect(),
        searches: unique(searches),
        options: vec![CLUSTER_OPTIONS.to_owned()],
    }
}

fn append(made: &mut Dns, own: &PodDNSConfig) {
    made.servers.extend(own.nameservers.iter().flatten().cloned());
    made.servers = unique(std::mem::take(&mut made.servers));
    made.searches.extend(own.searches.iter().flatten().cloned());
    made.searches = unique(std::mem::take(&mut made.searches));
    for option in own.options.iter().flatten() {
        let Some(name) = option.name.as_deref().filter(|name| !name.is_empty()) else { continue };
        let text = match option.value.as_deref().filter(|value| !value.is_empty()) {
            Some(value) => format!("{name}:{value}"),
            None => name.to_owned(),
        };
        let same = |known: &String| known.split(':').next() == Some(name);
        match made.options.iter_mut().find(|known| same(known)) {
            Some(known) => *known = text,
            None => made.options.push(text),
        }
    }
}

fn limit(made: &mut Dns, warnings: &mut Vec<String>) {
    if made.servers.len() > MOST_SERVERS {
        made.servers.truncate(MOST_SERVERS);
        warnings.push(format!(
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {}",
            made.servers.join(" ")
        ));
    }
    let mut length = 0;
    let mut kept = 0;
    for search in made.searches.iter().take(MOST_SEARCHES) {
        length += search.len() + usize::from(kept > 0);
        if length > LONGEST_SEARCHES {
            break;
        }
        kept += 1;
    }
    if kept < made.searches.len() {
        made.searches.truncate(kept);
        warnings.push(format!(
            "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {}",
            made.searches.join(" ")
        ));
    }
}

fn unique(list: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    list.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

/// The node's own configuration, from the text of its `resolv.conf`.
pub fn node_dns(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => dns.servers.extend(words.next().map(str::to_owned)),
            // The last one holds.
            Some("search" | "domain") => dns.searches = words.filter(|word| *word != ".").map(str::to_owned).collect(),
            Some("options") => dns.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    dns.options = unique(dns.options);
    dns
}
