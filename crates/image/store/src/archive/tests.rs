//! Tests of archives: round trips, and what hostile ones meet.

use std::{
    fs::{self, File},
    io::Write,
    os::fd::AsFd,
    os::unix::fs::symlink,
    path::Path,
    sync::Arc,
};

use spec::{digest::Digest, image::ContainerDefaults, reference::Reference};

use super::*;
use crate::{
    Error, Kind, PrepareOptions, SnapshotterChoice, Store, StoreOptions,
    tar::{EntryHeader, EntryKind, Reader, Writer},
};

struct Bench {
    store: Store,
    folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let db = Arc::new(redb::Database::create(folder.path().join("db")).unwrap());
    let options = StoreOptions { snapshotter: choice() };
    let store = Store::open(db, &folder.path().join("image"), &options).unwrap();
    Bench { store, folder }
}

/// Indexes need no privileges to be made; directories with owners do.
fn choice() -> SnapshotterChoice {
    SnapshotterChoice::Auto
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

impl Bench {
    /// What is on disk, to see that nothing is left behind.
    fn left(&self) -> Vec<String> {
        let root = self.folder.path().join("image");
        let mut names = Vec::new();
        for folder in ["tmp", "layers/sha256", "snapshots"] {
            let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
            names.extend(entries.map(|e| format!("{folder}/{}", e.unwrap().file_name().to_string_lossy())));
        }
        names
    }

    fn import(&self, name: &str, files: &[(&str, &str)]) -> Image {
        let request = ImportRequest { name: Some(Reference::parse(name).unwrap()), ..ImportRequest::default() };
        self.store.import(root(files).as_slice(), &request).unwrap()
    }
}

use crate::Image;

fn root(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, data) in files {
        writer.entry(&EntryHeader::file(path, data.len() as u64), data.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, data) in files {
        writer.entry(&EntryHeader::file(path, data.len() as u64), *data).unwrap();
    }
    writer.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn one(path: &str, kind: EntryKind) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.empty(&EntryHeader { kind, ..EntryHeader::file(path, 0) }).unwrap();
    writer.finish().unwrap()
}

#[test]
fn what_is_saved_is_loaded_again_under_the_same_id() {
    if !is_root() {
        return;
    }
    let (first, second) = (bench(), bench());
    let image = first.import("a:1", &[("etc/passwd", "root")]);
    first.store.tag(&image.id, &Reference::parse("b:2").unwrap()).unwrap();
    let mut saved = Vec::new();
    first.store.save(&["a:1".to_owned(), "b".to_owned()], &mut saved).unwrap();
    let names = [Loaded::Name("a:1".to_owned()), Loaded::Name("b:2".to_owned())];
    for archive in [saved.clone(), gzip(&saved), zstd::encode_all(saved.as_slice(), 1).unwrap()] {
        assert_eq!(second.store.load(archive.as_slice()).unwrap(), names);
        let again = second.store.resolve("b:2").unwrap();
        assert_eq!((again.id, again.config_bytes), (image.id.clone(), image.config_bytes.clone()));
    }
    // By id there is no name.
    let mut saved = Vec::new();
    first.store.save(&[image.id.hex()[..12].to_owned()], &mut saved).unwrap();
    assert_eq!(second.store.load(saved.as_slice()).unwrap(), [Loaded::Id(image.id.clone())]);
    assert_eq!(second.left().len(), 1, "{:?}", second.left());
}

#[test]
fn the_old_docker_format_with_gzip_layers_and_links_is_loaded() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let layer = root(&[("a", "a")]);
    let id = Digest::of(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{id}","{id}"]}}}}"#
    );
    let mut writer = Writer::new(Vec::new());
    let packed = gzip(&layer);
    writer.entry(&EntryHeader::file("x/layer.tar", packed.len() as u64), packed.as_slice()).unwrap();
    let link = EntryKind::Symlink(b"../x/layer.tar".to_vec());
    writer.empty(&EntryHeader { kind: link, ..EntryHeader::file("y/layer.tar", 0) }).unwrap();
    writer.entry(&EntryHeader::file("c.json", config.len() as u64), config.as_bytes()).unwrap();
    let table = r#"[{"Config":"c.json","RepoTags":["x:y"],"Layers":["x/layer.tar","y/layer.tar"]}]"#;
    writer.entry(&EntryHeader::file("manifest.json", table.len() as u64), table.as_bytes()).unwrap();
    let loaded = bench.store.load(writer.finish().unwrap().as_slice()).unwrap();
    assert_eq!(loaded, [Loaded::Name("x:y".to_owned())]);
    assert_eq!(bench.store.resolve("x:y").unwrap().layers.len(), 2);
}

#[test]
fn an_oci_layout_without_docker_tables_is_loaded() {
    if !is_root() {
        return;
    }
    let (first, second) = (bench(), bench());
    first.import("a:1", &[("a", "a")]);
    let mut saved = Vec::new();
    first.store.save(&["a:1".to_owned()], &mut saved).unwrap();
    let mut reader = Reader::new(saved.as_slice());
    let mut writer = Writer::new(Vec::new());
    while let Some(entry) = reader.next_entry().unwrap() {
        if entry.kind == EntryKind::File && !matches!(entry.path.as_slice(), b"manifest.json" | b"repositories") {
            writer.entry(&EntryHeader::file(&entry.name(), entry.size), &mut reader).unwrap();
        }
    }
    let loaded = second.store.load(writer.finish().unwrap().as_slice()).unwrap();
    assert_eq!(loaded, [Loaded::Name("a:1".to_owned())]);
}

/// A docker archive of one gzip layer: a file of noise that differs in its last byte only.
///
/// Its tar is stored in gzip, not packed, so that all are of one size.
fn noisy_archive(last: u8, named: u8) -> (Vec<u8>, Digest) {
    let mut noise: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut layer = |last| {
        *noise.last_mut().unwrap() = last;
        archive(&[("noise", &noise)])
    };
    let (packed, id) = (stored(&layer(last)), Digest::of(&layer(named)));
    let config = format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{id}"]}}}}"#);
    let table = format!(r#"[{{"Config":"c.json","RepoTags":["n:{named}"],"Layers":["x/layer.tar"]}}]"#);
    let files: [(&str, &[u8]); 3] =
        [("x/layer.tar", &packed), ("c.json", config.as_bytes()), ("manifest.json", table.as_bytes())];
    (archive(&files), id)
}

#[test]
fn a_layer_that_is_here_is_not_read_again() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let (first, id) = noisy_archive(1, 1);
    bench.store.load(first.as_slice()).unwrap();
    let before = bench.left();
    // Other bytes than the configuration says: nobody looks, since the layer is here.
    let (unread, _) = noisy_archive(2, 1);
    bench.store.load(unread.as_slice()).unwrap();
    assert_eq!(bench.store.resolve("n:1").unwrap().layers, [spec::digest::DiffId(id)]);
    assert_eq!(bench.left(), before);
}

#[test]
fn a_layer_that_only_begins_like_one_that_is_here_is_brought_in() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let (first, _) = noisy_archive(1, 1);
    bench.store.load(first.as_slice()).unwrap();
    let (other, id) = noisy_archive(2, 2);
    bench.store.load(other.as_slice()).unwrap();
    assert_eq!(bench.store.resolve("n:2").unwrap().layers, [spec::digest::DiffId(id)]);
    // And what is not what its configuration says is refused as ever.
    let before = bench.left();
    let (wrong, _) = noisy_archive(4, 3);
    let error = bench.store.load(wrong.as_slice()).unwrap_err();
    assert!(error.to_string().contains("diffID for layer 0"), "{error}");
    assert_eq!(bench.left(), before);
}

/// Loads what must be refused; gives the message, and sees that nothing is left.
#[track_caller]
fn refused(archive: &[u8]) -> String {
    let bench = bench();
    let before = bench.left();
    let error = bench.store.load(archive).unwrap_err();
    assert_eq!(bench.left(), before);
    assert!(bench.store.images().unwrap().is_empty());
    assert_eq!(error.kind(), Kind::Invalid, "{error:?}");
    error.to_string()
}

fn with_layer(layer: &[u8], claimed: &Digest) -> Vec<u8> {
    let config =
        format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{claimed}"]}}}}"#);
    let table = br#"[{"Config":"c.json","RepoTags":["x:y"],"Layers":["l/layer.tar"]}]"#;
    archive(&[("l/layer.tar", layer), ("c.json", config.as_bytes()), ("manifest.json", table)])
}

#[test]
fn archives_that_are_damaged_or_hostile_leave_nothing() {
    if !is_root() {
        return;
    }
    let good = root(&[("a", &"a".repeat(5000))]);
    let digest = Digest::of(&good);
    let whole = with_layer(&good, &digest);
    let refuse = |archive: &[u8], expected: &str| {
        let message = refused(archive);
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
    };
    refuse(&whole[..3000], "truncated: unexpected EOF in entry \"l/layer.tar\"");
    refuse(&whole[..700], "truncated");
    refuse(&gzip(&whole)[..200], "image archive");
    refuse(
        b"this is no archive at all, whatever the name of the file says; it goes on and on".repeat(20).as_slice(),
        "bad checksum at offset 0",
    );
    refuse(&archive(&[("a", b"b")]), "no table of contents: manifest.json");
    refuse(&archive(&[("manifest.json", b"{")]), "manifest.json of the image archive");
    refuse(&archive(&[("../../etc/cron.d/x", b"{}")]), "outside of the root");
    refuse(&with_layer(&good, &Digest::of(b"else")), "invalid diffID for layer 0");
    refuse(&with_layer(&gzip(&good)[..100], &digest), "gzip stream is damaged");
    let bad_layers: [(&[u8], &str); 7] = [
        (&root(&[("../x", "x")]), "outside of the root"),
        (&root(&[("a/../../x", "x")]), "outside of the root"),
        (&one("l", EntryKind::Symlink(b"../../etc".to_vec())), "outside of the root"),
        (&one("l", EntryKind::HardLink(b"../../etc/passwd".to_vec())), "outside of the root"),
        (&one("l", EntryKind::HardLink(b"nothing".to_vec())), "no such entry"),
        (&one(&"d/".repeat(2100), EntryKind::Directory), "name too long"),
        (&good[..1000], "truncated"),
    ];
    for (layer, expected) in bad_layers {
        refuse(&with_layer(layer, &Digest::of(layer)), expected);
    }
    let mut huge = root(&[("huge", "")]);
    huge[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    refuse(&with_layer(&huge, &Digest::of(&huge)), "");
}

#[test]
fn a_commit_holds_what_the_container_changed() {
    if !is_root() {
        return;
    }
    let bench = bench();
    let image = bench.import("base:1", &[("a", "a"), ("b", "b")]);
    bench.store.prepare("c", &image.layers, PrepareOptions::default()).unwrap();
    let request = CommitRequest {
        parent: Some(image.id.clone()),
        config: ContainerDefaults { cmd: Some(vec!["run".to_owned()]), ..ContainerDefaults::default() },
        changes: vec!["ENV x=y".to_owned()],
        name: Some(Reference::parse("new").unwrap()),
        created_by: "run".to_owned(),
        ..CommitRequest::default()
    };
    let unchanged = bench.store.commit("c", &request).unwrap();
    assert_eq!(unchanged.layers, image.layers);
    assert!(unchanged.config.history.last().unwrap().empty_layer);
    let upper = bench.folder.path().join("image/snapshots/c/upper");
    fs::write(upper.join("new"), "new").unwrap();
    let changed = bench.store.commit("c", &request).unwrap();
    assert_eq!((changed.layers.len(), changed.names.as_slice()), (2, ["new:latest".to_owned()].as_slice()));
    assert_eq!(changed.config.config.env, ["x=y"]);
    assert_eq!(changed.parent, Some(image.id));
    let history = bench.store.history(&changed).unwrap();
    assert_eq!(history[0].size, 3);
    assert_eq!(history[1].comment, "Imported from -");
    assert_eq!(history[1].names, ["base:1"]);
}

#[test]
fn a_copy_goes_in_and_comes_out_as_it_was() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("data/sub")).unwrap();
    symlink("/data", folder.path().join("link")).unwrap();
    let root_fd = File::open(folder.path()).unwrap();
    let files = root(&[("x", "x"), ("sub/y", "y"), ("new/z", "z")]);
    copy_in(root_fd.as_fd(), "/link", files.as_slice(), CopyOptions { owner: Some((7, 8)), ..CopyOptions::default() })
        .unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("data/new/z")).unwrap(), "z");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder.path().join("data/x")).unwrap()), 7);
    let mut out = Vec::new();
    let stat = copy_out(root_fd.as_fd(), "data", &mut out).unwrap();
    assert_eq!((stat.name.as_str(), stat.mode & 0o170_000), ("data", 0o040_000));
    let mut names = Vec::new();
    let mut reader = Reader::new(out.as_slice());
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(entry.name());
    }
    assert_eq!(names, ["data/", "data/new/", "data/new/z", "data/sub/", "data/sub/y", "data/x"]);
    let link = stat_path(root_fd.as_fd(), "/link").unwrap();
    assert_eq!((link.name.as_str(), link.link_target.as_str()), ("link", "/data"));
    assert_eq!(stat_path(root_fd.as_fd(), "/link/").unwrap().mode & 0o170_000, 0o040_000);
    assert_eq!(stat_path(root_fd.as_fd(), "/").unwrap().name, "/");
    let missing = stat_path(root_fd.as_fd(), "/no/where").unwrap_err();
    assert_eq!(
        (missing.kind(), missing.to_string().as_str()),
        (Kind::NotFound, "Could not find the file /no/where in container")
    );
    assert!(matches!(
        copy_in(root_fd.as_fd(), "/data/x", files.as_slice(), CopyOptions::default()),
        Err(Error::NotDirectory(_))
    ));
}

#[test]
fn a_hostile_copy_stays_in_its_root() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (root_path, outside) = (folder.path().join("root"), folder.path().join("outside"));
    fs::create_dir_all(&root_path).unwrap();
    fs::create_dir_all(&outside).unwrap();
    symlink(&outside, root_path.join("absolute")).unwrap();
    symlink("../outside", root_path.join("relative")).unwrap();
    let root_fd = File::open(&root_path).unwrap();
    let put = |tar: &[u8]| copy_in(root_fd.as_fd(), "/", tar, CopyOptions::default());
    assert!(put(&root(&[("../outside/x", "x")])).is_err());
    let _ = put(&root(&[("relative/x", "x")]));
    let _ = put(&root(&[("absolute/x", "x")]));
    assert!(put(&one("l", EntryKind::Symlink(b"../outside".to_vec()))).is_err());
    assert!(put(&one("h", EntryKind::HardLink(b"../outside".to_vec()))).is_err());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let keep = CopyOptions { no_overwrite_dir_non_dir: true, ..CopyOptions::default() };
    fs::create_dir(root_path.join("dir")).unwrap();
    let error = copy_in(root_fd.as_fd(), "/", root(&[("dir", "file")]).as_slice(), keep).unwrap_err();
    assert_eq!(error.to_string(), "cannot overwrite directory \"/dir\" with non-directory \"/\"");
    put(&root(&[("dir", "file")])).unwrap();
    assert!(Path::new(&root_path.join("dir")).is_file());
}
