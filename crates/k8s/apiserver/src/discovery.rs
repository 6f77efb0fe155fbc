//! Discovery: which groups, versions and resources are served, in the plain and in the aggregated form.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use k8s_types::schema::{self, Verbs};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Row, Rows};

/// Discovery documents over a catalog; the aggregated ones are kept until the rows change.
pub struct Discovery {
    catalog: Catalog,
    aggregated: Mutex<BTreeMap<(bool, &'static str), Aggregated>>,
}

/// An aggregated document.
#[derive(Clone)]
pub struct Aggregated {
    generation: u64,
    /// The document.
    pub bytes: Bytes,
    /// Its entity tag, with quotes.
    pub etag: String,
}

impl Discovery {
    /// Discovery of these rows.
    pub fn new(catalog: Catalog) -> Discovery {
        Discovery { catalog, aggregated: Mutex::default() }
    }

    /// `/api`
    pub fn core_versions(&self, address: &str) -> Value {
        let addresses = json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]);
        json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses})
    }

    /// `/apis`
    pub fn groups(&self) -> Value {
        let rows = self.catalog.rows();
        let groups: Vec<Value> = groups(&rows).iter().filter(|(name, _)| !name.is_empty()).map(group).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// `/apis/{group}`
    pub fn group(&self, name: &str) -> Option<Value> {
        let rows = self.catalog.rows();
        let found = groups(&rows).into_iter().find(|(group, _)| group == name && !group.is_empty())?;
        let mut value = group(&found);
        value["kind"] = "APIGroup".into();
        value["apiVersion"] = "v1".into();
        Some(value)
    }

    /// `/api/v1`, `/apis/{group}/{version}`
    pub fn resources(&self, group: &str, version: &str) -> Option<Value> {
        let rows = self.catalog.rows();
        let mut resources = Vec::new();
        for row in rows.iter().filter(|row| row.resource.group == group && row.resource.version == version) {
            resource(row, &mut resources);
        }
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
        if !group.is_empty() {
            list["apiVersion"] = "v1".into();
        }
        rows.serves(group, version).then_some(list)
    }

    /// Everything below `/api` or `/apis` in one document, of a version of `apidiscovery.k8s.io`.
    pub fn aggregated(&self, core: bool, version: &'static str) -> Aggregated {
        let generation = self.catalog.generation();
        let mut kept = self.aggregated.lock().expect("no panic while it is held");
        if let Some(found) = kept.get(&(core, version)).filter(|found| found.generation == generation) {
            return found.clone();
        }
        let rows = self.catalog.rows();
        let items: Vec<Value> = groups(&rows)
            .iter()
            .filter(|(name, _)| name.is_empty() == core)
            .map(|g| aggregated_group(&rows, g))
            .collect();
        let list = json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items
        });
        let bytes = Bytes::from(crate::stored::to_json(&list));
        let etag = format!("\"{}\"", hash(&bytes));
        let made = Aggregated { generation, bytes, etag };
        kept.insert((core, version), made.clone());
        made
    }
}

/// SHA-256 in hexadecimal, in capitals.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Groups with their versions, in the order they are told: built in ones as in the table, others by name.
fn groups(rows: &Rows) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |group: &str, version: &str| match all.iter_mut().find(|(name, _)| name == group) {
        Some((_, versions)) if versions.iter().any(|v| v == version) => {}
        Some((_, versions)) => versions.push(version.to_owned()),
        None => all.push((group.to_owned(), vec![version.to_owned()])),
    };
    for resource in schema::builtin().resources() {
        if rows.serves(&resource.group, &resource.version) {
            add(&resource.group, &resource.version);
        }
    }
    for row in rows.iter() {
        add(&row.resource.group, &row.resource.version);
    }
    for (_, versions) in &mut all {
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
    }
    all
}

/// How versions compare: `v2` before `v1` before `v1beta2` before `v1alpha1` before all that is not of this form.
pub fn rank(version: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let read = || -> Option<(u8, u32, u32)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        let stage = &rest[digits..];
        match (stage.strip_prefix("beta"), stage.strip_prefix("alpha")) {
            _ if stage.is_empty() => Some((3, major, 0)),
            (Some(minor), _) => Some((2, major, minor.parse().ok()?)),
            (_, Some(minor)) => Some((1, major, minor.parse().ok()?)),
            _ => None,
        }
    };
    let (stage, major, minor) = read().unwrap_or((0, 0, 0));
    let name = if stage == 0 { version.to_owned() } else { String::new() };
    (stage, major, minor, std::cmp::Reverse(name))
}

fn group((name, versions): &(String, Vec<String>)) -> Value {
    let of = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let all: Vec<Value> = versions.iter().map(of).collect();
    json!({"name": name, "versions": all, "preferredVersion": all.first()})
}

fn verbs(verbs: Verbs) -> Vec<&'static str> {
    verbs.iter().map(schema::Verb::name).collect()
}

fn resource(row: &Arc<Row>, out: &mut Vec<Value>) {
    let r = &row.resource;
    let mut value = json!({
        "name": &*r.plural, "singularName": &*r.singular, "namespaced": r.namespaced, "kind": &*r.kind, "verbs": verbs(r.verbs)
    });
    if !r.short_names.is_empty() {
        value["shortNames"] = r.short_names.iter().map(|n| &**n).collect();
    }
    if !r.categories.is_empty() {
        value["categories"] = r.categories.iter().map(|n| &**n).collect();
    }
    if r.verbs.contains(schema::Verb::Get) {
        value["storageVersionHash"] = storage_hash(row).into();
    }
    out.push(value);
    for sub in &r.subresources {
        let mut value = json!({
            "name": format!("{}/{}", r.plural, sub.name), "singularName": "", "namespaced": r.namespaced, "kind": &*sub.kind,
            "verbs": verbs(sub.verbs)
        });
        if sub.group != r.group || sub.version != r.version {
            value["group"] = sub.group.as_str().into();
            value["version"] = sub.version.as_str().into();
        }
        out.push(value);
    }
}

fn storage_hash(row: &Row) -> String {
    use base64::Engine;
    let s = &row.stored;
    let digest = Sha256::digest(format!("{}/{}/{}", s.group, s.version, row.resource.kind));
    base64::prelude::BASE64_STANDARD.encode(&digest[..8])
}

fn aggregated_group(rows: &Rows, (name, versions): &(String, Vec<String>)) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let of = rows.iter().filter(|row| row.resource.group == name.as_str() && row.resource.version == version.as_str());
            json!({"version": version, "resources": of.map(aggregated_resource).collect::<Vec<_>>(), "freshness": "Current"})
        })
        .collect();
    json!({"metadata": {"name": name, "creationTimestamp": null}, "versions": versions})
}

fn aggregated_resource(row: &Arc<Row>) -> Value {
    let r = &row.resource;
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut value = json!({
        "resource": &*r.plural,
        "responseKind": kind(&r.group, &r.version, &r.kind),
        "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": &*r.singular,
        "verbs": verbs(r.verbs),
    });
    if !r.short_names.is_empty() {
        value["shortNames"] = r.short_names.iter().map(|n| &**n).collect();
    }
    if !r.categories.is_empty() {
        value["categories"] = r.categories.iter().map(|n| &**n).collect();
    }
    if !r.subresources.is_empty() {
        value["subresources"] = r
            .subresources
            .iter()
            .map(|sub| {
                json!({"subresource": &*sub.name, "responseKind": kind(&sub.group, &sub.version, &sub.kind), "verbs": verbs(sub.verbs)})
            })
            .collect();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ranked() {
        let mut versions = ["v1alpha1", "foo", "v1", "v2beta1", "v10", "v2", "v1beta2", "bar"];
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "bar", "foo"]);
    }
}
