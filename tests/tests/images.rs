//! Images through the stock client: import, load, save, commit, history, tag, rmi, and archives that are bad.

use e2e::Sandbox;
use e2e::images::{busybox_layer, entry, link};
use e2e::leaks::Inventory;

#[test]
fn an_image_is_saved_removed_loaded_and_runs() {
    let host = Sandbox::with_image();
    host.docker(["tag", "box:1", "other/name:2"]).ok();
    let archive = host.path("image.tar");
    host.docker(["save", "-o", archive.to_str().expect("a path"), "box:1"]).ok();
    let id = host.inspect("box:1")["Id"].clone();
    assert!(host.docker(["rmi", "box:1"]).ok().contains("Untagged: box:1"));
    assert!(host.docker(["rmi", "other/name:2"]).ok().contains("Deleted: sha256:"));
    assert_eq!(host.docker(["images", "-aq"]).ok(), "");
    assert_eq!(host.docker(["load", "-i", archive.to_str().expect("a path")]).ok(), "Loaded image: box:1");
    assert_eq!(host.inspect("box:1")["Id"], id);
    assert_eq!(host.docker(["run", "--rm", "box:1", "echo", "back"]).ok(), "back");
}

#[test]
fn a_commit_keeps_what_the_container_wrote() {
    let host = Sandbox::with_image();
    host.docker(["run", "--name", "ctr", "box:1", "sh", "-c", "echo new > /new; rm /etc/group; echo x >> /etc/passwd"])
        .ok();
    let mut changes: Vec<String> = host.docker(["diff", "ctr"]).ok().lines().map(String::from).collect();
    changes.sort();
    assert_eq!(changes, ["A /new", "C /etc", "C /etc/passwd", "D /etc/group"]);
    host.docker(["commit", "-m", "words", "-c", "CMD [\"cat\", \"/new\"]", "ctr", "box:2"]).ok();
    host.docker(["rm", "ctr"]).ok();
    assert_eq!(host.docker(["run", "--rm", "box:2"]).ok(), "new");
    assert!(!host.docker(["run", "--rm", "box:2", "ls", "/etc"]).ok().contains("group"));
    let history = host.docker(["history", "--format", "{{.Comment}}", "box:2"]).ok();
    assert_eq!(history.lines().next(), Some("words"));
    let images = host.docker(["images", "-aq"]).ok();
    let ids: Vec<&str> = images.lines().collect();
    host.docker(["rmi", "-f"].iter().chain(&ids)).ok();
    assert_eq!(host.docker(["images", "-aq"]).ok(), "");
}

#[test]
fn an_image_in_use_is_not_removed() {
    let host = Sandbox::with_image();
    host.docker(["create", "--name", "ctr", "box:1", "true"]).ok();
    let said = host.docker(["rmi", "box:1"]).fails(1);
    assert!(said.contains("conflict: unable to remove repository reference \"box:1\" (must force)"), "{said}");
    host.docker(["rm", "ctr"]).ok();
    host.docker(["rmi", "box:1"]).ok();
    assert!(host.docker(["rmi", "box:1"]).fails(1).contains("No such image: box:1"));
}

#[test]
fn bad_archives_are_refused_and_leave_nothing() {
    let host = Sandbox::with_image();
    let before = Inventory::of(&host);
    let layer = busybox_layer();
    let refused = |what: &str, tar: &[u8]| {
        let said = host.docker_with_input(["import", "-", "bad:1"], tar);
        assert_ne!(said.code, 0, "{what}: {said:?}");
        said.err
    };
    refused("truncated", &layer[..layer.len() / 2]);
    refused("no archive", &[7; 4096]);
    let made = |add: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
        let mut tar = tar::Builder::new(Vec::new());
        add(&mut tar);
        tar.into_inner().expect("a tar in memory")
    };
    let said = refused("traversal", &made(&|tar| entry(tar, "../../evil", tar::EntryType::Regular, 0o644, b"x")));
    assert!(said.contains("evil"), "the entry is named: {said}");
    assert!(!host.path("evil").exists());
    // a link out of the root is legal in a layer; it must stay inside when it is followed
    host.import(
        &made(&|tar| {
            entry(tar, "etc/", tar::EntryType::Directory, 0o755, b"");
            link(tar, "etc/escape", "/../../../../../../etc");
        }),
        "linked:1",
    );
    host.docker(["rmi", "linked:1"]).ok();
    let load = host.docker_with_input(["load"], &layer);
    assert_ne!(load.code, 0, "an archive without a manifest: {load:?}");
    assert_eq!(host.docker(["images", "-q"]).ok().lines().count(), 1);
    before.is_back(&host);
}

#[test]
fn files_are_copied_both_ways() {
    let host = Sandbox::with_image();
    host.docker(["create", "--name", "ctr", "box:1", "cat", "/etc/copied"]).ok();
    std::fs::write(host.path("copied"), "content").expect("a file");
    host.docker(["cp", host.path("copied").to_str().expect("a path"), "ctr:/etc/"]).ok();
    assert_eq!(host.docker(["start", "-a", "ctr"]).ok(), "content");
    host.docker(["cp", "ctr:/etc/copied", host.path("back").to_str().expect("a path")]).ok();
    assert_eq!(std::fs::read_to_string(host.path("back")).expect("a file"), "content");
}
