//! NodePorts: ports of the host are had by one pod.

use super::{Plugin, Preemption, Reason, Rejection};
use crate::model::{Load, Template};

pub fn filter(template: &Template, load: &Load) -> Option<Rejection> {
    let taken = template.ports.iter().any(|port| !load.is_free(port));
    taken.then(|| Rejection::new(Plugin::NodePorts, Reason::Ports, Preemption::MayHelp))
}
