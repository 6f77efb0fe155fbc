//! Choosing a node for one pod. Knows nothing of the API: pods and nodes in, a node or a reason out.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::class::Class;
use crate::failure::Failure;
use crate::model::template::TemplateId;
use crate::model::{Cluster, NodeId, Template};
use crate::plugins::volume_binding::Step;

/// So many templates' results are kept, or fewer where there are so many nodes that this number of results is reached.
const KEPT: std::ops::RangeInclusive<usize> = 64..=1024;
const RESULTS: usize = 500_000;

/// A node for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub node: NodeId,
    pub name: Arc<str>,
    /// What has to be done about volumes before the pod is bound.
    pub volumes: Vec<Step>,
}

/// Decides; keeps what it found out about the templates it saw last.
#[derive(Default)]
pub struct Decider {
    classes: HashMap<TemplateId, (u64, Class)>,
    clock: u64,
}

impl Decider {
    /// What is known for a template, as of now.
    pub fn class(&mut self, cluster: &Cluster, template: &Arc<Template>) -> &mut Class {
        self.clock += 1;
        let most = (RESULTS / cluster.places().max(1)).clamp(*KEPT.start(), *KEPT.end());
        if self.classes.len() >= most && !self.classes.contains_key(&template.id) {
            // Half of them at once, so that this is rare.
            let mut used: Vec<u64> = self.classes.values().map(|(used, _)| *used).collect();
            used.sort_unstable();
            let middle = used[used.len() / 2];
            self.classes.retain(|_, (used, _)| *used > middle);
        }
        let (used, class) = self.classes.entry(template.id).or_insert_with(|| (0, Class::new(template.clone())));
        *used = self.clock;
        class.catch_up(cluster);
        class
    }

    /// The best node for a pod, or why there is none. A node that was kept for it is taken if it can be had.
    pub fn decide(&mut self, cluster: &mut Cluster, pod: &Pod) -> Result<Choice, Arc<Failure>> {
        let template = cluster.template(pod);
        self.decide_for(cluster, &template, pod.metadata.uid.as_deref().unwrap_or(""))
    }

    /// The same for a pod whose template is known.
    pub fn decide_for(
        &mut self,
        cluster: &mut Cluster,
        template: &Arc<Template>,
        uid: &str,
    ) -> Result<Choice, Arc<Failure>> {
        let kept = cluster.clear_nomination(uid);
        let class = self.class(cluster, template);
        let now = class.moment(cluster);
        if let Some((then, failure)) = &class.failed
            && *then == now
        {
            let failure = failure.clone();
            keep(cluster, uid, template, kept);
            return Err(failure);
        }
        let kept_still =
            kept.filter(|id| cluster.info(*id).is_some_and(|info| info.node.is_some() && class.is_feasible(*id, info)));
        let best = kept_still.or_else(|| class.best(cluster));
        if let Some(node) = best {
            let info = cluster.info(node);
            let object = info.and_then(|info| info.node.as_ref());
            let volumes = object.and_then(|object| class.needs.steps(object, &cluster.volumes).ok());
            return Ok(Choice { node, name: cluster.name(node), volumes: volumes.unwrap_or_default() });
        }
        let failure = Arc::new(Failure::new(cluster.count(), class.rejections(cluster)));
        class.failed = Some((now, failure.clone()));
        keep(cluster, uid, template, kept);
        Err(failure)
    }
}

fn keep(cluster: &mut Cluster, uid: &str, template: &Arc<Template>, kept: Option<NodeId>) {
    if let Some(id) = kept {
        let name = cluster.name(id);
        cluster.nominate(uid, template, &name);
    }
}
