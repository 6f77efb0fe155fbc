//! What no server should take: bodies that are too large, too deep, broken, bombs, of the wrong type. Each is refused in words, and the server goes on.

mod world;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use world::{Answer, World};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

async fn send(world: &World, method: Method, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !kind.is_empty() {
        request = request.header("content-type", kind);
    }
    world.send(request.body(Full::new(body.into())).unwrap()).await
}

/// A POST that must be refused with this code, in words, as a Status.
async fn refused(world: &World, path: &str, kind: &str, body: impl Into<Bytes>, code: u16, words: &str) {
    let answer = send(world, Method::POST, path, kind, body).await;
    let status = answer.json();
    assert_eq!(answer.code, code, "{words}: {status}");
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Failure")), "{status}");
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains(words), "{words:?} is not in {message:?}");
}

fn nested(depth: usize) -> String {
    format!("{}1{}", "{\"data\":".repeat(depth), "}".repeat(depth))
}

/// Nine lists of nine lists, nine times over: small as text, more than memory holds when it is read.
fn bomb() -> String {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let item = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [item.as_str(); 9].join(","));
    }
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: bomb}}\ndata:\n{}", indented(&text))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[tokio::test]
async fn bodies_that_are_too_large_or_too_deep_are_refused() {
    let world = World::new().await;
    let huge = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "huge"}, "data": {"a": "x".repeat(4 << 20)}});
    for kind in [JSON, YAML, PROTOBUF] {
        refused(&world, MAPS, kind, huge.to_string(), 413, "limit").await;
    }
    for depth in [200, 100_000] {
        refused(&world, MAPS, JSON, nested(depth), 400, "").await;
        refused(&world, MAPS, YAML, nested(depth), 400, "").await;
        refused(&world, MAPS, YAML, "[".repeat(depth), 400, "").await;
        refused(&world, MAPS, YAML, "- ".repeat(depth), 400, "").await;
    }
    // more than the store keeps, although it is less than a body may be
    let map = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "big"}, "data": {"a": "x".repeat((1 << 20) + 1)}});
    refused(&world, MAPS, JSON, map.to_string(), 422, "Too long: may not be more than 1048576 bytes").await;
}

#[tokio::test]
async fn bodies_that_are_broken_are_refused() {
    let world = World::new().await;
    for body in [
        "",
        "{",
        "{\"kind\":",
        "nonsense",
        "[1,2]",
        "null",
        "1",
        "\"x\"",
        "{\"a\":1}}",
        "\u{0}",
        "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":[]}",
    ] {
        refused(&world, MAPS, JSON, body, 400, "").await;
    }
    for body in ["a: [", "{a: b: c}", "&a *a", "- 1\n- 2", "a: !!binary x\nb", "\tx: y", "? [a, b]\n: c"] {
        refused(&world, MAPS, YAML, body, 400, "").await;
    }
    for body in [&b"k8s"[..], b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"k8s\0\x12\xff\x7f", b"\0\0\0\0"] {
        refused(&world, MAPS, PROTOBUF, body.to_vec(), 400, "").await;
    }
    let latin = b"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"\xe9\"}}".to_vec();
    refused(&world, MAPS, JSON, latin, 400, "").await;
    let other = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}}).to_string();
    refused(&world, MAPS, JSON, other, 400, "does not match the expected kind").await;
    let number = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"containers": "many"}});
    refused(&world, PODS, JSON, number.to_string(), 400, "cannot be handled as a Pod").await;
}

#[tokio::test]
async fn bombs_do_not_go_off() {
    let world = World::new().await;
    refused(&world, MAPS, YAML, bomb(), 400, "").await;
    let map =
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "m"}, "data": {"a": "x".repeat(100_000)}});
    send(&world, Method::POST, MAPS, JSON, map.to_string()).await.expect(201);
    // what doubles and doubles: each copy puts all there is into itself once more
    let copies: Vec<Value> =
        (0..64).map(|at| json!({"op": "copy", "from": "/data", "path": format!("/data/c{at}")})).collect();
    let patch = Value::from(copies).to_string();
    let answer = send(&world, Method::PATCH, &format!("{MAPS}/m"), "application/json-patch+json", patch).await;
    assert!((400..500).contains(&answer.code), "{}", answer.code);
    let many: Vec<Value> = vec![json!({"op": "test", "path": "/data/a", "value": ""}); 20_000];
    let patch = Value::from(many).to_string();
    let answer = send(&world, Method::PATCH, &format!("{MAPS}/m"), "application/json-patch+json", patch).await;
    assert!((400..500).contains(&answer.code), "{}", answer.code);
    for kind in
        ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"]
    {
        let answer = send(&world, Method::PATCH, &format!("{MAPS}/m?fieldManager=m"), kind, nested(100_000)).await;
        assert_eq!(answer.code, 400, "{kind}: {}", answer.json());
    }
    let map = send(&world, Method::GET, &format!("{MAPS}/m"), "", "").await.expect(200);
    assert_eq!(map["data"].as_object().map(|data| data.len()), Some(1), "it is as it was");
}

#[tokio::test]
async fn types_that_nobody_knows_are_refused() {
    let world = World::new().await;
    let map = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "m"}}).to_string();
    for kind in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "image/png",
    ] {
        refused(&world, MAPS, kind, map.clone(), 415, "").await;
    }
    for kind in [JSON, "text/plain", "application/apply-patch+json-but-not-quite"] {
        let answer = send(&world, Method::PATCH, &format!("{MAPS}/m"), kind, map.clone()).await;
        assert_eq!(answer.code, 415, "{kind}");
    }
    let answer = world.ask_as("GET", MAPS, &[("accept", "text/html")], Value::Null).await;
    assert_eq!(answer.code, 406);
    for method in ["PUT", "BREW", "TRACE"] {
        let answer = world.ask(method, MAPS, Value::Null).await;
        assert_eq!(answer.code, 405, "{method}");
    }
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let world = World::new().await;
    for query in [
        "limit=many",
        "continue=!!",
        "resourceVersion=x",
        "labelSelector=((",
        "fieldSelector=data.a%3Db",
    ] {
        let answer = world.ask("GET", &format!("{MAPS}?{query}"), Value::Null).await;
        assert!((400..500).contains(&answer.code), "{query}: {} {}", answer.code, answer.json());
    }
    for path in [
        "/api/v1/namespaces/..%2f..%2fetc/configmaps",
        "/api/v1/namespaces/%00/configmaps/%00",
        "/api/v1/namespaces/default/configmaps/a%2Fb",
    ] {
        let answer = world.ask("GET", path, Value::Null).await;
        assert!(answer.code >= 400 || answer.json()["items"] == json!([]), "{path}: {}", answer.code);
    }
}
