//! `load`: one pass over an archive of images.
//!
//! The archive's table of contents may stand at its end, so what a file is, is seen from its first bytes: JSON is kept,
//! everything else is brought in as a layer while it streams by. A layer whose file name is a digest that is here
//! already is skipped unread. One that only begins like a layer that came before is put aside: where the image's
//! configuration asks for the layer that is here, it is never read, else it is brought in then. Afterwards the tables
//! say which images there are; what they do not name goes again.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Cursor, Read, Seek, Write},
    sync::Arc,
};

use spec::digest::{DiffId, Digest};

use super::{Loaded, manifests};
use crate::{
    Distribution, Error, Ingest, LayerSource, Result, Store,
    error::Context,
    ingest::{decompress, stream_failed},
    store::Temporary,
    tar::{Entry, EntryKind, Reader},
    tree::clean,
};

/// JSON documents may be this large each, and all together.
const MAX_TEXT: u64 = 4 << 20;
const MAX_TEXTS: u64 = 128 << 20;
const WHAT: &str = "image archive";
/// Bytes that tell whether a file is a layer, and bytes by which one that came before is known again.
const MAGIC: u64 = 512;
const START: u64 = 64 << 10;

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
    /// What it begins with, to be known again by.
    pub start: Option<String>,
    /// Its bytes, where it only seems to be the layer.
    unread: Option<Arc<Aside>>,
}

/// A layer put aside unread; gone when it is dropped.
struct Aside {
    file: File,
    _folder: Temporary,
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
        data.take(MAGIC).read_to_end(&mut start).map_err(failed)?;
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
        let blob = digest.clone().map(|d| distribution(&start, d, size));
        if let Some(diff_id) = digest.as_ref().map(|d| known(store, ingest, d)).transpose()?.flatten() {
            self.layers.insert(path, LayerFound { diff_id, blob, start: None, unread: None });
            return Ok(());
        }
        data.take(START - MAGIC).read_to_end(&mut start).map_err(failed)?;
        let key = (size > START).then(|| format!("{size} {}", Digest::of(&start)));
        let mut data = Cursor::new(start).chain(data);
        if let Some(diff_id) = key.as_deref().map(|key| store.layer_of_start(key)).transpose()?.flatten() {
            let unread = Some(Arc::new(Aside::new(store, &mut data)?));
            self.layers.insert(path, LayerFound { diff_id, blob, start: key, unread });
            return Ok(());
        }
        let source = LayerSource { digest, name: format!("layer {path:?}"), ..LayerSource::default() };
        match ingest.layer(&source, data) {
            Ok(diff_id) => {
                self.layers.insert(path, LayerFound { diff_id, blob, start: key, unread: None });
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

    /// A layer that a table names, and of which the configuration says that it is `expected`.
    pub fn layer(&mut self, path: &str, expected: &DiffId, ingest: &Ingest) -> Result<LayerFound> {
        let real = self.real(path).to_owned();
        let Some(found) = self.layers.get_mut(&real) else {
            return Err(match self.failed.remove(&real) {
                Some(error) => error,
                None => Error::ImageArchive { path: path.to_owned(), problem: "layer is not in the archive" },
            });
        };
        let Some(aside) = found.unread.take() else { return Ok(found.clone()) };
        if found.diff_id == *expected && ingest.has_layer(expected)? {
            // Another image of the archive may still say something else of it.
            found.unread = Some(aside);
            return Ok(found.clone());
        }
        let digest = found.blob.as_ref().map(|blob| blob.digest.clone());
        let source = LayerSource { digest, name: format!("layer {real:?}"), ..LayerSource::default() };
        let mut file = &aside.file;
        file.rewind().map_err(|source| stream_failed(WHAT, source))?;
        found.diff_id = ingest.layer(&source, file)?;
        Ok(found.clone())
    }
}

impl Aside {
    fn new(store: &Store, data: &mut impl Read) -> Result<Aside> {
        let folder = store.temporary()?;
        let path = folder.path.join("aside");
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).at("create", &path)?;
        let mut piece = vec![0; 1 << 18];
        loop {
            match data.read(&mut piece) {
                Ok(0) => return Ok(Aside { file, _folder: folder }),
                Ok(length) => file.write_all(&piece[..length]).at("write", &path)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(stream_failed(WHAT, source)),
            }
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
