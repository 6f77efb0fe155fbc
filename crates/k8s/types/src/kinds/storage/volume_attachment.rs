//! VolumeAttachment: a volume that is, or shall be, at a node.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{csi_driver_name, immutable, named};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{Column, Policy, prepare};

pub static VOLUME_ATTACHMENT: Policy = Policy {
    prepare_create: prepare::drop_status,
    prepare_update: prepare::status_from,
    prepare_status: prepare::only_status,
    validate,
    validate_update: |new, old, errors| immutable(errors, &Path::new("spec"), &new["spec"], &old["spec"]),
    columns: &[
        Column::NAME,
        Column { format: "name", ..Column::text("Attacher", "The driver that does it.") },
        Column::text("PV", "The volume."),
        Column::text("Node", "The node."),
        Column { kind: "boolean", ..Column::text("Attached", "Whether it is done.") },
        Column::AGE,
    ],
    cells: |attachment, now| {
        let spec = &attachment["spec"];
        vec![
            name_cell(attachment),
            spec["attacher"].text().into(),
            spec["source"]["persistentVolumeName"].text().into(),
            spec["nodeName"].text().into(),
            attachment["status"]["attached"].yes().into(),
            age_cell(attachment, now),
        ]
    },
    ..Policy::NEUTRAL
};

fn validate(attachment: &Value, errors: &mut Errors) {
    let (spec, path) = (&attachment["spec"], Path::new("spec"));
    csi_driver_name(errors, &path.child("attacher"), &spec["attacher"]);
    let (source, place) = (&spec["source"], path.child("source"));
    let volume = &source["persistentVolumeName"];
    match (volume.is_set(), source["inlineVolumeSpec"].is_set()) {
        (false, false) => {
            let wrong = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(Error::required(&place, wrong));
        }
        (true, true) => {
            let wrong = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
            errors.push(Error::invalid(&place, source.clone(), wrong));
        }
        (true, false) if volume.is_unset() => {
            errors.push(Error::required(
                &place.child("persistentVolumeName"),
                "must specify non empty persistentVolumeName",
            ));
        }
        (true, false) => named(errors, &place.child("persistentVolumeName"), volume, names::dns1123_subdomain),
        (false, true) => {}
    }
    named(errors, &path.child("nodeName"), &spec["nodeName"], names::dns1123_subdomain);
}
