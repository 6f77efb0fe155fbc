//! What is told of an image.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use spec::image::ContainerDefaults;
use store::{HistoryEntry, Image, Store};

use super::filter::Resolved;
use crate::compose::merge;
use crate::error::Result;
use crate::model::config::Config;
use crate::model::image::{ImageHistory, ImageInspect, ImageSummary};

/// When an image was made; those that do not say are the oldest.
pub(super) fn created(image: &Image) -> Timestamp {
    time(image.config.created.as_deref()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

pub(super) fn summary(image: &Image, shown: &Resolved) -> ImageSummary {
    let names = |names: &[String]| names.iter().filter(|name| shown.shows(name)).cloned().collect();
    ImageSummary {
        id: image.id.to_string(),
        parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        repo_tags: names(&image.names),
        repo_digests: names(&image.repo_digests),
        created: created(image),
        size: image.size,
        shared_size: None,
        labels: image.config.config.labels.clone(),
        containers: None,
    }
}

/// Bytes of the layers that other images have too.
pub(super) fn shared_size(store: &Store, image: &Image, all: &[Image]) -> Result<u64> {
    let mut users: HashMap<_, u32> = HashMap::new();
    for layer in all.iter().flat_map(|image| &image.layers) {
        *users.entry(layer).or_default() += 1;
    }
    let mut size = 0;
    for layer in image.layers.iter().filter(|layer| users.get(layer).is_some_and(|n| *n > 1)) {
        size += store.layer_size(layer)?;
    }
    Ok(size)
}

pub(super) fn inspect(image: &Image, driver: &str) -> Result<ImageInspect> {
    let config = &image.config;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(ImageInspect {
        id: image.id.to_string(),
        repo_tags: image.names.clone(),
        repo_digests: image.repo_digests.clone(),
        parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        comment: config.history.last().map(|step| text(&step.comment)).unwrap_or_default(),
        created: time(config.created.as_deref()),
        docker_version: text(&config.docker_version),
        author: text(&config.author),
        config: defaults(&config.config)?,
        architecture: config.architecture.clone(),
        variant: text(&config.variant),
        os: config.os.clone(),
        os_version: config.other.get("os.version").and_then(|v| v.as_str()).unwrap_or_default().to_owned(),
        size: image.size,
        driver: driver.to_owned(),
        driver_data: BTreeMap::new(),
        layers: image.layers.iter().map(ToString::to_string).collect(),
        last_tagged: image.last_tagged,
    })
}

/// The configuration of an image as the engine's own type: what a container that says nothing gets.
fn defaults(config: &ContainerDefaults) -> Result<Config> {
    let mut shown = merge::merge(Config::default(), config)?;
    shown.on_build = config.on_build.clone().unwrap_or_default();
    shown.args_escaped = config.other.get("ArgsEscaped").and_then(|v| v.as_bool()).unwrap_or(false);
    Ok(shown)
}

pub(super) fn history(step: HistoryEntry) -> ImageHistory {
    ImageHistory {
        id: step.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
        created: time(step.created.as_deref()),
        created_by: step.created_by,
        tags: step.names,
        size: step.size,
        comment: step.comment,
    }
}
