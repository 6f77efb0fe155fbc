//! Tests of the encoder that need no kernel; what a kernel makes of images is tested with the snapshotters.

use super::*;
use crate::{
    tar::{EntryHeader, EntryKind, Scanner, TarError, Writer},
    tree::Tree,
};

fn tree(headers: &[EntryHeader]) -> (Tree, u64) {
    let mut writer = Writer::new(Vec::new());
    for header in headers {
        writer.entry(header, std::io::repeat(0)).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let mut scanner = Scanner::new(Tree::new());
    scanner.feed(&bytes).unwrap();
    scanner.finish().unwrap()
}

fn u32_at(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(image[at..at + 4].try_into().unwrap())
}

#[test]
fn an_index_says_where_the_tar_is() {
    let (tree, size) = tree(&[EntryHeader::file("a", 1000)]);
    let image = encode(&tree, size).unwrap();
    assert_eq!(u32_at(&image, 1024), 0xE0F5_E1E2);
    assert_eq!(image[1024 + 12], 9);
    let blocks = u32_at(&image, 1024 + 36);
    assert_eq!(image.len(), blocks as usize * 512);
    // The device: as many blocks as the tar has, following the image's own.
    assert_eq!(u32_at(&image, 1152 + 64) as u64, size / 512);
    assert_eq!(u32_at(&image, 1152 + 68), blocks);
    // The file's data starts after its header.
    let file = 1536 + 64 + 64;
    let found = (1536..image.len()).step_by(32).any(|at| at >= file && u32_at(&image, at + 16) == blocks + 1);
    assert!(found);
}

#[test]
fn no_inode_has_the_number_that_readdir_skips() {
    let (tree, size) = tree(&[]);
    let image = encode(&tree, size).unwrap();
    assert_ne!(u16::from_le_bytes([image[1024 + 14], image[1024 + 15]]), 0);
}

#[test]
fn a_hundred_thousand_entries_in_one_directory_are_indexed() {
    let headers: Vec<_> = (0..100_000).map(|i| EntryHeader::file(&format!("dir/entry-{i}"), 0)).collect();
    let (tree, size) = tree(&headers);
    assert_eq!(tree.reachable().len(), 100_002);
    encode(&tree, size).unwrap();
}

#[test]
fn deep_trees_need_no_deep_stack() {
    let path = "d/".repeat(2000);
    let (tree, size) = tree(&[EntryHeader { kind: EntryKind::Directory, ..EntryHeader::file(&path, 0) }]);
    assert_eq!(tree.implicit_directories().len(), 2000);
    encode(&tree, size).unwrap();
}

#[test]
fn links_that_go_in_circles_are_an_error() {
    let link = |path: &str, target: &str| EntryHeader {
        kind: EntryKind::Symlink(target.into()),
        ..EntryHeader::file(path, 0)
    };
    let mut writer = Writer::new(Vec::new());
    for header in [link("a", "b"), link("b", "a"), EntryHeader::file("a/x", 0)] {
        writer.empty(&header).unwrap();
    }
    let mut scanner = Scanner::new(Tree::new());
    assert!(matches!(scanner.feed(&writer.finish().unwrap()), Err(TarError::LinkLoop { .. })));
}

/// `LAYER=layer.tar cargo test --release -p store -- --ignored --nocapture index_speed`
#[test]
#[ignore = "a measurement: needs LAYER"]
fn index_speed() {
    let Ok(path) = std::env::var("LAYER") else { return };
    let bytes = std::fs::read(path).unwrap();
    let start = std::time::Instant::now();
    let mut scanner = Scanner::new(Tree::new());
    for piece in bytes.chunks(1 << 18) {
        scanner.feed(piece).unwrap();
    }
    let (tree, size) = scanner.finish().unwrap();
    let scanned = start.elapsed();
    let image = encode(&tree, size).unwrap();
    let encoded = start.elapsed() - scanned;
    eprintln!(
        "{} MB, {} files: scan {scanned:?}, encode {encoded:?}, index of {} kB",
        size >> 20,
        tree.reachable().len(),
        image.len() >> 10
    );
}
