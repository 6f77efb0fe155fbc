//! Pull: a manifest, its configuration, and the layers that are not here yet.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use spec::digest::{DiffId, Digest, ImageId};
use spec::image::{Descriptor, ImageConfig, Index, Manifest, media_type};
use spec::platform::Platform;
use spec::reference::Reference;
use store::{Distribution, Image, ImageCommit, Ingest, LayerSource, Store};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::endpoint::Mirrors;
use crate::fetch::{self, Fetch};
use crate::progress::{Event, LayerStep, Progress};
use crate::session::{Fetched, Purpose, Session};
use crate::{Credentials, Error, RegistryError, Result};

/// What to pull.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// With a tag, a digest or both; the tag `latest` where there is neither.
    pub reference: Reference,
    /// The platform to choose; the machine's own if nothing is said.
    pub platform: Option<Platform>,
    pub credentials: Option<Credentials>,
}

/// One image, chosen and checked, before its layers.
struct Chosen {
    manifest: Manifest,
    manifest_bytes: Bytes,
    /// What the name stands for: the manifest, or the index it was chosen from.
    top: Digest,
    config: Bytes,
    layers: Vec<(DiffId, Descriptor)>,
}

impl Client {
    /// Pulls one image into `store` and gives it its name.
    ///
    /// May be dropped at any time: what is not complete by then leaves nothing behind.
    pub async fn pull(&self, store: &Store, request: PullRequest, progress: &Progress) -> Result<Image> {
        let reference = request.reference.or_latest();
        let (session, top) = self.find(&reference, request.credentials.clone()).await?;
        let name = reference.digest().map(Digest::to_string).or(reference.tag().map(str::to_owned)).unwrap_or_default();
        let repository = reference.repository().familiar_name();
        let shown = if reference.domain() == spec::reference::DEFAULT_DOMAIN { reference.path() } else { &repository };
        let shown = shown.strip_prefix(&format!("{}/", reference.domain())).unwrap_or(shown);
        progress.send(Event::PullingFrom { tag: name, repository: shown.to_owned() });

        let chosen = choose(&session, &reference, top, request.platform.as_ref()).await?;
        let before = previous(store, &reference).await?;
        let image = self.bring(store, session, &reference, chosen, progress).await?;
        let news = match before {
            Some(id) if id == image.id => "Image is up to date for",
            _ => "Downloaded newer image for",
        };
        progress.send(Event::Status(format!("Status: {news} {}", reference.familiar())));
        Ok(image)
    }

    /// Pulls every tag of a repository.
    pub async fn pull_all(&self, store: &Store, request: PullRequest, progress: &Progress) -> Result<Vec<Image>> {
        let repository = request.reference.repository();
        let tags = self.tags(&repository, request.credentials.clone()).await?;
        let mut images = Vec::new();
        for tag in tags {
            let reference = repository.with_tag(&tag).map_err(|error| Error::Image {
                reference: repository.familiar(),
                reason: format!("tag {tag:?}: {error}"),
            })?;
            images.push(self.pull(store, PullRequest { reference, ..request.clone() }, progress).await?);
        }
        Ok(images)
    }

    /// All tags of a repository, as its registry has them.
    pub async fn tags(&self, repository: &Reference, credentials: Option<Credentials>) -> Result<Vec<String>> {
        let mut last = None;
        for endpoint in self.endpoints(repository.domain(), Mirrors::Ask)? {
            let (transport, mirror) = (self.inner.transport.clone(), endpoint.mirror);
            let session = Session::new(transport, endpoint, repository.path(), Purpose::Pull, credentials.clone());
            match session.tags().await {
                Ok(tags) => return Ok(tags),
                Err(error) if error.is_unreachable() || mirror => keep_telling(&mut last, error),
                Err(error) => return Err(explain(error, repository)),
            }
        }
        Err(last.unwrap_or(Error::Stopped { what: "search for a registry" }))
    }

    /// Finds the registry that has the manifest, and the manifest.
    async fn find(&self, reference: &Reference, credentials: Option<Credentials>) -> Result<(Arc<Session>, Fetched)> {
        let name = reference.digest().map(Digest::to_string).or(reference.tag().map(str::to_owned)).unwrap_or_default();
        let mut last = None;
        for endpoint in self.endpoints(reference.domain(), Mirrors::Ask)? {
            let (transport, mirror) = (self.inner.transport.clone(), endpoint.mirror);
            let session =
                Session::new(transport, endpoint.clone(), reference.path(), Purpose::Pull, credentials.clone());
            match session.manifest(&name).await {
                Ok(manifest) => {
                    self.reached_at(reference.domain(), &endpoint);
                    return Ok((Arc::new(session), manifest));
                }
                Err(error) if error.is_unreachable() || mirror => keep_telling(&mut last, error),
                Err(error) => return Err(explain(error, reference)),
            }
        }
        Err(last.unwrap_or(Error::Stopped { what: "search for a registry" }))
    }

    /// Brings all layers in and commits the image.
    async fn bring(
        &self,
        store: &Store,
        session: Arc<Session>,
        reference: &Reference,
        chosen: Chosen,
        progress: &Progress,
    ) -> Result<Image> {
        let ingest = Arc::new(blocking(store, |store| Ok(store.ingest()?)).await?);
        let slots = Arc::new(tokio::sync::Semaphore::new(self.inner.config.downloads.max(1)));
        let mut tasks = JoinSet::new();
        let mut begun: HashMap<DiffId, Digest> = HashMap::new();
        for (diff_id, blob) in &chosen.layers {
            if begun.insert(diff_id.clone(), blob.digest.clone()).is_some() {
                continue;
            }
            progress.layer(blob.digest.short(), LayerStep::PullingFsLayer);
            let (client, session, ingest, slots) = (self.clone(), session.clone(), ingest.clone(), slots.clone());
            let (diff_id, blob, progress) = (diff_id.clone(), blob.clone(), progress.clone());
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await.map_err(|_| Error::Stopped { what: "download" })?;
                client.layer(&session, ingest, diff_id, &blob, &progress).await
            });
        }
        // the first failure drops the set, which ends the other downloads
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|_| Error::Stopped { what: "download" })??;
        }

        progress.send(Event::Digest(chosen.top.to_string()));
        let distribution = chosen.layers.iter().map(|(_, blob)| Distribution {
            media_type: blob.media_type.clone(),
            digest: blob.digest.clone(),
            size: blob.size,
        });
        let names = match reference.digest() {
            None => vec![reference.clone()],
            Some(_) => Vec::new(),
        };
        let commit = ImageCommit {
            config: chosen.config.to_vec(),
            names,
            repo_digest: Some((reference.repository(), chosen.top)),
            manifest: Some(chosen.manifest_bytes.to_vec()),
            distribution: distribution.collect(),
            starts: Vec::new(),
            parent: None,
        };
        drop((session, chosen.manifest));
        blocking(&ingest, move |ingest: Arc<Ingest>| Ok(ingest.commit(commit)?)).await
    }

    /// Brings one layer in, unless it is here.
    async fn layer(
        &self,
        session: &Session,
        ingest: Arc<Ingest>,
        diff_id: DiffId,
        blob: &Descriptor,
        progress: &Progress,
    ) -> Result<()> {
        let arrival = self.arrival(&diff_id);
        let _alone = arrival.lock().await;
        let id = blob.digest.short();
        let wanted = diff_id.clone();
        if blocking(&ingest, move |ingest: Arc<Ingest>| Ok(ingest.has_layer(&wanted)?)).await? {
            progress.layer(id, LayerStep::AlreadyExists);
            return Ok(());
        }
        let (sink, reader) = fetch::pipe();
        let source = LayerSource {
            media_type: blob.media_type.clone(),
            digest: Some(blob.digest.clone()),
            diff_id: Some(diff_id),
            name: format!("layer {id}"),
        };
        let apart = blocking(&ingest, move |ingest: Arc<Ingest>| Ok(ingest.layer(&source, reader)?));
        let config = &self.inner.config;
        let fetch = Fetch { session, blob, id, attempts: config.attempts, pause: config.timeouts.retry, progress };
        let arrive = async {
            let fetched = fetch.run(sink).await?;
            if fetched == fetch::Fetched::Whole {
                progress.layer(id, LayerStep::DownloadComplete);
            }
            Ok(())
        };
        let (arrived, ingested): (Result<()>, Result<DiffId>) = tokio::join!(arrive, apart);
        arrived?;
        ingested?;
        progress.layer(id, LayerStep::PullComplete);
        Ok(())
    }
}

/// From what the name stands for to one image for `platform`.
async fn choose(session: &Session, reference: &Reference, top: Fetched, platform: Option<&Platform>) -> Result<Chosen> {
    let shown = reference.familiar();
    let wanted = platform.cloned().unwrap_or_else(Platform::host);
    let digest = top.digest.clone();
    let found = match kind(&top, &shown)? {
        Kind::Image => top,
        Kind::Index => {
            let index: Index = parse("manifest list", &shown, &top.bytes)?;
            let manifest = wanted.choose(&index.manifests).ok_or(Error::NoPlatform { platform: wanted.clone() })?;
            let found = session.manifest(manifest.digest.as_str()).await.map_err(|error| explain(error, reference))?;
            if kind(&found, &shown)? != Kind::Image {
                return Err(Error::Image { reference: shown, reason: "a manifest list in a manifest list".into() });
            }
            found
        }
    };
    let manifest: Manifest = parse("manifest", &shown, &found.bytes)?;
    let config_type = manifest.config.media_type.as_str();
    if ![media_type::OCI_CONFIG, media_type::DOCKER_CONFIG, "application/octet-stream", ""].contains(&config_type) {
        return Err(Error::MediaType { reference: shown, media_type: config_type.to_owned() });
    }
    if let Some(other) = manifest.layers.iter().find(|layer| !media_type::is_layer(&layer.media_type)) {
        return Err(Error::MediaType { reference: shown, media_type: other.media_type.clone() });
    }
    let config_bytes = session.small_blob("image configuration", &manifest.config.digest).await?;
    let config: ImageConfig = parse("image configuration", &shown, &config_bytes)?;
    check(&config, platform, &shown)?;
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        let (diffs, layers) = (config.rootfs.diff_ids.len(), manifest.layers.len());
        let reason = format!("the manifest has {layers} layers, the configuration {diffs}");
        return Err(Error::Image { reference: shown, reason });
    }
    let layers = config.rootfs.diff_ids.into_iter().zip(manifest.layers.iter().cloned()).collect();
    Ok(Chosen { manifest, manifest_bytes: found.bytes, top: digest, config: config_bytes, layers })
}

/// Whether the image runs here at all, and is what was asked for.
fn check(config: &ImageConfig, platform: Option<&Platform>, shown: &str) -> Result<()> {
    let found = Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os_version: None,
    };
    if !config.os.is_empty() && config.os != "linux" {
        let reason = format!(
            "image operating system {:?} cannot be used on this platform: operating system is not supported",
            config.os
        );
        return Err(Error::Image { reference: shown.to_owned(), reason });
    }
    match platform {
        Some(wanted) if !config.architecture.is_empty() && !wanted.accepts(&found) => {
            let (found, wanted) = (found.to_string(), wanted.to_string());
            Err(Error::OtherPlatform { reference: shown.to_owned(), found, wanted })
        }
        _ => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    Index,
}

/// What a document is: by its own words, by the registry's, by its shape.
fn kind(document: &Fetched, shown: &str) -> Result<Kind> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        #[serde(default)]
        schema_version: u32,
        media_type: Option<String>,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        config: Option<serde::de::IgnoredAny>,
    }
    let shape: Shape = parse("manifest", shown, &document.bytes)?;
    let said = shape.media_type.unwrap_or_default();
    if !said.is_empty() && media_type_differs(&document.media_type, &said) {
        let reason = format!("sent as {:?}, but calls itself {said:?}", document.media_type);
        return Err(Error::Image { reference: shown.to_owned(), reason });
    }
    let said = if said.is_empty() { document.media_type.as_str() } else { &said };
    match said {
        media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Ok(Kind::Image),
        media_type::OCI_INDEX | media_type::DOCKER_LIST => Ok(Kind::Index),
        _ if shape.schema_version == 1 || said.contains("distribution.manifest.v1") => {
            Err(Error::Schema1 { reference: shown.to_owned() })
        }
        _ if shape.manifests.is_some() => Ok(Kind::Index),
        _ if shape.config.is_some() => Ok(Kind::Image),
        other => Err(Error::MediaType { reference: shown.to_owned(), media_type: other.to_owned() }),
    }
}

/// A document that is read as one thing by one client and as another by the next is refused.
fn media_type_differs(sent: &str, said: &str) -> bool {
    let index = |name: &str| match name {
        media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Some(false),
        media_type::OCI_INDEX | media_type::DOCKER_LIST => Some(true),
        _ => None,
    };
    index(sent).zip(index(said)).is_some_and(|(sent, said)| sent != said)
}

/// What the name stands for so far.
async fn previous(store: &Store, reference: &Reference) -> Result<Option<ImageId>> {
    let name = reference.familiar();
    blocking(store, move |store| match store.resolve(&name) {
        Ok(image) => Ok(Some(image.id)),
        Err(error) if error.kind() == store::Kind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    })
    .await
}

/// Docker's words for what a registry says to a pull.
fn explain(error: Error, reference: &Reference) -> Error {
    match error {
        Error::Refused { status, cause } => match cause.code.as_str() {
            "DENIED" => Error::PullDenied { name: reference.familiar_name(), cause },
            "MANIFEST_UNKNOWN" => Error::NoManifest { reference: reference.familiar(), cause },
            "NAME_UNKNOWN" => Error::NoRepository { name: reference.familiar_name(), cause },
            _ => Error::Refused { status, cause },
        },
        Error::Unauthorized { cause, .. } if cause.code == "DENIED" => {
            Error::PullDenied { name: reference.familiar_name(), cause }
        }
        Error::Status { status: http::StatusCode::NOT_FOUND, .. } => Error::NoManifest {
            reference: reference.familiar(),
            cause: RegistryError { code: "MANIFEST_UNKNOWN".into(), message: "manifest unknown".into() },
        },
        other => other,
    }
}

/// Of several ways that fail, plain "connection refused" says more than a TLS server that is none.
pub(crate) fn keep_telling(last: &mut Option<Error>, error: Error) {
    tracing::debug!("registry endpoint: {error}");
    *last = Some(error);
}

fn parse<'a, T: serde::Deserialize<'a>>(what: &str, shown: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json { what: format!("{what} of {shown}"), source })
}

/// Runs work that blocks on a thread for it.
pub(crate) async fn blocking<C, T, F>(context: &C, work: F) -> Result<T>
where
    C: Clone + Send + 'static,
    T: Send + 'static,
    F: FnOnce(C) -> Result<T> + Send + 'static,
{
    let context = context.clone();
    let ended = tokio::task::spawn_blocking(move || work(context)).await;
    ended.map_err(|_| Error::Stopped { what: "worker thread" })?
}
