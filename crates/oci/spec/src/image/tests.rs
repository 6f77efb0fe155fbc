//! Documents as Docker and others write them are read, and what is unknown is kept.

use super::*;

const DOCKER_IMAGE: &str = r#"{
  "architecture": "amd64",
  "config": {"Hostname": "", "AttachStdin": false, "Env": ["PATH=/bin"], "Cmd": ["sh"], "ExposedPorts": {"80/tcp": {}},
    "Entrypoint": null, "OnBuild": null, "Labels": null, "Volumes": {"/data": {}},
    "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1000000000}},
  "container": "abc",
  "container_config": {"Cmd": ["/bin/sh", "-c", "\u0023(nop) CMD"]},
  "created": "2023-11-01T10:00:00.123456789+01:00",
  "docker_version": "20.10.23",
  "history": [{"created": "2023-11-01T09:00:00Z", "created_by": "ADD"}, {"created_by": "CMD", "empty_layer": true}],
  "os": "linux",
  "rootfs": {"type": "layers", "diff_ids": ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
  "moby.buildkit.cache.v0": "opaque"
}"#;

#[test]
fn dockers_configuration_is_read_and_unknown_fields_are_kept() {
    let config: ImageConfig = serde_json::from_str(DOCKER_IMAGE).unwrap();
    assert_eq!(config.config.entrypoint, None);
    assert_eq!(config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
    assert!(config.config.exposed_ports.contains_key("80/tcp"));
    assert_eq!(config.config.healthcheck.as_ref().unwrap().interval, 1_000_000_000);
    assert!(config.history[1].empty_layer);
    assert_eq!(config.created.unwrap().to_string(), "2023-11-01T09:00:00.123456789Z");
    assert_eq!(config.platform().to_string(), "linux/amd64");

    let written = serde_json::to_value(&config).unwrap();
    assert_eq!(written["moby.buildkit.cache.v0"], "opaque");
    assert_eq!(written["config"]["AttachStdin"], false);
    assert_eq!(written["config"].get("Entrypoint"), None);
    let again: ImageConfig = serde_json::from_value(written).unwrap();
    assert_eq!(again, config);
}

#[test]
fn an_empty_command_is_not_a_missing_one() {
    let config: ContainerConfig = serde_json::from_str(r#"{"Entrypoint": [], "Cmd": null}"#).unwrap();
    assert_eq!(config.entrypoint, Some(Vec::new()));
    assert_eq!(config.cmd, None);
    assert_eq!(serde_json::to_string(&config).unwrap(), r#"{"Entrypoint":[]}"#);
}

#[test]
fn a_bare_import_is_written_as_docker_does() {
    let config = ImageConfig::default();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(text, r#"{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#);
}

#[test]
fn manifests_of_both_kinds_are_read() {
    let bytes = b"{}";
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_MANIFEST,
        "config": Descriptor::of(media::DOCKER_CONFIG, bytes),
        "layers": [Descriptor::of(media::DOCKER_LAYER_GZIP, b"layer")],
        "subject": {"digest": "sha256:x"},
        "annotations": null,
    });
    let manifest: Manifest = serde_json::from_value(manifest).unwrap();
    assert_eq!(manifest.config.size, 2);
    assert_eq!(manifest.layers[0].digest, Digest::sha256(b"layer"));
    assert!(manifest.unknown.contains_key("subject"));

    let bad = r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:1","size":-1}}"#;
    assert!(serde_json::from_str::<Manifest>(bad).is_err());
}
