//! What is special about pods: binding them to nodes, evicting them within what disruption budgets allow.

use std::sync::Arc;

use k8s_types::field::{Error, Errors, Path};
use k8s_types::object::{self, GroupKind};
use k8s_types::selector::LabelSelector;
use k8s_types::status::{ApiError, Cause};
use serde_json::{Value, json};

use super::admit::Asked;
use super::{Call, DeleteOptions, Registry, metadata};
use crate::admission::Operation;
use crate::catalog::Row;

/// More pods under way than this and a budget takes no more.
const MOST_DISRUPTED: usize = 2000;
/// Seconds after which an eviction may be tried again.
const RETRY: u32 = 10;

impl Registry {
    /// Binds a pod to the node that a `Binding` names.
    pub async fn bind(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        name: &str,
        mut binding: Value,
    ) -> Result<(), ApiError> {
        self.admit_part(call, row, "binding", namespace, name, &mut binding).await?;
        let target = &binding["target"];
        let mut errors = Errors::new();
        let path = Path::new("target");
        if !matches!(target["kind"].as_str(), None | Some("" | "Node")) {
            let supported = &["Node", "<empty>"];
            errors.push(Error::not_supported(&path.child("kind"), target["kind"].clone(), supported));
        }
        if target["name"].as_str().unwrap_or_default().is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid(&GroupKind::new("", "Binding"), name, &errors));
        }
        let pods = row.group_resource();
        let refuse = |why: String| ApiError::conflict(&object::GroupResource::new("", "pods/binding"), name, why);
        let uid = object::uid(&binding).to_owned();
        self.rewrite(call, row, namespace, name, |pod| {
            if !uid.is_empty() && uid != object::uid(pod) {
                return Err(ApiError::conflict(
                    &pods,
                    name,
                    format!(
                        "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                        object::uid(pod)
                    ),
                ));
            }
            if object::deletion(pod).is_some() {
                return Err(refuse(format!("pod {name} is being deleted, cannot be assigned to a host")));
            }
            if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
                return Err(refuse(format!("pod {name} is already assigned to node \"{node}\"")));
            }
            if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
                return Err(refuse(format!("pod {name} has non-empty .spec.schedulingGates")));
            }
            pod["spec"]["nodeName"] = binding["target"]["name"].clone();
            for (key, value) in object::annotations(&binding).into_iter().flatten() {
                object::set_annotation(pod, key, value.as_str().unwrap_or_default());
            }
            for (key, value) in object::labels(&binding).into_iter().flatten() {
                object::set_label(pod, key, value.as_str().unwrap_or_default());
            }
            scheduled(pod);
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Deletes a pod if its disruption budget allows it.
    pub async fn evict(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        name: &str,
        mut eviction: Value,
    ) -> Result<(), ApiError> {
        let own = object::name(&eviction);
        if !own.is_empty() && own != name {
            return Err(ApiError::bad_request(format!("name in URL does not match name in Eviction object: {own}")));
        }
        self.admit_part(call, row, "eviction", namespace, name, &mut eviction).await?;
        let options = DeleteOptions::read(&eviction["deleteOptions"])?;
        let pod = self.get(row, namespace, name).await?;
        let pod = pod.ok_or_else(|| ApiError::not_found(&row.group_resource(), name))?;
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        let free = matches!(phase, "Succeeded" | "Failed" | "Pending") || object::deletion(&pod).is_some();
        if !free {
            self.disrupt(call, namespace, &pod).await?;
        }
        self.delete_object(call, row, namespace, name, &options).await?;
        Ok(())
    }

    /// Takes one disruption from the budget that a pod is under.
    async fn disrupt(&self, call: &Call, namespace: &str, pod: &Value) -> Result<(), ApiError> {
        let budgets = self.row("policy", "poddisruptionbudgets")?;
        let mut over: Vec<Value> = self.list(&budgets, namespace).await?;
        over.retain(|budget| selects(budget, pod));
        if over.len() > 1 {
            let text =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(ApiError::internal(text));
        }
        let Some(budget) = over.pop() else { return Ok(()) };
        if not_ready(pod) && spares_unhealthy(&budget) {
            return Ok(());
        }
        let pod_name = object::name(pod).to_owned();
        let take = |budget: &mut Value| take_disruption(budget, &pod_name);
        self.rewrite(call, &budgets, namespace, object::name(&budget), take).await?;
        Ok(())
    }

    /// Admission of what is created beneath a pod.
    async fn admit_part(
        &self,
        call: &Call,
        row: &Arc<Row>,
        subresource: &str,
        namespace: &str,
        name: &str,
        object: &mut Value,
    ) -> Result<(), ApiError> {
        let operation = Operation::Create;
        let asked = Asked { row, subresource, operation, namespace, name, object: Some(object), old: None };
        self.admit_at_once(call, asked).await
    }
}

/// Sets the condition that says that a pod has its node.
fn scheduled(pod: &mut Value) {
    let condition =
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": metadata::now()});
    if !pod["status"].is_object() {
        pod["status"] = json!({});
    }
    match pod["status"]["conditions"].as_array_mut() {
        Some(conditions) => {
            conditions.retain(|condition| condition["type"] != "PodScheduled");
            conditions.push(condition);
        }
        None => pod["status"]["conditions"] = json!([condition]),
    }
}

fn selects(budget: &Value, pod: &Value) -> bool {
    let selector = &budget["spec"]["selector"];
    selector.is_object() && LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches_object(pod))
}

fn not_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    !conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Whether pods that are not ready may always go.
fn spares_unhealthy(budget: &Value) -> bool {
    let status = |name: &str| budget["status"][name].as_i64().unwrap_or(0);
    let healthy = status("currentHealthy") >= status("desiredHealthy") && status("desiredHealthy") > 0;
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" || healthy
}

fn take_disruption(budget: &mut Value, pod: &str) -> Result<(), ApiError> {
    let name = object::name(budget).to_owned();
    let status = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let resource = object::GroupResource::new("policy", "poddisruptionbudgets");
    let refused = |why: String| {
        let cause = Cause { reason: "DisruptionBudget".to_owned(), message: why, field: String::new() };
        ApiError::too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
            .with_cause(cause)
    };
    if status("observedGeneration") < object::generation(budget) {
        return Err(refused(format!("The disruption budget {name} is still being processed by the server."))
            .with_retry_after(RETRY));
    }
    let allowed = status("disruptionsAllowed");
    if allowed < 0 {
        return Err(ApiError::forbidden(&resource, &name, "pod disruption budget is negative"));
    }
    if budget["status"]["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MOST_DISRUPTED) {
        return Err(ApiError::forbidden(
            &resource,
            &name,
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if allowed == 0 {
        let (needs, has) = (status("desiredHealthy"), status("currentHealthy"));
        return Err(refused(format!(
            "The disruption budget {name} needs {needs} healthy pods and has {has} currently"
        )));
    }
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    if !budget["status"]["disruptedPods"].is_object() {
        budget["status"]["disruptedPods"] = json!({});
    }
    budget["status"]["disruptedPods"][pod] = metadata::now().into();
    Ok(())
}
