//! Groups in directories of plain files: what is written where, without privileges.

use std::fs;
use std::path::Path;

use super::*;
use crate::limits::{Cpu, Memory};

const FILES: [&str; 6] =
    ["cgroup.procs", "memory.max", "memory.swap.max", "cpu.max", "pids.max", "cgroup.subtree_control"];

fn files(dir: &Path, names: &[&str]) {
    for name in names {
        fs::write(dir.join(name), "").unwrap();
    }
}

fn tree() -> (tempfile::TempDir, Hierarchy) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
    files(dir.path(), &FILES);
    let hierarchy = Hierarchy::v2_at(dir.path()).unwrap();
    (dir, hierarchy)
}

#[test]
fn controllers_are_switched_on_from_the_root_down() {
    let (dir, hierarchy) = tree();
    Cgroup::create(&hierarchy, "a/b/").unwrap();
    assert!(dir.path().join("a/b").is_dir());
    let control = fs::read_to_string(dir.path().join("cgroup.subtree_control")).unwrap();
    assert_eq!(control, "+cpu +memory +pids");
}

#[test]
fn limits_land_in_their_files() {
    let (dir, hierarchy) = tree();
    let group = Cgroup::create(&hierarchy, "/a").unwrap();
    let own = dir.path().join("a");
    files(&own, &FILES);
    let memory = Memory { limit: Some(1 << 20), swap: Some(1 << 20), ..Memory::default() };
    let cpu = Cpu { quota: Some(5000), period: Some(10_000), ..Cpu::default() };
    group.apply(&Limits { memory, cpu, pids: Some(0), ..Limits::default() }).unwrap();
    let read = |name: &str| fs::read_to_string(own.join(name)).unwrap();
    assert_eq!(
        ["memory.max", "memory.swap.max", "cpu.max", "pids.max"].map(read),
        ["1048576", "0", "5000 10000", "max"]
    );
    group.attach(42).unwrap();
    assert_eq!(read("cgroup.procs"), "42");
}

#[test]
fn a_missing_file_is_an_error_that_names_the_limit() {
    let (dir, hierarchy) = tree();
    let group = Cgroup::create(&hierarchy, "/a").unwrap();
    let error = group.apply(&Limits { pids: Some(5), ..Limits::default() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pids.max = 5 is not supported by this host: the controller is not enabled for this cgroup or the kernel lacks the file"
    );
    drop(dir);
}

#[test]
fn swap_that_is_not_accounted_is_a_warning() {
    let (dir, hierarchy) = tree();
    let group = Cgroup::create(&hierarchy, "/a").unwrap();
    files(&dir.path().join("a"), &["memory.max"]);
    let memory = Memory { limit: Some(4096), swap: Some(8192), ..Memory::default() };
    let warnings = group.apply(&Limits { memory, ..Limits::default() }).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].0.ends_with("Memory limited without swap."));
}

#[test]
fn paths_that_leave_the_hierarchy_are_refused() {
    let (_dir, hierarchy) = tree();
    for path in ["", "/", "..", "/a/../b", "/a\nb"] {
        assert!(matches!(Cgroup::create(&hierarchy, path), Err(Error::InvalidPath(_))), "{path:?}");
    }
    let group = Cgroup::create(&hierarchy, "//a/./b").unwrap();
    assert_eq!(group.path(), "/a/b");
}

#[test]
fn deletion_takes_everything_beneath_and_then_unused_parents() {
    let (dir, hierarchy) = tree();
    let group = Cgroup::create(&hierarchy, "/one/two").unwrap();
    fs::create_dir_all(dir.path().join("one/two/three/four")).unwrap();
    group.delete().unwrap();
    assert!(!group.exists() && dir.path().join("one").is_dir());
    group.delete_empty_parents();
    assert!(!dir.path().join("one").exists() && dir.path().is_dir());
}
