//! `save`: images as an OCI layout with docker's `manifest.json` beside it. The tables come first, so that a reader
//! knows what the blobs are before they come.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
};

use serde_json::{Value, json};
use spec::{
    digest::{DiffId, Digest},
    image::{Descriptor, Manifest, media_type},
    platform::Platform,
    reference::Reference,
};

use crate::{
    Error, Image, Result, Store,
    tar::{EntryHeader, Writer},
};

/// An image to save, with the names it is saved under.
struct Chosen {
    image: Image,
    names: Vec<Reference>,
}

/// Documents of the archive.
#[derive(Default)]
struct Tables {
    manifest: Vec<Value>,
    index: Vec<Value>,
    repositories: BTreeMap<String, BTreeMap<String, String>>,
    /// Blobs made of bytes, by digest.
    documents: BTreeMap<Digest, Vec<u8>>,
    layers: BTreeSet<DiffId>,
}

impl Store {
    /// Writes images, by name or id, as an OCI layout with docker's `manifest.json` beside it.
    pub fn save(&self, names: &[String], writer: impl Write) -> Result<()> {
        // Held until everything is written, so that a removal meanwhile takes nothing away.
        let lease = self.ingest()?;
        let mut tables = Tables::default();
        for chosen in self.choose(names)? {
            for layer in &chosen.image.layers {
                if !lease.has_layer(layer)? {
                    return Err(Error::NoSuchLayer(layer.to_string()));
                }
            }
            self.describe(&chosen, &mut tables)?;
        }
        let mut tar = Writer::new(writer);
        let mut put = |header: &EntryHeader, data: &mut dyn Read| {
            tar.entry(header, data).map_err(|source| Error::Stream { action: "write image archive", source })
        };
        let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": tables.index});
        let documents = [
            ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
            ("manifest.json", Value::Array(tables.manifest)),
            ("index.json", index),
            ("repositories", json!(tables.repositories)),
        ];
        for (name, document) in documents {
            let bytes = document.to_string().into_bytes();
            put(&EntryHeader::file(name, bytes.len() as u64), &mut bytes.as_slice())?;
        }
        put(&EntryHeader::directory("blobs"), &mut std::io::empty())?;
        put(&EntryHeader::directory("blobs/sha256"), &mut std::io::empty())?;
        for (digest, bytes) in &tables.documents {
            put(&EntryHeader::file(&blob(digest), bytes.len() as u64), &mut bytes.as_slice())?;
        }
        for layer in &tables.layers {
            let (mut file, size) = self.layer_tar(layer)?;
            put(&EntryHeader::file(&blob(&layer.0), size), &mut file)?;
        }
        tar.finish().map(drop).map_err(|source| Error::Stream { action: "write image archive", source })
    }

    /// Images in the order of their first name; a name without a tag means every tag of the repository.
    fn choose(&self, names: &[String]) -> Result<Vec<Chosen>> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for name in names {
            for (image, reference) in self.matching(name)? {
                let at = match chosen.iter().position(|c| c.image.id == image.id) {
                    Some(at) => at,
                    None => {
                        chosen.push(Chosen { image, names: Vec::new() });
                        chosen.len() - 1
                    }
                };
                let names = &mut chosen[at].names;
                names.extend(reference.filter(|r| !names.contains(r)));
            }
        }
        Ok(chosen)
    }

    fn matching(&self, name: &str) -> Result<Vec<(Image, Option<Reference>)>> {
        let reference = Reference::parse(name).ok();
        if let Some(repository) = reference.as_ref().filter(|r| r.tag().is_none() && r.digest().is_none()) {
            let mut found = Vec::new();
            for image in self.images()? {
                let tags = image.names.iter().filter_map(|n| Reference::parse(n).ok());
                let tags: Vec<_> = tags.filter(|t| t.repository() == *repository).collect();
                found.extend(tags.into_iter().map(|tag| (image.clone(), Some(tag))));
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let image = self.resolve(name)?;
        let named = reference.filter(|r| r.digest().is_none() && image.names.contains(&r.or_latest().familiar()));
        Ok(vec![(image, named)])
    }

    fn describe(&self, chosen: &Chosen, tables: &mut Tables) -> Result<()> {
        let image = &chosen.image;
        let config = &image.id.0;
        tables.documents.insert(config.clone(), image.config_bytes.to_vec());
        let mut layers = Vec::new();
        for layer in &image.layers {
            layers.push(Descriptor::new(media_type::OCI_LAYER, layer.0.clone(), self.layer_tar(layer)?.1));
        }
        tables.layers.extend(image.layers.iter().cloned());
        let tags: Vec<String> = chosen.names.iter().map(Reference::familiar).collect();
        tables.manifest.push(json!({
            "Config": blob(config),
            "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
            "Layers": image.layers.iter().map(|l| blob(&l.0)).collect::<Vec<_>>(),
        }));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config: Descriptor::new(media_type::OCI_CONFIG, config.clone(), image.config_bytes.len() as u64),
            layers,
            annotations: BTreeMap::new(),
        };
        let bytes = json_bytes(&manifest)?;
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
        descriptor.platform = Some(Platform {
            os: image.config.os.clone(),
            architecture: image.config.architecture.clone(),
            variant: image.config.variant.clone(),
            os_version: None,
        });
        tables.documents.insert(descriptor.digest.clone(), bytes);
        if chosen.names.is_empty() {
            tables.index.push(json!(descriptor));
        }
        for name in &chosen.names {
            let tag = name.tag().unwrap_or_default();
            let mut named = descriptor.clone();
            named.annotations.insert("io.containerd.image.name".to_owned(), name.to_string());
            named.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag.to_owned());
            tables.index.push(json!(named));
            let top = image.layers.last().map_or(config.hex(), |l| l.hex());
            tables.repositories.entry(name.familiar_name()).or_default().insert(tag.to_owned(), top.to_owned());
        }
        Ok(())
    }
}

fn json_bytes(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|source| Error::Json { what: "manifest".to_owned(), source })
}

fn blob(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
