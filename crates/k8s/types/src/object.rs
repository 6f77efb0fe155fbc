//! Names of kinds and resources, and what every object carries in its metadata, over plain JSON.

mod metadata;
mod name;
#[cfg(test)]
mod tests;

pub use metadata::{
    annotation, annotations, api_version, controller_of, creation, deletion, deletion_grace, finalizers, generate_name,
    generation, gvk, kind, label, labels, list_items, managed_fields, metadata, metadata_mut, name, namespace,
    owner_references, remove_metadata, resource_version, set_annotation, set_gvk, set_label, set_metadata, uid,
};
pub use name::{GroupKind, GroupResource, Gvk, Gvr};
