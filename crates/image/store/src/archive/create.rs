//! Images made here: `import` of a root file system, `commit` of a snapshot.

use std::io::{self, Read};

use spec::{
    digest::DiffId,
    image::{History, ImageConfig},
    platform::Platform,
};

use super::{CommitRequest, ImportRequest, apply_changes};
use crate::{Error, Image, ImageCommit, LayerSource, Result, Store};

/// The digest of a tar of nothing but its end marker: a commit that changes no file adds no layer.
const EMPTY_TAR: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

impl Store {
    /// Makes an image of one layer from the tar of a root file system, in any compression.
    pub fn import(&self, reader: impl Read + Send, request: &ImportRequest) -> Result<Image> {
        let mut config = ImageConfig::default();
        apply_changes(&mut config.config, &request.changes)?;
        let ingest = self.ingest()?;
        let source = LayerSource { name: "import".to_owned(), ..LayerSource::default() };
        let layer = ingest.layer(&source, reader)?;
        let platform = request.platform.clone().unwrap_or_else(Platform::host);
        let comment = if request.message.is_empty() { "Imported from -" } else { &request.message };
        let created = now();
        (config.os, config.architecture, config.variant) = (platform.os, platform.architecture, platform.variant);
        config.created = Some(created.clone());
        config.rootfs.diff_ids = vec![layer];
        config.history =
            vec![History { created: Some(created), comment: Some(comment.to_owned()), ..History::default() }];
        let names = request.name.iter().map(|n| n.or_latest()).collect();
        ingest.commit(ImageCommit { config: json(&config)?, names, ..ImageCommit::default() })
    }

    /// Makes an image of a snapshot's image and its writable layer.
    pub fn commit(&self, key: &str, request: &CommitRequest) -> Result<Image> {
        let parent = request.parent.as_ref().and_then(|id| self.image(id).ok());
        let mut config = match &parent {
            Some(image) => (*image.config).clone(),
            None => {
                let host = Platform::host();
                ImageConfig { os: host.os, architecture: host.architecture, ..ImageConfig::default() }
            }
        };
        config.config = request.config.clone();
        apply_changes(&mut config.config, &request.changes)?;
        let ingest = self.ingest()?;
        let layer = self.writable_layer(key, &ingest)?;
        let created = now();
        let text = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        config.history.push(History {
            created: Some(created.clone()),
            created_by: text(&request.created_by),
            author: text(&request.author),
            comment: text(&request.message),
            empty_layer: layer.is_none(),
        });
        // The snapshot's own layers, should the image be gone.
        config.rootfs.diff_ids = self.snapshot_layers(key)?.into_iter().chain(layer).collect();
        config.created = Some(created);
        config.author = text(&request.author);
        config.container = text(&request.container);
        let names = request.name.iter().map(|n| n.or_latest()).collect();
        let parent = parent.map(|image| image.id);
        ingest.commit(ImageCommit { config: json(&config)?, names, parent, ..ImageCommit::default() })
    }

    /// Brings the writable layer in; nothing if it holds nothing.
    fn writable_layer(&self, key: &str, ingest: &crate::Ingest) -> Result<Option<DiffId>> {
        let failed = |source| Error::Stream { action: "make pipe for", source };
        let (reader, writer) = io::pipe().map_err(failed)?;
        let source = LayerSource { name: format!("writable layer of {key}"), ..LayerSource::default() };
        let (written, layer) = std::thread::scope(|scope| {
            let writing = scope.spawn(move || self.diff_tar(key, io::BufWriter::with_capacity(1 << 16, writer)));
            let layer = ingest.layer(&source, reader);
            (writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), layer)
        });
        // A reader that failed breaks the writer's pipe: its error comes first, unless the writer ended too early.
        match (written, layer) {
            (Err(error), Ok(_)) => Err(error),
            (Err(error), Err(Error::Tar { .. })) => Err(error),
            (_, layer) => Ok(Some(layer?).filter(|id| id.as_str() != EMPTY_TAR)),
        }
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn json(config: &ImageConfig) -> Result<Vec<u8>> {
    serde_json::to_vec(config).map_err(|source| Error::Json { what: "image configuration".to_owned(), source })
}
