//! Tests that every snapshotter passes: each runs on indexes and on directories. They need root.

use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use proptest::prelude::*;
use spec::digest::DiffId;

use super::*;
use crate::{
    Ingest, LayerSource, StoreOptions,
    archive::walk::Item,
    tar::{EntryHeader, EntryKind, Writer},
};

/// A store in a folder of its own.
struct Bench {
    store: Store,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(snapshotter: SnapshotterChoice) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let db = Arc::new(redb::Database::create(folder.path().join("db")).unwrap());
        let store = Store::open(db, &folder.path().join("image"), &StoreOptions { snapshotter }).unwrap();
        Bench { store, _folder: folder }
    }

    fn layer(&self, ingest: &Ingest, tar: &[u8]) -> DiffId {
        ingest.layer(&LayerSource::default(), tar).unwrap()
    }
}

/// Runs a test on both; says so where it cannot.
fn on_both(test: impl Fn(&Bench)) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting needs root");
        return;
    }
    for choice in [SnapshotterChoice::Erofs, SnapshotterChoice::Directory] {
        let folder = tempfile::tempdir().unwrap();
        if choice == SnapshotterChoice::Erofs && super::choose(choice, &prepared(folder.path())).is_err() {
            eprintln!("skipped: this kernel cannot mount EROFS indexes from files");
            continue;
        }
        test(&Bench::new(choice));
    }
}

fn prepared(folder: &Path) -> PathBuf {
    fs::create_dir(folder.join("tmp")).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    folder.to_owned()
}

fn file(path: &str, data: &str) -> (EntryHeader, Vec<u8>) {
    (EntryHeader { mtime: 7, ..EntryHeader::file(path, data.len() as u64) }, data.as_bytes().to_vec())
}

fn of_kind(path: &str, kind: EntryKind) -> (EntryHeader, Vec<u8>) {
    (EntryHeader { kind, mtime: 5, ..EntryHeader::file(path, 0) }, Vec::new())
}

fn directory(path: &str, mode: u32) -> (EntryHeader, Vec<u8>) {
    (EntryHeader { mode, mtime: 3, ..EntryHeader::directory(path) }, Vec::new())
}

fn tar(entries: &[(EntryHeader, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (header, data) in entries {
        writer.entry(header, data.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

/// Everything of a tree that a container can see, by path.
fn look(root: impl AsFd) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut inodes: BTreeMap<u64, PathBuf> = BTreeMap::new();
    crate::archive::walk::walk(root.as_fd(), &mut |item: &Item| {
        let stat = &item.stat;
        let path = PathBuf::from(format!("/proc/self/fd/{}", item.parent.as_raw_fd())).join(item.name);
        let metadata = fs::symlink_metadata(&path).unwrap();
        let data = match metadata.file_type() {
            t if t.is_file() => format!("{:x}", crc(&fs::read(&path).unwrap())),
            t if t.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
            _ => format!("{}", stat.st_rdev),
        };
        let size = if metadata.is_dir() { 0 } else { metadata.size() };
        let first = if metadata.is_dir() {
            item.path.clone()
        } else {
            inodes.entry(metadata.ino()).or_insert(item.path.clone()).clone()
        };
        let mut list = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut list).unwrap_or(0);
        let mut xattrs: Vec<String> = Vec::new();
        for name in list[..length].split(|b| *b == 0).filter(|n| n.starts_with(b"user.")) {
            let mut value = vec![0; 4096];
            let name = std::str::from_utf8(name).unwrap();
            let n = rustix::fs::lgetxattr(&path, name, &mut value).unwrap();
            xattrs.push(format!("{name}={:?}", &value[..n]));
        }
        xattrs.sort();
        let line = format!(
            "{:o} {}:{} {size} {}.{:09} {data} first={} {xattrs:?}",
            stat.st_mode,
            stat.st_uid,
            stat.st_gid,
            metadata.mtime(),
            metadata.mtime_nsec(),
            first.display()
        );
        seen.insert(item.path.clone(), line);
        Ok(())
    })
    .unwrap();
    seen
}

fn crc(data: &[u8]) -> u64 {
    data.iter().fold(data.len() as u64, |a, b| a.wrapping_mul(31).wrapping_add(u64::from(*b)))
}

fn read(root: impl AsFd, path: &str) -> String {
    fs::read_to_string(format!("/proc/self/fd/{}/{path}", root.as_fd().as_raw_fd())).unwrap()
}

/// What `tar x` makes of an archive.
fn unpacked(tar: &[u8]) -> BTreeMap<PathBuf, String> {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    let archive = folder.path().join("archive.tar");
    fs::write(&archive, tar).unwrap();
    let mut command = Command::new("tar");
    command
        .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "--delay-directory-restore", "-p", "-xf"])
        .arg(&archive)
        .arg("-C")
        .arg(&files);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    look(File::open(&files).unwrap())
}

#[track_caller]
fn same_as_unpacked(bench: &Bench, tar: &[u8]) {
    let ingest = bench.store.ingest().unwrap();
    let layer = bench.layer(&ingest, tar);
    let mut ours = look(bench.store.view(&[layer]).unwrap());
    let mut theirs = unpacked(tar);
    // The root of the archive need not be in it.
    ours.remove(Path::new(""));
    theirs.remove(Path::new(""));
    assert_eq!(ours, theirs);
}

#[test]
fn every_kind_of_file_is_as_tar_makes_it() {
    on_both(|bench| {
        let mut entries = vec![
            directory("dir", 0o1750),
            file("dir/file", "hello"),
            of_kind("dir/link", EntryKind::Symlink(b"file".to_vec())),
            of_kind("dir/longlink", EntryKind::Symlink(vec![b'x'; 900])),
            of_kind("dir/hard", EntryKind::HardLink(b"dir/file".to_vec())),
            of_kind("pipe", EntryKind::Fifo),
            of_kind("char", EntryKind::CharDevice { major: 1, minor: 300 }),
            of_kind("block", EntryKind::BlockDevice { major: 300, minor: 1 }),
            file("empty", ""),
            file(&format!("dir/{}", "n".repeat(255)), "long name"),
            file("big", &"0123456789abcdef".repeat(70_000)),
        ];
        entries[1].0.xattrs = vec![(b"user.a".to_vec(), b"1".to_vec()), (b"user.bcd".to_vec(), vec![7; 1000])];
        entries[1].0.uid = 70_000;
        entries[1].0.gid = 4_000_000;
        entries[1].0.mode = 0o4755;
        for i in 0..300 {
            entries.push(file(&format!("many/entry-{i:04}"), &i.to_string()));
        }
        entries.insert(0, directory("many", 0o755));
        same_as_unpacked(bench, &tar(&entries));
    });
}

#[test]
fn a_tar_of_gnu_tar_with_sparse_files_and_long_names_is_as_tar_makes_it() {
    on_both(|bench| {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let deep = root.join("d".repeat(120)).join("e".repeat(120));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f".repeat(90)), "deep").unwrap();
        let sparse = File::create(root.join("sparse")).unwrap();
        sparse.set_len(10 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, &[1; 8192], 1 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (10 << 20) - 3).unwrap();
        File::create(root.join("hole")).unwrap().set_len(1 << 20).unwrap();
        for format in
            [["--format=gnu", "--sparse"], ["--format=posix", "--sparse"], ["--format=posix", "--sparse-version=0.1"]]
        {
            let mut command = Command::new("tar");
            let output = command.args(format).arg("-S").args(["-c", "-C"]).arg(&root).arg(".").output().unwrap();
            assert!(output.status.success());
            same_as_unpacked(bench, &output.stdout);
        }
    });
}

#[test]
fn whiteouts_and_opaque_directories_hide_what_is_below() {
    on_both(|bench| {
        let ingest = bench.store.ingest().unwrap();
        let below = bench.layer(
            &ingest,
            &tar(&[
                directory("a", 0o755),
                file("a/x", "x"),
                file("a/y", "y"),
                directory("b", 0o755),
                file("b/old", "old"),
                directory("c", 0o755),
                file("c/old", "old"),
            ]),
        );
        let above = bench.layer(
            &ingest,
            &tar(&[
                directory("a", 0o700),
                file("a/.wh.x", ""),
                directory("b", 0o755),
                file("b/.wh..wh..opq", ""),
                file("b/new", "new"),
                file(".wh.c", ""),
                directory("c", 0o755),
                file("c/new", "new"),
                file(".wh.absent", ""),
            ]),
        );
        let seen = look(bench.store.view(&[below, above]).unwrap());
        let paths: Vec<_> = seen.keys().map(|p| p.display().to_string()).collect();
        assert_eq!(paths, ["", "a", "a/y", "b", "b/new", "c", "c/new"]);
    });
}

#[test]
fn directories_that_a_layer_only_passes_through_keep_their_attributes() {
    on_both(|bench| {
        let ingest = bench.store.ingest().unwrap();
        let below =
            bench.layer(&ingest, &tar(&[directory("./", 0o700), directory("tmp", 0o1777), directory("tmp/in", 0o710)]));
        let above = bench.layer(&ingest, &tar(&[file("tmp/in/x", "x"), file("other/y", "y")]));
        bench.store.prepare("c", &[below, above], PrepareOptions::default()).unwrap();
        let root = bench.store.mount("c", Access::ReadWrite).unwrap();
        let seen = look(&root);
        assert!(seen[Path::new("tmp")].starts_with("41777 "), "{seen:#?}");
        assert!(seen[Path::new("tmp/in")].starts_with("40710 "), "{seen:#?}");
        assert!(seen[Path::new("other")].starts_with("40755 "), "{seen:#?}");
        assert!(seen[Path::new("")].starts_with("40700 "), "{seen:#?}");
        assert_eq!(read(&root, "tmp/in/x"), "x");
    });
}

#[test]
fn changes_and_their_layer_tell_what_was_done() {
    on_both(|bench| {
        let ingest = bench.store.ingest().unwrap();
        let layer = bench.layer(
            &ingest,
            &tar(&[
                directory("etc", 0o755),
                file("etc/a", "a"),
                file("etc/b", "b"),
                directory("d", 0o755),
                file("d/f", "f"),
            ]),
        );
        bench.store.prepare("c", std::slice::from_ref(&layer), PrepareOptions::default()).unwrap();
        let root = bench.store.mount("c", Access::ReadWrite).unwrap();
        let at = |path: &str| PathBuf::from(format!("/proc/self/fd/{}/{path}", root.as_raw_fd()));
        fs::write(at("etc/a"), "changed").unwrap();
        fs::remove_file(at("etc/b")).unwrap();
        fs::write(at("new"), "new").unwrap();
        fs::remove_dir_all(at("d")).unwrap();
        fs::create_dir(at("d")).unwrap();
        fs::hard_link(at("new"), at("newer")).unwrap();
        let changes: Vec<_> = bench
            .store
            .changes("c")
            .unwrap()
            .into_iter()
            .map(|c| format!("{:?} {}", c.kind, c.path.display()))
            .collect();
        assert_eq!(
            changes,
            ["Modified /d", "Modified /etc", "Modified /etc/a", "Deleted /etc/b", "Added /new", "Added /newer"]
        );
        assert_eq!(bench.store.usage("c").unwrap().bytes, 10);
        let mut diff = Vec::new();
        bench.store.diff_tar("c", &mut diff).unwrap();
        let before = look(&root);
        assert!(before.contains_key(Path::new("etc/hosts")) && before.contains_key(Path::new("proc")));
        let above = bench.layer(&ingest, &diff);
        bench.store.prepare("d", &[layer, above], PrepareOptions::default()).unwrap();
        let mut again = look(bench.store.mount("d", Access::ReadOnly).unwrap());
        // Layers written by this store hold whole seconds, as docker's.
        let mut before = before;
        for seen in [&mut again, &mut before] {
            seen.values_mut()
                .for_each(|line| *line = line.split(' ').filter(|w| !w.contains('.') || w.contains('=')).collect());
            seen.remove(Path::new(""));
        }
        assert_eq!(again, before);
    });
}

#[test]
fn as_many_layers_as_docker_allows_are_mounted() {
    on_both(|bench| {
        let ingest = bench.store.ingest().unwrap();
        let layer = |i: usize| {
            bench.layer(&ingest, &tar(&[file(&format!("f{i}"), &i.to_string()), file("same", &i.to_string())]))
        };
        let layers: Vec<DiffId> = (0..MAX_LAYERS).map(layer).collect();
        bench.store.prepare("many", &layers, PrepareOptions::default()).unwrap();
        let root = bench.store.mount("many", Access::ReadWrite).unwrap();
        assert_eq!(read(&root, "same"), (MAX_LAYERS - 1).to_string());
        assert_eq!(read(&root, "f0"), "0");
    });
}

#[test]
fn a_snapshot_keeps_its_layers_and_its_files_over_a_new_open() {
    on_both(|bench| {
        let ingest = bench.store.ingest().unwrap();
        let layer = bench.layer(&ingest, &tar(&[file("a", "a")]));
        bench.store.prepare("c", std::slice::from_ref(&layer), PrepareOptions::default()).unwrap();
        drop(ingest);
        let root = bench.store.mount("c", Access::ReadWrite).unwrap();
        assert_eq!(read(&root, "a"), "a");
        assert!(bench.store.layer_size(&layer).is_ok());
        bench.store.remove_snapshot("c").unwrap();
        assert!(bench.store.layer_size(&layer).is_err());
        // A mount that is still there works on.
        assert_eq!(read(&root, "a"), "a");
        assert!(matches!(bench.store.remove_snapshot("c"), Err(Error::NoSuchSnapshot(_))));
    });
}

#[test]
fn a_snapshot_of_no_layers_is_an_empty_root() {
    on_both(|bench| {
        bench.store.prepare("c", &[], PrepareOptions::default()).unwrap();
        let root = bench.store.mount("c", Access::ReadWrite).unwrap();
        let fixtures = look(&root).len();
        fs::write(format!("/proc/self/fd/{}/x", root.as_raw_fd()), "x").unwrap();
        assert_eq!(look(&root).len(), fixtures + 1);
        assert_eq!(look(bench.store.mount("c", Access::ReadOnly).unwrap()).len(), fixtures + 1);
        assert_eq!(look(bench.store.view(&[]).unwrap()).len(), 1);
    });
}

#[test]
fn what_every_container_has_is_no_change_and_hides_nothing() {
    on_both(|bench| {
        let ingest = bench.store.ingest().unwrap();
        let mut etc = directory("etc", 0o711);
        etc.0.uid = 5;
        let layer = bench.layer(
            &ingest,
            &tar(&[etc, file("etc/hosts", "image's"), of_kind("dev", EntryKind::Symlink(b"/etc".to_vec()))]),
        );
        bench.store.prepare("c", &[layer], PrepareOptions::default()).unwrap();
        let root = bench.store.mount("c", Access::ReadWrite).unwrap();
        let seen = look(&root);
        assert_eq!(read(&root, "etc/hosts"), "image's");
        assert!(seen[Path::new("etc")].starts_with("40711 5:0"), "{seen:#?}");
        assert!(seen[Path::new("dev")].starts_with("120777 "), "{seen:#?}");
        assert!(seen.contains_key(Path::new("etc/resolv.conf")) && seen.contains_key(Path::new("sys")));
        fs::write(format!("/proc/self/fd/{}/etc/resolv.conf", root.as_raw_fd()), "x").unwrap();
        let changes: Vec<_> = bench
            .store
            .changes("c")
            .unwrap()
            .into_iter()
            .map(|c| format!("{:?} {}", c.kind, c.path.display()))
            .collect();
        assert_eq!(changes, ["Modified /etc", "Modified /etc/resolv.conf"]);
    });
}

#[test]
fn mounting_by_paths_for_old_kernels_shows_the_same_and_leaves_nothing() {
    on_both(|bench| {
        if bench.store.snapshotter_name() != "overlay" {
            return;
        }
        let ingest = bench.store.ingest().unwrap();
        let layers: Vec<_> =
            (0..MAX_LAYERS).map(|i| bench.layer(&ingest, &tar(&[file(&format!("f{i}"), "x")]))).collect();
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let lowers: Vec<PathBuf> = layers.iter().map(|l| bench.store.layer(l).unwrap().folder.join("files")).collect();
        let folder = tempfile::tempdir().unwrap();
        for name in ["upper", "work", "point"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let writable = overlay::Writable::of(folder.path());
        let root = overlay::mount_paths(&lowers, Some(&writable), &folder.path().join("point")).unwrap();
        fs::write(format!("/proc/self/fd/{}/new", root.as_raw_fd()), "new").unwrap();
        assert_eq!(look(&root).len(), MAX_LAYERS + 2);
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    });
}

/// A random tree as tar entries.
fn entries() -> impl Strategy<Value = Vec<(EntryHeader, Vec<u8>)>> {
    let name = "[a-c]{1,2}|[a-z.]{30}x";
    let path = prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    let entry = (path, 0..6u8, 0..3000usize, 0..0o7777u32, 0..70_000u32, 0..2_000_000_000i64, any::<bool>());
    prop::collection::vec(entry, 0..40).prop_map(|raw| {
        let mut made: BTreeMap<String, bool> = BTreeMap::new();
        let mut entries = Vec::new();
        for (path, kind, size, mode, owner, mtime, attribute) in raw {
            let parents: Vec<String> = Path::new(&path).ancestors().skip(1).map(|p| p.display().to_string()).collect();
            // in a layer such names are whiteouts, which tests of their own prove; to tar they are names like others
            let whiteout = path.split('/').any(|part| part.starts_with(".wh."));
            let free = !made.contains_key(&path) && parents.iter().all(|p| made.get(p) != Some(&false));
            let fits = free && !whiteout;
            if !fits {
                continue;
            }
            for parent in parents.iter().rev().filter(|p| !p.is_empty()) {
                if made.insert(parent.clone(), true).is_none() {
                    entries.push(directory(parent, 0o755));
                }
            }
            let first_file = entries
                .iter()
                .find(|(h, _): &&(EntryHeader, _)| h.kind == EntryKind::File)
                .map(|(h, _)| h.path.clone());
            let kind = match (kind, first_file) {
                (0, _) => EntryKind::Directory,
                (1, _) => EntryKind::Symlink(vec![b't'; size.clamp(1, 1200)]),
                (2, Some(first)) => EntryKind::HardLink(first),
                (3, _) => EntryKind::Fifo,
                _ => EntryKind::File,
            };
            made.insert(path.clone(), kind == EntryKind::Directory);
            let data = if kind == EntryKind::File { vec![b'd'; size] } else { Vec::new() };
            let xattrs = if attribute && kind == EntryKind::File {
                vec![(b"user.n".to_vec(), vec![1; size % 700])]
            } else {
                Vec::new()
            };
            let mode = if kind == EntryKind::Directory { mode | 0o700 } else { mode };
            let header = EntryHeader {
                path: path.into_bytes(),
                kind,
                mode,
                uid: owner,
                gid: owner / 2,
                mtime,
                size: data.len() as u64,
                xattrs,
            };
            entries.push((header, data));
        }
        entries
    })
}

#[test]
fn any_tree_is_as_tar_makes_it() {
    on_both(|bench| {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 40,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        runner
            .run(&entries(), |entries| {
                same_as_unpacked(bench, &tar(&entries));
                Ok(())
            })
            .unwrap();
    });
}

/// Runs where `QUOTA_ROOT` is a folder on a file system mounted with `prjquota`.
#[test]
fn a_size_limit_holds_or_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let folder = match std::env::var_os("QUOTA_ROOT") {
        Some(root) => tempfile::tempdir_in(root).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let db = Arc::new(redb::Database::create(folder.path().join("db")).unwrap());
    let store = Store::open(db, &folder.path().join("image"), &StoreOptions::default()).unwrap();
    match store.prepare("c", &[], PrepareOptions { size: Some(1 << 20) }) {
        Err(error) => {
            assert!(matches!(error, Error::QuotaUnsupported { .. }), "{error}");
            assert!(error.to_string().contains("prjquota"), "{error}");
            assert!(std::env::var_os("QUOTA_ROOT").is_none(), "{error}");
            assert!(store.snapshots().unwrap().is_empty());
        }
        Ok(()) => {
            let root = store.mount("c", Access::ReadWrite).unwrap();
            let at = format!("/proc/self/fd/{}/big", root.as_raw_fd());
            fs::write(&at, vec![1; 512 << 10]).unwrap();
            fs::write(&at, vec![1; 2 << 20]).unwrap_err();
        }
    }
}

/// `cargo test --release -p store -- --ignored --nocapture snapshot_speed`
#[test]
#[ignore = "a measurement"]
fn snapshot_speed() {
    on_both(|bench| {
        let ingest = bench.store.ingest().unwrap();
        let layers: Vec<_> = (0..5).map(|i| bench.layer(&ingest, &tar(&[file(&format!("f{i}"), "x")]))).collect();
        let mut steps = [std::time::Duration::ZERO; 3];
        const ROUNDS: u32 = 200;
        for i in 0..ROUNDS {
            let key = format!("c{i}");
            let start = std::time::Instant::now();
            bench.store.prepare(&key, &layers, PrepareOptions::default()).unwrap();
            steps[0] += start.elapsed();
            let start = std::time::Instant::now();
            let root = bench.store.mount(&key, Access::ReadWrite).unwrap();
            steps[1] += start.elapsed();
            drop(root);
            let start = std::time::Instant::now();
            bench.store.remove_snapshot(&key).unwrap();
            steps[2] += start.elapsed();
        }
        let [prepare, mount, remove] = steps.map(|s| s / ROUNDS);
        eprintln!("{}: prepare {prepare:?}, mount {mount:?}, remove {remove:?}", bench.store.snapshotter_name());
    });
}
