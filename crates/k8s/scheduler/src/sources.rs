//! What the scheduler follows: changes of every kind that matters, put into one channel in the order in which the caches took them.

use k8s_client::{Change, Informers, Subscription};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use tokio::sync::mpsc::UnboundedSender;

use crate::bind::BindError;
use crate::model::cluster::Uid;

/// What the scheduler is told.
pub enum News {
    Node(Change<Node>),
    Pod(Change<Pod>),
    Namespace(Change<Namespace>),
    Service(Change<Service>),
    ReplicaSet(Change<ReplicaSet>),
    StatefulSet(Change<StatefulSet>),
    ReplicationController(Change<ReplicationController>),
    Claim(Change<PersistentVolumeClaim>),
    Volume(Change<PersistentVolume>),
    StorageClass(Change<StorageClass>),
    CsiNode(Change<CSINode>),
    /// A binding was written, or not.
    Bound(Uid, Result<(), BindError>),
}

/// Waits until everything is known, then tells it, pods last, and every change from then on.
pub async fn follow(informers: &Informers, news: &UnboundedSender<News>) -> Vec<Subscription> {
    informers.get::<PodDisruptionBudget>().synced().await;
    let mut all = Vec::new();
    macro_rules! follow {
        ($($kind:ty => $news:ident),* $(,)?) => {
            // All of them are started before any is waited for.
            $( let _ = informers.get::<$kind>(); )*
            $(
                let informer = informers.get::<$kind>();
                informer.synced().await;
                let sender = news.clone();
                all.push(informer.on(move |change| {
                    // The receiver is gone when everything ends.
                    let _ = sender.send(News::$news(change.clone()));
                }));
            )*
        };
    }
    follow! {
        Namespace => Namespace, Service => Service, ReplicaSet => ReplicaSet, StatefulSet => StatefulSet,
        ReplicationController => ReplicationController, StorageClass => StorageClass, CSINode => CsiNode,
        PersistentVolume => Volume, PersistentVolumeClaim => Claim, Node => Node, Pod => Pod,
    }
    all
}
