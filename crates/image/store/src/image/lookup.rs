//! Finding images, and what is known of them.

use std::{
    collections::BTreeMap,
    fs::File,
    sync::{Arc, PoisonError},
};

use spec::{
    digest::{DiffId, Digest, ImageId},
    image::ImageConfig,
    reference::Reference,
};

use super::{HistoryEntry, Image};
use crate::{
    Distribution, Error, Result, Store,
    db::{CONFIGS, DIGESTS, DISTRIBUTIONS, IMAGES, ImageRecord, MANIFESTS, TAGS, View, parse},
};

/// Names by image, of one moment.
pub(super) struct Names {
    tags: BTreeMap<ImageId, Vec<Reference>>,
    digests: BTreeMap<ImageId, Vec<Reference>>,
}

impl Names {
    pub fn read(view: &View) -> Result<Names> {
        let mut names = Names { tags: BTreeMap::new(), digests: BTreeMap::new() };
        for (table, by_image) in [(TAGS, &mut names.tags), (DIGESTS, &mut names.digests)] {
            for (name, id) in view.rows(table, "")? {
                by_image.entry(image_id(&name, &id)?).or_default().push(Reference::parse(&name)?);
            }
        }
        Ok(names)
    }

    pub fn tags(&self, id: &ImageId) -> &[Reference] {
        self.tags.get(id).map_or(&[], Vec::as_slice)
    }

    pub fn digests(&self, id: &ImageId) -> &[Reference] {
        self.digests.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Images of the store.
impl Store {
    /// Finds an image by reference, by digest, by full id or by a unique prefix of an id.
    pub fn resolve(&self, name: &str) -> Result<Image> {
        let view = self.inner.db.read()?;
        match self.find(&view, name)? {
            Some(id) => self.read_image(&view, &id, &Names::read(&view)?),
            None => Err(Error::NoSuchImage(shown(name))),
        }
    }

    /// Finds an image by its id.
    pub fn image(&self, id: &ImageId) -> Result<Image> {
        let view = self.inner.db.read()?;
        self.read_image(&view, id, &Names::read(&view)?)
    }

    /// All images, newest first.
    pub fn images(&self) -> Result<Vec<Image>> {
        let view = self.inner.db.read()?;
        let names = Names::read(&view)?;
        let mut images = Vec::new();
        for (id, _) in view.rows(IMAGES, "")? {
            images.push(self.read_image(&view, &image_id(&id, id.as_bytes())?, &names)?);
        }
        images.sort_by(|a, b| created(b).cmp(&created(a)).then_with(|| a.id.cmp(&b.id)));
        Ok(images)
    }

    /// The lines of `docker history`, newest first.
    pub fn history(&self, image: &Image) -> Result<Vec<HistoryEntry>> {
        let mut layers = image.layers.iter();
        let mut lines = Vec::new();
        for step in &image.config.history {
            let layer = if step.empty_layer { None } else { layers.next() };
            let size = layer.map_or(Ok(0), |layer| self.layer_size(layer))?;
            lines.push(HistoryEntry {
                id: None,
                created: step.created.clone(),
                created_by: step.created_by.clone().unwrap_or_default(),
                comment: step.comment.clone().unwrap_or_default(),
                names: Vec::new(),
                size,
            });
        }
        lines.reverse();
        // Each line is one image back, as far as the images are here.
        let mut at = Some(image.clone());
        for line in &mut lines {
            let Some(image) = at else { break };
            at = image.parent.as_ref().and_then(|parent| self.image(parent).ok());
            line.id = Some(image.id);
            line.names = image.names;
        }
        Ok(lines)
    }

    /// The manifest an image was pulled or pushed with in `repository`, byte for byte, and its digest.
    pub fn manifest(&self, image: &ImageId, repository: &Reference) -> Result<Option<(Digest, Vec<u8>)>> {
        let bytes = self.inner.db.read()?.bytes(MANIFESTS, &in_repository(image.as_str(), repository))?;
        Ok(bytes.map(|bytes| (Digest::of(&bytes), bytes)))
    }

    /// How a layer is known in `repository`.
    pub fn distribution(&self, layer: &DiffId, repository: &Reference) -> Result<Option<Distribution>> {
        self.inner.db.read()?.get(DISTRIBUTIONS, &in_repository(layer.as_str(), repository))
    }

    /// In which repositories a layer is known, with their canonical names; for mounting blobs across repositories.
    pub fn distributions(&self, layer: &DiffId) -> Result<Vec<(String, Distribution)>> {
        let prefix = format!("{layer} ");
        let rows = self.inner.db.read()?.rows(DISTRIBUTIONS, &prefix)?;
        rows.into_iter().map(|(key, row)| Ok((key[prefix.len()..].to_owned(), parse(&key, &row)?))).collect()
    }

    /// The uncompressed tar of a layer, and its length.
    pub fn layer_tar(&self, layer: &DiffId) -> Result<(File, u64)> {
        let layer = self.layer(layer)?;
        Ok((layer.tar()?, layer.meta.tar_size))
    }

    /// Bytes of the files of a layer.
    pub fn layer_size(&self, layer: &DiffId) -> Result<u64> {
        Ok(self.layer(layer)?.meta.content_size)
    }

    /// Names first, ids last, as docker.
    pub(super) fn find(&self, view: &View, name: &str) -> Result<Option<ImageId>> {
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        let is_hex = !hex.is_empty() && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let whole_id = is_hex && hex.len() == 64;
        if !whole_id {
            let by_name = match Reference::parse(name) {
                Ok(reference) => find_reference(view, &reference.or_latest())?,
                // `sha256:ab12` is no reference; whether it is an id is seen below.
                Err(_) if is_hex => None,
                Err(error) => return Err(error.into()),
            };
            if by_name.is_some() {
                return Ok(by_name);
            }
        }
        if !is_hex {
            return Ok(None);
        }
        let found = view.rows(IMAGES, &format!("sha256:{hex}"))?;
        match found.as_slice() {
            [(id, _)] => image_id(id, id.as_bytes()).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn read_image(&self, view: &View, id: &ImageId, names: &Names) -> Result<Image> {
        let missing = || Error::NoSuchImage(id.to_string());
        let record: ImageRecord = view.get(IMAGES, id.as_str())?.ok_or_else(missing)?;
        let config_bytes: Arc<[u8]> = view.bytes(CONFIGS, id.as_str())?.ok_or_else(missing)?.into();
        let config = self.parsed(id, &config_bytes)?;
        let layers = self.layers();
        let size = record.layers.iter().filter_map(|l| layers.get(l)).map(|l| l.meta.content_size).sum();
        drop(layers);
        let familiar = |names: &[Reference]| names.iter().map(Reference::familiar).collect();
        Ok(Image {
            id: id.clone(),
            config,
            config_bytes,
            size,
            names: familiar(names.tags(id)),
            repo_digests: familiar(names.digests(id)),
            parent: record.parent,
            last_tagged: record.last_tagged,
            layers: record.layers,
        })
    }

    fn parsed(&self, id: &ImageId, bytes: &[u8]) -> Result<Arc<ImageConfig>> {
        let mut configs = self.inner.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(id) {
            return Ok(config.clone());
        }
        let config: Arc<ImageConfig> = Arc::new(parse(id.as_str(), bytes)?);
        configs.insert(id.clone(), config.clone());
        Ok(config)
    }
}

/// The key of what belongs to an image or layer in a repository.
pub(super) fn in_repository(what: &str, repository: &Reference) -> String {
    format!("{what} {}", repository.repository())
}

pub(super) fn image_id(row: &str, text: &[u8]) -> Result<ImageId> {
    let text = String::from_utf8_lossy(text);
    text.parse().map_err(|_| Error::Config { what: format!("image id of {row}"), problem: text.into_owned() })
}

fn find_reference(view: &View, reference: &Reference) -> Result<Option<ImageId>> {
    let (table, key) = match reference.digest() {
        Some(digest) => (DIGESTS, reference.with_digest(digest.clone())),
        None => (TAGS, reference.clone()),
    };
    let key = key.to_string();
    view.bytes(table, &key)?.map(|id| image_id(&key, &id)).transpose()
}

/// The name in docker's message: with the tag that was meant.
pub(super) fn shown(name: &str) -> String {
    match Reference::parse(name) {
        Ok(reference) => reference.or_latest().familiar(),
        Err(_) => name.to_owned(),
    }
}

fn created(image: &Image) -> Option<jiff::Timestamp> {
    image.config.created.as_ref().and_then(|text| text.parse().ok())
}
