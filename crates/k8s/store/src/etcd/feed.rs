//! What comes from etcd: everything at the start, then every change.

use super::api::watch_client::WatchClient;
use super::api::{self, WatchCreateRequest, WatchRequest, WatchResponse, watch_request::RequestUnion};
use super::{Client, explain, timely};
use crate::entry::{Key, Previous};
use crate::index::{Change, Index};
use bytes::Bytes;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::Status;

/// Keys asked for at once.
const PAGE: i64 = 1000;
/// Between attempts, at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// The task that keeps the index as new as etcd.
pub(super) struct Feed {
    pub(super) index: Arc<Index>,
    pub(super) client: Client,
    pub(super) failure: Arc<Mutex<Option<String>>>,
}

/// Why a watch ended.
enum End {
    /// etcd no longer has the changes that are missing here, or is not the etcd it was.
    Lost(String),
    Broken(Status),
}

/// Reads all there is, at one revision.
pub(super) async fn load(client: &Client) -> Result<(BTreeMap<Key, Previous>, u64), Status> {
    let mut map = BTreeMap::new();
    let mut start = client.key("");
    let mut revision = 0;
    loop {
        let request =
            api::RangeRequest { key: start, range_end: client.end(), limit: PAGE, revision, ..Default::default() };
        let page = timely(client.kv().range(request)).await?;
        if revision == 0 {
            revision = page.header.map_or(0, |header| header.revision);
        }
        let last = page.kvs.last().map(|kv| kv.key.clone());
        for kv in page.kvs {
            if let Some(key) = client.ours(&kv.key) {
                let value = Bytes::copy_from_slice(&kv.value);
                let (created, revision) = (kv.create_revision as u64, kv.mod_revision as u64);
                map.insert(Key::from(key), Previous { created, revision, expires: 0, value });
            }
        }
        match last.filter(|_| page.more) {
            // the next key there can be
            Some(last) => start = [&last[..], &[0]].concat().into(),
            None => return Ok((map, revision as u64)),
        }
    }
}

impl Feed {
    /// Follows etcd until it is aborted.
    pub(super) async fn run(self) {
        let mut pause = Duration::from_millis(50);
        loop {
            let before = self.index.revision();
            let end = self.follow().await;
            if self.index.revision() > before {
                pause = Duration::from_millis(50);
            }
            let why = match end {
                End::Broken(status) => explain(&status),
                End::Lost(why) => match self.reload().await {
                    Ok(()) => why,
                    Err(status) => explain(&status),
                },
            };
            tracing::warn!(why, "etcd's watch ended; the next begins");
            self.fail(Some(why));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PATIENCE);
        }
    }

    async fn reload(&self) -> Result<(), Status> {
        let (map, revision) = load(&self.client).await?;
        self.index.replace(map, revision);
        Ok(())
    }

    fn fail(&self, why: Option<String>) {
        *self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = why;
    }

    /// Watches from where the index is.
    async fn follow(&self) -> End {
        let create = WatchCreateRequest {
            key: self.client.key(""),
            range_end: self.client.end(),
            start_revision: self.index.revision() as i64 + 1,
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // the watch lasts as long as our side of the stream
        let requests = futures_util::stream::iter([request]).chain(futures_util::stream::pending());
        let mut watch = WatchClient::new(self.client.channel.clone()).max_decoding_message_size(usize::MAX);
        let mut responses = match timely(watch.watch(requests)).await {
            Ok(responses) => responses,
            Err(status) => return End::Broken(status),
        };
        loop {
            match responses.message().await {
                Ok(Some(response)) => {
                    if let Err(end) = self.take(response) {
                        return end;
                    }
                }
                Ok(None) => return End::Broken(Status::unavailable("the watch was ended")),
                Err(status) => return End::Broken(status),
            }
        }
    }

    fn take(&self, response: WatchResponse) -> Result<(), End> {
        if response.canceled {
            return Err(match response.compact_revision {
                0 => End::Broken(Status::aborted(response.cancel_reason)),
                _ => End::Lost("etcd was compacted beyond what is known here".to_string()),
            });
        }
        let theirs = response.header.map_or(0, |header| header.revision as u64);
        if response.created {
            if theirs < self.index.revision() {
                return Err(End::Lost("etcd went back, as after a restore".to_string()));
            }
            self.fail(None);
        }
        let Some(last) = response.events.last().and_then(|event| event.kv.as_ref()) else { return Ok(()) };
        let last = last.mod_revision as u64;
        let changes = response.events.into_iter().filter_map(|event| {
            let deleted = event.r#type() == api::event::EventType::Delete;
            let kv = event.kv?;
            let key = Key::from(self.client.ours(&kv.key)?);
            // on its own: it is a part of the whole message
            let value = (!deleted).then(|| Bytes::copy_from_slice(&kv.value));
            Some(Change { revision: kv.mod_revision as u64, key, value, expires: 0 })
        });
        self.index.apply(changes.collect(), last);
        Ok(())
    }
}
