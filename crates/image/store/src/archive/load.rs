//! `load`: one pass over an archive of images.
//!
//! The archive's table of contents may stand at its end, so what a file is, is seen from its first bytes: JSON is kept,
//! everything else is brought in as a layer while it streams by. A layer whose file name is a digest that is here
//! already is skipped unread. Afterwards the tables say which images there are; what they do not name goes again.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
};

use spec::digest::{DiffId, Digest};

use super::{Loaded, manifests};
use crate::{
    Distribution, Error, Ingest, LayerSource, Result, Store,
    ingest::{decompress, stream_failed},
    tar::{Entry, EntryKind, Reader},
    tree::clean,
};

/// JSON documents may be this large each, and all together.
const MAX_TEXT: u64 = 4 << 20;
const MAX_TEXTS: u64 = 128 << 20;
const WHAT: &str = "image archive";

/// What the archive turned out to hold, by path.
pub(super) struct Contents {
    pub texts: HashMap<String, Vec<u8>>,
    pub layers: HashMap<String, LayerFound>,
    /// Files that are no layers: an error only where one is named as one.
    failed: HashMap<String, Error>,
    links: HashMap<String, String>,
    text_bytes: u64,
}

/// A layer of the archive.
#[derive(Clone)]
pub(super) struct LayerFound {
    pub diff_id: DiffId,
    /// Its blob, where the file's name is a digest.
    pub blob: Option<Distribution>,
}

impl Store {
    /// Reads a docker archive or an OCI layout, in any compression, and adds its images.
    pub fn load(&self, reader: impl Read + Send) -> Result<Vec<Loaded>> {
        let ingest = self.ingest()?;
        let mut reader = Reader::new(decompress(reader, WHAT)?);
        let mut contents = Contents {
            texts: HashMap::new(),
            layers: HashMap::new(),
            failed: HashMap::new(),
            links: HashMap::new(),
            text_bytes: 0,
        };
        let wrong = |source| Error::Tar { what: WHAT.to_owned(), source };
        while let Some(entry) = reader.next_entry().map_err(wrong)? {
            contents.entry(self, &ingest, &entry, &mut reader)?;
        }
        reader.drain().map_err(|source| stream_failed(WHAT, source))?;
        manifests::commit(&ingest, contents)
    }
}

impl Contents {
    fn entry(&mut self, store: &Store, ingest: &Ingest, entry: &Entry, data: &mut (impl Read + Send)) -> Result<()> {
        let path = clean_text(entry)?;
        match &entry.kind {
            EntryKind::File => self.file(store, ingest, path, entry.size, data)?,
            EntryKind::Symlink(target) => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                self.links.insert(path.clone(), joined(folder, target, entry)?);
            }
            EntryKind::HardLink(target) => {
                self.links.insert(path, joined("", target, entry)?);
            }
            // Nothing an image is made of.
            _ => {}
        }
        Ok(())
    }

    fn file(
        &mut self,
        store: &Store,
        ingest: &Ingest,
        path: String,
        size: u64,
        data: &mut (impl Read + Send),
    ) -> Result<()> {
        let failed = |source| stream_failed(WHAT, source);
        let mut start = Vec::new();
        data.take(512).read_to_end(&mut start).map_err(failed)?;
        if !looks_like_layer(&start) && size <= MAX_TEXT {
            self.text_bytes += size;
            if self.text_bytes > MAX_TEXTS {
                return Err(Error::ImageArchive { path, problem: "too much JSON" });
            }
            data.read_to_end(&mut start).map_err(failed)?;
            self.texts.insert(path, start);
            return Ok(());
        }
        let digest = blob_digest(&path);
        if let Some(diff_id) = digest.as_ref().map(|d| known(store, ingest, d)).transpose()?.flatten() {
            let found = LayerFound { diff_id, blob: digest.map(|d| distribution(&start, d, size)) };
            self.layers.insert(path, found);
            return Ok(());
        }
        let name = format!("layer {path:?}");
        let source = LayerSource { digest: digest.clone(), name, ..LayerSource::default() };
        let blob = digest.map(|d| distribution(&start, d, size));
        match ingest.layer(&source, Cursor::new(start).chain(data)) {
            Ok(diff_id) => {
                self.layers.insert(path, LayerFound { diff_id, blob });
            }
            Err(error @ (Error::Io { .. } | Error::Stream { .. } | Error::Database { .. })) => return Err(error),
            Err(error) => {
                self.failed.insert(path, error);
            }
        }
        Ok(())
    }

    /// Follows the archive's links.
    fn real<'a>(&'a self, path: &'a str) -> &'a str {
        let mut path = path.strip_prefix("./").unwrap_or(path);
        for _ in 0..8 {
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        path
    }

    /// A document.
    pub fn text(&self, path: &str) -> Option<&[u8]> {
        self.texts.get(self.real(path)).map(Vec::as_slice)
    }

    /// A layer that a table names.
    pub fn layer(&mut self, path: &str) -> Result<LayerFound> {
        let real = self.real(path).to_owned();
        if let Some(found) = self.layers.get(&real) {
            return Ok(found.clone());
        }
        match self.failed.remove(&real) {
            Some(error) => Err(error),
            None => Err(Error::ImageArchive { path: path.to_owned(), problem: "layer is not in the archive" }),
        }
    }
}

fn clean_text(entry: &Entry) -> Result<String> {
    let wrong = |source| Error::Tar { what: WHAT.to_owned(), source };
    let cleaned = clean(&entry.path).map_err(wrong)?;
    let parts: Vec<_> = cleaned.parents.iter().chain(&cleaned.name).map(|p| String::from_utf8_lossy(p)).collect();
    Ok(parts.join("/"))
}

fn joined(folder: &str, target: &[u8], entry: &Entry) -> Result<String> {
    let path = [folder.as_bytes(), b"/", target].concat();
    clean_text(&Entry { path, ..entry.clone() })
}

/// Gzip, zstd and the like, a tar header, or the zeros of an empty tar.
fn looks_like_layer(start: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"];
    let tar = start.len() == 512 && (&start[257..262] == b"ustar" || start.iter().all(|b| *b == 0));
    tar || magics.iter().any(|magic| start.starts_with(magic))
}

/// `blobs/sha256/<hex>` names its content.
fn blob_digest(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// The layer that is here already, as itself or as what this blob was before.
fn known(store: &Store, ingest: &Ingest, digest: &Digest) -> Result<Option<DiffId>> {
    let plain = DiffId(digest.clone());
    if ingest.has_layer(&plain)? {
        return Ok(Some(plain));
    }
    match store.layer_of_blob(digest)? {
        Some(layer) if ingest.has_layer(&layer)? => Ok(Some(layer)),
        _ => Ok(None),
    }
}

fn distribution(start: &[u8], digest: Digest, size: u64) -> Distribution {
    use spec::image::media_type::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
    let media_type = match start {
        [0x1f, 0x8b, ..] => OCI_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => OCI_LAYER_ZSTD,
        _ => OCI_LAYER,
    };
    Distribution { media_type: media_type.to_owned(), digest, size }
}
