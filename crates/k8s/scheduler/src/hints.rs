//! Which changes may help a pod that a rule rejected.

use k8s_openapi::api::core::v1::Node;

use crate::model::cluster::NodeChange;
use crate::model::{Cluster, NodeInfo, Template};
use crate::plugins::{Plugin, node_affinity, node_unschedulable, resources_fit, taint_toleration};

/// What changed.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    Node(&'a NodeInfo, NodeChange),
    NodeGone,
    /// A pod has its node.
    Placed(&'a Template),
    /// A pod left its node, or uses less of it.
    Gone(&'a Template),
    /// Claims, volumes, classes of storage.
    Volumes,
    /// Labels of namespaces.
    Namespaces,
}

/// Whether a pod of this template, rejected by this rule, should be tried again.
pub fn cares(plugin: Plugin, event: Event<'_>, template: &Template, cluster: &Cluster) -> bool {
    match event {
        Event::Node(info, change) => {
            info.node.as_ref().is_some_and(|node| node_helps(plugin, change, template, info, node))
        }
        Event::NodeGone => plugin == Plugin::PodTopologySpread,
        Event::Placed(placed) => match plugin {
            Plugin::InterPodAffinity => template.near.iter().any(|term| selects(term, placed, cluster)),
            Plugin::PodTopologySpread => counts(template, placed),
            _ => false,
        },
        Event::Gone(gone) => match plugin {
            Plugin::NodePorts => gone.ports.iter().any(|port| template.ports.iter().any(|own| own.conflicts(port))),
            Plugin::NodeResourcesFit | Plugin::VolumeRestrictions | Plugin::NodeVolumeLimits => true,
            Plugin::InterPodAffinity => {
                template.away.iter().any(|term| selects(term, gone, cluster))
                    || gone.away.iter().any(|term| selects(term, template, cluster))
            }
            Plugin::PodTopologySpread => counts(template, gone),
            _ => false,
        },
        Event::Volumes => {
            matches!(plugin, Plugin::VolumeBinding | Plugin::NodeVolumeLimits | Plugin::VolumeRestrictions)
        }
        Event::Namespaces => plugin == Plugin::InterPodAffinity,
    }
}

/// A node helps only those that it could be had by, as far as it decides alone.
fn node_helps(plugin: Plugin, change: NodeChange, template: &Template, info: &NodeInfo, node: &Node) -> bool {
    let could = node_unschedulable::filter(template, node).is_none()
        && taint_toleration::filter(template, node).is_none()
        && node_affinity::filter(template, node).is_none()
        && resources_fit::fits_alone(template, info);
    let matters = match plugin {
        Plugin::NodeResourcesFit => true,
        Plugin::DynamicResources | Plugin::VolumeRestrictions => false,
        _ => matches!(change, NodeChange::New | NodeChange::Properties),
    };
    could && matters || plugin == Plugin::PodTopologySpread && change != NodeChange::Allocatable
}

fn selects(term: &crate::model::terms::Term, pod: &Template, cluster: &Cluster) -> bool {
    term.selects(&pod.namespace, &pod.labels, &cluster.namespaces)
}

fn counts(template: &Template, other: &Template) -> bool {
    template.namespace == other.namespace && template.spread.iter().any(|spread| spread.selector.matches(&other.labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, from_value, json};
    use std::sync::Arc;

    fn template(cluster: &mut Cluster, spec: Value) -> Arc<Template> {
        let mut whole = json!({"containers": []});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let pod: Pod =
            from_value(json!({"metadata": {"namespace": "n", "labels": {"app": "a"}}, "spec": whole})).unwrap();
        cluster.template(&pod)
    }

    #[test]
    fn a_node_wakes_only_who_could_be_on_it() {
        let mut cluster = Cluster::default();
        let node: Node = from_value(json!({"metadata": {"name": "a", "labels": {"disk": "ssd"}},
            "status": {"allocatable": {"cpu": "1", "pods": "10"}}}))
        .unwrap();
        cluster.set_node(Arc::new(node));
        let fitting = template(&mut cluster, json!({"nodeSelector": {"disk": "ssd"}}));
        let other = template(&mut cluster, json!({"nodeSelector": {"disk": "hdd"}}));
        let big =
            template(&mut cluster, json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "2"}}}]}));
        let info = cluster.info(cluster.find("a").unwrap()).unwrap();
        let event = |change| Event::Node(info, change);
        assert!(cares(Plugin::NodeAffinity, event(NodeChange::New), &fitting, &cluster));
        assert!(!cares(Plugin::NodeAffinity, event(NodeChange::Allocatable), &fitting, &cluster));
        assert!(!cares(Plugin::NodeAffinity, event(NodeChange::New), &other, &cluster));
        assert!(cares(Plugin::NodeResourcesFit, event(NodeChange::Allocatable), &fitting, &cluster));
        assert!(!cares(Plugin::NodeResourcesFit, event(NodeChange::New), &big, &cluster));
    }

    #[test]
    fn pods_wake_those_that_they_kept_out() {
        let mut cluster = Cluster::default();
        let terms = json!([{"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}}]);
        let rule = json!({"requiredDuringSchedulingIgnoredDuringExecution": terms});
        let near = template(&mut cluster, json!({"affinity": {"podAffinity": rule}}));
        let away = template(&mut cluster, json!({"affinity": {"podAntiAffinity": rule}}));
        let plain = template(&mut cluster, json!({}));
        let check = |event, template: &Template| cares(Plugin::InterPodAffinity, event, template, &cluster);
        assert!(check(Event::Placed(&plain), &near));
        assert!(!check(Event::Gone(&plain), &near));
        assert!(check(Event::Gone(&plain), &away));
        assert!(check(Event::Gone(&away), &plain), "the other one wanted to be alone");
        assert!(!check(Event::Placed(&plain), &away));
        assert!(cares(Plugin::NodeResourcesFit, Event::Gone(&plain), &near, &cluster));
        assert!(!cares(Plugin::NodePorts, Event::Gone(&plain), &near, &cluster));
    }
}
