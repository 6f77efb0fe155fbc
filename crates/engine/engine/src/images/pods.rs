//! Images as whoever runs pods sees them: which were pulled for pods and by nobody by hand, and when they were last used.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use jiff::Timestamp;
use registry::PullRequest;
use serde::{Deserialize, Serialize};
use spec::reference::Reference;
use store::Image;

use super::reference_of;
use crate::engine::{Engine, Inner, blocking};
use crate::error::{Error, Kind, Result};
use crate::model::event::EventKind;
use crate::model::image::{PodImageView, RegistryAuth};

/// What is stored of an image that was pulled for pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodImage {
    pub id: String,
    /// Names that it was pulled by, in familiar form.
    pub names: Vec<String>,
    /// When the last of them was given: a later one was given by hand.
    pub tagged: Option<Timestamp>,
    pub used: Option<Timestamp>,
}

impl Engine {
    /// An image by tag, digest, id or short id; `None` where there is none.
    pub async fn pod_image(&self, name: &str) -> Result<Option<PodImageView>> {
        let (inner, name) = (self.inner.clone(), name.to_owned());
        blocking(move || match inner.store.resolve(&name).map_err(Error::from) {
            Ok(image) => Ok(Some(inner.pod_view(&image))),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    /// Every image.
    pub async fn pod_images(&self) -> Result<Vec<PodImageView>> {
        let inner = self.inner.clone();
        blocking(move || Ok(inner.store.images()?.iter().map(|image| inner.pod_view(image)).collect())).await
    }

    /// Pulls an image for pods with the first of the credentials that a registry takes.
    pub async fn pod_image_pull(&self, name: &str, auths: Vec<RegistryAuth>) -> Result<PodImageView> {
        let reference = reference_of(name)?;
        let before = self.pod_image(name).await?;
        let mut ways: Vec<Option<RegistryAuth>> = auths.into_iter().map(Some).collect();
        if ways.is_empty() {
            ways.push(None);
        }
        let mut outcome = Ok(());
        for auth in ways {
            let credentials = auth.map(super::transfer::credentials);
            let request = PullRequest { reference: reference.clone(), platform: None, credentials };
            let quiet = registry::Progress::new(|_| {});
            outcome = self.inner.registry.pull(&self.inner.store, request, &quiet).await.map(drop).map_err(Error::from);
            match &outcome {
                Err(error) if matches!(error.kind(), Kind::Unauthorized | Kind::Denied | Kind::NotFound) => {}
                _ => break,
            }
        }
        outcome?;
        let shown = reference.or_latest().familiar();
        self.inner.tell_of(EventKind::Image, "pull", &shown, &[("name", &reference.familiar_name())]);
        let pulled = self.pod_image(name).await?;
        let pulled = pulled.ok_or_else(|| Error::internal(format!("{name} was pulled and is gone again")))?;
        self.note_pull(&pulled, before, &shown).await?;
        let again = self.pod_image(&pulled.id).await?;
        Ok(again.unwrap_or(pulled))
    }

    /// Notes an image as pulled for pods, unless it was here before by somebody's hand.
    async fn note_pull(&self, pulled: &PodImageView, before: Option<PodImageView>, name: &str) -> Result<()> {
        if before.is_some_and(|before| before.id == pulled.id && !before.collectable) {
            return Ok(());
        }
        let inner = self.inner.clone();
        let id = pulled.id.clone();
        let tagged = blocking(move || Ok(inner.store.resolve(&id)?.last_tagged)).await?;
        let note = {
            let mut notes = self.inner.pod_notes();
            let note = notes.entry(pulled.id.clone()).or_insert_with(|| PodImage {
                id: pulled.id.clone(),
                names: Vec::new(),
                tagged: None,
                used: None,
            });
            if !note.names.iter().any(|it| it == name) {
                note.names.push(name.to_owned());
            }
            note.tagged = tagged;
            note.clone()
        };
        self.inner.journal.put_pod_image(&note).await
    }

    /// Removes an image with all its names, unless a container uses it.
    pub async fn pod_image_remove(&self, name: &str) -> Result<()> {
        let Some(image) = self.pod_image(name).await? else {
            return Ok(());
        };
        if self.users().iter().any(|user| user.image == image.id) {
            return Err(Error::conflict(format!("image {name} is used by a container")));
        }
        match self.image_remove(&image.id, true, true).await {
            Err(error) if error.kind() != Kind::NotFound => return Err(error),
            _ => {}
        }
        if self.inner.pod_notes().remove(&image.id).is_some() {
            self.inner.journal.delete_pod_image(&image.id).await?;
        }
        Ok(())
    }

    /// Notes that a pod's container is made of an image; that this is lost by a crash does no harm.
    pub(crate) fn note_use(&self, id: &str) {
        let note = {
            let mut notes = self.inner.pod_notes();
            let Some(note) = notes.get_mut(id) else {
                return;
            };
            note.used = Some(Timestamp::now());
            note.clone()
        };
        let inner = self.inner.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.journal.put_pod_image(&note).await {
                tracing::warn!(image = note.id, %error, "the use of an image is not recorded");
            }
        });
    }
}

impl Inner {
    fn pod_notes(&self) -> MutexGuard<'_, HashMap<String, PodImage>> {
        self.pod_images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pod_view(&self, image: &Image) -> PodImageView {
        let note = self.pod_notes().get(image.id.as_str()).cloned();
        let full = |name: &String| Reference::parse(name).map_or_else(|_| name.clone(), |it| it.to_string());
        let collectable = note.as_ref().is_some_and(|note| {
            image.last_tagged <= note.tagged && image.names.iter().all(|name| note.names.contains(name))
        });
        PodImageView {
            id: image.id.to_string(),
            tags: image.names.iter().map(full).collect(),
            digests: image.repo_digests.iter().map(full).collect(),
            size: image.size,
            user: image.config.config.user.clone(),
            collectable,
            used: note.and_then(|note| note.used),
        }
    }
}
