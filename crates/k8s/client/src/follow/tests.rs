//! A follower beside a server that says what it is told to.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::{Api, Client, ResourceExt};

use super::{Event, config, objects};

fn map(name: &str, version: u64) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{version}"}}}}"#)
}

fn page(version: u64, token: &str, names: &[&str]) -> String {
    let items: Vec<String> = names.iter().map(|name| map(name, 1)).collect();
    let meta = format!(r#"{{"resourceVersion":"{version}","continue":"{token}"}}"#);
    format!(r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{meta},"items":[{}]}}"#, items.join(","))
}

fn line(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// Follows until the answers are used up; what was told, and the queries that were asked.
async fn follow(answers: Vec<(u16, String)>) -> (Vec<String>, Vec<String>) {
    let left = Arc::new(Mutex::new(answers.into_iter().rev().collect::<Vec<_>>()));
    let (asked, told) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (done, mut ended) = tokio::sync::mpsc::channel::<()>(1);
    let queries = asked.clone();
    let server = tower::service_fn(move |request: Request<Body>| {
        let (next, done) = (left.lock().expect("whole").pop(), done.clone());
        if next.is_some() {
            queries.lock().expect("whole").push(request.uri().query().unwrap_or_default().to_owned());
        }
        async move {
            let Some((status, text)) = next else {
                let _ = done.send(()).await;
                return std::future::pending().await;
            };
            Ok::<_, std::io::Error>(
                Response::builder().status(status).body(Body::from(text.into_bytes())).expect("an answer"),
            )
        }
    });
    let maps: Api<ConfigMap> = Api::namespaced(Client::new(server, "default"), "default");
    let heard = told.clone();
    let following = objects(maps, config().labels("a=b"), move |event| {
        heard.lock().expect("whole").push(match event {
            Event::Init => "init".to_owned(),
            Event::InitApply(map) => format!("listed {}", map.name_any()),
            Event::InitDone => "done".to_owned(),
            Event::Apply(map) => format!("changed {}", map.name_any()),
            Event::Delete(map) => format!("deleted {}", map.name_any()),
        });
    });
    tokio::select! {
        () = following => panic!("following does not end"),
        _ = ended.recv() => {}
    }
    let taken = |all: &Mutex<Vec<String>>| std::mem::take(&mut *all.lock().expect("whole"));
    (taken(&told), taken(&asked))
}

#[tokio::test]
async fn pages_are_listed_and_changes_follow_from_the_version_of_the_list() {
    let changes =
        [line("ADDED", &map("c", 8)), line("MODIFIED", &map("a", 9)), line("DELETED", &map("b", 10))].concat();
    // The connection ends in the middle of a line: it is told again.
    let cut = format!("{changes}{{\"type\":\"ADDED\",\"obj");
    let answers = vec![
        (200, page(7, "more", &["a"])),
        (200, page(7, "", &["b"])),
        (200, cut),
        (200, line("ADDED", &map("d", 11))),
    ];
    let (told, asked) = follow(answers).await;
    assert_eq!(told, ["init", "listed a", "listed b", "done", "changed c", "changed a", "deleted b", "changed d"]);
    assert!(asked.iter().all(|query| query.contains("labelSelector=a%3Db")), "{asked:?}");
    assert!(asked[1].contains("continue=more"), "{asked:?}");
    assert!(asked[2].contains("watch=true") && asked[2].contains("resourceVersion=7"), "{asked:?}");
    assert!(asked[3].contains("resourceVersion=10"), "{asked:?}");
}

#[tokio::test]
async fn what_has_been_compacted_is_listed_again_and_what_fails_is_tried_again() {
    let gone =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","message":"too old","code":410}"#;
    let busy = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","message":"later","code":429}"#;
    let answers = vec![
        (429, busy.to_owned()),
        (200, page(7, "", &["a"])),
        (200, line("ERROR", gone)),
        (200, page(9, "", &["a", "b"])),
        (410, gone.to_owned()),
        (200, page(12, "", &[])),
        (200, line("ERROR", busy)),
        (200, line("BOOKMARK", &map("x", 20))),
        // Not a config map: left out, and what comes after it is heard.
        (
            200,
            [
                line("ADDED", r#"{"metadata":{"name":"y","resourceVersion":"21"},"data":3}"#),
                line("ADDED", &map("z", 22)),
            ]
            .concat(),
        ),
    ];
    let (told, asked) = follow(answers).await;
    let expected =
        ["init", "init", "listed a", "done", "init", "listed a", "listed b", "done", "init", "done", "changed z"];
    assert_eq!(told, expected);
    assert!(asked[7].contains("resourceVersion=12") && asked[8].contains("resourceVersion=20"), "{asked:?}");
}
