//! Views of images.

use docker_types::image as wire;
use docker_types::inspect::DriverData;

use super::{create, non_empty, non_empty_map, time_or_never, widen};

/// From this version on an image has no virtual size any more.
const NO_VIRTUAL_SIZE: u32 = 44;

/// One entry of a list.
pub fn summary(image: engine::ImageSummary, api: u32) -> wire::Summary {
    wire::Summary {
        containers: image.containers.map_or(-1, widen),
        created: image.created.as_second(),
        id: image.id,
        labels: non_empty_map(image.labels),
        parent_id: image.parent,
        repo_digests: image.repo_digests,
        repo_tags: image.repo_tags,
        shared_size: image.shared_size.map_or(-1, widen),
        size: widen(image.size),
        virtual_size: if api < NO_VIRTUAL_SIZE { widen(image.size) } else { 0 },
    }
}

/// The answer of `images/{name}/json`.
pub fn inspect(image: engine::ImageInspect, api: u32) -> wire::Inspect {
    wire::Inspect {
        id: image.id,
        repo_tags: image.repo_tags,
        repo_digests: image.repo_digests,
        parent: image.parent,
        comment: image.comment,
        created: image.created.map(super::time).unwrap_or_default(),
        docker_version: image.docker_version,
        author: image.author,
        config: Some(create::image_config_out(image.config)),
        architecture: image.architecture,
        variant: image.variant,
        os: image.os,
        os_version: image.os_version,
        size: widen(image.size),
        virtual_size: if api < NO_VIRTUAL_SIZE { widen(image.size) } else { 0 },
        graph_driver: DriverData { data: non_empty_map(image.driver_data), name: image.driver },
        root_fs: wire::RootFs { kind: "layers".to_owned(), layers: image.layers },
        metadata: wire::Metadata { last_tag_time: time_or_never(image.last_tagged) },
    }
}

/// One step of a history.
pub fn history(step: engine::ImageHistory) -> wire::HistoryItem {
    wire::HistoryItem {
        comment: step.comment,
        created: step.created.map_or(0, |at| at.as_second()),
        created_by: step.created_by,
        id: step.id,
        size: widen(step.size),
        tags: non_empty(step.tags),
    }
}

/// One thing that a removal did.
pub fn removed(removed: engine::ImageRemoved) -> wire::DeleteItem {
    match removed {
        engine::ImageRemoved::Untagged(untagged) => wire::DeleteItem { untagged, ..Default::default() },
        engine::ImageRemoved::Deleted(deleted) => wire::DeleteItem { deleted, ..Default::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_counted_is_minus_one() {
        let image = engine::ImageSummary {
            id: "sha256:1".into(),
            parent: String::new(),
            repo_tags: vec![],
            repo_digests: vec![],
            created: jiff::Timestamp::UNIX_EPOCH,
            size: 5,
            shared_size: None,
            labels: Default::default(),
            containers: None,
        };
        let shown = json!({
            "Containers": -1, "Created": 0, "Id": "sha256:1", "Labels": null, "ParentId": "", "RepoDigests": [], "RepoTags": [],
            "SharedSize": -1, "Size": 5
        });
        assert_eq!(serde_json::to_value(summary(image.clone(), 51)).unwrap(), shown);
        assert_eq!(serde_json::to_value(summary(image, 43)).unwrap()["VirtualSize"], json!(5));
    }

    #[test]
    fn a_removal_names_one_thing() {
        let shown = |r| serde_json::to_value(removed(r)).unwrap();
        assert_eq!(shown(engine::ImageRemoved::Untagged("a:b".into())), json!({"Untagged": "a:b"}));
        assert_eq!(shown(engine::ImageRemoved::Deleted("sha256:1".into())), json!({"Deleted": "sha256:1"}));
    }
}
