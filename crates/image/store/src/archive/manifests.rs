//! The tables of contents of image archives: docker's `manifest.json`, OCI's `index.json`.

use serde::{Deserialize, de::DeserializeOwned};
use spec::{
    digest::Digest,
    image::{Descriptor, ImageConfig, Index, Manifest, media_type},
    platform::Platform,
    reference::Reference,
};

use super::{Loaded, load::Contents};
use crate::{Error, ImageCommit, Ingest, Result};

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// An image that an archive describes.
struct Described {
    config: String,
    names: Vec<Reference>,
    layers: Vec<String>,
}

/// Makes the images that the archive's tables name. All are checked before the first one is made.
pub(super) fn commit(ingest: &Ingest, mut contents: Contents) -> Result<Vec<Loaded>> {
    let described = if let Some(table) = contents.text("manifest.json") {
        docker(parse("manifest.json", table)?)?
    } else if let Some(table) = contents.text("index.json") {
        oci(&contents, parse("index.json", table)?, 0)?
    } else {
        return Err(Error::ImageArchive { path: "manifest.json".to_owned(), problem: "no table of contents" });
    };
    let commits = described.into_iter().map(|image| check(&mut contents, image, ingest)).collect::<Result<Vec<_>>>()?;
    let mut loaded = Vec::new();
    for commit in commits {
        let names: Vec<String> = commit.names.iter().map(Reference::familiar).collect();
        let image = ingest.commit(commit)?;
        if names.is_empty() {
            loaded.push(Loaded::Id(image.id));
        } else {
            loaded.extend(names.into_iter().map(Loaded::Name));
        }
    }
    Ok(loaded)
}

fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json { what: format!("{path} of the image archive"), source })
}

fn docker(entries: Vec<DockerEntry>) -> Result<Vec<Described>> {
    let describe = |entry: DockerEntry| {
        let names = entry.repo_tags.unwrap_or_default();
        let names = names.iter().map(|n| Ok(Reference::parse(n)?.or_latest())).collect::<Result<_>>()?;
        Ok(Described { config: entry.config, names, layers: entry.layers.unwrap_or_default() })
    };
    entries.into_iter().map(describe).collect()
}

/// Images of an index; indexes in it give the image for this machine.
fn oci(contents: &Contents, index: Index, depth: usize) -> Result<Vec<Described>> {
    let mut described = Vec::new();
    for descriptor in index.manifests {
        let attestation = descriptor.annotations.contains_key("vnd.docker.reference.type");
        if attestation {
            continue;
        }
        let path = blob(&descriptor.digest);
        let Some(bytes) = contents.text(&path) else {
            // An image for another machine may be left out.
            if descriptor.platform.as_ref().is_some_and(|p| !Platform::host().accepts(p)) {
                continue;
            }
            return Err(Error::ImageArchive { path, problem: "manifest is not in the archive" });
        };
        verify(&path, &descriptor.digest, bytes)?;
        let names = name(&descriptor);
        if is_index(&descriptor, bytes) {
            if depth > 2 {
                return Err(Error::ImageArchive { path, problem: "indexes are nested too deeply" });
            }
            let mut inner: Index = parse(&path, bytes)?;
            let host = Platform::host();
            let fits = |d: &Descriptor| d.platform.as_ref().is_none_or(|p| host.accepts(p));
            inner.manifests.retain(fits);
            inner.manifests.truncate(1);
            let mut images = oci(contents, inner, depth + 1)?;
            images.iter_mut().for_each(|image| image.names.extend(names.clone()));
            described.extend(images);
        } else {
            let manifest: Manifest = parse(&path, bytes)?;
            let layers = manifest.layers.iter().map(|l| blob(&l.digest)).collect();
            described.push(Described { config: blob(&manifest.config.digest), names, layers });
        }
    }
    Ok(described)
}

fn is_index(descriptor: &Descriptor, bytes: &[u8]) -> bool {
    let by_type = matches!(descriptor.media_type.as_str(), media_type::OCI_INDEX | media_type::DOCKER_LIST);
    by_type || serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|v| v.get("manifests").is_some())
}

/// The name an index gives: whole where containerd wrote it, else only a tag, which names nothing.
fn name(descriptor: &Descriptor) -> Vec<Reference> {
    let whole = descriptor.annotations.get("io.containerd.image.name");
    let short = descriptor.annotations.get("org.opencontainers.image.ref.name").filter(|n| n.contains([':', '/']));
    let name = whole.or(short).and_then(|n| Reference::parse(n).ok());
    name.map(|n| n.or_latest()).filter(|n| n.tag().is_some()).into_iter().collect()
}

fn blob(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

fn verify(path: &str, expected: &Digest, bytes: &[u8]) -> Result<()> {
    if expected.verifies(bytes) {
        return Ok(());
    }
    let (expected, actual) = (expected.to_string(), Digest::of(bytes).to_string());
    Err(Error::DigestMismatch { what: path.to_owned(), expected, actual })
}

/// The image's configuration and layers agree with each other.
fn check(contents: &mut Contents, image: Described, ingest: &Ingest) -> Result<ImageCommit> {
    let path = image.config;
    let Some(config) = contents.text(&path).map(<[u8]>::to_vec) else {
        return Err(Error::ImageArchive { path, problem: "image configuration is not in the archive" });
    };
    if let Some(digest) = path.strip_prefix("blobs/").and_then(|p| p.replacen('/', ":", 1).parse::<Digest>().ok()) {
        verify(&path, &digest, &config)?;
    }
    let parsed: ImageConfig = parse(&path, &config)?;
    let expected = &parsed.rootfs.diff_ids;
    if expected.len() != image.layers.len() {
        let problem = format!("expected {}, got {}", expected.len(), image.layers.len());
        return Err(Error::Config { what: "manifest, layers length mismatch".to_owned(), problem });
    }
    let (mut blobs, mut starts) = (Vec::new(), Vec::new());
    for (i, (expected, path)) in expected.iter().zip(&image.layers).enumerate() {
        let found = contents.layer(path, expected, ingest)?;
        if found.diff_id != *expected {
            let problem = format!("expected {:?}, got {:?}", expected.to_string(), found.diff_id.to_string());
            return Err(Error::Config { what: format!("diffID for layer {i}"), problem });
        }
        blobs.extend(found.blob);
        starts.extend(found.start.map(|start| (start, found.diff_id)));
    }
    let distribution = if blobs.len() == expected.len() { blobs } else { Vec::new() };
    Ok(ImageCommit { config, names: image.names, distribution, starts, ..ImageCommit::default() })
}
