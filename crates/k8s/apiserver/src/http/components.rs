//! `componentstatuses`: how the parts of the control plane are, made when somebody asks.

use k8s_store::{Entry, Key};
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use crate::catalog::Row;
use crate::registry::{Filter, Page, Registry};
use crate::stored;

const LEASE: (&str, &str) = ("kube-system", "sampan-controllers");

/// All of them that a filter selects.
pub async fn page(registry: &Registry, row: &Row, filter: &Filter) -> Result<Page, ApiError> {
    let store = registry.store().failure().map_or(Ok(()), Err);
    let leader = leader(registry).await?;
    let revision = registry.store().revision();
    let mut entries = Vec::new();
    for (name, state) in [("controller-manager", leader.clone()), ("etcd-0", store), ("scheduler", leader)] {
        let condition = match state {
            Ok(()) => json!({"type": "Healthy", "status": "True", "message": "ok"}),
            Err(why) => json!({"type": "Healthy", "status": "False", "message": "", "error": why}),
        };
        let object = json!({
            "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition],
        });
        let (key, value) = (row.key("", name), stored::encode(&object));
        if filter.matches(row, &key, &value)? {
            entries.push(Entry { key: Key::from(key), created: 0, revision: 0, expires: 0, value });
        }
    }
    Ok(Page { entries, revision, token: String::new(), remaining: None })
}

/// Whether some server runs what only one may run.
async fn leader(registry: &Registry) -> Result<Result<(), String>, ApiError> {
    let row = registry.row("coordination.k8s.io", "leases")?;
    let Some(lease) = registry.get(&row, LEASE.0, LEASE.1).await? else {
        return Ok(Err("no server runs it".to_owned()));
    };
    let spec = &lease["spec"];
    if spec["holderIdentity"].as_str().unwrap_or_default().is_empty() {
        return Ok(Err("no server runs it".to_owned()));
    }
    let renewed = spec["renewTime"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let lasts = spec["leaseDurationSeconds"].as_i64().unwrap_or(0);
    Ok(match renewed.map(|renewed| jiff::Timestamp::now().duration_since(renewed).as_secs()) {
        Some(seconds) if seconds <= lasts => Ok(()),
        _ => Err(format!("nothing is heard of {}", holder(spec))),
    })
}

fn holder(spec: &Value) -> &str {
    spec["holderIdentity"].as_str().unwrap_or_default()
}
