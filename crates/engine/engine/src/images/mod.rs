//! Images: looked at, named, removed; brought in and sent out. The store knows them, this tells of them.

mod filter;
mod pods;
mod remove;
mod transfer;
mod view;

pub(crate) use filter::moment;
pub(crate) use pods::PodImage;

use spec::reference::Reference;
use store::Image;

use crate::engine::{Engine, blocking};
use crate::error::{Error, Kind, Result};
use crate::model::event::EventKind;
use crate::model::filters::Filters;
use crate::model::image::{ImageHistory, ImageInspect, ImageSummary};

impl Engine {
    /// `all` with intermediate ones; `shared_size` and `count` cost more.
    pub async fn images(
        &self,
        all: bool,
        filters: Filters,
        shared_size: bool,
        count: bool,
    ) -> Result<Vec<ImageSummary>> {
        let chosen = filter::Filter::new(&filters)?;
        let inner = self.inner.clone();
        let users = count.then(|| self.users());
        blocking(move || {
            let images = inner.store.images()?;
            let parents: Vec<_> = images.iter().filter_map(|image| image.parent.clone()).collect();
            let is_intermediate =
                |image: &Image| image.names.is_empty() && image.repo_digests.is_empty() && parents.contains(&image.id);
            let resolve = |name: &str| inner.store.resolve(name).map_err(Error::from);
            let chosen = chosen.resolved(&resolve)?;
            let mut listed = Vec::new();
            for image in &images {
                if (!all && is_intermediate(image)) || !chosen.accepts(image) {
                    continue;
                }
                let mut summary = view::summary(image, &chosen);
                if shared_size {
                    summary.shared_size = Some(view::shared_size(&inner.store, image, &images)?);
                }
                if let Some(users) = &users {
                    let id = image.id.to_string();
                    summary.containers = Some(users.iter().filter(|user| user.image == id).count() as u64);
                }
                listed.push(summary);
            }
            listed.sort_by_key(|image| std::cmp::Reverse(image.created));
            Ok(listed)
        })
        .await
    }

    pub async fn image_inspect(&self, image: &str) -> Result<ImageInspect> {
        let (inner, name) = (self.inner.clone(), image.to_owned());
        blocking(move || {
            let image = inner.store.resolve(&name)?;
            view::inspect(&image, inner.store.snapshotter_name())
        })
        .await
    }

    pub async fn image_history(&self, image: &str) -> Result<Vec<ImageHistory>> {
        let (inner, name) = (self.inner.clone(), image.to_owned());
        blocking(move || {
            let image = inner.store.resolve(&name)?;
            Ok(inner.store.history(&image)?.into_iter().map(view::history).collect())
        })
        .await
    }

    pub async fn image_tag(&self, image: &str, reference: &str) -> Result<()> {
        let name = reference_of(reference)?.or_latest();
        let (inner, image) = (self.inner.clone(), image.to_owned());
        blocking(move || {
            let image = inner.store.resolve(&image)?;
            inner.store.tag(&image.id, &name)?;
            inner.tell_of(EventKind::Image, "tag", image.id.as_str(), &[("name", &name.familiar())]);
            Ok(())
        })
        .await
    }
}

/// A name, or docker's words about why it is none.
fn reference_of(text: &str) -> Result<Reference> {
    Reference::parse(text).map_err(|error| Error::new(Kind::Invalid, error.to_string()))
}
