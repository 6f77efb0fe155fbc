//! A transaction in etcd's terms, and its answer in ours.

use super::api::{self, compare, request_op, response_op};
use super::{Client, explain, timely};
use crate::entry::error::WriteError;
use crate::entry::{Committed, Entry, Expect, Key, Op, Previous, Write};
use crate::index::Index;
use bytes::Bytes;
use tonic::{Code, Status};

/// Carries a transaction out; also tells whether it changed anything.
///
/// `lease`: of what goes by itself; 0: there is nothing of the kind.
pub(super) async fn run(
    client: &Client,
    index: &Index,
    writes: Vec<Write>,
    lease: i64,
) -> Result<(Committed, bool), WriteError> {
    let known: Vec<Option<Previous>> = writes.iter().map(|write| known(index, write)).collect();
    let request = api::TxnRequest {
        compare: writes.iter().filter_map(|write| compare(client, write)).collect(),
        success: writes
            .iter()
            .zip(&known)
            .map(|(write, known)| operation(client, write, known.is_none(), lease))
            .collect(),
        failure: writes.iter().map(|write| look(client, write, false)).collect(),
    };
    let response = timely(client.kv().txn(request)).await.map_err(|status| refused(&writes, status))?;
    let revision = response.header.map_or(0, |header| header.revision as u64);
    let changed = response.responses.iter().any(|response| match &response.response {
        Some(response_op::Response::ResponsePut(_)) => true,
        Some(response_op::Response::ResponseDeleteRange(deletion)) => deletion.deleted > 0,
        Some(response_op::Response::ResponseRange(_)) | None => false,
    });
    let found = response.responses.into_iter().map(found);
    if response.succeeded {
        let previous = found.zip(known).map(|(found, known)| known.or(found)).collect();
        return Ok((Committed { revision, previous }, changed));
    }
    Err(conflict(&writes, found.collect(), revision))
}

/// What the index knows the key to hold if the write succeeds.
fn known(index: &Index, write: &Write) -> Option<Previous> {
    let Expect::Revision(revision) = write.expect else { return None };
    let state = index.read();
    state.get(&write.key).map(|(_, item)| item.clone()).filter(|item| item.revision == revision)
}

fn compare(client: &Client, write: &Write) -> Option<api::Compare> {
    use compare::{CompareResult, CompareTarget, TargetUnion};
    let (result, target, value) = match write.expect {
        Expect::Any => return None,
        Expect::Absent => (CompareResult::Equal, CompareTarget::Create, TargetUnion::CreateRevision(0)),
        Expect::Present => (CompareResult::Greater, CompareTarget::Create, TargetUnion::CreateRevision(0)),
        Expect::Revision(wanted) => {
            (CompareResult::Equal, CompareTarget::Mod, TargetUnion::ModRevision(wanted.max(1) as i64))
        }
    };
    let (result, target) = (result as i32, target as i32);
    Some(api::Compare { result, target, key: client.key(&write.key), target_union: Some(value) })
}

/// What the write does; `ask` for what it finds.
fn operation(client: &Client, write: &Write, ask: bool, lease: i64) -> api::RequestOp {
    let prev_kv = ask && write.expect != Expect::Absent;
    let key = client.key(&write.key);
    let lease = if write.lives.is_some() { lease } else { 0 };
    let request = match &write.op {
        Op::Put(value) => {
            request_op::Request::RequestPut(api::PutRequest { key, value: value.clone(), lease, prev_kv })
        }
        Op::Delete => request_op::Request::RequestDeleteRange(api::DeleteRangeRequest { key, prev_kv }),
        Op::Check => return look(client, write, !ask),
    };
    api::RequestOp { request: Some(request) }
}

fn look(client: &Client, write: &Write, keys_only: bool) -> api::RequestOp {
    let range = api::RangeRequest { key: client.key(&write.key), keys_only, ..Default::default() };
    api::RequestOp { request: Some(request_op::Request::RequestRange(range)) }
}

fn found(response: api::ResponseOp) -> Option<Previous> {
    let kv = match response.response? {
        response_op::Response::ResponseRange(range) => range.kvs.into_iter().next()?,
        response_op::Response::ResponsePut(put) => put.prev_kv?,
        response_op::Response::ResponseDeleteRange(deleted) => deleted.prev_kvs.into_iter().next()?,
    };
    let value = Bytes::copy_from_slice(&kv.value);
    let (created, revision) = (kv.create_revision as u64, kv.mod_revision as u64);
    Some(Previous { created, revision, expires: 0, value })
}

fn conflict(writes: &[Write], found: Vec<Option<Previous>>, revision: u64) -> WriteError {
    let unmet =
        |(write, held): (&Write, &Option<Previous>)| !write.expect.holds(held.as_ref().map(|held| held.revision));
    let at = writes.iter().zip(&found).position(unmet).unwrap_or(0);
    let key = writes[at].key.clone();
    let current: Option<Entry> = found[at].as_ref().map(|held| held.entry(Key::from(key.as_str())));
    WriteError::Conflict { write: at, key, current: current.map(Box::new), revision }
}

fn refused(writes: &[Write], status: Status) -> WriteError {
    let message = status.message();
    if message.contains("request is too large") {
        let largest = writes.iter().max_by_key(|write| size(write));
        let (key, size) = largest.map_or_else(Default::default, |write| (write.key.clone(), size(write)));
        // etcd's default; it does not say what it was set to
        return WriteError::TooLarge { key, size, limit: 3 << 19 };
    }
    if status.code() == Code::ResourceExhausted && message.contains("space exceeded") {
        return WriteError::Full { path: "etcd's database".into() };
    }
    WriteError::Unavailable { what: "etcd for a transaction", why: explain(&status) }
}

fn size(write: &Write) -> usize {
    match &write.op {
        Op::Put(value) => value.len(),
        Op::Delete | Op::Check => 0,
    }
}
