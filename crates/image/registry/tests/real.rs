//! Pull and push against Debian's docker-registry.

mod support;

use std::sync::atomic::Ordering;

use registry::{Credentials, Event, Kind, LayerStep, PullRequest, PushRequest};
use support::proxy::Proxy;
use support::real::{Door, RealRegistry};
use support::{Events, Shelf, client, layer, noise, reference};

fn pull(name: &str, credentials: Option<Credentials>) -> PullRequest {
    PullRequest { reference: reference(name), platform: None, credentials }
}

fn push(name: &str, credentials: Option<Credentials>) -> PushRequest {
    PushRequest { reference: reference(name), credentials }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_comes_back_and_goes_again_byte_for_byte() {
    let there = RealRegistry::start(Door::Open);
    let (mine, yours) = (Shelf::new(), Shelf::new());
    let (base, top) = (layer("a", b"base"), layer("b", &noise(3 << 20, 1)));
    let name = there.name("debian:12");
    // a layer that is there twice goes once
    let image = mine.image(&name, &[base.clone(), top, base]);

    let events = Events::default();
    let pushed = client().push(&mine.store, push(&name, None), &events.progress()).await.unwrap();
    assert_eq!(events.all()[0], Event::PushTo { repository: there.name("debian") });
    assert_eq!(events.count(&LayerStep::Pushed), 2);
    let (digest, size) = (pushed[0].digest.to_string(), pushed[0].size);
    assert_eq!(events.all().pop(), Some(Event::Pushed { tag: "12".into(), digest: digest.clone(), size }));

    let events = Events::default();
    let pulled = client().pull(&yours.store, pull(&name, None), &events.progress()).await.unwrap();
    assert_eq!((&pulled.id, &pulled.layers), (&image.id, &image.layers));
    assert_eq!(pulled.names, std::slice::from_ref(&name));
    assert_eq!(pulled.repo_digests, [format!("{}@{digest}", there.name("debian"))]);
    assert_eq!(events.all()[0], Event::PullingFrom { tag: "12".into(), repository: "debian".into() });
    assert_eq!(events.count(&LayerStep::PullComplete), 2);
    assert_eq!(events.status(), format!("Status: Downloaded newer image for {name}"));

    let events = Events::default();
    client().pull(&yours.store, pull(&name, None), &events.progress()).await.unwrap();
    assert_eq!(events.count(&LayerStep::AlreadyExists), 2);
    assert_eq!(events.status(), format!("Status: Image is up to date for {name}"));

    for shelf in [&mine, &yours] {
        let events = Events::default();
        let again = client().push(&shelf.store, push(&name, None), &events.progress()).await.unwrap();
        assert_eq!(events.count(&LayerStep::LayerAlreadyExists), 2);
        assert_eq!(again, pushed, "the manifest is the same, byte for byte");
    }

    let by_digest = there.name(&format!("debian@{digest}"));
    let third = Shelf::new();
    let pulled = client().pull(&third.store, pull(&by_digest, None), &Events::default().progress()).await.unwrap();
    assert_eq!((pulled.id, pulled.names.len()), (image.id, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sister_repository_gives_its_layers() {
    let there = RealRegistry::start(Door::Open);
    let mine = Shelf::new();
    let (one, two) = (there.name("one:1"), there.name("two/deep:1"));
    let image = mine.image(&one, &[layer("a", &noise(100_000, 2)), layer("b", b"b")]);
    let first = client().push(&mine.store, push(&one, None), &Events::default().progress()).await.unwrap();
    mine.store.tag(&image.id, &reference(&two)).unwrap();
    let events = Events::default();
    let second = client().push(&mine.store, push(&two, None), &events.progress()).await.unwrap();
    assert_eq!(events.count(&LayerStep::MountedFrom { repository: "one".into() }), 2);
    assert_eq!(first[0].digest, second[0].digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_it_was_cut() {
    let there = RealRegistry::start(Door::Open);
    let proxy = Proxy::to(there.port()).await;
    let (mine, yours) = (Shelf::new(), Shelf::new());
    let size = 6 << 20;
    let name = there.name("big:1");
    let image = mine.image(&name, &[layer("big", &noise(size, 3))]);
    client().push(&mine.store, push(&name, None), &Events::default().progress()).await.unwrap();

    proxy.cut_after(&[1 << 20, 2 << 20, 100_000]);
    let events = Events::default();
    let through = format!("127.0.0.1:{}/big:1", proxy.port);
    let pulled = client().pull(&yours.store, pull(&through, None), &events.progress()).await.unwrap();
    assert_eq!(pulled.id, image.id);
    assert_eq!(proxy.cuts_left(), 0);
    assert!(events.steps().iter().any(|step| matches!(step, LayerStep::Retrying { .. })));
    let passed = proxy.passed.load(Ordering::Relaxed);
    // what was under way in the sockets when they were cut comes twice
    assert!(passed < size as u64 * 3 / 2, "{passed} bytes for {size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_begins_again() {
    let there = RealRegistry::start(Door::Open);
    let mine = Shelf::new();
    let name = there.name("up:1");
    let image = mine.image(&name, &[layer("big", &noise(2 << 20, 4))]);
    let proxy = Proxy::to(there.port()).await;
    let through = format!("127.0.0.1:{}/up:1", proxy.port);
    mine.store.tag(&image.id, &reference(&through)).unwrap();
    proxy.cut_after(&[1_100]);
    client().push(&mine.store, push(&through, None), &Events::default().progress()).await.unwrap();
    let yours = Shelf::new();
    let pulled = client().pull(&yours.store, pull(&name, None), &Events::default().progress()).await.unwrap();
    assert_eq!(pulled.id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_and_checked() {
    let there = RealRegistry::start(Door::Password);
    let shelf = Shelf::new();
    let name = there.name("private:1");
    let image = shelf.image(&name, &[layer("a", b"secret")]);
    let me =
        |password: &str| Credentials { username: "me".into(), password: password.into(), ..Credentials::default() };
    let silent = Events::default().progress();

    let error = client().push(&shelf.store, push(&name, None), &silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert_eq!(error.to_string(), format!("GET \"http://127.0.0.1:{}/v2/\": no basic auth credentials", there.port()));
    let error = client().push(&shelf.store, push(&name, Some(me("wrong"))), &silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.to_string().ends_with("unauthorized: authentication required"), "{error}");

    client().push(&shelf.store, push(&name, Some(me("secret"))), &silent).await.unwrap();
    let yours = Shelf::new();
    assert!(client().pull(&yours.store, pull(&name, None), &silent).await.is_err());
    let pulled = client().pull(&yours.store, pull(&name, Some(me("secret"))), &silent).await.unwrap();
    assert_eq!(pulled.id, image.id);

    let server = there.name("").trim_end_matches('/').to_owned();
    assert_eq!(client().login(&server, me("secret")).await.unwrap().identity_token, "");
    assert_eq!(client().login(&server, me("no")).await.unwrap_err().kind(), Kind::Unauthorized);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_registry_on_loopback_needs_no_authority() {
    let there = RealRegistry::start(Door::Encrypted);
    let (mine, yours) = (Shelf::new(), Shelf::new());
    let name = there.name("tls:1");
    let image = mine.image(&name, &[layer("a", &noise(100_000, 9))]);
    let silent = Events::default().progress();
    client().push(&mine.store, push(&name, None), &silent).await.unwrap();
    let pulled = client().pull(&yours.store, pull(&name, None), &silent).await.unwrap();
    assert_eq!(pulled.id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_in_dockers_words() {
    let there = RealRegistry::start(Door::Open);
    let shelf = Shelf::new();
    let silent = Events::default().progress();
    let name = there.name("nothing:1");
    let error = client().pull(&shelf.store, pull(&name, None), &silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.to_string(), format!("manifest for {name} not found: manifest unknown: manifest unknown"));

    let error = client().push(&shelf.store, push(&name, None), &silent).await.unwrap_err();
    let repository = there.name("nothing");
    assert_eq!(error.to_string(), format!("An image does not exist locally with the tag: {repository}"));
    shelf.image(&there.name("nothing:2"), &[layer("a", b"a")]);
    let error = client().push(&shelf.store, push(&name, None), &silent).await.unwrap_err();
    assert_eq!((error.to_string(), error.kind()), (format!("tag does not exist: {name}"), Kind::NotFound));

    drop(there);
    let error = client().pull(&shelf.store, pull(&name, None), &silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().ends_with("connect: connection refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tag_of_a_repository_goes_and_comes() {
    let there = RealRegistry::start(Door::Open);
    let (mine, yours) = (Shelf::new(), Shelf::new());
    for tag in ["1", "2", "3"] {
        mine.image(&there.name(&format!("many:{tag}")), &[layer("a", b"same"), layer("b", tag.as_bytes())]);
    }
    let repository = there.name("many");
    let silent = Events::default().progress();
    let pushed = client().push(&mine.store, push(&repository, None), &silent).await.unwrap();
    assert_eq!(pushed.iter().map(|pushed| pushed.tag.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
    let images = client().pull_all(&yours.store, pull(&repository, None), &silent).await.unwrap();
    assert_eq!(images.len(), 3);
    assert_eq!(yours.names().len(), 3);
}
