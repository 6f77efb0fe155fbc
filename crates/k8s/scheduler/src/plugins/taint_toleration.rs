//! TaintToleration: no pod goes where a taint forbids it, and rather not where one advises against it.

use k8s_client::placement::{tolerates, untolerated};
use k8s_openapi::api::core::v1::{Node, Taint};

use super::{MOST, Plugin, Preemption, Reason, Rejection};
use crate::model::Template;

pub const WEIGHT: i64 = 3;

fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

pub fn filter(template: &Template, node: &Node) -> Option<Rejection> {
    let taint = untolerated(taints(node), template.tolerations(), &["NoSchedule", "NoExecute"])?;
    let reason = Reason::Taint(taint.key.as_str().into(), taint.value.as_deref().unwrap_or("").into());
    Some(Rejection::new(Plugin::TaintToleration, reason, Preemption::NoHelp))
}

/// How many taints advise against the node.
pub fn advises_against(template: &Template, node: &Node) -> i64 {
    let soft = taints(node).iter().filter(|taint| taint.effect == "PreferNoSchedule");
    let about = |effect: &Option<String>| matches!(effect.as_deref(), None | Some("" | "PreferNoSchedule"));
    let tolerated = |taint: &Taint| {
        template.tolerations().iter().any(|toleration| about(&toleration.effect) && tolerates(toleration, taint))
    };
    soft.filter(|taint| !tolerated(taint)).count() as i64
}

/// The score, relative to the node with the most such taints.
pub fn score(count: i64, most: i64) -> i64 {
    if most == 0 { MOST } else { MOST - MOST * count / most }
}
