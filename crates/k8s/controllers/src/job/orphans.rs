//! Pods that are kept for a job that is not there: they are let go.

use k8s_client::Informer;
use k8s_client::informer::Key;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;

use super::{Controller, pod};
use crate::owned::{self, namespace};

/// Whether nobody will count the pod, as far as the cache knows.
pub fn is_orphan(jobs: &Informer<Job>, pod: &Pod) -> bool {
    match owned::controller(&pod.metadata) {
        Some(by) if !owned::is::<Job>(by) => false,
        Some(by) => {
            jobs.get(namespace(&pod.metadata), &by.name).is_none_or(|job| job.metadata.uid.as_ref() != Some(&by.uid))
        }
        // A job that selects it adopts it, unless it is going anyway.
        None => pod.metadata.deletion_timestamp.is_some(),
    }
}

impl Controller {
    pub(super) async fn let_go(&self, key: Key) -> kube::Result<()> {
        let Some(found) = self.pods.all.get(&key.0, &key.1).filter(|found| pod::is_tracked(found)) else {
            return Ok(());
        };
        if !is_orphan(&self.jobs, &found) {
            return Ok(());
        }
        // The cache may not know the job yet.
        if let Some(by) = owned::controller(&found.metadata) {
            let job = Api::<Job>::namespaced(self.hands.client.clone(), &key.0).get_opt(&by.name).await?;
            if job.is_some_and(|job| job.metadata.uid.as_ref() == Some(&by.uid)) {
                return Ok(());
            }
        }
        pod::release(&self.hands.client, &found).await
    }
}
