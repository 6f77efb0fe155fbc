//! NodeUnschedulable: cordoned nodes are for pods that tolerate it.

use k8s_client::placement::tolerates;
use k8s_openapi::api::core::v1::{Node, Taint};

use super::{Plugin, Preemption, Reason, Rejection};
use crate::model::Template;

pub fn filter(template: &Template, node: &Node) -> Option<Rejection> {
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) != Some(true) {
        return None;
    }
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if template.tolerations().iter().any(|toleration| tolerates(toleration, &taint)) {
        return None;
    }
    Some(Rejection::new(Plugin::NodeUnschedulable, Reason::Unschedulable, Preemption::NoHelp))
}
