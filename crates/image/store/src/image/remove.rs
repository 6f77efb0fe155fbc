//! Removing names and images, with docker's rules.
//!
//! First a plan is made against one view of the database, then it is carried out in one transaction. Removals and
//! what they look at are one after the other: `removals` is held meanwhile.

use std::collections::BTreeSet;

use spec::{
    digest::{ChainId, DiffId, ImageId},
    reference::Reference,
};

use super::{
    Image, RemoveOptions, Removed, Use,
    lookup::{Names, shown},
};
use crate::{
    Error, Result, Store,
    db::{
        BLOBS, CONFIGS, DIGESTS, DISTRIBUTIONS, IMAGES, MANIFESTS, SNAPSHOTS, STARTS, SnapshotRecord, TAGS, delete,
        delete_prefix, parse,
    },
};

/// What a removal needs to know, and what it decided so far.
struct Plan<'a> {
    images: Vec<Image>,
    /// Names that are left, by image.
    tags: Vec<(ImageId, Reference)>,
    digests: Vec<(ImageId, Reference)>,
    uses: &'a dyn Fn(&ImageId) -> Vec<Use>,
    /// Layers of containers.
    held: Vec<Vec<DiffId>>,
    removed: Vec<Removed>,
    gone_names: Vec<Reference>,
    gone_images: Vec<ImageId>,
}

/// Removal of images.
impl Store {
    /// Removes a name or an image with docker's rules. `uses` gives the containers made from an image.
    pub fn remove_image(
        &self,
        name: &str,
        options: RemoveOptions,
        uses: &dyn Fn(&ImageId) -> Vec<Use>,
    ) -> Result<Vec<Removed>> {
        let _one_at_a_time = self.removals();
        let view = self.inner.db.read()?;
        let id = self.find(&view, name)?.ok_or_else(|| Error::NoSuchImage(shown(name)))?;
        let names = Names::read(&view)?;
        let images = self.images()?;
        let all = |of: &dyn Fn(&ImageId) -> Vec<Reference>| -> Vec<(ImageId, Reference)> {
            images.iter().flat_map(|i| of(&i.id).into_iter().map(|r| (i.id.clone(), r))).collect()
        };
        let snapshots = view.rows(SNAPSHOTS, "")?;
        let held = snapshots.iter().map(|(k, r)| Ok(parse::<SnapshotRecord>(k, r)?.layers)).collect::<Result<_>>()?;
        let mut plan = Plan {
            tags: all(&|id| names.tags(id).to_vec()),
            digests: all(&|id| names.digests(id).to_vec()),
            images,
            uses,
            held,
            removed: Vec::new(),
            gone_names: Vec::new(),
            gone_images: Vec::new(),
        };
        plan.remove(&id, name, options)?;
        let (removed, gone) = (plan.removed, plan.gone_images);
        self.inner.db.write("remove image", |tx| {
            for name in &plan.gone_names {
                delete(tx, if name.digest().is_some() { DIGESTS } else { TAGS }, &name.to_string())?;
            }
            for id in &gone {
                delete(tx, IMAGES, id.as_str())?;
                delete(tx, CONFIGS, id.as_str())?;
                delete_prefix(tx, MANIFESTS, &format!("{id} "))?;
            }
            Ok(())
        })?;
        if !gone.is_empty() {
            self.forget_configs(&gone);
            self.collect()?;
            self.forget_distributions()?;
        }
        Ok(removed)
    }

    /// What is known in repositories of layers that are gone.
    fn forget_distributions(&self) -> Result<()> {
        let view = self.inner.db.read()?;
        let here = |text: &str| text.parse::<DiffId>().is_ok_and(|id| self.layers().get(&id).is_some());
        let known = |key: &str| key.split(' ').next().is_some_and(here);
        let stale: Vec<String> =
            view.rows(DISTRIBUTIONS, "")?.into_iter().map(|(k, _)| k).filter(|k| !known(k)).collect();
        let of_gone_layers = |table| -> Result<Vec<String>> {
            let rows = view.rows(table, "")?.into_iter();
            Ok(rows.filter(|(_, layer)| !here(&String::from_utf8_lossy(layer))).map(|(key, _)| key).collect())
        };
        let (blobs, starts) = (of_gone_layers(BLOBS)?, of_gone_layers(STARTS)?);
        if stale.is_empty() && blobs.is_empty() && starts.is_empty() {
            return Ok(());
        }
        self.inner.db.write("forget distributions", |tx| {
            stale.iter().try_for_each(|key| delete(tx, DISTRIBUTIONS, key))?;
            starts.iter().try_for_each(|key| delete(tx, STARTS, key))?;
            blobs.iter().try_for_each(|key| delete(tx, BLOBS, key))
        })
    }
}

impl Plan<'_> {
    fn remove(&mut self, id: &ImageId, name: &str, options: RemoveOptions) -> Result<()> {
        let by_id = id.as_str().starts_with(name) || id.hex().starts_with(name);
        let mut quiet = false;
        if by_id {
            if self.is_single(id) {
                self.conflict(id, options.force, NameCheck::Ignored)?;
                self.untag_all(id);
            }
        } else {
            let user = (self.uses)(id).into_iter().next();
            if let Some(user) = user.filter(|_| !options.force && self.is_single(id)) {
                return Err(Error::NameInUse {
                    name: name.to_owned(),
                    container: short(&user.container),
                    id: short(id.hex()),
                });
            }
            self.untag_given(id, &Reference::parse(name)?.or_latest());
            if self.names(id).next().is_some() {
                return Ok(());
            }
            quiet = true;
        }
        self.remove_id(id, options.force, !options.keep_parents, quiet)
    }

    /// Removes an image, then its parents that nothing names or uses.
    fn remove_id(&mut self, id: &ImageId, force: bool, prune: bool, quiet: bool) -> Result<()> {
        let mut next = Some((id.clone(), force, quiet));
        while let Some((id, force, quiet)) = next.take() {
            if let Err(error) = self.conflict(&id, force, NameCheck::Counted) {
                let dangling = self.names(&id).next().is_none() && !self.has_children(&id);
                let used = !(self.uses)(&id).is_empty();
                if quiet && (!dangling || used) {
                    return Ok(());
                }
                return Err(error);
            }
            self.untag_all(&id);
            let Some(position) = self.images.iter().position(|i| i.id == id) else { return Ok(()) };
            let image = self.images.remove(position);
            self.removed.push(Removed::Image(id.clone()));
            self.gone_images.push(id);
            self.note_layers(&image);
            next = image
                .parent
                .filter(|_| prune)
                .filter(|p| self.images.iter().any(|i| i.id == *p))
                .map(|p| (p, false, true));
        }
        Ok(())
    }

    fn names(&self, id: &ImageId) -> impl Iterator<Item = &Reference> {
        self.tags.iter().chain(&self.digests).filter(move |(i, _)| i == id).map(|(_, r)| r)
    }

    fn has_children(&self, id: &ImageId) -> bool {
        self.images.iter().any(|i| i.parent.as_ref() == Some(id))
    }

    /// At most one tag, and every digest of the same repository.
    fn is_single(&self, id: &ImageId) -> bool {
        let tags: Vec<_> = self.tags.iter().filter(|(i, _)| i == id).collect();
        let mut repositories: BTreeSet<String> =
            self.digests.iter().filter(|(i, _)| i == id).map(|(_, r)| r.repository().to_string()).collect();
        repositories.extend(tags.iter().map(|(_, r)| r.repository().to_string()));
        tags.len() <= 1 && (repositories.len() <= 1 || self.names(id).count() <= 1)
    }

    /// Docker's checks, in docker's order; force passes over what can be forced.
    fn conflict(&self, id: &ImageId, force: bool, names: NameCheck) -> Result<()> {
        let in_use = |forceable: bool, reason: String| Error::ImageInUse { id: short(id.hex()), forceable, reason };
        if self.has_children(id) {
            return Err(in_use(false, "image has dependent child images".to_owned()));
        }
        let uses = (self.uses)(id);
        if let Some(user) = uses.iter().find(|u| u.running) {
            let reason = format!("image is being used by running container {}", short(&user.container));
            return Err(in_use(false, reason));
        }
        if force {
            return Ok(());
        }
        if names == NameCheck::Counted && self.names(id).next().is_some() {
            return Err(in_use(true, "image is referenced in multiple repositories".to_owned()));
        }
        if let Some(user) = uses.first() {
            let reason = format!("image is being used by stopped container {}", short(&user.container));
            return Err(in_use(true, reason));
        }
        Ok(())
    }

    fn untag_given(&mut self, id: &ImageId, name: &Reference) {
        let name = match name.digest() {
            Some(digest) => name.with_digest(digest.clone()),
            None => name.clone(),
        };
        self.untag(&name);
        let repository = name.repository();
        let tag_left = self.tags.iter().any(|(i, r)| i == id && r.repository() == repository);
        if name.digest().is_none() && !tag_left {
            let digests: Vec<_> =
                self.digests.iter().filter(|(i, r)| i == id && r.repository() == repository).cloned().collect();
            digests.iter().for_each(|(_, digest)| self.untag(digest));
        }
    }

    fn untag_all(&mut self, id: &ImageId) {
        let names: Vec<Reference> = self.names(id).cloned().collect();
        names.iter().for_each(|name| self.untag(name));
    }

    fn untag(&mut self, name: &Reference) {
        self.tags.retain(|(_, r)| r != name);
        self.digests.retain(|(_, r)| r != name);
        self.removed.push(Removed::Untagged(name.familiar()));
        self.gone_names.push(name.clone());
    }

    /// The layer stacks that only this image had, topmost first.
    fn note_layers(&mut self, image: &Image) {
        for length in (1..=image.layers.len()).rev() {
            let stack = &image.layers[..length];
            let images = self.images.iter().map(|i| &i.layers);
            if images.chain(&self.held).any(|other| other.starts_with(stack)) {
                return;
            }
            if let Some(chain) = ChainId::of(stack) {
                self.removed.push(Removed::Layers(chain));
            }
        }
    }
}

/// Whether names of an image stand against its removal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NameCheck {
    Counted,
    Ignored,
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}
