//! Tests of reading and writing tar streams.

use std::io::Read;

use proptest::prelude::*;

use super::*;

/// Collects what a scanner finds.
#[derive(Default)]
struct Entries(Vec<Entry>);

impl EntrySink for Entries {
    fn entry(&mut self, entry: Entry) -> Result<(), TarError> {
        self.0.push(entry);
        Ok(())
    }
}

fn scan(bytes: &[u8], piece: usize) -> Result<Vec<Entry>, TarError> {
    let mut scanner = Scanner::new(Entries::default());
    for piece in bytes.chunks(piece) {
        scanner.feed(piece)?;
    }
    Ok(scanner.finish()?.0.0)
}

fn pull(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        reader.read_to_end(&mut data).map_err(TarError::Read)?;
        entries.push((entry, data));
    }
    Ok(entries)
}

fn written(headers: &[EntryHeader]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for header in headers {
        writer.entry(header, std::io::repeat(b'd')).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn headers_that_ustar_cannot_hold_come_back() {
    let headers = [
        EntryHeader { uid: 4_000_000_000, gid: 3_000_000_000, mtime: -5, ..EntryHeader::file(&"long/".repeat(60), 3) },
        EntryHeader { kind: EntryKind::Symlink("ü".repeat(80).into_bytes()), ..EntryHeader::file("ünicode", 0) },
        EntryHeader { xattrs: vec![(b"user.x".to_vec(), vec![0, 10, 61, 255])], ..EntryHeader::file("x", 0) },
        EntryHeader { kind: EntryKind::CharDevice { major: 10, minor: 200 }, ..EntryHeader::file("tun", 0) },
        EntryHeader::file(&format!("{}/{}", "p".repeat(150), "n".repeat(99)), 600),
    ];
    let read = pull(&written(&headers)).unwrap();
    for (header, (entry, data)) in headers.iter().zip(&read) {
        assert_eq!(entry.path, header.path);
        assert_eq!((entry.uid, entry.gid, entry.mtime), (header.uid, header.gid, (header.mtime, 0)));
        assert_eq!((&entry.kind, &entry.xattrs), (&header.kind, &header.xattrs));
        assert_eq!(data.len() as u64, header.size);
    }
    assert_eq!(read.len(), headers.len());
}

#[test]
fn pieces_of_any_size_give_the_same_entries() {
    let bytes =
        written(&[EntryHeader::file(&"a".repeat(300), 1000), EntryHeader::directory("d"), EntryHeader::file("b", 512)]);
    let whole = scan(&bytes, bytes.len()).unwrap();
    assert_eq!(whole.len(), 3);
    for piece in [1, 7, 511, 512, 513] {
        assert_eq!(scan(&bytes, piece).unwrap(), whole);
    }
    let pulled: Vec<Entry> = pull(&bytes).unwrap().into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(pulled, whole);
}

#[test]
fn a_stream_cut_anywhere_inside_an_entry_is_truncated() {
    let bytes = written(&[EntryHeader::file("name", 1000)]);
    for end in [1, 511, 513, 1000, 1500, 1535] {
        assert!(matches!(scan(&bytes[..end], 64), Err(TarError::Truncated { .. })), "{end}");
        assert!(pull(&bytes[..end]).is_err(), "{end}");
    }
    // Between entries, the end marker may be missing.
    assert_eq!(scan(&bytes[..1536], 64).unwrap().len(), 1);
    assert!(scan(&[], 1).unwrap().is_empty());
}

#[test]
fn what_is_no_header_is_refused() {
    let mut bytes = written(&[EntryHeader::file("name", 10)]);
    bytes[0] ^= 1;
    assert!(matches!(scan(&bytes, 512), Err(TarError::Checksum { offset: 0 })));
    let mut unknown = written(&[EntryHeader { kind: EntryKind::Fifo, ..EntryHeader::file("name", 0) }]);
    unknown[156] = b'M';
    let sum: u32 =
        unknown[..512].iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    unknown[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    assert!(matches!(scan(&unknown, 512), Err(TarError::Type { typeflag: b'M', .. })));
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let _ = scan(&bytes, 100);
        let _ = pull(&bytes);
    }

    /// Bytes changed in a good archive, with its checksums put right again: every field sees nonsense.
    #[test]
    fn no_field_makes_the_readers_panic(changes in prop::collection::vec((0..3072usize, any::<u8>()), 1..20)) {
        let mut bytes = written(&[EntryHeader::file(&"a".repeat(200), 100), EntryHeader::directory("d")]);
        for (at, value) in changes {
            bytes[at] = value;
        }
        for block in bytes.as_chunks_mut::<512>().0 {
            let sum: u32 = block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let _ = scan(&bytes, 512);
        let _ = pull(&bytes);
        let mut scanner = Scanner::new(crate::tree::Tree::new());
        if scanner.feed(&bytes).is_ok() && let Ok((tree, size)) = scanner.finish() {
            let _ = crate::erofs::encode(&tree, size);
        }
    }
}
