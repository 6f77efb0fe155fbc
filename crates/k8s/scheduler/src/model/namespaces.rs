//! Labels of namespaces, and the selectors of services and owners by which replicas are told.

use std::collections::{BTreeMap, HashMap};

use k8s_types::selector::label::LabelSelector;

/// Labels of namespaces by name.
#[derive(Debug, Default)]
pub struct Namespaces(HashMap<String, BTreeMap<String, String>>);

impl Namespaces {
    /// Takes a namespace's labels, or that it is gone; returns whether that is a change.
    pub fn set(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) -> bool {
        match labels {
            Some(labels) => self.0.insert(name.to_owned(), labels.clone()) != Some(labels),
            None => self.0.remove(name).is_some(),
        }
    }

    pub fn selects(&self, selector: &LabelSelector, namespace: &str) -> bool {
        match self.0.get(namespace) {
            Some(labels) => selector.matches(labels),
            None => selector.is_everything(),
        }
    }
}

/// By what the replicas of a service or a controller are told.
#[derive(Debug, Default)]
pub struct Replicas {
    /// By namespace, then name.
    services: HashMap<String, BTreeMap<String, LabelSelector>>,
    /// Replica sets, stateful sets and replication controllers by uid.
    owners: HashMap<String, LabelSelector>,
    epoch: u64,
}

impl Replicas {
    /// Changes with every selector.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn set_service(&mut self, (namespace, name): (String, String), selector: Option<LabelSelector>) {
        let services = self.services.entry(namespace).or_default();
        let changed = match selector {
            Some(selector) => services.insert(name, selector.clone()) != Some(selector),
            None => services.remove(&name).is_some(),
        };
        self.epoch += u64::from(changed);
    }

    pub fn set_owner(&mut self, uid: &str, selector: Option<LabelSelector>) {
        let changed = match selector {
            Some(selector) => self.owners.insert(uid.to_owned(), selector.clone()) != Some(selector),
            None => self.owners.remove(uid).is_some(),
        };
        self.epoch += u64::from(changed);
    }

    /// What all replicas of a pod's services and owner have in common; nothing where it has neither.
    pub fn of(&self, namespace: &str, labels: &BTreeMap<String, String>, owner: Option<&str>) -> Option<LabelSelector> {
        let services = self.services.get(namespace).into_iter().flat_map(BTreeMap::values);
        let owner = owner.and_then(|uid| self.owners.get(uid));
        let mut all = Vec::new();
        for selector in services.filter(|selector| selector.matches(labels)).chain(owner) {
            if let LabelSelector::All(requirements) = selector {
                all.extend(requirements.iter().cloned());
            }
        }
        (!all.is_empty()).then_some(LabelSelector::All(all))
    }
}
