//! Tests of names, removal and what a new open finds.

use std::{fs, path::Path, sync::Arc};

use spec::{
    digest::{Digest, ImageId},
    reference::Reference,
};

use super::*;
use crate::{
    Distribution, Error, ImageCommit, ImportRequest, Kind, LayerSource, Store, StoreOptions,
    tar::{EntryHeader, Writer},
};

struct Bench {
    store: Option<Store>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Bench> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let mut bench = Bench { store: None, folder: tempfile::tempdir().unwrap() };
        bench.open();
        Some(bench)
    }

    fn open(&mut self) {
        self.store = None;
        let db = Arc::new(redb::Database::create(self.folder.path().join("db")).unwrap());
        self.store = Some(Store::open(db, &self.root(), &StoreOptions::default()).unwrap());
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("image")
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn import(&self, name: &str, data: &str) -> Image {
        let request = ImportRequest { name: Some(reference(name)), ..ImportRequest::default() };
        self.store().import(layer(data).as_slice(), &request).unwrap()
    }

    fn child(&self, parent: &Image, data: &str) -> Image {
        let ingest = self.store().ingest().unwrap();
        let top = ingest.layer(&LayerSource::default(), layer(data).as_slice()).unwrap();
        let mut config = (*parent.config).clone();
        config.rootfs.diff_ids.push(top);
        let config = serde_json::to_vec(&config).unwrap();
        ingest.commit(ImageCommit { config, parent: Some(parent.id.clone()), ..ImageCommit::default() }).unwrap()
    }

    fn remove(&self, name: &str) -> Vec<String> {
        shown(&self.store().remove_image(name, RemoveOptions::default(), &|_| Vec::new()).unwrap())
    }

    fn layers_on_disk(&self) -> usize {
        fs::read_dir(self.root().join("layers/sha256")).map_or(0, Iterator::count)
    }
}

fn layer(data: &str) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.entry(&EntryHeader::file("file", data.len() as u64), data.as_bytes()).unwrap();
    writer.finish().unwrap()
}

fn reference(name: &str) -> Reference {
    Reference::parse(name).unwrap()
}

fn shown(removed: &[Removed]) -> Vec<String> {
    let show = |r: &Removed| match r {
        Removed::Untagged(name) => format!("Untagged: {name}"),
        Removed::Image(_) => "Deleted image".to_owned(),
        Removed::Layers(_) => "Deleted layers".to_owned(),
    };
    removed.iter().map(show).collect()
}

#[test]
fn images_are_found_by_every_name_they_have() {
    let Some(bench) = Bench::new() else { return };
    let image = bench.import("debian:12", "a");
    let hex = image.id.hex();
    for name in [
        "debian:12",
        "library/debian:12",
        "docker.io/library/debian:12",
        image.id.as_str(),
        hex,
        &hex[..12],
        &format!("sha256:{}", &hex[..6]),
    ] {
        assert_eq!(bench.store().resolve(name).unwrap().id, image.id, "{name}");
    }
    let message = |name: &str| bench.store().resolve(name).unwrap_err().to_string();
    assert_eq!(message("debian"), "No such image: debian:latest");
    assert_eq!(message("nothing:1"), "No such image: nothing:1");
    assert_eq!(message("UPPER"), "invalid reference format: repository name (library/UPPER) must be lowercase");
    assert_eq!(
        bench.store().tag(&image.id, &reference(&format!("x@{}", image.id))).unwrap_err().to_string(),
        "refusing to create a tag with a digest reference"
    );
}

#[test]
fn a_name_goes_alone_while_others_are_left() {
    let Some(bench) = Bench::new() else { return };
    let image = bench.import("a:1", "a");
    bench.store().tag(&image.id, &reference("b:1")).unwrap();
    assert_eq!(bench.remove("a:1"), ["Untagged: a:1"]);
    assert_eq!(bench.remove("b:1"), ["Untagged: b:1", "Deleted image", "Deleted layers"]);
    assert_eq!(bench.layers_on_disk(), 0);
    assert_eq!(bench.store().resolve("b:1").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn an_id_with_names_in_several_repositories_needs_force() {
    let Some(bench) = Bench::new() else { return };
    let image = bench.import("a:1", "a");
    bench.store().tag(&image.id, &reference("b:1")).unwrap();
    let id = image.id.hex();
    let error = bench.store().remove_image(id, RemoveOptions::default(), &|_| Vec::new()).unwrap_err();
    let short = &id[..12];
    assert_eq!(
        error.to_string(),
        format!("conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories")
    );
    let options = RemoveOptions { force: true, ..RemoveOptions::default() };
    let removed = bench.store().remove_image(id, options, &|_| Vec::new()).unwrap();
    assert_eq!(shown(&removed), ["Untagged: a:1", "Untagged: b:1", "Deleted image", "Deleted layers"]);
}

#[test]
fn containers_keep_their_image() {
    let Some(bench) = Bench::new() else { return };
    let image = bench.import("a:1", "a");
    let container = "c".repeat(64);
    let uses = |running: bool| {
        let container = container.clone();
        move |_: &ImageId| vec![Use { container: container.clone(), running }]
    };
    let remove = |name: &str, force: bool, running: bool| {
        let options = RemoveOptions { force, ..RemoveOptions::default() };
        bench.store().remove_image(name, options, &uses(running))
    };
    let (id, short) = (image.id.hex(), &image.id.hex()[..12]);
    let user = "c".repeat(12);
    assert_eq!(
        remove("a:1", false, false).unwrap_err().to_string(),
        format!(
            "conflict: unable to remove repository reference \"a:1\" (must force) - container {user} is using its referenced image {short}"
        )
    );
    assert_eq!(
        remove(id, false, false).unwrap_err().to_string(),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container {user}"
        )
    );
    assert_eq!(
        remove(id, true, true).unwrap_err().to_string(),
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container {user}"
        )
    );
    // By name and force the name goes and the running container keeps the image.
    assert_eq!(shown(&remove("a:1", true, true).unwrap()), ["Untagged: a:1"]);
    assert_eq!(shown(&remove(id, true, false).unwrap()), ["Deleted image", "Deleted layers"]);
}

#[test]
fn parents_stay_for_their_children_and_go_with_the_last() {
    let Some(bench) = Bench::new() else { return };
    let parent = bench.import("p:1", "a");
    let child = bench.child(&parent, "b");
    let short = &parent.id.hex()[..12];
    let error = bench.store().remove_image(parent.id.hex(), RemoveOptions::default(), &|_| Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("conflict: unable to delete {short} (cannot be forced) - image has dependent child images")
    );
    assert_eq!(bench.remove("p:1"), ["Untagged: p:1"]);
    assert_eq!(bench.remove(child.id.hex()), ["Deleted image", "Deleted layers", "Deleted image", "Deleted layers"]);
    assert_eq!(bench.layers_on_disk(), 0);
}

#[test]
fn what_was_pulled_is_known_in_its_repository() {
    let Some(bench) = Bench::new() else { return };
    let repository = reference("127.0.0.1:5000/debian");
    let ingest = bench.store().ingest().unwrap();
    let tar = layer("a");
    let top = ingest
        .layer(&LayerSource { digest: Some(Digest::of(&tar)), ..LayerSource::default() }, tar.as_slice())
        .unwrap();
    let config =
        format!(r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{top}"]}}}}"#);
    let known = Distribution { media_type: "m".to_owned(), digest: Digest::of(b"blob"), size: 4 };
    let manifest = b"{ \"as\": \"pulled\" }".to_vec();
    let commit = ImageCommit {
        config: config.into_bytes(),
        names: vec![repository.with_tag("12").unwrap()],
        repo_digest: Some((repository.clone(), Digest::of(&manifest))),
        manifest: Some(manifest.clone()),
        distribution: vec![known.clone()],
        starts: Vec::new(),
        parent: None,
    };
    let image = ingest.commit(commit).unwrap();
    assert_eq!(image.repo_digests, [format!("127.0.0.1:5000/debian@{}", Digest::of(&manifest))]);
    assert_eq!(bench.store().resolve(&image.repo_digests[0]).unwrap().id, image.id);
    assert_eq!(bench.store().manifest(&image.id, &repository).unwrap(), Some((Digest::of(&manifest), manifest)));
    assert_eq!(bench.store().distribution(&top, &repository).unwrap(), Some(known));
    assert_eq!(bench.store().layer_of_blob(&Digest::of(b"blob")).unwrap(), Some(top));
    drop(ingest);
    let removed = bench.remove("127.0.0.1:5000/debian:12");
    assert_eq!(removed[1], format!("Untagged: {}", image.repo_digests[0]));
    assert_eq!(bench.store().layer_of_blob(&Digest::of(b"blob")).unwrap(), None);
}

#[test]
fn wrong_digests_are_refused_and_leave_nothing() {
    let Some(bench) = Bench::new() else { return };
    let ingest = bench.store().ingest().unwrap();
    let tar = layer("a");
    let other = Digest::of(b"other");
    for source in [
        LayerSource { digest: Some(other.clone()), ..LayerSource::default() },
        LayerSource { diff_id: Some(DiffId(other.clone())), ..LayerSource::default() },
    ] {
        let error = ingest.layer(&source, tar.as_slice()).unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    }
    assert_eq!(bench.layers_on_disk(), 0);
    assert_eq!(fs::read_dir(bench.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_new_open_removes_what_a_killed_daemon_left() {
    let Some(mut bench) = Bench::new() else { return };
    let image = bench.import("a:1", "a");
    // Killed after the layer was complete and before the image was recorded.
    let ingest = bench.store().ingest().unwrap();
    ingest.layer(&LayerSource::default(), layer("unfinished").as_slice()).unwrap();
    std::mem::forget(ingest);
    let root = bench.root();
    fs::create_dir_all(root.join("tmp/17")).unwrap();
    fs::write(root.join("tmp/17/layer.tar"), "half").unwrap();
    fs::create_dir_all(root.join("snapshots/never-recorded/upper")).unwrap();
    fs::create_dir_all(root.join("volumes/never-recorded/_data")).unwrap();
    fs::create_dir_all(root.join(format!("layers/sha256/{}", "0".repeat(64)))).unwrap();
    assert_eq!(bench.layers_on_disk(), 3);
    // The forgotten ingest holds the first handle to the database; the copy is what the disk would have.
    fs::copy(bench.folder.path().join("db"), bench.folder.path().join("db2")).unwrap();
    let db = Arc::new(redb::Database::create(bench.folder.path().join("db2")).unwrap());
    let store = Store::open(db, &root, &StoreOptions::default()).unwrap();
    assert_eq!(bench.layers_on_disk(), 1);
    let empty = |path: &str| fs::read_dir(Path::new(&root).join(path)).unwrap().count() == 0;
    assert!(empty("tmp") && empty("snapshots") && empty("volumes"));
    assert_eq!(store.resolve("a:1").unwrap().id, image.id);
    bench.store = None;
}

#[test]
fn a_lease_keeps_layers_while_images_go() {
    let Some(bench) = Bench::new() else { return };
    let image = bench.import("a:1", "a");
    let ingest = bench.store().ingest().unwrap();
    assert!(ingest.has_layer(&image.layers[0]).unwrap());
    bench.remove("a:1");
    assert_eq!(bench.layers_on_disk(), 1);
    let again = ingest.commit(ImageCommit { config: image.config_bytes.to_vec(), ..ImageCommit::default() }).unwrap();
    assert_eq!(again.id, image.id);
    drop(ingest);
    assert_eq!(bench.layers_on_disk(), 1);
}
