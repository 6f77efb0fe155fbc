//! A checker of histories: many clients at once, everything they asked and were told, and whether it can be true.
//!
//! Every answer carries a revision, so the order that explains a history is known and only has to be verified: writes
//! in the order of their revisions, each seeing the state the one before left; nothing that began after another had ended
//! comes before it; a read sees the state of its revision, which is not older than what was finished when it began;
//! every watcher gets exactly the writes, in order.

use super::{list, next};
use k8s_store::{At, Expect, Store, Write, WriteError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
enum Done {
    /// What the key holds afterwards, what it held before, and what was expected.
    Wrote {
        value: Option<String>,
        previous: Option<u64>,
        expect: Expect,
    },
    /// What it held instead.
    Refused {
        current: Option<u64>,
        expect: Expect,
    },
    Read {
        found: Option<(u64, String)>,
    },
}

#[derive(Debug)]
struct Record {
    key: String,
    began: u64,
    ended: u64,
    revision: u64,
    done: Done,
}

/// Lets clients loose on stores that share one state, and verifies what they saw.
pub async fn check(stores: &[Store], clients: usize, operations: usize) {
    let start = list(&stores[0], "", At::Latest).await.revision;
    let watchers: Vec<_> = stores.iter().map(|store| store.watch("h/", start).unwrap()).collect();
    let clock = Arc::new(AtomicU64::new(1));
    let tasks: Vec<_> = (0..clients)
        .map(|client| tokio::spawn(run(stores[client % stores.len()].clone(), clock.clone(), client, operations)))
        .collect();
    let mut records = Vec::new();
    for task in tasks {
        records.extend(task.await.unwrap());
    }
    let writes = order(&records);
    for mut watcher in watchers {
        for (revision, (key, value)) in &writes {
            let event = next(&mut watcher).await;
            let seen = event.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
            assert_eq!((event.revision, event.key.as_ref(), &seen), (*revision, key.as_str(), value));
        }
        assert!(watcher.try_next().unwrap().is_none(), "more events than writes");
    }
    verify(&records, &writes);
}

async fn run(store: Store, clock: Arc<AtomicU64>, client: usize, operations: usize) -> Vec<Record> {
    let mut dice = client as u64 * 7919 + 13;
    let mut roll = move |limit: u64| {
        dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (dice >> 33) % limit
    };
    let mut records = Vec::new();
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    for operation in 0..operations {
        let key = format!("h/{}", roll(3));
        let expect = match (roll(4), known.get(&key)) {
            (0, _) => Expect::Any,
            (1, _) => Expect::Absent,
            (_, Some(revision)) => Expect::Revision(*revision),
            (_, None) => Expect::Present,
        };
        let value = (roll(4) > 0).then(|| format!("{client}-{operation}"));
        let reads = roll(3) == 0;
        let began = clock.fetch_add(1, Ordering::SeqCst);
        let (revision, done) = if reads {
            let got = store.get(&key, At::Latest).await.unwrap();
            let found = got.entry.map(|entry| (entry.revision, String::from_utf8_lossy(&entry.value).into_owned()));
            (got.revision, Done::Read { found })
        } else {
            write(&store, &key, expect, value).await
        };
        let ended = clock.fetch_add(1, Ordering::SeqCst);
        let now = match &done {
            Done::Wrote { value, .. } => value.as_ref().map(|_| revision),
            Done::Refused { current, .. } => *current,
            Done::Read { found } => found.as_ref().map(|(revision, _)| *revision),
        };
        match now {
            Some(revision) => known.insert(key.clone(), revision),
            None => known.remove(&key),
        };
        records.push(Record { key, began, ended, revision, done });
    }
    records
}

async fn write(store: &Store, key: &str, expect: Expect, value: Option<String>) -> (u64, Done) {
    let write = match &value {
        Some(value) => Write::put(key, expect, value.clone()),
        None => Write::delete(key, expect),
    };
    match store.write(write).await {
        Ok(done) => {
            let previous = done.previous[0].as_ref().map(|previous| previous.revision);
            (done.revision, Done::Wrote { value, previous, expect })
        }
        Err(WriteError::Conflict { current, revision, .. }) => {
            (revision, Done::Refused { current: current.map(|entry| entry.revision), expect })
        }
        Err(error) => panic!("{error}"),
    }
}

type Writes = BTreeMap<u64, (String, Option<String>)>;

/// The writes that changed something, in the order of their revisions.
fn order(records: &[Record]) -> Writes {
    let mut writes = BTreeMap::new();
    for record in records {
        if let Done::Wrote { value, previous, .. } = &record.done
            && (value.is_some() || previous.is_some())
        {
            let twice = writes.insert(record.revision, (record.key.clone(), value.clone()));
            assert!(twice.is_none(), "two writes have revision {}", record.revision);
        }
    }
    writes
}

fn verify(records: &[Record], writes: &Writes) {
    // what a key holds when all writes before a revision have happened: its revision and value
    let holds = |key: &str, before: u64| {
        let last = writes.range(..before).rev().find(|(_, (written, _))| written == key)?;
        last.1.1.as_ref().map(|value| (*last.0, value.clone()))
    };
    for record in records {
        let Record { key, revision, .. } = record;
        match &record.done {
            Done::Wrote { previous, expect, value } => {
                let changes = value.is_some() || previous.is_some();
                let before = holds(key, if changes { *revision } else { revision + 1 }).map(|(revision, _)| revision);
                assert_eq!(*previous, before, "{record:?}");
                assert!(fits(*expect, before), "{record:?}");
            }
            Done::Refused { current, expect } => {
                assert_eq!(*current, holds(key, revision + 1).map(|(revision, _)| revision), "{record:?}");
                assert!(!fits(*expect, *current), "{record:?}");
            }
            Done::Read { found } => assert_eq!(*found, holds(key, revision + 1), "{record:?}"),
        }
    }
    // nothing happens before what had ended when it began
    let mut by_end: Vec<&Record> = records.iter().collect();
    by_end.sort_by_key(|record| record.ended);
    let mut newest = 0;
    let mut ended = by_end.iter().peekable();
    let mut by_start: Vec<&Record> = records.iter().collect();
    by_start.sort_by_key(|record| record.began);
    for record in by_start {
        while let Some(earlier) = ended.next_if(|earlier| earlier.ended < record.began) {
            newest = newest.max(earlier.revision);
        }
        let changes = matches!(&record.done, Done::Wrote { .. }) && writes.contains_key(&record.revision);
        assert!(record.revision >= newest, "{record:?} after {newest}");
        assert!(!changes || record.revision > newest || newest == record.revision, "{record:?} after {newest}");
    }
}

fn fits(expect: Expect, held: Option<u64>) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => held.is_none(),
        Expect::Present => held.is_some(),
        Expect::Revision(revision) => held == Some(revision),
    }
}
