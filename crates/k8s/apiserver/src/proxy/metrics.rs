//! `metrics.k8s.io`: what nodes and pods use now.

use std::sync::Arc;

use http::{Method, Response};
use jiff::Timestamp;
use k8s_store::Entry;
use k8s_types::object::GroupResource;
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::Ask;
use super::sampler::{Rate, Usage};
use crate::catalog::Row;
use crate::http::answer;
use crate::http::body::Body;
use crate::http::lists;
use crate::http::negotiate;
use crate::http::render::{self, IncludeObject};
use crate::registry::{Filter, Page};
use crate::server::ApiServer;
use crate::stored::{self, Stored};

pub const GROUP: &str = "metrics.k8s.io";
pub const VERSION: &str = "v1beta1";

/// Answers get and list.
pub async fn answer(server: &ApiServer, ask: &Ask<'_>) -> Result<Response<Body>, ApiError> {
    let path = ask.path;
    let catalog = server.registry().catalog();
    let row = catalog
        .find(GROUP, VERSION, &path.resource)
        .filter(|row| path.subresource.is_empty() && (row.resource.namespaced || path.namespace.is_empty()));
    let Some(row) = row else { return Ok(answer::not_found()) };
    if !matches!(ask.parts.method, Method::GET | Method::HEAD) {
        let verb = ask.parts.method.as_str().to_ascii_lowercase();
        return Err(ApiError::method_not_allowed(&row.group_resource(), &verb));
    }
    let list = path.name.is_empty();
    let accept = ask.parts.headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let accepted = negotiate::objects(accept.unwrap_or_default(), list)?;
    let include = IncludeObject::parse(ask.parameters.get("includeObject"))?;
    let subjects = server.registry().row("", &path.resource)?;
    if list {
        let filter = Filter::parse(&row, ask.parameters.get("labelSelector"), ask.parameters.get("fieldSelector"))?;
        let (all, usage) =
            (server.registry().list(&subjects, &path.namespace).await?, server.usage().usage(server).await?);
        let mut entries = Vec::new();
        for subject in all {
            let Some(entry) = of(&row, &subject, &usage) else { continue };
            if filter.matches(&row, &entry.key, &entry.value)? {
                entries.push(entry);
            }
        }
        let page = Page { entries, revision: 0, token: String::new(), remaining: None };
        return lists::list(&row, page, accepted, include).await;
    }
    let subject = server.registry().get(&subjects, &path.namespace, &path.name).await?;
    let entry = match &subject {
        Some(subject) => of(&row, subject, &server.usage().usage(server).await?),
        None => None,
    };
    let Some(entry) = entry else {
        let name =
            if path.namespace.is_empty() { path.name.clone() } else { format!("{}/{}", path.namespace, path.name) };
        return Err(ApiError::not_found(&GroupResource::new(GROUP, row.resource.kind.to_lowercase()), &name));
    };
    let stored = Stored { row: row.clone(), bytes: entry.value, revision: 0 };
    Ok(answer::bytes(200, accepted.content_type(false), render::object(&stored, accepted, include)?))
}

/// What a node or pod uses, as if it were stored; `None` where that is not known.
fn of(row: &Arc<Row>, subject: &Value, usage: &Usage) -> Option<Entry> {
    let text = |name: &str| subject["metadata"][name].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let mut object = if row.resource.namespaced {
        if subject["status"]["phase"] != "Running" {
            return None;
        }
        let rates = usage.pod(namespace, name)?;
        let containers: Vec<Value> =
            rates.iter().map(|(name, rate)| json!({"name": name, "usage": amounts(rate)})).collect();
        let last = rates.iter().map(|(_, rate)| *rate).max_by_key(|rate| rate.at)?;
        json!({"timestamp": time(&last), "window": window(&last), "containers": containers})
    } else {
        let rate = usage.node(name)?;
        json!({"timestamp": time(&rate), "window": window(&rate), "usage": amounts(&rate)})
    };
    let mut metadata =
        json!({"name": name, "creationTimestamp": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    if subject["metadata"]["labels"].is_object() {
        metadata["labels"] = subject["metadata"]["labels"].clone();
    }
    object["kind"] = (*row.resource.kind).into();
    object["apiVersion"] = format!("{GROUP}/{VERSION}").into();
    object["metadata"] = metadata;
    let key = row.key(namespace, name);
    Some(Entry { key: key.into(), created: 0, revision: 0, expires: 0, value: stored::encode(&object) })
}

fn amounts(rate: &Rate) -> Value {
    let cpu = if rate.nanocores == 0 { "0".to_owned() } else { format!("{}n", rate.nanocores) };
    json!({"cpu": cpu, "memory": format!("{}Ki", rate.memory / 1024)})
}

fn time(rate: &Rate) -> String {
    let at = Timestamp::from_millisecond(rate.at).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// As Go writes it.
fn window(rate: &Rate) -> String {
    let (seconds, milliseconds) = (rate.window / 1000, rate.window % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let fraction = format!(".{milliseconds:03}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    match minutes {
        0 => format!("{seconds}{fraction}s"),
        1..60 => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{}h{}m{seconds}{fraction}s", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_written_as_go_writes_them() {
        let say = |window: i64| super::window(&Rate { nanocores: 0, memory: 0, at: 0, window });
        assert_eq!([say(1000), say(1250), say(61_001), say(3_600_000)], ["1s", "1.25s", "1m1.001s", "1h0m0s"]);
    }
}
