//! The embedded store on a real disk: the suite, restarts, kill -9, backup, restore and check.

mod suite;

use k8s_store::{At, Expect, OpenError, Options, Store, Write, archive};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Small files, so that they come and go.
fn options() -> Options {
    Options { segment: 64 << 10, log: 256 << 10, relaxed_delay: Duration::from_millis(20), ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    suite::all(|| async {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Store::open(&dir.path().join(number.to_string()), options()).unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_in_memory() {
    suite::all(|| async { Store::in_memory(options()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    for number in 0..3000 {
        let write = Write::put(format!("k/{}", number % 700), Expect::Any, vec![number as u8; 300]);
        store.write(if number % 3 == 0 { write.relaxed() } else { write }).await.unwrap();
    }
    let before = suite::list(&store, "", At::Latest).await;
    let Err(OpenError::InUse { .. }) = Store::open(dir.path(), options()).map(|_| ()) else {
        panic!("two stores in one directory")
    };
    assert!(store.stats().disk < 2 << 20, "{:?}", store.stats());
    store.close().await;
    drop(store);
    let store = Store::open(dir.path(), options()).unwrap();
    let after = suite::list(&store, "", At::Latest).await;
    assert_eq!((before.entries, before.revision), (after.entries, after.revision));
    // a watch goes on where it was
    let mut watcher = store.watch("k/", before.revision - 10).unwrap();
    assert_eq!(suite::next(&mut watcher).await.revision, before.revision - 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_store_in_use_restores_and_checks() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let store = Store::open(&from, options()).unwrap();
    for number in 0..500 {
        store.write(Write::put(format!("k/{number:03}"), Expect::Any, vec![7; 400])).await.unwrap();
    }
    let entries = suite::list(&store, "", At::Latest).await.entries;
    let mut backup = Vec::new();
    let saved = archive::backup(&from, &mut backup).unwrap();
    assert_eq!((saved.entries, saved.revision), (500, store.revision()));
    assert_eq!(archive::check(&from).entries, 500);
    let restored = archive::restore(&mut &backup[..], &to).unwrap();
    assert!(restored.revision > saved.revision);
    assert!(matches!(archive::restore(&mut &backup[..], &to), Err(OpenError::Exists { .. })));
    let copy = Store::open(&to, options()).unwrap();
    assert_eq!(suite::list(&copy, "", At::Latest).await.entries, entries);
    assert!(copy.write(Write::put("new", Expect::Absent, "x")).await.unwrap().revision > restored.revision);
    drop((store, copy));
    let report = archive::check(&to);
    assert!(report.damage.is_none() && report.torn.is_none() && report.entries == 501, "{report:?}");
    let middle = backup.len() / 2;
    backup[middle] ^= 1;
    let refused = archive::restore(&mut &backup[..], &dir.path().join("third"));
    assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    assert!(archive::check(&dir.path().join("nothing")).damage.is_some());
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn killed_process() {
    let Some(dir) = std::env::var_os("STORE_TO_KILL") else { return };
    let store = Store::open(Path::new(&dir), options()).unwrap();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let start = store.get(&format!("k/{writer}"), At::Latest).await.unwrap().entry;
            let start = start.map_or(0, |entry| String::from_utf8_lossy(&entry.value).trim().parse().unwrap());
            for number in start + 1_u64.. {
                let value = format!("{number:0300}");
                let done = store.write(Write::put(format!("k/{writer}"), Expect::Any, value)).await.unwrap();
                println!("acknowledged {writer} {number} {}", done.revision);
            }
        })
    });
    futures_util::future::join_all(writers).await;
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut newest, mut total) = (0, 0);
    let mut last: HashMap<String, u64> = HashMap::new();
    for round in 0..15 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["killed_process", "--exact", "--nocapture"])
            .env("STORE_TO_KILL", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let mut seen = 0;
        while lines.read_line(&mut line).unwrap() > 0 {
            // the last line may be cut off
            let words: Vec<&str> = line.split(' ').collect();
            if let (["acknowledged", writer, number, revision], true) = (&words[..], line.ends_with('\n')) {
                last.insert(format!("k/{writer}"), number.parse().unwrap());
                newest = newest.max(revision.trim().parse().unwrap());
                seen += 1;
                if seen == 40 + round * 37 {
                    child.kill().unwrap();
                }
            }
            line.clear();
        }
        child.wait().unwrap();
        total += seen;
        let store = Store::open(dir.path(), options()).unwrap();
        assert!(store.revision() >= newest, "{} after {newest}", store.revision());
        for (key, number) in &last {
            let entry = runtime.block_on(store.get(key, At::Latest)).unwrap().entry.unwrap();
            let found: u64 = String::from_utf8_lossy(&entry.value).parse().unwrap();
            assert!(found == *number || found == number + 1, "{key}: {found} after {number}");
        }
    }
    assert!(total > 1000, "{total} writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_by_itself_does_so_after_restarts_and_from_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let long = Duration::from_secs(3600);
    let store = Store::open(dir.path(), options()).unwrap();
    store.write(Write::put("long", Expect::Any, "1").expiring(long)).await.unwrap();
    store.write(Write::put("short", Expect::Any, "1").expiring(Duration::from_secs(1))).await.unwrap();
    let before = store.get("long", At::Latest).await.unwrap().entry.unwrap();
    assert!(before.expires > 0);
    // enough for a snapshot to take the place of the log
    for number in 0..3000 {
        store.write(Write::put(format!("k/{}", number % 100), Expect::Any, vec![7; 300]).relaxed()).await.unwrap();
    }
    let mut saved = Vec::new();
    store.save(&mut saved).unwrap();
    store.close().await;
    drop(store);
    assert!(archive::check(dir.path()).snapshot.is_some());
    let store = Store::open(dir.path(), options()).unwrap();
    let gone = async {
        while store.get("short", At::Latest).await.unwrap().entry.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    assert_eq!(store.get("long", At::Latest).await.unwrap().entry.unwrap(), before);
    let (summary, entries) = archive::open(&mut &saved[..], Path::new("saved")).unwrap();
    assert!(entries.iter().all(|(key, _)| key.starts_with("k/")) && summary.entries as usize > entries.len());
}
