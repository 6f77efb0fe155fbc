//! Printed columns of volumes and claims.

use serde_json::Value;

use crate::policy::Column;
use crate::policy::read::Read;

/// `RWO,ROX,RWX,RWOP` of a list of access modes, in this order and each once.
pub fn access_modes(modes: &Value) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |long: &str| modes.items().iter().any(|mode| mode.text() == long);
    let short: Vec<&str> = SHORT.iter().filter(|(long, _)| has(long)).map(|(_, short)| *short).collect();
    short.join(",")
}

/// Columns of claims.
pub const CLAIM: &[Column] = &[
    Column::NAME,
    Column::text("Status", "Phase of the claim."),
    Column::text("Volume", "Volume that the claim is bound to."),
    Column::text("Capacity", "Size of that volume."),
    Column::text("Access Modes", "Ways in which that volume can be mounted."),
    Column::text("StorageClass", "Class of storage that was asked for."),
    Column::text("VolumeAttributesClass", "Class of the volume's attributes that was asked for."),
    Column::AGE,
    Column::text("VolumeMode", "Whether a file system or a block device is asked for.").wide(),
];

/// Columns of persistent volumes.
pub const VOLUME: &[Column] = &[
    Column::NAME,
    Column::text("Capacity", "Size of the volume."),
    Column::text("Access Modes", "Ways in which the volume can be mounted."),
    Column::text("Reclaim Policy", "What becomes of the volume when its claim goes away."),
    Column::text("Status", "Phase of the volume."),
    Column::text("Claim", "Claim that the volume is bound to."),
    Column::text("StorageClass", "Class of storage that the volume belongs to."),
    Column::text("VolumeAttributesClass", "Class of the volume's attributes."),
    Column::text("Reason", "Why the volume is in its phase."),
    Column::AGE,
    Column::text("VolumeMode", "Whether the volume has a file system or is a block device.").wide(),
];
