//! What every store must do, whatever is behind it. Each test gets a store that is empty and its own.

pub mod history;

use k8s_store::{At, Event, Expect, ListOptions, Listing, Op, ReadError, Store, Watcher, Write, WriteError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Runs everything but what needs more than one store; `make` gives an empty store each time.
pub async fn all<F: Future<Output = Store>>(make: impl Fn() -> F) {
    expectations_decide(&make().await).await;
    transactions_are_whole(&make().await).await;
    any_revision_in_history_can_be_read(&make().await).await;
    pages_are_of_one_revision(&make().await).await;
    watches_see_everything_once(&make().await).await;
    compaction_is_told(&make().await).await;
    what_has_a_time_goes_by_itself(&make().await).await;
    history::check(&[make().await], 6, 120).await;
}

/// The times are as short as etcd takes them.
async fn what_has_a_time_goes_by_itself(store: &Store) {
    let time = Duration::from_secs(2);
    let put = |key: &str| Write::put(key, Expect::Any, "1");
    let stays = store.write(put("stays")).await.unwrap();
    let made = store.write(put("goes").expiring(time)).await.unwrap();
    store.write(put("stays-after-all").expiring(time)).await.unwrap();
    store.write(put("stays-after-all")).await.unwrap();
    let both = vec![put("goes-too").expiring(time), put("stays-too")];
    store.commit(both).await.unwrap();
    let mut watcher = store.watch("goes", made.revision).unwrap();
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let event = next(&mut watcher).await;
        if event.value.is_none() {
            assert_eq!(event.previous.as_ref().map(|old| &old.value[..]), Some(&b"1"[..]));
            gone.push(event.key.to_string());
        }
    }
    gone.sort();
    assert_eq!(gone, ["goes", "goes-too"]);
    assert_eq!(value(store, "goes").await, None);
    for key in ["stays", "stays-after-all", "stays-too"] {
        assert!(value(store, key).await.is_some(), "{key}");
    }
    assert_eq!(store.get("stays", At::Latest).await.unwrap().entry.map(|it| it.revision), Some(stays.revision));
}

async fn value(store: &Store, key: &str) -> Option<Vec<u8>> {
    store.get(key, At::Latest).await.unwrap().entry.map(|entry| entry.value.to_vec())
}

pub async fn list(store: &Store, prefix: &str, at: At) -> Listing {
    store.list(prefix, ListOptions { at, ..ListOptions::default() }).await.unwrap()
}

pub async fn next(watcher: &mut Watcher) -> Arc<Event> {
    tokio::time::timeout(Duration::from_secs(20), watcher.next()).await.expect("no event came").unwrap()
}

async fn conflict(store: &Store, write: Write) -> Option<u64> {
    match store.write(write).await {
        Err(WriteError::Conflict { current, .. }) => current.map(|entry| entry.revision),
        other => panic!("{other:?}"),
    }
}

async fn expectations_decide(store: &Store) {
    assert_eq!(conflict(store, Write::put("a", Expect::Present, "x")).await, None);
    assert_eq!(conflict(store, Write::put("a", Expect::Revision(7), "x")).await, None);
    let made = store.write(Write::put("a", Expect::Absent, "1")).await.unwrap();
    assert_eq!(made.previous, [None]);
    assert_eq!(conflict(store, Write::put("a", Expect::Absent, "x")).await, Some(made.revision));
    let changed = store.write(Write::put("a", Expect::Revision(made.revision), "2")).await.unwrap();
    assert!(changed.revision > made.revision);
    assert_eq!(
        changed.previous[0].as_ref().map(|old| (old.revision, &old.value[..])),
        Some((made.revision, &b"1"[..]))
    );
    assert_eq!(conflict(store, Write::delete("a", Expect::Revision(made.revision))).await, Some(changed.revision));
    let any = store.write(Write::put("a", Expect::Any, "3")).await.unwrap();
    assert_eq!(any.previous[0].as_ref().map(|old| &old.value[..]), Some(&b"2"[..]));
    let entry = store.get("a", At::Latest).await.unwrap().entry.unwrap();
    assert_eq!((entry.created, entry.revision, &entry.value[..]), (made.revision, any.revision, &b"3"[..]));
    let gone = store.write(Write::delete("a", Expect::Present)).await.unwrap();
    assert_eq!(gone.previous[0].as_ref().map(|old| &old.value[..]), Some(&b"3"[..]));
    let nothing = store.write(Write::delete("a", Expect::Any)).await.unwrap();
    assert_eq!((nothing.revision, &nothing.previous[..]), (gone.revision, &[None][..]));
    let again = store.write(Write::put("a", Expect::Absent, "4").relaxed()).await.unwrap();
    let entry = store.get("a", At::Latest).await.unwrap().entry.unwrap();
    assert_eq!((entry.created, entry.revision), (again.revision, again.revision));
}

async fn transactions_are_whole(store: &Store) {
    store.write(Write::put("guard", Expect::Absent, "1")).await.unwrap();
    let both = vec![
        Write::check("guard", Expect::Present),
        Write::put("a", Expect::Absent, "1"),
        Write::put("b", Expect::Any, "1"),
    ];
    let done = store.commit(both.clone()).await.unwrap();
    let all = list(store, "", At::Latest).await;
    assert_eq!(all.entries.iter().filter(|entry| entry.revision == done.revision).count(), 2);
    let refused = store.commit(both).await;
    assert!(matches!(&refused, Err(WriteError::Conflict { write: 1, key, .. }) if key == "a"), "{refused:?}");
    store.write(Write::delete("guard", Expect::Any)).await.unwrap();
    let late = vec![Write::put("c", Expect::Any, "1"), Write::check("guard", Expect::Present)];
    assert!(matches!(store.commit(late).await, Err(WriteError::Conflict { write: 1, current: None, .. })));
    assert_eq!(value(store, "c").await, None);
    let twice = vec![Write::put("c", Expect::Any, "1"), Write::delete("c", Expect::Any)];
    assert!(matches!(store.commit(twice).await, Err(WriteError::Twice { .. })));
    assert!(matches!(store.write(Write::put("", Expect::Any, "1")).await, Err(WriteError::BadKey { .. })));
}

async fn any_revision_in_history_can_be_read(store: &Store) {
    let mut model = BTreeMap::new();
    let mut states = Vec::new();
    for number in 0..60_usize {
        let key = format!("p/{:02}", number * 7 % 13);
        let write = if number % 4 == 3 {
            model.remove(&key);
            Write::delete(key, Expect::Any)
        } else {
            model.insert(key.clone(), number.to_string());
            Write::put(key, Expect::Any, number.to_string())
        };
        let revision = store.write(write).await.unwrap().revision;
        store.write(Write::put("q/other", Expect::Any, "x")).await.unwrap();
        states.push((revision, model.clone()));
    }
    for (revision, model) in &states {
        let listing = list(store, "p/", At::Exact(*revision)).await;
        let found: BTreeMap<String, String> = listing.entries.iter().map(text).collect();
        assert_eq!((listing.revision, &found), (*revision, model));
        let got = store.get("p/07", At::Exact(*revision)).await.unwrap();
        assert_eq!(got.entry.map(|entry| text(&entry).1), model.get("p/07").cloned());
    }
    let future = store.revision() + 1000;
    assert!(matches!(store.get("p/07", At::Exact(future)).await, Err(ReadError::Future { .. })));
}

fn text(entry: &k8s_store::Entry) -> (String, String) {
    (entry.key.to_string(), String::from_utf8_lossy(&entry.value).into_owned())
}

async fn pages_are_of_one_revision(store: &Store) {
    for number in 0..25 {
        store.write(Write::put(format!("p/{number:02}"), Expect::Absent, number.to_string())).await.unwrap();
    }
    store.write(Write::put("p0", Expect::Absent, "not under the prefix")).await.unwrap();
    let whole = list(store, "p/", At::Latest).await;
    let mut options = ListOptions { limit: 10, ..ListOptions::default() };
    let mut entries = Vec::new();
    loop {
        let page = store.list("p/", options.clone()).await.unwrap();
        assert_eq!(page.revision, whole.revision);
        entries.extend(page.entries);
        assert_eq!(page.remaining, 25 - entries.len());
        if page.remaining == 0 {
            break;
        }
        options.at = At::Exact(page.revision);
        options.after = entries.last().map(|entry| entry.key.to_string());
        // what happens in between is not seen, wherever it is
        let at = entries.len();
        store.write(Write::delete(format!("p/{at:02}"), Expect::Present)).await.unwrap();
        store.write(Write::put(format!("p/{at:02}-new"), Expect::Absent, "x")).await.unwrap();
        store.write(Write::put(format!("p/{:02}", at + 1), Expect::Present, "changed")).await.unwrap();
    }
    assert_eq!(entries, whole.entries);
}

async fn watches_see_everything_once(store: &Store) {
    let start = store.write(Write::put("w/old", Expect::Absent, "0")).await.unwrap().revision;
    let mut early = store.watch("w/", start).unwrap();
    let mut elsewhere = store.watch("x/", start).unwrap();
    let mut wanted = Vec::new();
    for number in 0..200 {
        let key = format!("w/{}", number % 5);
        let revision = match number % 7 {
            6 => store.write(Write::delete(key.clone(), Expect::Any)).await.unwrap().revision,
            _ => store.write(Write::put(key.clone(), Expect::Any, number.to_string())).await.unwrap().revision,
        };
        wanted.push((revision, key));
        store.write(Write::put("y/noise", Expect::Any, "x")).await.unwrap();
    }
    wanted.dedup_by_key(|(revision, _)| *revision);
    let mut late = store.watch("w/", start).unwrap();
    let mut values: BTreeMap<String, (u64, Vec<u8>)> = BTreeMap::new();
    for (revision, key) in &wanted {
        let event = next(&mut early).await;
        assert_eq!((event.revision, event.key.as_ref()), (*revision, key.as_str()));
        let previous = event.previous.as_ref().map(|previous| (previous.revision, previous.value.to_vec()));
        assert_eq!(previous, values.remove(key), "the value before {revision}");
        if let Some(value) = &event.value {
            values.insert(key.clone(), (event.revision, value.to_vec()));
        }
        let same = next(&mut late).await;
        assert!(Arc::ptr_eq(&event, &same), "one event for all watchers");
    }
    let latest = list(store, "", At::Latest).await.revision;
    assert!(early.progress() >= latest && elsewhere.progress() >= latest);
    assert!(elsewhere.try_next().unwrap().is_none());
    // both changes of a transaction, none of another prefix
    let pair = ["w/a", "w/b", "x/c"].map(|key| Write::put(key, Expect::Any, "t")).to_vec();
    let revision = store.commit(pair).await.unwrap().revision;
    for key in ["w/a", "w/b"] {
        let event = next(&mut early).await;
        assert_eq!((event.revision, event.key.as_ref()), (revision, key));
    }
    assert_eq!(next(&mut elsewhere).await.key.as_ref(), "x/c");
    assert!(early.try_next().unwrap().is_none());
}

async fn compaction_is_told(store: &Store) {
    let first = store.write(Write::put("a", Expect::Any, "1")).await.unwrap().revision;
    let mut slow = store.watch("a", first).unwrap();
    let quiet = store.watch("z", first).unwrap();
    let second = store.write(Write::put("a", Expect::Any, "2")).await.unwrap().revision;
    let third =
        store.write(Write { op: Op::Put("3".into()), ..Write::check("a", Expect::Any) }).await.unwrap().revision;
    store.compact(second).await.unwrap();
    assert!(matches!(store.watch("a", first), Err(ReadError::Compacted { .. })));
    assert!(matches!(store.get("a", At::Exact(first)).await, Err(ReadError::Compacted { .. })));
    assert_eq!(store.get("a", At::Exact(second)).await.unwrap().entry.unwrap().value, "2");
    assert_eq!(next(&mut store.watch("a", second).unwrap()).await.revision, third);
    assert!(slow.next().await.is_err(), "it missed the second change");
    assert!(quiet.progress() >= third, "it missed nothing");
}
