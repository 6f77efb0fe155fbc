//! Claims, volumes and storage classes, and volumes that are promised to claims but do not show it yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};

/// Namespace and name.
pub type ClaimKey = (String, String);

#[derive(Debug, Default)]
pub struct Volumes {
    pub claims: HashMap<ClaimKey, Arc<PersistentVolumeClaim>>,
    pub volumes: BTreeMap<String, Arc<PersistentVolume>>,
    pub classes: HashMap<String, Arc<StorageClass>>,
    pub drivers: HashMap<String, Arc<CSINode>>,
    /// Volumes that were chosen for claims.
    promised: HashMap<String, ClaimKey>,
    epoch: u64,
}

impl Volumes {
    /// Changes with everything that pods with claims depend on.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn touch(&mut self) {
        self.epoch += 1;
    }

    pub fn set_claim(&mut self, key: ClaimKey, claim: Option<Arc<PersistentVolumeClaim>>) {
        self.touch();
        match claim {
            Some(claim) => {
                self.claims.insert(key, claim);
            }
            None => {
                self.claims.remove(&key);
                self.promised.retain(|_, promised| *promised != key);
            }
        }
    }

    pub fn set_volume(&mut self, name: &str, volume: Option<Arc<PersistentVolume>>) {
        self.touch();
        match volume {
            Some(volume) => {
                if volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some()) {
                    self.promised.remove(name);
                }
                self.volumes.insert(name.to_owned(), volume);
            }
            None => {
                self.volumes.remove(name);
                self.promised.remove(name);
            }
        }
    }

    pub fn set_class(&mut self, name: &str, class: Option<Arc<StorageClass>>) {
        self.touch();
        match class {
            Some(class) => self.classes.insert(name.to_owned(), class),
            None => self.classes.remove(name),
        };
    }

    pub fn set_drivers(&mut self, node: &str, drivers: Option<Arc<CSINode>>) {
        self.touch();
        match drivers {
            Some(drivers) => self.drivers.insert(node.to_owned(), drivers),
            None => self.drivers.remove(node),
        };
    }

    /// Promises a volume to a claim.
    pub fn promise(&mut self, volume: &str, claim: &ClaimKey) {
        self.touch();
        self.promised.insert(volume.to_owned(), claim.clone());
    }

    /// Takes back what was promised to a claim.
    pub fn release(&mut self, claim: &ClaimKey) {
        self.touch();
        self.promised.retain(|_, promised| promised != claim);
    }

    /// Whether a volume is promised to another claim.
    pub fn is_promised(&self, volume: &str, claim: &ClaimKey) -> bool {
        self.promised.get(volume).is_some_and(|promised| promised != claim)
    }
}
