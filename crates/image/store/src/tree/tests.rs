//! Tests of the tree that entries make.

use super::*;
use crate::tar::{EntryHeader, Scanner, Writer};

fn header(path: &str, kind: EntryKind) -> EntryHeader {
    EntryHeader { kind, ..EntryHeader::file(path, 0) }
}

fn build(headers: &[EntryHeader]) -> Result<Tree, TarError> {
    let mut writer = Writer::new(Vec::new());
    headers.iter().for_each(|h| writer.empty(h).unwrap());
    let mut scanner = Scanner::new(Tree::new());
    scanner.feed(&writer.finish().unwrap())?;
    Ok(scanner.finish()?.0)
}

/// Every path with a letter for its kind.
fn list(headers: &[EntryHeader]) -> Vec<String> {
    let tree = build(headers).unwrap();
    let mut lines = Vec::new();
    let mut stack = vec![(ROOT, String::new())];
    while let Some((ino, path)) = stack.pop() {
        for (name, child) in &tree.directory(ino).unwrap().children {
            let path = format!("{path}/{}", String::from_utf8_lossy(name));
            let letter = match &tree.inode(*child).kind {
                Kind::Directory(d) if d.opaque => 'o',
                Kind::Directory(_) => 'd',
                Kind::Whiteout => 'w',
                Kind::Symlink(_) => 'l',
                _ => 'f',
            };
            lines.push(format!("{letter} {path} {}", tree.inode(*child).links));
            if tree.directory(*child).is_some() {
                stack.push((*child, path));
            }
        }
    }
    lines.sort();
    lines
}

fn file(path: &str) -> EntryHeader {
    header(path, EntryKind::File)
}

fn directory(path: &str) -> EntryHeader {
    header(path, EntryKind::Directory)
}

fn link(path: &str, target: &str) -> EntryHeader {
    header(path, EntryKind::HardLink(target.into()))
}

fn symlink(path: &str, target: &str) -> EntryHeader {
    header(path, EntryKind::Symlink(target.into()))
}

#[test]
fn later_entries_take_the_place_of_earlier_ones() {
    assert_eq!(list(&[file("a"), directory("a"), file("a/b")]), ["d /a 1", "f /a/b 1"]);
    assert_eq!(list(&[directory("a"), file("a/b"), file("a")]), ["f /a 1"]);
    assert_eq!(list(&[directory("a"), file("a/b"), directory("./a/")]), ["d /a 1", "f /a/b 1"]);
    assert_eq!(list(&[file("a"), link("b", "a"), file("a")]), ["f /a 1", "f /b 1"]);
    assert_eq!(list(&[file("a"), link("a", "a")]), ["f /a 1"]);
}

#[test]
fn paths_through_links_end_where_unpacking_would_put_them() {
    assert_eq!(
        list(&[directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib"), file("lib/x")]),
        ["d /usr 1", "d /usr/lib 1", "f /usr/lib/x 1", "l /lib 1"]
    );
    assert_eq!(list(&[symlink("a", "/b/c"), file("a/x")]), ["d /b 1", "d /b/c 1", "f /b/c/x 1", "l /a 1"]);
    assert_eq!(list(&[directory("d"), symlink("d/up", ".."), file("d/up/x")]), ["d /d 1", "f /x 1", "l /d/up 1"]);
}

#[test]
fn whiteouts_speak_of_the_layers_below() {
    assert_eq!(list(&[file(".wh.a")]), ["w /a 1"]);
    assert_eq!(list(&[file("a"), file(".wh.a")]), ["f /a 1"]);
    assert_eq!(list(&[file(".wh.a"), file("a")]), ["f /a 1"]);
    assert_eq!(list(&[file(".wh.a"), directory("a")]), ["o /a 1"]);
    assert_eq!(list(&[directory("a"), file(".wh.a")]), ["o /a 1"]);
    assert_eq!(list(&[file("a/.wh..wh..opq"), file("a/b")]), ["f /a/b 1", "o /a 1"]);
    assert_eq!(list(&[file(".wh..wh.aufs"), file(".wh.x"), file(".wh.y")]), ["w /x 2", "w /y 2"]);
    for bad in [".wh.", ".wh..", ".wh..."] {
        assert!(build(&[file(bad)]).is_err(), "{bad}");
    }
}

#[test]
fn what_leaves_the_root_is_refused() {
    for headers in [
        vec![file("../x")],
        vec![file("a/../../x")],
        vec![directory("..")],
        vec![file("a"), link("b", "../a")],
        vec![symlink("a", "../x")],
        vec![symlink("d/a", "../../x")],
        vec![file("a"), file("a/x")],
        vec![directory("a"), link("b", "a")],
        vec![link("b", "absent")],
        vec![file(&"n".repeat(256))],
    ] {
        assert!(build(&headers).is_err(), "{headers:?}");
    }
    assert_eq!(list(&[file("/abs/x"), symlink("abs/up", "../x"), symlink("abs/out", "/../../etc")]).len(), 4);
}

#[test]
fn overlayfs_own_attributes_are_never_believed() {
    let xattrs =
        ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque", "user.kept", "system.nfs4_acl"];
    let xattrs = xattrs.iter().map(|n| (n.as_bytes().to_vec(), b"y".to_vec())).collect();
    let tree = build(&[EntryHeader { xattrs, ..directory("a") }]).unwrap();
    let inode = tree.inode(tree.child(ROOT, b"a").unwrap());
    assert_eq!(inode.xattrs, [(b"user.kept".to_vec(), b"y".to_vec())]);
}
