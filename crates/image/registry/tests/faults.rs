//! Registries that lie, stall, send elsewhere, or have something else than an image.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use registry::{Credentials, Error, Kind, LayerStep, PullRequest};
use spec::image::{Descriptor, media_type};
use spec::platform::Platform;
use support::fake::{Content, FakeRegistry, gzip, stuck, text, whole, with_header};
use support::{Events, Shelf, arch, client, client_with, digest, layer, noise, reference};

fn request(name: &str) -> PullRequest {
    PullRequest { reference: reference(name), platform: None, credentials: None }
}

/// Pulls what must fail and leave nothing.
async fn refused(there: &FakeRegistry, name: &str) -> Error {
    let shelf = Shelf::new();
    let error =
        client().pull(&shelf.store, request(&there.name(name)), &Events::default().progress()).await.unwrap_err();
    assert_eq!(shelf.store.images().unwrap().len(), 0);
    error
}

fn me() -> Credentials {
    Credentials { username: "me".into(), password: "secret".into(), ..Credentials::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_and_shown() {
    let mut content = Content::default();
    content.image_here("1", &[layer("a", b"a")]);
    let basic = "Basic bWU6c2VjcmV0";
    let there = FakeRegistry::with(
        content,
        Box::new(move |asked| {
            let port = asked.header("host").and_then(|host| host.split_once(':')).map_or("", |(_, port)| port);
            if asked.path.starts_with("/token") {
                let allowed = asked.header("authorization") == Some(basic)
                    && asked.path.contains("scope=repository%3Aa%2Fb%3Apull");
                return Some(match allowed {
                    true => text(StatusCode::OK, r#"{"access_token": "t0ken"}"#),
                    false => text(StatusCode::UNAUTHORIZED, r#"{"details": "incorrect username or password"}"#),
                });
            }
            if asked.header("authorization") == Some("Bearer t0ken") {
                return None;
            }
            let challenge =
                format!(r#"Bearer realm="http://127.0.0.1:{port}/token",service="tests",scope="repository:a/b:pull""#);
            let error = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            Some(with_header(text(StatusCode::UNAUTHORIZED, error), "www-authenticate", &challenge))
        }),
    )
    .await;
    let shelf = Shelf::new();
    let silent = Events::default().progress();
    let name = there.name("a/b:1");
    let error = client().pull(&shelf.store, request(&name), &silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.to_string().ends_with("unauthorized: incorrect username or password"), "{error}");
    let allowed = PullRequest { credentials: Some(me()), ..request(&name) };
    client().pull(&shelf.store, allowed, &silent).await.unwrap();
    let tokens = there.asked().iter().filter(|asked| asked.path.starts_with("/token")).count();
    assert_eq!(tokens, 2, "one token serves a whole pull");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_posted_instead_of_a_password() {
    let mut content = Content::default();
    content.image_here("1", &[layer("a", b"a")]);
    let there = FakeRegistry::with(
        content,
        Box::new(|asked| {
            let port = asked.header("host").and_then(|host| host.split_once(':')).map_or("", |(_, port)| port);
            if asked.path == "/token" && asked.method == "POST" {
                let form = String::from_utf8_lossy(&asked.body).into_owned();
                assert!(form.contains("grant_type=refresh_token") && form.contains("refresh_token=r3fresh"), "{form}");
                return Some(text(StatusCode::OK, r#"{"access_token": "t0ken"}"#));
            }
            let challenge = format!(r#"Bearer realm="http://127.0.0.1:{port}/token""#);
            let shown = asked.header("authorization") == Some("Bearer t0ken");
            (!shown).then(|| with_header(text(StatusCode::UNAUTHORIZED, ""), "www-authenticate", &challenge))
        }),
    )
    .await;
    let credentials = Credentials { identity_token: "r3fresh".into(), ..Credentials::default() };
    let request = PullRequest { credentials: Some(credentials), ..request(&there.name("a/b:1")) };
    client().pull(&Shelf::new().store, request, &Events::default().progress()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_does_not_take_the_password_along() {
    let mut content = Content::default();
    let (_, blobs) = content.image_here("1", &[layer("a", b"a")]);
    let mut elsewhere = Content::default();
    elsewhere.blob(gzip(&layer("a", b"a")));
    let elsewhere = FakeRegistry::start(elsewhere).await;
    let target = format!("http://127.0.0.1:{}/v2/x/blobs/{}?signature=1", elsewhere.port, blobs[0]);
    let blob = blobs[0].clone();
    let there = FakeRegistry::with(
        content,
        Box::new(move |asked| {
            if asked.header("authorization").is_none() {
                return Some(with_header(text(StatusCode::UNAUTHORIZED, ""), "www-authenticate", "Basic realm=\"x\""));
            }
            let moved = asked.path.ends_with(&blob);
            moved.then(|| with_header(text(StatusCode::TEMPORARY_REDIRECT, ""), "location", &target))
        }),
    )
    .await;
    let request = PullRequest { credentials: Some(me()), ..request(&there.name("a:1")) };
    client().pull(&Shelf::new().store, request, &Events::default().progress()).await.unwrap();
    let asked = elsewhere.blobs_asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
    assert!(there.asked().iter().any(|asked| asked.header("authorization").is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_end() {
    let there = FakeRegistry::with(
        Content::default(),
        Box::new(|asked| Some(with_header(text(StatusCode::FOUND, ""), "location", &asked.path))),
    )
    .await;
    assert!(matches!(refused(&there, "a:1").await, Error::Redirects { .. }));
    assert!(there.asked().len() < 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_differs_from_its_digest_is_refused() {
    let built = || {
        let mut content = Content::default();
        let (manifest, blobs) = content.image_here("1", &[layer("a", b"a"), layer("b", b"b")]);
        (content, manifest, blobs)
    };
    let (mut content, manifest, _) = built();
    content.spoil(&manifest, "{}");
    let there = FakeRegistry::start(content).await;
    let error = refused(&there, &format!("a@{manifest}")).await;
    assert!(matches!(error, Error::Digest { what: "manifest", .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("manifest verification failed for digest {manifest}")), "{error}");

    let (mut content, _, blobs) = built();
    let other = gzip(&layer("b", b"c"));
    content.spoil(&blobs[1], other);
    let there = FakeRegistry::start(content).await;
    let error = refused(&there, "a:1").await;
    assert!(
        matches!(&error, Error::Store(inner) if matches!(inner, store::Error::DigestMismatch { .. }))
            || matches!(error, Error::Cut { .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_longer_than_its_manifest_says_is_refused() {
    let mut content = Content::default();
    let (_, blobs) = content.image_here("1", &[layer("a", b"a")]);
    content.spoil(&blobs[0], noise(1 << 20, 1));
    let there = FakeRegistry::start(content).await;
    let error = refused(&there, "a:1").await;
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_manifest_is_not_read() {
    let mut content = Content::default();
    content.manifest("1", media_type::OCI_MANIFEST, vec![b' '; 64 << 20]);
    let there = FakeRegistry::start(content).await;
    assert_eq!(refused(&there, "a:1").await.to_string(), "manifest 1 is larger than 4194304 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_left() {
    let there = FakeRegistry::with(
        Content::default(),
        Box::new(|_| {
            std::thread::sleep(Duration::from_secs(2));
            None
        }),
    )
    .await;
    let impatient = client_with(|config| {
        config.timeouts.answer = Duration::from_millis(200);
        config.timeouts.connect = Duration::from_millis(500);
    });
    let start = Instant::now();
    let shelf = Shelf::new();
    let silent = Events::default().progress();
    let pull = impatient.pull(&shelf.store, request(&there.name("a:1")), &silent);
    let error = pull.await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_stalls_goes_on_with_another_connection() {
    let mut content = Content::default();
    let (_, blobs) = content.image_here("1", &[layer("a", &noise(300_000, 5))]);
    let full = gzip(&layer("a", &noise(300_000, 5)));
    let (blob, size) = (blobs[0].clone(), full.len());
    let there = FakeRegistry::with(
        content,
        Box::new(move |asked| {
            let first = asked.path.ends_with(&blob) && asked.header("range").is_none();
            first.then(|| stuck(full.slice(..100_000), size))
        }),
    )
    .await;
    let impatient = client_with(|config| config.timeouts.idle = Duration::from_millis(200));
    let events = Events::default();
    let shelf = Shelf::new();
    impatient.pull(&shelf.store, request(&there.name("a:1")), &events.progress()).await.unwrap();
    assert!(events.steps().contains(&LayerStep::Retrying { seconds: 0 }));
    let ranges: Vec<_> =
        there.blobs_asked().iter().filter_map(|asked| asked.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["bytes=100000-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_begins_again_and_nothing_comes_twice() {
    let mut content = Content::default();
    let (_, blobs) = content.image_here("1", &[layer("a", &noise(300_000, 6))]);
    let full = gzip(&layer("a", &noise(300_000, 6)));
    let (blob, tries) = (blobs[0].clone(), AtomicUsize::new(0));
    let there = FakeRegistry::with(
        content,
        Box::new(move |asked| {
            if !asked.path.ends_with(&blob) {
                return None;
            }
            Some(match tries.fetch_add(1, Ordering::Relaxed) {
                0 => stuck(full.slice(..100_000), full.len()),
                _ => http::Response::new(whole(full.clone())),
            })
        }),
    )
    .await;
    let impatient = client_with(|config| config.timeouts.idle = Duration::from_millis(200));
    let shelf = Shelf::new();
    impatient.pull(&shelf.store, request(&there.name("a:1")), &Events::default().progress()).await.unwrap();
    assert_eq!(there.blobs_asked().len(), 3, "the configuration, and the layer twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_server_is_tried_again_but_not_for_ever() {
    let mut content = Content::default();
    let (_, blobs) = content.image_here("1", &[layer("a", b"a")]);
    let blob = blobs[0].clone();
    let there = FakeRegistry::with(
        content,
        Box::new(move |asked| asked.path.ends_with(&blob).then(|| text(StatusCode::SERVICE_UNAVAILABLE, "later"))),
    )
    .await;
    let error = refused(&there, "a:1").await;
    assert!(error.to_string().ends_with("received unexpected HTTP status: 503 Service Unavailable"), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(there.blobs_asked().iter().filter(|asked| asked.path.ends_with(&blobs[0])).count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_of_the_platform_is_chosen() {
    let mut content = Content::default();
    let mut entries = Vec::new();
    for architecture in ["s390x", &arch(), "riscv64"] {
        let (manifest, _) = content.image(architecture, architecture, &[layer("arch", architecture.as_bytes())]);
        entries.push(serde_json::json!({
            "mediaType": media_type::OCI_MANIFEST, "digest": manifest, "size": 1,
            "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
    let top = content.manifest("all", media_type::OCI_INDEX, index.to_string());
    let there = FakeRegistry::start(content).await;
    let pull = async |tag: &str, platform: Option<&str>| {
        let platform = platform.map(|platform| Platform::parse(platform).unwrap());
        let request = PullRequest { platform, ..request(&there.name(&format!("a:{tag}"))) };
        client().pull(&Shelf::new().store, request, &Events::default().progress()).await
    };
    let image = pull("all", None).await.unwrap();
    assert_eq!(image.config.architecture, arch());
    assert_eq!(image.repo_digests, [there.name(&format!("a@{top}"))]);
    assert_eq!(pull("all", Some("linux/s390x")).await.unwrap().config.architecture, "s390x");
    let error = pull("all", Some("linux/ppc64le")).await.unwrap_err();
    assert_eq!(error.to_string(), "no matching manifest for linux/ppc64le in the manifest list entries");
    assert_eq!(error.kind(), Kind::NotFound);
    let error = pull("riscv64", Some("linux/s390x")).await.unwrap_err();
    let text = "was found but its platform (linux/riscv64) does not match the specified platform (linux/s390x)";
    assert!(error.to_string().contains(text), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_is_refused_clearly() {
    let mut content = Content::default();
    let config = Descriptor::of("application/vnd.cncf.helm.config.v1+json", b"{}");
    let chart = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []});
    content.manifest("chart", media_type::OCI_MANIFEST, chart.to_string());
    content.manifest("old", media_type::DOCKER_MANIFEST_V1, r#"{"schemaVersion": 1, "name": "x", "fsLayers": []}"#);
    content.manifest("text", "text/plain", "hello");
    let lie = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
    content.manifest("lie", media_type::OCI_MANIFEST, lie.to_string());
    let (_, blobs) = content.image_here("1", &[layer("a", b"a")]);
    let fewer = serde_json::json!({
        "architecture": arch(), "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
    });
    let fewer = content.blob(fewer.to_string());
    let odd = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": fewer, "size": 1},
        "layers": [{"mediaType": media_type::OCI_LAYER_GZIP, "digest": blobs[0], "size": 1}],
    });
    content.manifest("odd", media_type::OCI_MANIFEST, odd.to_string());
    let there = FakeRegistry::start(content).await;
    for (tag, kind, words) in [
        ("chart", Kind::Unimplemented, "unsupported media type \"application/vnd.cncf.helm.config.v1+json\""),
        ("old", Kind::Unimplemented, "schema 1 are not supported"),
        ("text", Kind::Invalid, "parse manifest of"),
        ("lie", Kind::Invalid, "but calls itself \"application/vnd.oci.image.index.v1+json\""),
        ("odd", Kind::Invalid, "the manifest has 1 layers, the configuration 0"),
    ] {
        let error = refused(&there, &format!("a:{tag}")).await;
        assert!(error.to_string().contains(words), "{tag}: {error}");
        assert_eq!(error.kind(), kind, "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn several_layers_come_at_the_same_time_and_shared_ones_once() {
    let layers: Vec<Vec<u8>> = (0..3u8).map(|number| layer("n", &[number; 1000])).collect();
    let mut content = Content::default();
    let (_, blobs) = content.image_here("1", &layers);
    let mut more = layers.clone();
    more.push(layer("n", b"more"));
    content.image_here("2", &more);
    let together = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let (seen, watched) = (together.clone(), blobs.clone());
    let there = FakeRegistry::with(
        content,
        Box::new(move |asked| {
            if watched.iter().any(|blob| asked.path.ends_with(blob)) {
                let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
                seen.1.fetch_max(now, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(300));
                seen.0.fetch_sub(1, Ordering::SeqCst);
            }
            None
        }),
    )
    .await;
    let shelf = Shelf::new();
    let client = client();
    let silent = Events::default().progress();
    // two pulls at once share what they fetch
    let both = [
        client.pull(&shelf.store, request(&there.name("a:1")), &silent),
        client.pull(&shelf.store, request(&there.name("b:1")), &silent),
    ];
    for image in futures_util::future::join_all(both).await {
        image.unwrap();
    }
    assert_eq!(together.1.load(Ordering::SeqCst), 3);
    for blob in &blobs {
        assert_eq!(there.blobs_asked().iter().filter(|asked| asked.path.ends_with(blob)).count(), 1);
    }
    let events = Events::default();
    client.pull(&shelf.store, request(&there.name("a:2")), &events.progress()).await.unwrap();
    assert_eq!(events.count(&LayerStep::AlreadyExists), 3);
    assert_eq!(events.count(&LayerStep::PullComplete), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_given_up_leaves_nothing() {
    let mut content = Content::default();
    let layers = [layer("a", b"a"), layer("b", &noise(200_000, 7))];
    let (_, blobs) = content.image_here("1", &layers);
    let full = gzip(&layers[1]);
    let blob = blobs[1].clone();
    let there = FakeRegistry::with(
        content,
        Box::new(move |asked| asked.path.ends_with(&blob).then(|| stuck(full.slice(..50_000), full.len()))),
    )
    .await;
    let shelf = Shelf::new();
    let events = Events::default();
    let name = there.name("a:1");
    let progress = events.progress();
    let client = client();
    let pull = client.pull(&shelf.store, request(&name), &progress);
    assert!(tokio::time::timeout(Duration::from_millis(500), pull).await.is_err());
    assert_eq!(events.count(&LayerStep::PullComplete), 1, "one layer was complete");
    // the threads that wrote notice the end of their stream a moment later
    let start = Instant::now();
    let gone = || {
        let _ = shelf.store.collect();
        let ingest = shelf.store.ingest().unwrap();
        layers.iter().all(|layer| !ingest.has_layer(&digest(layer).parse().unwrap()).unwrap())
    };
    while !gone() {
        assert!(start.elapsed() < Duration::from_secs(5), "a layer without an image stayed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(shelf.store.images().unwrap().len(), 0);
}
