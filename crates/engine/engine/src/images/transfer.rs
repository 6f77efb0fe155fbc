//! Images in and out: archives, tar streams, registries.

use std::io::{BufWriter, Write};

use registry::{Credentials, PullRequest, PushRequest};
use spec::platform::Platform;
use store::Loaded;

use super::reference_of;
use crate::engine::{Engine, blocking};
use crate::error::{Error, Kind, Result};
use crate::model::event::EventKind;
use crate::model::image::{ImportSpec, Progress, RegistryAuth};
use crate::model::stream::{ByteStream, ProgressSink};

/// Bytes gathered before they go to a client: a tar is written in small pieces.
const PIECE: usize = 64 * 1024;

impl Engine {
    /// Names or ids of what was loaded also arrive as `Progress::Output` lines.
    pub async fn load(&self, archive: ByteStream, progress: ProgressSink) -> Result<()> {
        let inner = self.inner.clone();
        blocking(move || {
            for loaded in inner.store.load(archive)? {
                let (line, name) = match &loaded {
                    Loaded::Name(name) => (format!("Loaded image: {name}\n"), name.clone()),
                    Loaded::Id(id) => (format!("Loaded image ID: {id}\n"), id.to_string()),
                };
                progress.send(Progress::Output(line));
                let id = inner.store.resolve(&name)?.id;
                inner.tell_of(EventKind::Image, "load", id.as_str(), &[("name", &name)]);
            }
            Ok(())
        })
        .await
    }

    /// Fails at once for a name that is not there.
    pub async fn save(&self, images: Vec<String>) -> Result<ByteStream> {
        let inner = self.inner.clone();
        let images = blocking(move || {
            for name in &images {
                let id = inner.store.resolve(name)?.id;
                inner.tell_of(EventKind::Image, "save", id.as_str(), &[("name", name)]);
            }
            Ok(images)
        })
        .await?;
        let store = self.inner.store.clone();
        let (sender, bytes) = ByteStream::channel();
        tokio::task::spawn_blocking(move || {
            let mut out = BufWriter::with_capacity(PIECE, sender.clone());
            let saved = store.save(&images, &mut out).map_err(|error| error.to_string());
            if let Err(error) = saved.and_then(|()| out.flush().map_err(|error| error.to_string())) {
                tracing::warn!(%error, ?images, "saving images ended early");
                // A client that is gone does not hear of it, one that is there must not take the rest for complete.
                let _ = sender.blocking_send(Err(std::io::Error::other(error)));
            }
        });
        Ok(bytes)
    }

    /// Image id.
    pub async fn import(&self, spec: ImportSpec, tar: ByteStream) -> Result<String> {
        let request = store::ImportRequest {
            changes: spec.changes,
            message: spec.message,
            name: spec.reference.as_deref().map(reference_of).transpose()?.map(|name| name.or_latest()),
            platform: spec.platform.as_deref().map(platform_of).transpose()?,
        };
        let inner = self.inner.clone();
        blocking(move || {
            let image = inner.store.import(tar, &request)?;
            let name = request.name.as_ref().map_or_else(|| image.id.to_string(), |name| name.familiar());
            inner.tell_of(EventKind::Image, "import", image.id.as_str(), &[("name", &name)]);
            Ok(image.id.to_string())
        })
        .await
    }

    /// `reference` with a tag or digest; `all_tags` of the repository instead.
    pub async fn pull(
        &self,
        reference: &str,
        all_tags: bool,
        platform: Option<&str>,
        auth: Option<RegistryAuth>,
        progress: ProgressSink,
    ) -> Result<()> {
        let reference = reference_of(reference)?;
        let request = PullRequest {
            reference: reference.clone(),
            platform: platform.map(platform_of).transpose()?,
            credentials: auth.map(credentials),
        };
        let (client, store) = (&self.inner.registry, &self.inner.store);
        let sink = sink(progress);
        if all_tags {
            client.pull_all(store, request, &sink).await?;
        } else {
            client.pull(store, request, &sink).await?;
        }
        let shown = if all_tags { reference.familiar_name() } else { reference.or_latest().familiar() };
        self.inner.tell_of(EventKind::Image, "pull", &shown, &[("name", &reference.familiar_name())]);
        Ok(())
    }

    /// Without a tag, every tag of the repository.
    pub async fn push(&self, reference: &str, auth: Option<RegistryAuth>, progress: ProgressSink) -> Result<()> {
        let reference = reference_of(reference)?;
        let request = PushRequest { reference: reference.clone(), credentials: auth.map(credentials) };
        self.inner.registry.push(&self.inner.store, request, &sink(progress)).await?;
        self.inner.tell_of(EventKind::Image, "push", &reference.familiar(), &[("name", &reference.familiar_name())]);
        Ok(())
    }

    /// Checks credentials; answers an identity token, often empty.
    pub async fn login(&self, auth: RegistryAuth) -> Result<String> {
        let server = auth.server.clone();
        Ok(self.inner.registry.login(&server, credentials(auth)).await?.identity_token)
    }
}

fn platform_of(text: &str) -> Result<Platform> {
    Platform::parse(text).map_err(|error| Error::new(Kind::Invalid, error.to_string()))
}

pub(super) fn credentials(auth: RegistryAuth) -> Credentials {
    Credentials {
        username: auth.username,
        password: auth.password,
        identity_token: auth.identity_token,
        registry_token: auth.registry_token,
    }
}

fn sink(progress: ProgressSink) -> registry::Progress {
    registry::Progress::new(move |told| progress.send(Progress::Transfer(told)))
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Error {
        let kind = match error.kind() {
            registry::Kind::NotFound => Kind::NotFound,
            registry::Kind::Unauthorized => Kind::Unauthorized,
            registry::Kind::Denied => Kind::Denied,
            registry::Kind::Invalid => Kind::Invalid,
            registry::Kind::Unavailable => Kind::Unavailable,
            registry::Kind::Unimplemented => Kind::Unimplemented,
            registry::Kind::Internal => Kind::Internal,
        };
        Error::new(kind, error.to_string())
    }
}
