//! Push: layers that the repository does not have, the configuration, the manifest.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use spec::digest::{DiffId, Digest};
use spec::image::{Descriptor, Manifest, media_type};
use spec::reference::Reference;
use store::{Distribution, Image, Store};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::endpoint::Mirrors;
use crate::progress::{Event, LayerStep, Progress};
use crate::pull::{blocking, keep_telling};
use crate::session::{Purpose, Session, Start};
use crate::upload::Upload;
use crate::{Credentials, Error, Result};

/// What to push.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// With a tag; every tag of the repository where there is none.
    pub reference: Reference,
    pub credentials: Option<Credentials>,
}

/// What a tag stands for in the registry now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub tag: String,
    pub digest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
}

impl Client {
    /// Pushes an image, or every tag of a repository, from `store`.
    pub async fn push(&self, store: &Store, request: PushRequest, progress: &Progress) -> Result<Vec<Pushed>> {
        let images = images(store, &request.reference).await?;
        let repository = request.reference.repository();
        progress.send(Event::PushTo { repository: repository.to_string() });
        let session = Arc::new(self.push_session(&repository, request.credentials).await?);
        let mut pushed = Vec::new();
        for (tag, image) in images {
            let done = self.push_image(store, &session, &repository, &tag, &image, progress).await?;
            let (digest, size) = (done.digest.to_string(), done.size);
            progress.send(Event::Pushed { tag, digest, size });
            pushed.push(done);
        }
        Ok(pushed)
    }

    /// The registry, asked whether it is there and who may push.
    async fn push_session(&self, repository: &Reference, credentials: Option<Credentials>) -> Result<Session> {
        let mut last = None;
        for endpoint in self.endpoints(repository.domain(), Mirrors::PassBy)? {
            let transport = self.inner.transport.clone();
            let session =
                Session::new(transport, endpoint.clone(), repository.path(), Purpose::Push, credentials.clone());
            match session.ping().await {
                Ok(_) => {
                    self.reached_at(repository.domain(), &endpoint);
                    return Ok(session);
                }
                Err(error) if error.is_unreachable() => keep_telling(&mut last, error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or(Error::Stopped { what: "search for a registry" }))
    }

    async fn push_image(
        &self,
        store: &Store,
        session: &Arc<Session>,
        repository: &Reference,
        tag: &str,
        image: &Image,
        progress: &Progress,
    ) -> Result<Pushed> {
        let known = self.push_layers(store, session, repository, image, progress).await?;
        let config = Descriptor::of(media_type::DOCKER_CONFIG, &image.config_bytes);
        if !session.has_blob(&config.digest).await? {
            match session.start_upload(None).await? {
                Start::Mounted => (),
                Start::Upload(url) => {
                    let bytes = Bytes::copy_from_slice(&image.config_bytes);
                    session.finish_upload(url, &config.digest, bytes).await?;
                }
            }
        }
        let (media_type, bytes) = manifest(store, repository, image, config, &known).await?;
        session.put_manifest(tag, &media_type, bytes.clone()).await?;
        let (id, place, kept) = (image.id.clone(), repository.clone(), bytes.clone());
        blocking(store, move |store| Ok(store.set_manifest(&id, &place, &kept)?)).await?;
        Ok(Pushed { tag: tag.to_owned(), digest: Digest::of(&bytes), size: bytes.len() as u64 })
    }

    /// Sees that the repository has every layer; answers how it knows them, lowest first.
    async fn push_layers(
        &self,
        store: &Store,
        session: &Arc<Session>,
        repository: &Reference,
        image: &Image,
        progress: &Progress,
    ) -> Result<Vec<Distribution>> {
        let slots = Arc::new(tokio::sync::Semaphore::new(self.inner.config.uploads.max(1)));
        let mut tasks = JoinSet::new();
        let mut known: HashMap<DiffId, Option<Distribution>> = HashMap::new();
        for layer in image.layers.iter().rev() {
            if known.insert(layer.clone(), None).is_some() {
                continue;
            }
            progress.layer(layer.short(), LayerStep::Preparing);
            let work = LayerPush {
                store: store.clone(),
                session: session.clone(),
                repository: repository.clone(),
                layer: layer.clone(),
                attempts: self.inner.config.attempts,
                pause: self.inner.config.timeouts.retry,
                progress: progress.clone(),
            };
            let slots = slots.clone();
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await.map_err(|_| Error::Stopped { what: "upload" })?;
                let known = work.run().await?;
                Ok::<_, Error>((work.layer, known))
            });
        }
        while let Some(ended) = tasks.join_next().await {
            let (layer, found) = ended.map_err(|_| Error::Stopped { what: "upload" })??;
            known.insert(layer, Some(found));
        }
        let in_order = image.layers.iter().filter_map(|layer| known.get(layer).cloned().flatten());
        Ok(in_order.collect())
    }
}

/// One layer that the repository shall have.
struct LayerPush {
    store: Store,
    session: Arc<Session>,
    repository: Reference,
    layer: DiffId,
    attempts: u32,
    pause: std::time::Duration,
    progress: Progress,
}

impl LayerPush {
    async fn run(&self) -> Result<Distribution> {
        let mut failures = 0;
        loop {
            let error = match self.attempt().await {
                Ok(known) => return Ok(known),
                Err(error) => error,
            };
            failures += 1;
            if !error.is_temporary() || failures >= self.attempts {
                return Err(error);
            }
            let pause = self.pause * 2u32.saturating_pow(failures - 1).min(16);
            tracing::info!("push of {}, again in {pause:?}: {error}", self.layer);
            self.progress.layer(self.layer.short(), LayerStep::Retrying { seconds: pause.as_secs() });
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self) -> Result<Distribution> {
        let (layer, repository) = (self.layer.clone(), self.repository.clone());
        let known = blocking(&self.store, move |store| Ok(store.distribution(&layer, &repository)?)).await?;
        if let Some(known) = known
            && self.session.has_blob(&known.digest).await?
        {
            self.progress.layer(self.layer.short(), LayerStep::LayerAlreadyExists);
            return Ok(known);
        }
        let start = match self.mount().await? {
            Mount::There(known) => {
                self.remember(&known).await?;
                return Ok(known);
            }
            Mount::Upload(start) => start,
        };
        let id = self.layer.short();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (session, store, layer) = (&*self.session, &self.store, &self.layer);
        let upload = Upload { session, store, layer, id, threads, progress: &self.progress };
        let known = upload.run(start).await?;
        self.remember(&known).await?;
        self.progress.layer(id, LayerStep::Pushed);
        Ok(known)
    }

    /// Looks for the layer under the digests it has elsewhere, and asks for it from sister repositories.
    async fn mount(&self) -> Result<Mount> {
        let layer = self.layer.clone();
        let elsewhere = blocking(&self.store, move |store| Ok(store.distributions(&layer)?)).await?;
        let here = self.repository.to_string();
        let mut start = None;
        for (name, known) in elsewhere.into_iter().filter(|(name, _)| *name != here).take(4) {
            let Ok(sister) = Reference::parse(&name) else { continue };
            if sister.domain() != self.repository.domain() {
                if self.session.has_blob(&known.digest).await? {
                    self.progress.layer(self.layer.short(), LayerStep::LayerAlreadyExists);
                    return Ok(Mount::There(known));
                }
                continue;
            }
            match self.session.start_upload(Some((&known.digest, sister.path()))).await? {
                Start::Mounted => {
                    let repository = sister.path().to_owned();
                    self.progress.layer(self.layer.short(), LayerStep::MountedFrom { repository });
                    return Ok(Mount::There(known));
                }
                Start::Upload(url) => start = Some(url),
            }
        }
        Ok(Mount::Upload(start))
    }

    async fn remember(&self, known: &Distribution) -> Result<()> {
        let (layer, repository, known) = (self.layer.clone(), self.repository.clone(), known.clone());
        blocking(&self.store, move |store| Ok(store.set_distribution(&layer, &repository, &known)?)).await
    }
}

/// What became of the wish to have a layer without sending it.
enum Mount {
    There(Distribution),
    /// It has to be sent, to an upload that the registry began already if there is one.
    Upload(Option<crate::url::Url>),
}

/// The images to push, with their tags.
async fn images(store: &Store, reference: &Reference) -> Result<Vec<(String, Image)>> {
    if reference.digest().is_some() {
        return Err(Error::PushDigest);
    }
    let (all, repository) = (blocking(store, |store| Ok(store.images()?)).await?, reference.repository());
    let mut here = Vec::new();
    for image in all {
        for name in &image.names {
            if let Ok(name) = Reference::parse(name)
                && name.repository() == repository
                && let Some(tag) = name.tag()
            {
                here.push((tag.to_owned(), image.clone()));
            }
        }
    }
    if here.is_empty() {
        return Err(Error::NoImage { name: repository.familiar() });
    }
    if let Some(tag) = reference.tag() {
        here.retain(|(name, _)| name == tag);
        if here.is_empty() {
            return Err(Error::NoTag { reference: reference.familiar() });
        }
    }
    here.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(here)
}

/// The manifest to send: one that the image came with, byte for byte, if the layers there are those it names; else a new one.
async fn manifest(
    store: &Store,
    repository: &Reference,
    image: &Image,
    config: Descriptor,
    layers: &[Distribution],
) -> Result<(String, Bytes)> {
    let mut places = vec![repository.clone()];
    for name in &image.repo_digests {
        places.extend(Reference::parse(name).ok().map(|name| name.repository()).filter(|name| name != repository));
    }
    for place in places {
        let id = image.id.clone();
        let kept = blocking(store, move |store| Ok(store.manifest(&id, &place)?)).await?;
        let Some((_, bytes)) = kept else { continue };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { continue };
        let same = manifest.config.digest == config.digest
            && manifest.layers.iter().map(|layer| &layer.digest).eq(layers.iter().map(|layer| &layer.digest));
        if same {
            let media_type = manifest.media_type.unwrap_or_else(|| media_type::OCI_MANIFEST.to_owned());
            return Ok((media_type, bytes.into()));
        }
    }
    let oci = layers.iter().any(|layer| layer.media_type.starts_with("application/vnd.oci."));
    let kind = if oci { media_type::OCI_MANIFEST } else { media_type::DOCKER_MANIFEST };
    let config_type = if oci { media_type::OCI_CONFIG } else { media_type::DOCKER_CONFIG };
    let descriptor = |layer: &Distribution| {
        let media_type = match (oci, layer.media_type.as_str()) {
            (true, media_type::DOCKER_LAYER_GZIP) => media_type::OCI_LAYER_GZIP,
            (true, media_type::DOCKER_LAYER) => media_type::OCI_LAYER,
            (_, other) => other,
        };
        Descriptor::new(media_type, layer.digest.clone(), layer.size)
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(kind.to_owned()),
        config: Descriptor { media_type: config_type.to_owned(), ..config },
        layers: layers.iter().map(descriptor).collect(),
        annotations: Default::default(),
    };
    let bytes = serde_json::to_vec_pretty(&manifest)
        .map_err(|source| Error::Json { what: "new manifest".to_owned(), source })?;
    Ok((kind.to_owned(), bytes.into()))
}
