//! Controllers of the cluster; each talks only through the API.
//!
//! A controller is a file or folder with one entry, `run`, that runs until it is dropped. It looks at objects through the caches that all parts of the cluster
//! share ([`k8s_client::informer`]) or follows them itself ([`k8s_client::follow`]), puts the keys of what changed into a [`k8s_client::queue`], and makes the world
//! as it should be for one key at a time, so that it may end and begin again anywhere. Nothing is asked again and again: what has to be waited for is watched.
//!
//! - [`namespace`]: what is in a deleted namespace goes before it does
//! - [`gc`]: objects whose owners are gone
//! - [`quota`]: what the objects of a namespace use
//! - [`replication`]: the pods of replica sets and replication controllers
//! - [`deployment`]: replica sets by template, one after the other
//! - [`statefulset`], [`daemonset`]: pods with names and claims, pods for every node; [`revisions`]: what their templates were
//! - [`job`]: pods that run until enough have succeeded; [`cronjob`]: jobs at their times
//! - [`owned`], [`pods`], [`hash`]: what those who make pods share: adoption, expectations, batches
//! - [`endpoint_slices`], [`endpoints`]: who receives what is meant for a service
//! - [`load_balancers`]: addresses of services that want to be reached from outside
//! - [`autoscaler`]: as many replicas as the load of the pods asks for; [`disruption`]: what budgets allow; [`scale`]: how many replicas anything has
//! - [`pod_gc`]: pods that nobody looks after any more
//! - [`service_account`], [`root_ca`], [`bootstrap_token`]: what every namespace has, and what expires
//! - [`binding`]: claims and the volumes that they are given
//! - [`local_volumes`]: volumes that are made of folders of a node when they are asked for; every node runs it
//! - [`node`]: the life of nodes: addresses for their pods, health, taints, and pods leaving
//!
//! One server needs no election of a leader; where several share a store, [`start`] is what only the leader may call.

pub mod autoscaler;
pub mod binding;
pub mod bootstrap_token;
pub mod cronjob;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod endpoint_slices;
pub mod endpoints;
pub mod gc;
pub mod hash;
pub mod job;
pub mod load_balancers;
pub mod local_volumes;
pub mod namespace;
pub mod node;
pub mod owned;
pub mod pod_gc;
pub mod pods;
pub mod quota;
pub mod replication;
pub mod resources;
pub mod revisions;
pub mod root_ca;
pub mod scale;
pub mod service_account;
pub mod statefulset;

use k8s_client::Informers;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use owned::Owned;
use tokio::task::JoinSet;

/// The running controllers; they end when it is dropped.
pub struct Controllers {
    tasks: JoinSet<()>,
}

/// Starts all controllers on caches that others may share.
pub fn start(informers: &Informers) -> Controllers {
    let client = informers.client();
    let mut tasks = JoinSet::new();
    workloads(&mut tasks, informers);
    tasks.spawn(namespace::run(client.clone()));
    tasks.spawn(gc::run(client.clone()));
    tasks.spawn(quota::run(client.clone()));
    tasks.spawn(service_account::run(client.clone()));
    tasks.spawn(root_ca::run(client.clone()));
    tasks.spawn(bootstrap_token::run(client.clone()));
    tasks.spawn(node::run(informers.clone()));
    tasks.spawn(pod_gc::run(informers.clone()));
    tasks.spawn(disruption::run(informers.clone()));
    tasks.spawn(autoscaler::run(informers.clone()));
    services(&mut tasks, informers);
    tasks.spawn(binding::run(informers.clone()));
    Controllers { tasks }
}

/// Those that make pods.
fn workloads(tasks: &mut JoinSet<()>, informers: &Informers) {
    let pods = Owned::<Pod>::new(informers.get());
    let sets = Owned::<ReplicaSet>::new(informers.get());
    tasks.spawn(replication::run::<ReplicaSet>(informers.clone(), pods.clone(), sets.clone()));
    tasks.spawn(replication::run::<ReplicationController>(informers.clone(), pods.clone(), sets.clone()));
    tasks.spawn(deployment::run(informers.clone(), sets, pods.clone()));
    let revisions = Owned::<ControllerRevision>::new(informers.get());
    tasks.spawn(statefulset::run(informers.clone(), pods.clone(), revisions.clone()));
    tasks.spawn(daemonset::run(informers.clone(), pods.clone(), revisions));
    tasks.spawn(job::run(informers.clone(), pods));
    tasks.spawn(cronjob::run(informers.clone()));
}

/// Those of services.
fn services(tasks: &mut JoinSet<()>, informers: &Informers) {
    tasks.spawn(endpoint_slices::run(informers.clone()));
    tasks.spawn(endpoint_slices::mirror::run(informers.clone()));
    tasks.spawn(endpoints::run(informers.clone()));
    tasks.spawn(load_balancers::run(informers.clone()));
}

impl Controllers {
    /// Ends them.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Takes "already exists" for done.
fn ignore_present<T>(result: kube::Result<T>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
        // The namespace is being deleted.
        Err(kube::Error::Api(status)) if status.reason == "NotFound" => Ok(()),
        other => other.map(drop),
    }
}

/// Takes "not found" for done.
fn ignore_absent<T>(result: kube::Result<T>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.reason == "NotFound" => Ok(()),
        other => other.map(drop),
    }
}
