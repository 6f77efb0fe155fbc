//! Recording images and their names.

use redb::WriteTransaction;
use spec::{
    digest::{DiffId, Digest, ImageId},
    image::ImageConfig,
    reference::Reference,
};

use super::{Image, lookup::in_repository};
use crate::{
    Distribution, Error, ImageCommit, Result, Store,
    db::{
        BLOBS, CONFIGS, DIGESTS, DISTRIBUTIONS, IMAGES, ImageRecord, MANIFESTS, STARTS, TAGS, parse, peek, put,
        put_json,
    },
};

/// Names and records of images.
impl Store {
    /// Gives an image a name; whoever had it loses it.
    pub fn tag(&self, id: &ImageId, name: &Reference) -> Result<()> {
        let name = name.or_latest();
        if name.tag().is_none() || name.digest().is_some() {
            return Err(Error::TagIsDigest);
        }
        self.inner.db.write("tag image", |tx| {
            let mut record = read(tx, id)?.ok_or_else(|| Error::NoSuchImage(id.to_string()))?;
            record.last_tagged = Some(jiff::Timestamp::now());
            put_json(tx, IMAGES, id.as_str(), &record)?;
            put(tx, TAGS, &name.to_string(), id.as_str().as_bytes())
        })
    }

    /// Records the manifest an image has in a repository, and its repo digest; used after a push.
    pub fn set_manifest(&self, image: &ImageId, repository: &Reference, manifest: &[u8]) -> Result<()> {
        self.inner.db.write("record manifest", |tx| {
            let digest = repository.with_digest(Digest::of(manifest));
            put(tx, DIGESTS, &digest.to_string(), image.as_str().as_bytes())?;
            put(tx, MANIFESTS, &in_repository(image.as_str(), repository), manifest)
        })
    }

    /// Records how a layer is known in a repository.
    pub fn set_distribution(&self, layer: &DiffId, repository: &Reference, known: &Distribution) -> Result<()> {
        let key = in_repository(layer.as_str(), repository);
        self.inner.db.write("record distribution", |tx| put_json(tx, DISTRIBUTIONS, &key, known))
    }

    /// The layer whose blob has this digest, if it was ever brought in from such a blob and is here.
    pub fn layer_of_blob(&self, blob: &Digest) -> Result<Option<DiffId>> {
        let Some(bytes) = self.inner.db.read()?.bytes(BLOBS, blob.as_str())? else { return Ok(None) };
        let layer = String::from_utf8_lossy(&bytes).parse::<DiffId>().ok();
        Ok(layer.filter(|layer| self.layers().get(layer).is_some()))
    }

    /// The layer that a file of an archive was that had this size and beginning, if it is here.
    pub(crate) fn layer_of_start(&self, start: &str) -> Result<Option<DiffId>> {
        let Some(bytes) = self.inner.db.read()?.bytes(STARTS, start)? else { return Ok(None) };
        let layer = String::from_utf8_lossy(&bytes).parse::<DiffId>().ok();
        Ok(layer.filter(|layer| self.layers().get(layer).is_some()))
    }

    pub(crate) fn record_image(&self, commit: &ImageCommit, config: &ImageConfig) -> Result<Image> {
        let id = ImageId(Digest::of(&commit.config));
        let key = id.as_str();
        self.inner.db.write("record image", |tx| {
            let mut record = read(tx, &id)?.unwrap_or_default();
            record.layers = config.rootfs.diff_ids.clone();
            record.parent = commit.parent.clone().or(record.parent);
            if !commit.names.is_empty() {
                record.last_tagged = Some(jiff::Timestamp::now());
            }
            put_json(tx, IMAGES, key, &record)?;
            put(tx, CONFIGS, key, &commit.config)?;
            for name in &commit.names {
                put(tx, TAGS, &name.or_latest().to_string(), key.as_bytes())?;
            }
            if let Some((repository, digest)) = &commit.repo_digest {
                put(tx, DIGESTS, &repository.with_digest(digest.clone()).to_string(), key.as_bytes())?;
                if let Some(manifest) = &commit.manifest {
                    put(tx, MANIFESTS, &in_repository(key, repository), manifest)?;
                }
                for (layer, known) in record.layers.iter().zip(&commit.distribution) {
                    put_json(tx, DISTRIBUTIONS, &in_repository(layer.as_str(), repository), known)?;
                }
            }
            for (layer, known) in record.layers.iter().zip(&commit.distribution) {
                put(tx, BLOBS, known.digest.as_str(), layer.as_str().as_bytes())?;
            }
            commit.starts.iter().try_for_each(|(start, layer)| put(tx, STARTS, start, layer.as_str().as_bytes()))
        })?;
        self.image(&id)
    }
}

fn read(tx: &WriteTransaction, id: &ImageId) -> Result<Option<ImageRecord>> {
    peek(tx, IMAGES, id.as_str())?.map(|bytes| parse(id.as_str(), &bytes)).transpose()
}
