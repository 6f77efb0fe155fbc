//! Following objects: one list, then every change, for as long as the future lives.

use std::fmt::Debug;

use futures_util::TryStreamExt;
use kube::Resource;
use kube::api::Api;
pub use kube::api::PartialObjectMeta as Meta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Event};
use serde::de::DeserializeOwned;

/// How objects are followed where nothing is said: without bookmarks, so that quiet kinds cost nothing.
pub fn config() -> Config {
    Config::default().disable_bookmarks()
}

/// Follows objects, or their metadata alone ([`Meta`]).
pub async fn objects<K>(api: Api<K>, config: Config, mut handle: impl FnMut(Event<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(watcher::watcher(api, config).default_backoff());
    loop {
        match events.try_next().await {
            Ok(Some(event)) => handle(event),
            Ok(None) => return,
            Err(error) => tracing::debug!(%error, "a watch ended; again later"),
        }
    }
}

/// The object of an event that tells of one.
pub fn object<K>(event: Event<K>) -> Option<K> {
    match event {
        Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => Some(object),
        Event::Init | Event::InitDone => None,
    }
}
