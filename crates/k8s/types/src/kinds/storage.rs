//! storage.k8s.io: classes of storage, drivers, attachments.

use crate::policy::Policy;

mod csi_driver;
mod csi_node;
mod csi_storage_capacity;
mod storage_class;
#[cfg(test)]
mod tests;
mod volume_attachment;
mod volume_attributes_class;

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        "StorageClass" => Some(&storage_class::STORAGE_CLASS),
        "CSIDriver" => Some(&csi_driver::CSI_DRIVER),
        "CSINode" => Some(&csi_node::CSI_NODE),
        "VolumeAttachment" => Some(&volume_attachment::VOLUME_ATTACHMENT),
        "CSIStorageCapacity" => Some(&csi_storage_capacity::CSI_STORAGE_CAPACITY),
        "VolumeAttributesClass" => Some(&volume_attributes_class::VOLUME_ATTRIBUTES_CLASS),
        _ => None,
    }
}
