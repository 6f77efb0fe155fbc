//! Removing images, one by one or all that nobody needs.

use std::collections::HashMap;

use spec::digest::ImageId;
use store::{RemoveOptions, Removed, Use};

use super::filter;
use super::view::created;
use crate::engine::{Engine, Inner, blocking};
use crate::error::{Kind, Result};
use crate::model::event::EventKind;
use crate::model::filters::Filters;
use crate::model::image::ImageRemoved;
use crate::model::system::ImagesPruned;

/// A container, as far as its image is concerned.
pub(super) struct User {
    pub image: String,
    container: String,
    running: bool,
}

impl Engine {
    /// The containers with their images.
    pub(super) fn users(&self) -> Vec<User> {
        let user = |handle: std::sync::Arc<crate::containers::Handle>| {
            let record = handle.record();
            User { image: record.image.clone(), container: record.id.clone(), running: record.state.is_live() }
        };
        self.inner.containers.all().into_iter().map(user).collect()
    }

    pub async fn image_remove(&self, image: &str, force: bool, prune: bool) -> Result<Vec<ImageRemoved>> {
        let (inner, name, users) = (self.inner.clone(), image.to_owned(), self.users());
        blocking(move || {
            let options = RemoveOptions { force, keep_parents: !prune };
            remove(&inner, &name, options, &users)
        })
        .await
    }

    /// Without `dangling=false` only images without a name.
    pub async fn images_prune(&self, filters: Filters) -> Result<ImagesPruned> {
        filters.accept(&["dangling", "label", "label!", "until"])?;
        let dangling_only = filters.truth("dangling")?.unwrap_or(true);
        let until = filters.values("until").map(filter::moment).collect::<Result<Vec<_>>>()?.into_iter().min();
        let (inner, users) = (self.inner.clone(), self.users());
        blocking(move || {
            let mut pruned = ImagesPruned::default();
            for image in inner.store.images()? {
                let used = users.iter().any(|user| user.image == image.id.as_str());
                let old_enough = until.is_none_or(|until| created(&image) < until);
                let wanted = (!dangling_only || image.names.is_empty())
                    && filters.labels("label", &image.config.config.labels)
                    && old_enough;
                if used || !wanted {
                    continue;
                }
                let options = RemoveOptions { force: true, keep_parents: false };
                let removed = match remove(&inner, image.id.as_str(), options, &users) {
                    Ok(removed) => removed,
                    // Gone with one before it, or taken into use meanwhile.
                    Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => continue,
                    Err(error) => return Err(error),
                };
                if removed.iter().any(|it| matches!(it, ImageRemoved::Deleted(_))) {
                    pruned.reclaimed += image.size;
                }
                pruned.removed.extend(removed);
            }
            inner.tell_of(EventKind::Image, "prune", "", &[("reclaimed", &pruned.reclaimed.to_string())]);
            Ok(pruned)
        })
        .await
    }
}

fn remove(inner: &Inner, name: &str, options: RemoveOptions, users: &[User]) -> Result<Vec<ImageRemoved>> {
    let id = inner.store.resolve(name)?.id;
    let mut uses: HashMap<&str, Vec<Use>> = HashMap::new();
    for user in users {
        let it = Use { container: user.container.clone(), running: user.running };
        uses.entry(&user.image).or_default().push(it);
    }
    let of = |id: &ImageId| uses.get(id.as_str()).cloned().unwrap_or_default();
    let removed = inner.store.remove_image(name, options, &of)?;
    Ok(removed.into_iter().map(|removed| told(inner, &id, removed)).collect())
}

fn told(inner: &Inner, id: &ImageId, removed: Removed) -> ImageRemoved {
    match removed {
        Removed::Untagged(name) => {
            inner.tell_of(EventKind::Image, "untag", id.as_str(), &[("name", id.as_str())]);
            ImageRemoved::Untagged(name)
        }
        Removed::Image(id) => {
            inner.tell_of(EventKind::Image, "delete", id.as_str(), &[("name", id.as_str())]);
            ImageRemoved::Deleted(id.to_string())
        }
        Removed::Layers(chain) => ImageRemoved::Deleted(chain.to_string()),
    }
}
