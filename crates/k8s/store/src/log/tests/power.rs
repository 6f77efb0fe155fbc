//! Power cuts at random points, again and again.

use super::disk::Sim;
use super::{Dice, small};
use crate::{At, Expect, ListOptions, Store, Write, WriteError};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A value, or that there is none, at a revision.
type Held = (u64, Option<Vec<u8>>);

/// What one client knows about its keys: it waits for each write before the next.
#[derive(Default)]
struct Client {
    /// Values acknowledged as durable, with their revisions.
    safe: HashMap<String, Held>,
    /// What may be there as well: the write on the way when the power went, and relaxed ones.
    possible: HashMap<String, Vec<Held>>,
    newest: u64,
    newest_safe: u64,
}

impl Client {
    /// One random transaction; false: the store writes no more.
    async fn write(&mut self, store: &Store, name: usize, dice: &mut Dice) -> bool {
        let value = |dice: &mut Dice| {
            let len = dice.below(300);
            Some(vec![dice.below(250) as u8 + 1; len])
        };
        let first = format!("{name}/{}", dice.below(6));
        let mut wanted = vec![(first, if dice.below(5) == 0 { None } else { value(dice) })];
        if dice.below(3) == 0 {
            // both or none
            wanted = vec![(format!("{name}/pair-a"), value(dice)), (format!("{name}/pair-b"), wanted[0].1.clone())];
        }
        let relaxed = dice.below(3) == 0;
        let writes = wanted.iter().map(|(key, value)| {
            let write = match value {
                Some(value) => Write::put(key.clone(), Expect::Any, value.clone()),
                None => Write::delete(key.clone(), Expect::Any),
            };
            if relaxed { write.relaxed() } else { write }
        });
        let result = store.commit(writes.collect()).await;
        let revision = match &result {
            Ok(done) => done.revision,
            Err(WriteError::Failed { .. } | WriteError::Closed | WriteError::Full { .. }) => u64::MAX,
            Err(other) => panic!("{other}"),
        };
        if result.is_ok() {
            self.newest = self.newest.max(revision);
            if !relaxed {
                self.newest_safe = self.newest_safe.max(revision);
            }
        }
        for (key, value) in wanted {
            if result.is_ok() && !relaxed {
                self.possible.remove(&key);
                self.safe.insert(key, (revision, value));
            } else {
                self.possible.entry(key).or_default().push((revision, value));
            }
        }
        result.is_ok()
    }

    /// Compares what is there after a crash with what may be there.
    fn compare(&mut self, found: &BTreeMap<String, Vec<u8>>, synced: u64) -> Result<(), String> {
        let keys: Vec<String> = self.safe.keys().chain(self.possible.keys()).cloned().collect();
        for key in keys {
            let there = found.get(&key).cloned();
            let (revision, safe) = self.safe.get(&key).cloned().unwrap_or((0, None));
            let possible = self.possible.remove(&key).unwrap_or_default();
            // relaxed writes older than a synced one went to disk with it
            let must = possible.iter().rposition(|(revision, _)| *revision <= synced);
            let newer = &possible[must.unwrap_or(0)..];
            let expected = newer.iter().any(|(_, value)| *value == there) || (must.is_none() && safe == there);
            if !expected {
                let short = |value: &Option<Vec<u8>>| value.as_ref().map(|value| (value.first().copied(), value.len()));
                let possible: Vec<_> = possible.iter().map(|(revision, value)| (*revision, short(value))).collect();
                let (there, safe) = (short(&there), short(&safe));
                return Err(format!(
                    "{key}: {there:?}, safe {revision} {safe:?}, possible {possible:?}, synced {synced}"
                ));
            }
            self.safe.insert(key, (revision, there));
        }
        Ok(())
    }
}

async fn one_life(store: &Store, clients: &mut [Client], dice: &mut Dice) {
    let writes = clients.iter_mut().enumerate().map(|(name, client)| {
        let mut dice = Dice::new(dice.below(1 << 30) as u64);
        async move {
            for _ in 0..200 {
                if !client.write(store, name, &mut dice).await {
                    break;
                }
            }
        }
    });
    futures_util::future::join_all(writes).await;
}

fn content(store: &Store, runtime: &tokio::runtime::Runtime) -> BTreeMap<String, (u64, Vec<u8>)> {
    let list = runtime.block_on(store.list("", ListOptions { at: At::Any, ..ListOptions::default() })).unwrap();
    list.entries.into_iter().map(|entry| (entry.key.to_string(), (entry.revision, entry.value.to_vec()))).collect()
}

fn cut_power(seed: u64, lives: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut dice = Dice::new(seed);
    let mut sim = Sim::default();
    let mut clients: Vec<Client> = (0..3).map(|_| Client::default()).collect();
    for life in 0..lives {
        sim.set_power(Some(dice.below(250)));
        if let Ok(store) = Store::open_files(Arc::new(sim.clone()), small()) {
            runtime.block_on(one_life(&store, &mut clients, &mut dice));
        }
        sim = sim.after_power_cut(&mut dice);
        let store = Store::open_files(Arc::new(sim.clone()), small())
            .unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        let newest = clients.iter().map(|client| client.newest).max().unwrap_or(0);
        let synced = clients.iter().map(|client| client.newest_safe).max().unwrap_or(0);
        assert!(store.revision() >= newest, "seed {seed}, life {life}: revision {} after {newest}", store.revision());
        let found = content(&store, &runtime);
        for name in 0..clients.len() {
            let pair =
                ["a", "b"].map(|which| found.get(&format!("{name}/pair-{which}")).map(|(revision, _)| *revision));
            let together = pair[1].is_none() || pair[0] == pair[1];
            assert!(together, "seed {seed}, life {life}: half a transaction {pair:?}");
        }
        let values = found.into_iter().map(|(key, (_, value))| (key, value)).collect();
        for client in &mut clients {
            client.compare(&values, synced).unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        }
        drop(store);
    }
}

#[test]
fn acknowledged_writes_survive_power_cuts() {
    let seeds: u64 = std::env::var("SAMPAN_CRASHES").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    for seed in 0..seeds {
        cut_power(seed, 10);
    }
}
