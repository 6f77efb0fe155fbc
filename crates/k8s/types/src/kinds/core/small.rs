//! Kinds of which there is little to say: Binding and ComponentStatus.

use crate::field::Error;
use crate::policy::read::{Read, name_cell};
use crate::policy::{At, Column, Policy};

/// The policy of bindings of pods to nodes.
pub static BINDING: Policy = Policy {
    validate: |binding, errors| {
        let root = At::root(binding);
        let (kind, name) = (root.down(&["target", "kind"]), root.down(&["target", "name"]));
        if !kind.is_unset() && kind.text() != "Node" {
            errors.push(Error::not_supported(&kind.path(), kind.text(), &["Node", "<empty>"]));
        }
        name.needed(errors);
    },
    ..Policy::NEUTRAL
};

/// The policy of component statuses, which nobody writes.
pub static COMPONENT_STATUS: Policy = Policy {
    warnings: |_, _| vec!["v1 ComponentStatus is deprecated in v1.19+".to_owned()],
    columns: &[
        Column::NAME,
        Column::text("Status", "Whether the component is healthy."),
        Column::text("Message", "What the component said."),
        Column::text("Error", "What went wrong when it was asked."),
    ],
    cells: |status, _| {
        let healthy = status["conditions"].items().iter().find(|c| c["type"].text() == "Healthy");
        let of = |field: &str| healthy.map_or("", |condition| condition[field].text());
        let state = match of("status") {
            "True" => "Healthy",
            "" => "Unknown",
            _ => "Unhealthy",
        };
        vec![name_cell(status), state.into(), of("message").into(), of("error").into()]
    },
    ..Policy::NEUTRAL
};
