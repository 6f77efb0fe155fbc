//! Push, pull and login through the stock client, against Debian's docker-registry.

use e2e::Sandbox;
use e2e::images::{busybox_layer, entry};
use e2e::registry::{Door, slow, start};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

#[test]
fn an_image_is_pushed_removed_and_pulled_again() {
    let host = Sandbox::with_image();
    let _registry = start(&host, 5000, Door::Open);
    let name = "127.0.0.1:5000/box:1";
    host.docker(["tag", "box:1", name]).ok();
    let said = host.docker(["push", name]).ok();
    assert!(said.starts_with("The push refers to repository [127.0.0.1:5000/box]"), "{said}");
    assert!(said.contains(": Pushed"), "{said}");
    let digest =
        said.rsplit_once("1: digest: ").and_then(|(_, rest)| rest.split(' ').next()).expect("a digest").to_owned();
    let said = host.docker(["push", name]).ok();
    assert!(said.contains(": Layer already exists") && said.contains(&digest), "{said}");

    host.docker(["tag", "box:1", "127.0.0.1:5000/sister/box:1"]).ok();
    let said = host.docker(["push", "127.0.0.1:5000/sister/box:1"]).ok();
    assert!(said.contains(": Mounted from box") && said.contains(&digest), "{said}");

    let id = host.inspect("box:1")["Id"].clone();
    let images = host.docker(["images", "-q"]).ok();
    host.docker(["rmi", "-f", images.lines().next().expect("an image")]).ok();
    assert_eq!(host.docker(["images", "-aq"]).ok(), "");

    let said = host.docker(["pull", name]).ok();
    assert!(said.starts_with("1: Pulling from box"), "{said}");
    assert!(said.contains(": Pull complete"), "{said}");
    assert!(said.contains(&format!("Digest: {digest}\nStatus: Downloaded newer image for {name}\n{name}")), "{said}");
    let said = host.docker(["pull", name]).ok();
    assert!(said.contains(&format!("Status: Image is up to date for {name}")), "{said}");
    let image = host.inspect(name);
    assert_eq!(image["Id"], id);
    assert_eq!(image["RepoDigests"][0], format!("127.0.0.1:5000/box@{digest}"));
    assert_eq!(host.docker(["run", "--rm", name, "echo", "pulled"]).ok(), "pulled");
    // what is not here is pulled by run, by digest too
    host.docker(["rmi", "-f", name]).ok();
    let by_digest = format!("127.0.0.1:5000/box@{digest}");
    let said = host.docker(["run", "--rm", &by_digest, "echo", "run"]);
    assert!(said.err.contains(&format!("Unable to find image '{by_digest}' locally")), "{said:?}");
    assert_eq!(said.ok(), "run");
}

#[test]
fn registries_that_refuse_are_told_in_dockers_words() {
    let host = Sandbox::with_image();
    let _registry = start(&host, 5000, Door::Password);
    let name = "127.0.0.1:5000/box:1";
    host.docker(["tag", "box:1", name]).ok();
    let said = host.docker(["push", name]).fails(1);
    assert!(said.ends_with("no basic auth credentials"), "{said}");
    let said = host.docker(["login", "-u", "me", "-p", "wrong", "127.0.0.1:5000"]).fails(1);
    assert!(said.contains("unauthorized"), "{said}");
    let said = host.docker(["login", "-u", "me", "-p", "secret", "127.0.0.1:5000"]).ok();
    assert!(said.contains("Login Succeeded"), "{said}");
    host.docker(["push", name]).ok();
    let said = host.docker(["pull", "127.0.0.1:5000/box:2"]).fails(1);
    assert!(said.contains("manifest for 127.0.0.1:5000/box:2 not found: manifest unknown: manifest unknown"), "{said}");
    let said = host.docker(["push", "127.0.0.1:5000/other:1"]).fails(1);
    assert!(said.contains("An image does not exist locally with the tag: 127.0.0.1:5000/other"), "{said}");
    let said = host.docker(["pull", "127.0.0.1:5001/box:1"]).fails(1);
    assert!(said.contains("connection refused"), "{said}");
    let (status, body) = host.api("POST", "/v1.47/images/create?fromImage=UP%3AX&tag=1", None);
    assert_eq!(status, 400, "{body}");
}

#[test]
fn a_crash_during_a_pull_keeps_nothing_half_done() {
    let mut host = Sandbox::with_image();
    let _registry = start(&host, 5000, Door::Open);
    let mut tar = tar::Builder::new(Vec::new());
    entry(&mut tar, "noise", tar::EntryType::Regular, 0o644, &noise(8 << 20));
    host.import(&tar.into_inner().expect("a tar in memory"), "127.0.0.1:5000/noise:1");
    host.docker(["push", "127.0.0.1:5000/noise:1"]).ok();
    host.docker(["rmi", "127.0.0.1:5000/noise:1"]).ok();
    let before = (host.docker(["images", "-aq"]).ok(), files(&host.path("data")));

    let _slow = slow(&host, 5001, 5000, 1 << 20);
    let mut pull = host.docker_command(["pull", "127.0.0.1:5001/noise:1"]);
    let mut pull = pull.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("docker");
    host.until("some of the layer has come", || size(&host.path("data")) > size_of(&before.1) + (1 << 20));
    host.kill_daemon();
    assert!(!pull.wait().expect("wait").success());
    host.start_daemon();
    assert_eq!(host.docker(["images", "-aq"]).ok(), before.0);
    let named = |list: &BTreeSet<(String, u64)>| list.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
    assert_eq!(named(&files(&host.path("data"))), named(&before.1));
    assert_eq!(host.docker(["run", "--rm", "box:1", "echo", "well"]).ok(), "well");
    host.docker(["pull", "127.0.0.1:5000/noise:1"]).ok();
}

#[test]
fn a_pull_that_the_user_gives_up_leaves_nothing() {
    let host = Sandbox::new();
    let _registry = start(&host, 5000, Door::Open);
    let mut tar = tar::Builder::new(Vec::new());
    entry(&mut tar, "noise", tar::EntryType::Regular, 0o644, &noise(8 << 20));
    host.import(&tar.into_inner().expect("a tar in memory"), "127.0.0.1:5000/noise:1");
    host.docker(["push", "127.0.0.1:5000/noise:1"]).ok();
    host.docker(["rmi", "127.0.0.1:5000/noise:1"]).ok();
    let before = files(&host.path("data"));
    let _slow = slow(&host, 5001, 5000, 1 << 20);
    let mut pull = host.docker_command(["pull", "127.0.0.1:5001/noise:1"]);
    let mut pull = pull.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("docker");
    host.until("some of the layer has come", || size(&host.path("data")) > size_of(&before) + (1 << 20));
    pull.kill().expect("kill");
    pull.wait().expect("wait");
    host.until("what was half done is gone", || {
        let now = files(&host.path("data"));
        now.iter().map(|(name, _)| name).eq(before.iter().map(|(name, _)| name))
    });
}

#[test]
fn a_layer_that_is_here_is_not_fetched_again() {
    let host = Sandbox::with_image();
    let _registry = start(&host, 5000, Door::Open);
    host.import(&busybox_layer(), "127.0.0.1:5000/one:1");
    host.docker(["run", "--name", "ctr", "127.0.0.1:5000/one:1", "sh", "-c", "echo more > /more"]).ok();
    host.docker(["commit", "ctr", "127.0.0.1:5000/two:1"]).ok();
    host.docker(["rm", "ctr"]).ok();
    host.docker(["push", "127.0.0.1:5000/two:1"]).ok();
    host.docker(["rmi", "127.0.0.1:5000/two:1"]).ok();
    let said = host.docker(["pull", "127.0.0.1:5000/two:1"]).ok();
    assert_eq!(said.matches(": Already exists").count(), 1, "{said}");
    assert_eq!(said.matches(": Pull complete").count(), 1, "{said}");
    assert_eq!(host.docker(["run", "--rm", "127.0.0.1:5000/two:1", "cat", "/more"]).ok(), "more");
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

/// All files under a folder with their sizes, the database apart.
fn files(folder: &Path) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.metadata() {
                Ok(data) if data.is_dir() => folders.push(path),
                Ok(data) if path.extension().is_none_or(|extension| extension != "redb") => {
                    found.insert((path.display().to_string(), data.len()));
                }
                _ => (),
            }
        }
    }
    found
}

fn size_of(files: &BTreeSet<(String, u64)>) -> u64 {
    files.iter().map(|(_, size)| size).sum()
}

fn size(folder: &Path) -> u64 {
    size_of(&files(folder))
}

#[test]
fn a_mirror_is_asked_before_docker_hub_and_only_for_its_images() {
    let host = Sandbox::with_options(&["--registry-mirror", "http://127.0.0.1:5001"]);
    host.import(&busybox_layer(), "box:1");
    let _mirror = start(&host, 5001, Door::Open);
    let _other = start(&host, 5002, Door::Open);
    for name in ["127.0.0.1:5001/library/mirrored:1", "127.0.0.1:5001/only/there:1"] {
        host.docker(["tag", "box:1", name]).ok();
        host.docker(["push", name]).ok();
        host.docker(["rmi", name]).ok();
    }
    let said = host.docker(["pull", "mirrored:1"]).ok();
    assert!(said.contains("Downloaded newer image for mirrored:1"), "{said}");
    assert_eq!(host.docker(["run", "--rm", "mirrored:1", "echo", "from the mirror"]).ok(), "from the mirror");
    let digests = host.inspect("mirrored:1")["RepoDigests"].clone();
    assert!(digests[0].as_str().is_some_and(|it| it.starts_with("mirrored@sha256:")), "{digests}");
    // A mirror of Docker Hub knows nothing of other registries.
    host.docker(["pull", "127.0.0.1:5002/only/there:1"]).fails(1);
}
