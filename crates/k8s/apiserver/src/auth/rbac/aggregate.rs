//! Roles that aggregate others: their rules are those of all cluster roles that their selectors match.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_types::selector::LabelSelector;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{GROUP, Rule};
use crate::registry::{Call, Mirror, Registry};

/// Writes the rules of aggregating roles whenever cluster roles change.
pub async fn run(registry: Registry, roles: Mirror, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        while !settle(&registry, &roles).await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Brings all roles to what they should be; `false` when one could not be written.
async fn settle(registry: &Registry, roles: &Mirror) -> bool {
    let mut settled = true;
    for role in outdated(&roles.all()) {
        let name = role["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let call = Call::of(Arc::new(crate::Identity::loopback()), "clusterrole-aggregation-controller");
        let Ok(row) = registry.row(GROUP, "clusterroles") else { return true };
        match registry.update(&call, &row, "", role).await {
            Ok(_) => {}
            // Somebody else was faster, or it is gone: its change wakes us again.
            Err(error) if matches!(error.code, 404 | 409) => {}
            Err(error) => {
                tracing::warn!(role = name, %error, "the rules of an aggregating role cannot be written");
                settled = false;
            }
        }
    }
    settled
}

/// The roles whose rules are not those of the roles they aggregate, with the rules they should have.
fn outdated(roles: &[Arc<Value>]) -> Vec<Value> {
    let mut sorted: Vec<_> = roles.iter().collect();
    sorted.sort_by_key(|role| role["metadata"]["name"].as_str().unwrap_or_default());
    let mut outdated = Vec::new();
    for role in &sorted {
        let Some(selectors) = role["aggregationRule"]["clusterRoleSelectors"].as_array() else { continue };
        let wanted = aggregated(role, selectors, &sorted);
        if Rule::all_of(role) != wanted {
            let mut changed = Value::clone(role);
            changed["rules"] = json!(wanted.iter().map(Rule::to_value).collect::<Vec<_>>());
            outdated.push(changed);
        }
    }
    outdated
}

fn aggregated(role: &Value, selectors: &[Value], roles: &[&Arc<Value>]) -> Vec<Rule> {
    let (mut rules, mut seen, mut taken) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for selector in selectors {
        let Ok(selector) = LabelSelector::from_object(selector) else { continue };
        for other in roles {
            let name = other["metadata"]["name"].as_str().unwrap_or_default();
            if role["metadata"]["name"] == name || !selector.matches_object(other) || !taken.insert(name) {
                continue;
            }
            rules.extend(Rule::all_of(other).into_iter().filter(|rule| seen.insert(rule.clone())));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, label: &str, rules: Value) -> Arc<Value> {
        Arc::new(json!({"metadata": {"name": name, "labels": {label: "true"}}, "rules": rules}))
    }

    #[test]
    fn rules_are_those_of_the_selected_roles_in_order_and_once() {
        let get = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let list = json!({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]});
        let roles = [
            Arc::new(json!({
                "metadata": {"name": "view", "labels": {"to-view": "true"}},
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]},
            })),
            role("b", "to-view", json!([get, list])),
            role("a", "to-view", json!([get])),
            role("c", "other", json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}])),
        ];
        let changed = outdated(&roles);
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0]["rules"], json!([get, list]));
        let mut settled = roles.to_vec();
        settled[0] = Arc::new(changed[0].clone());
        assert!(outdated(&settled).is_empty());
    }
}
