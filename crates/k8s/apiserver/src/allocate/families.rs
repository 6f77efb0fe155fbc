//! Which address families a service has: from what it says, what it had, and what the cluster has.

use k8s_types::field::{Error, Errors, Path};
use k8s_types::policy::read::{Read, put};
use serde_json::{Value, json};

/// Families of a cluster, the default one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Families(pub Vec<&'static str>);

const SINGLE: &str = "SingleStack";

/// `IPv4` or `IPv6`.
pub fn family_of(ip: &str) -> Option<&'static str> {
    let ip: std::net::IpAddr = ip.parse().ok()?;
    Some(if ip.is_ipv4() { "IPv4" } else { "IPv6" })
}

fn other(family: &str) -> &'static str {
    if family == "IPv4" { "IPv6" } else { "IPv4" }
}

fn texts(list: &Value) -> Vec<String> {
    list.items().iter().map(|item| item.text().to_owned()).collect()
}

fn is_headless(spec: &Value) -> bool {
    spec["clusterIP"] == "None" || spec["clusterIPs"][0] == "None"
}

impl Families {
    fn has(&self, family: &str) -> bool {
        self.0.contains(&family)
    }

    /// Fills in `ipFamilyPolicy` and `ipFamilies`.
    pub fn settle(&self, service: &mut Value, old: Option<&Value>) -> Errors {
        let mut errors = Errors::new();
        if service["spec"]["type"] == "ExternalName" || old.is_some_and(|old| keeps_preference(service, old)) {
            return errors;
        }
        let no_selector = service["spec"]["selector"].is_unset();
        let boundless = is_headless(&service["spec"]) && no_selector;
        if service["spec"]["ipFamilyPolicy"].is_unset() {
            let before = old.map(|old| old["spec"]["ipFamilyPolicy"].text()).filter(|policy| !policy.is_empty());
            let policy = before.unwrap_or(if boundless { "RequireDualStack" } else { SINGLE });
            put(service, &["spec", "ipFamilyPolicy"], policy);
        }
        if let Some(old) = old {
            shrink(service, old, &mut errors);
        }
        self.infer(service, &mut errors);
        if errors.is_empty() {
            self.complete(service, boundless, &mut errors);
        }
        errors
    }

    /// Families of the addresses that the service names.
    fn infer(&self, service: &mut Value, errors: &mut Errors) {
        let (ips, mut families) = (texts(&service["spec"]["clusterIPs"]), texts(&service["spec"]["ipFamilies"]));
        let path = Path::new("spec");
        let policy = service["spec"]["ipFamilyPolicy"].clone();
        if policy == SINGLE {
            for (count, what) in [(ips.len(), "cluster IPs"), (families.len(), "IP families")] {
                if count == 2 {
                    let wrong =
                        format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
                    errors.push(Error::invalid(&path.child("ipFamilyPolicy"), policy.clone(), wrong));
                }
            }
        }
        for (i, ip) in ips.iter().enumerate() {
            let Some(family) = family_of(ip) else { break };
            if i < families.len() {
                continue;
            }
            if self.has(family) {
                families.push(family.to_owned());
            } else {
                let wrong = format!("{family} is not configured on this cluster");
                let place = path.child("clusterIPs").index(i);
                errors.push(Error::invalid(&place, service["spec"]["clusterIPs"].clone(), wrong));
            }
        }
        if !families.is_empty() {
            put(service, &["spec", "ipFamilies"], families);
        }
    }

    /// The families still missing.
    fn complete(&self, service: &mut Value, boundless: bool, errors: &mut Errors) {
        let (mut families, path) = (texts(&service["spec"]["ipFamilies"]), Path::new("spec"));
        let policy = service["spec"]["ipFamilyPolicy"].text().to_owned();
        if !boundless {
            if policy == "RequireDualStack" && self.0.len() < 2 {
                let wrong = "this cluster is not configured for dual-stack services";
                errors.push(Error::invalid(&path.child("ipFamilyPolicy"), policy.as_str(), wrong));
            }
            for (i, family) in families.iter().enumerate().filter(|(_, family)| !self.has(family)) {
                let place = path.child("ipFamilies").index(i);
                errors.push(Error::invalid(&place, family.as_str(), "not configured on this cluster"));
            }
            if !errors.is_empty() {
                return;
            }
        }
        if families.is_empty() {
            families.extend(self.0.first().map(|family| (*family).to_owned()));
        }
        if policy != SINGLE && families.len() == 1 && (boundless || self.0.len() == 2) {
            families.push(other(&families[0]).to_owned());
        }
        put(service, &["spec", "ipFamilies"], families);
    }
}

/// A service that prefers two families and says about them what it said before neither gains nor loses one.
fn keeps_preference(new: &Value, old: &Value) -> bool {
    let (new, old) = (&new["spec"], &old["spec"]);
    let same = |field: &str| new[field] == old[field];
    old["type"] != "ExternalName"
        && new["type"] != "ExternalName"
        && new["ipFamilyPolicy"] == "PreferDualStack"
        && ["ipFamilyPolicy", "ipFamilies", "clusterIPs"].into_iter().all(same)
}

/// Going back to one family gives up the second address.
fn shrink(service: &mut Value, old: &Value, errors: &mut Errors) {
    let policy = service["spec"]["ipFamilyPolicy"].clone();
    for (field, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let (ours, before) = (texts(&service["spec"][field]), texts(&old["spec"][field]));
        if policy == SINGLE {
            if ours == before && ours.len() > 1 {
                put(service, &["spec", field], json!([ours[0]]));
            }
        } else if !ours.is_empty() && ours.len() < before.len() {
            let wrong = format!("must be 'SingleStack' to release the secondary {what}");
            errors.push(Error::invalid(&Path::new("spec").child("ipFamilyPolicy"), policy.clone(), wrong));
        }
    }
}
