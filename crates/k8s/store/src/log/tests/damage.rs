//! Flipped bits, full and failing disks.

use super::disk::Sim;
use super::{Dice, small};
use crate::log::files::Files;
use crate::{At, Expect, ListOptions, OpenError, Options, Store, Write, WriteError};
use std::sync::Arc;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn fill(store: &Store, count: usize) {
    for number in 0..count {
        let key = format!("k/{}", number % 40);
        store.write(Write::put(key, Expect::Any, format!("value {number} {}", "x".repeat(90)))).await.unwrap();
    }
}

async fn list(store: &Store) -> Vec<(String, u64, Vec<u8>)> {
    let listing = store.list("", ListOptions { at: At::Any, ..ListOptions::default() }).await.unwrap();
    listing.entries.into_iter().map(|entry| (entry.key.to_string(), entry.revision, entry.value.to_vec())).collect()
}

#[test]
fn flipped_bits_are_found_unless_they_look_like_a_torn_end() {
    let runtime = runtime();
    let sim = Sim::default();
    let store = Store::open_files(Arc::new(sim.clone()), small()).unwrap();
    runtime.block_on(fill(&store, 333));
    let whole = runtime.block_on(list(&store));
    let last = store.revision();
    drop(store);
    let mut dice = Dice::new(7);
    let mut refused = 0;
    for _ in 0..600 {
        let copy = sim.after_power_cut(&mut Dice::new(1));
        let names = copy.list().unwrap();
        let name = &names[dice.below(names.len())];
        let mut at = 0;
        copy.edit(name, |bytes| {
            at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        });
        match Store::open_files(Arc::new(copy), small()) {
            Ok(store) => {
                // only the last write can be gone
                let found = runtime.block_on(list(&store));
                let same = found.iter().zip(&whole).filter(|(found, whole)| found == whole).count();
                assert!(same >= whole.len() - 1, "{name} at {at}");
                assert!(store.revision() >= last - 1);
            }
            Err(OpenError::Damaged { path, offset, .. }) => {
                refused += 1;
                let told = path.ends_with(name) && offset <= at as u64;
                assert!(told, "{name} at {at}, told {} at {offset}", path.display());
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn a_full_disk_refuses_writes_stays_readable_and_recovers() {
    let runtime = runtime();
    let sim = Sim::default();
    let store = Store::open_files(Arc::new(sim.clone()), small()).unwrap();
    runtime.block_on(fill(&store, 5));
    sim.set_space(Some(sim.used() + 100));
    let mut done = 0;
    let error = loop {
        match runtime.block_on(store.write(Write::put(format!("full/{done}"), Expect::Absent, vec![1; 200]))) {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, WriteError::Full { .. }), "{error}");
    assert!(store.failure().is_some());
    assert_eq!(runtime.block_on(list(&store)).len(), 5 + done);
    let revision = store.revision();
    sim.set_space(None);
    let written = runtime.block_on(store.write(Write::put("after", Expect::Absent, "x"))).unwrap();
    assert_eq!(written.revision, revision + 1);
    assert_eq!(store.failure(), None);
    drop(store);
    let store = Store::open_files(Arc::new(sim.clone()), small()).unwrap();
    assert_eq!(runtime.block_on(list(&store)).len(), 6 + done);
}

#[test]
fn nothing_is_written_after_a_failed_sync() {
    let runtime = runtime();
    let sim = Sim::default();
    let store = Store::open_files(Arc::new(sim.clone()), small()).unwrap();
    runtime.block_on(fill(&store, 5));
    sim.rot();
    for _ in 0..2 {
        let error = runtime.block_on(store.write(Write::put("a", Expect::Any, "x"))).unwrap_err();
        assert!(matches!(error, WriteError::Failed { .. }), "{error}");
    }
    assert_eq!(runtime.block_on(list(&store)).len(), 5);
}

#[test]
fn log_and_history_stay_bounded() {
    let runtime = runtime();
    let sim = Sim::default();
    let store = Store::open_files(Arc::new(sim.clone()), small()).unwrap();
    for _ in 0..20 {
        runtime.block_on(fill(&store, 300));
        assert!(sim.used() < 48 << 10, "{} bytes on disk", sim.used());
        assert!(store.stats().events <= 60);
    }
    let before = runtime.block_on(list(&store));
    drop(store);
    let store = Store::open_files(Arc::new(sim), small()).unwrap();
    assert_eq!(before, runtime.block_on(list(&store)));
}

#[test]
fn revisions_leave_no_gap_over_an_orderly_restart() {
    let runtime = runtime();
    let sim = Sim::default();
    let options = Options { relaxed_delay: std::time::Duration::from_secs(100), ..small() };
    let store = Store::open_files(Arc::new(sim.clone()), options.clone()).unwrap();
    runtime.block_on(fill(&store, 3));
    let relaxed = runtime.block_on(store.write(Write::put("lease", Expect::Any, "1").relaxed())).unwrap();
    drop(store);
    let store = Store::open_files(Arc::new(sim.clone()), options.clone()).unwrap();
    assert_eq!(store.revision(), relaxed.revision);
    // and the history is still there
    assert!(store.watch("", relaxed.revision - 2).is_ok());
    let lost = runtime.block_on(store.write(Write::put("lease", Expect::Any, "2").relaxed())).unwrap();
    let lost = runtime
        .block_on(store.write(Write::put("lease", Expect::Any, "3").relaxed()))
        .unwrap()
        .revision
        .max(lost.revision);
    let crashed = sim.after_power_cut(&mut Dice::new(3));
    drop(store);
    let store = Store::open_files(Arc::new(crashed), options).unwrap();
    assert!(store.revision() > lost);
    assert!(store.watch("", lost).is_err(), "a state that is lost cannot be followed");
    assert!(store.watch("", relaxed.revision).is_ok());
}
