//! Layers on disk: one folder each, named by the digest of its tar, complete or not there at all.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use spec::digest::DiffId;

use crate::{Error, Result, error::Context, tar::Scanner, tree::Tree};

/// The raw tar in a layer's folder.
pub(crate) const TAR: &str = "layer.tar";
const META: &str = "layer.json";

/// What a layer's `layer.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LayerMeta {
    /// Bytes of the tar.
    pub tar_size: u64,
    /// Bytes of the files in it.
    pub content_size: u64,
    /// Directories that only entries below them imply, as absolute paths; lossy names do not matter here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub implicit: Vec<String>,
}

impl LayerMeta {
    /// Describes a scanned tar.
    pub fn new(tree: &Tree, tar_size: u64) -> Self {
        let text = |path: Vec<u8>| String::from_utf8(path).ok();
        let implicit = tree.implicit_directories().into_iter().filter_map(text).collect();
        LayerMeta { tar_size, content_size: tree.content_size(), implicit }
    }

    /// Writes it into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(META);
        let bytes = serde_json::to_vec(self).map_err(|source| Error::Json { what: META.to_owned(), source })?;
        fs::write(&path, bytes).at("write", &path)?;
        File::open(&path).and_then(|f| f.sync_all()).at("sync", &path)
    }
}

/// A layer that is complete on disk.
#[derive(Debug)]
pub(crate) struct Layer {
    pub id: DiffId,
    pub folder: PathBuf,
    pub meta: LayerMeta,
}

impl Layer {
    /// Reads a folder.
    fn read(id: DiffId, folder: PathBuf) -> Result<Layer> {
        let path = folder.join(META);
        let bytes = fs::read(&path).at("read", &path)?;
        let meta = crate::db::parse(&path.display().to_string(), &bytes)?;
        Ok(Layer { id, folder, meta })
    }

    /// Opens its tar.
    pub fn tar(&self) -> Result<File> {
        let path = self.folder.join(TAR);
        File::open(&path).at("open", &path)
    }

    /// Reads its tar again, to make what a snapshotter needs and does not find.
    pub fn scan(&self) -> Result<Tree> {
        let mut tar = self.tar()?;
        let mut scanner = Scanner::new(Tree::new());
        let mut buffer = vec![0; 1 << 18];
        let wrong = |source| Error::Tar { what: format!("layer {}", self.id), source };
        loop {
            match io::Read::read(&mut tar, &mut buffer) {
                Ok(0) => break,
                Ok(n) => scanner.feed(&buffer[..n]).map_err(wrong)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("read", self.folder.join(TAR)),
            }
        }
        Ok(scanner.finish().map_err(wrong)?.0)
    }
}

/// The layers of a store and who holds them; the caller guards it with a lock.
#[derive(Default)]
pub(crate) struct Layers {
    by_id: HashMap<DiffId, Held>,
}

struct Held {
    layer: Arc<Layer>,
    leases: usize,
}

impl Layers {
    /// Finds the layers below `folder`; what is not complete is removed.
    pub fn open(folder: &Path) -> Result<Layers> {
        let mut layers = Layers::default();
        for algorithm in list(folder)? {
            for hex in list(&folder.join(&algorithm))? {
                let path = folder.join(&algorithm).join(&hex);
                let layer = format!("{algorithm}:{hex}").parse::<DiffId>().ok().map(|id| Layer::read(id, path.clone()));
                match layer {
                    Some(Ok(layer)) => layers.insert(layer),
                    _ => {
                        tracing::warn!(path = %path.display(), "removing an incomplete layer");
                        fs::remove_dir_all(&path).at("remove", &path)?;
                    }
                }
            }
        }
        Ok(layers)
    }

    fn insert(&mut self, layer: Layer) {
        self.by_id.insert(layer.id.clone(), Held { layer: Arc::new(layer), leases: 0 });
    }

    /// A layer.
    pub fn get(&self, id: &DiffId) -> Option<Arc<Layer>> {
        self.by_id.get(id).map(|held| held.layer.clone())
    }

    /// Adds a lease to a layer; false if it is not here.
    pub fn lease(&mut self, id: &DiffId) -> bool {
        self.by_id.get_mut(id).map(|held| held.leases += 1).is_some()
    }

    /// Takes a lease away.
    pub fn release(&mut self, id: &DiffId) {
        if let Some(held) = self.by_id.get_mut(id) {
            held.leases = held.leases.saturating_sub(1);
        }
    }

    /// Moves a finished folder to its place and leases it; a layer that came meanwhile by another way wins.
    pub fn adopt(&mut self, id: &DiffId, folder: &Path, layers: &Path) -> Result<()> {
        if self.lease(id) {
            return Ok(());
        }
        let parent = layers.join(id.0.algorithm());
        let target = parent.join(id.hex());
        fs::create_dir_all(&parent).at("create", &parent)?;
        fs::rename(folder, &target).at("rename into place", &target)?;
        File::open(&parent).and_then(|d| d.sync_all()).at("sync", &parent)?;
        self.insert(Layer::read(id.clone(), target)?);
        self.lease(id);
        Ok(())
    }

    /// Takes out what nobody holds and `needed` does not name.
    pub fn take_unused(&mut self, needed: &dyn Fn(&DiffId) -> bool) -> Vec<Arc<Layer>> {
        let unused = |(id, held): &(&DiffId, &Held)| held.leases == 0 && !needed(id);
        let ids: Vec<DiffId> = self.by_id.iter().filter(unused).map(|(id, _)| id.clone()).collect();
        ids.iter().filter_map(|id| self.by_id.remove(id)).map(|held| held.layer).collect()
    }
}

/// The names in a folder.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        let entry = entry.at("list", folder)?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}
