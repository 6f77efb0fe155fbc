//! What pods use, from `metrics.k8s.io`.

use std::collections::HashMap;

use jiff::{Span, Timestamp};
use k8s_types::quantity::Quantity;
use kube::Client;
use serde::Deserialize;

/// What one pod uses.
#[derive(Debug, Clone)]
pub struct Usage {
    pub measured: Timestamp,
    /// Seconds that were measured over.
    pub window: i64,
    /// By container and resource, in thousandths.
    pub containers: HashMap<String, HashMap<String, i64>>,
}

impl Usage {
    /// The sum of a resource over the containers, or that of one; `None` where one does not tell.
    pub fn of(&self, resource: &str, container: Option<&str>) -> Option<i64> {
        match container {
            Some(name) => self.containers.get(name)?.get(resource).copied(),
            None => self.containers.values().map(|used| used.get(resource).copied()).sum(),
        }
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Named,
    timestamp: Timestamp,
    window: String,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    usage: HashMap<String, String>,
}

/// What the pods of a namespace that a selector selects use, by name.
pub async fn read(client: &Client, namespace: &str, selector: &str) -> kube::Result<HashMap<String, Usage>> {
    let query: String = url(selector);
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector={query}");
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let list: List = client.request(request).await?;
    Ok(list.items.into_iter().map(|item| (item.metadata.name.clone(), usage(item))).collect())
}

fn usage(item: Item) -> Usage {
    let milli = |text: &str| Quantity::parse(text).map_or(0, |quantity| quantity.milli_value());
    let container = |container: Container| {
        (container.name, container.usage.iter().map(|(name, text)| (name.clone(), milli(text))).collect())
    };
    Usage {
        measured: item.timestamp,
        window: seconds(&item.window),
        containers: item.containers.into_iter().map(container).collect(),
    }
}

/// A duration as metrics have it (`15s`, `1m2.5s`), in whole seconds.
fn seconds(text: &str) -> i64 {
    text.parse::<Span>().ok().and_then(|span| span.total(jiff::Unit::Second).ok()).map_or(0, |total| total as i64)
}

fn url(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => (byte as char).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn usage_is_summed_or_that_of_one_container() {
        let item: Item = from_value(json!({"metadata": {"name": "a"}, "timestamp": "2026-01-01T00:00:00Z", "window": "15s",
            "containers": [{"name": "x", "usage": {"cpu": "250m", "memory": "1Ki"}}, {"name": "y", "usage": {"cpu": "5000000n"}}]}))
        .unwrap();
        let usage = usage(item);
        assert_eq!((usage.window, usage.of("cpu", None), usage.of("memory", None)), (15, Some(255), None));
        assert_eq!((usage.of("memory", Some("x")), usage.of("cpu", Some("z"))), (Some(1_024_000), None));
        assert_eq!(url("app=a,tier in (b)"), "app%3Da%2Ctier%20in%20%28b%29");
    }
}
