//! Load on a Kubernetes API server by a client that costs little: `api KUBECONFIG [PODS]`. Prints tables; `cargo xtask bench k8s` starts the server and calls this.
//!
//! The pods name a scheduler that is not there: nobody runs them, they are objects.

mod wire;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wire::{Server, Wire};

const CREATES: usize = 16_000;
const DELIVERIES: usize = 500;
const LISTS: usize = 10;
const FILLERS: usize = 16;
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some(kubeconfig) = words.first() else {
        println!("usage: api KUBECONFIG [PODS]: see `cargo xtask bench k8s`");
        return Ok(());
    };
    let pods = words.get(1).and_then(|text| text.parse().ok()).unwrap_or(5000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::of(kubeconfig)?;
        creates(&server).await?;
        deliveries(&server).await?;
        lists(&server, "maps", 5000, map).await?;
        lists(&server, "pods", pods, pod).await
    })
}

fn map(name: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "labels": {"bench": "1"}}, "data": {"a": "x".repeat(300)}})
}

fn pod(name: &str) -> Value {
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10});
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": "bench", "tier": "web"}}, "spec": {
        "schedulerName": "nobody", "containers": [{"name": "main", "image": "registry.example.com/team/service:1.2.3",
            "ports": [{"containerPort": 8080, "name": "http"}], "env": [{"name": "MODE", "value": "production"}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "livenessProbe": probe, "readinessProbe": probe}]}})
}

/// Makes objects of numbers, by so many clients at once; the times of all.
async fn made(
    server: &Server,
    path: &str,
    numbers: std::ops::Range<usize>,
    clients: usize,
    object: impl Fn(usize) -> Value,
) -> Result<Vec<Duration>> {
    let mut wires = Vec::new();
    for _ in 0..clients {
        wires.push(server.connect().await?);
    }
    let bodies: Vec<Vec<u8>> = numbers.map(|number| object(number).to_string().into_bytes()).collect();
    let (bodies, next) = (&bodies, &std::cell::Cell::new(0));
    let work = wires.into_iter().map(|mut wire| async move {
        let mut times = Vec::new();
        while let Some(body) = bodies.get(next.replace(next.get() + 1)) {
            let start = Instant::now();
            let (status, answer) = wire.call("POST", path, JSON, body).await?;
            times.push(start.elapsed());
            if status != 201 {
                return Err(String::from_utf8_lossy(&answer).into());
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(times)
    });
    Ok(futures_util::future::try_join_all(work).await?.concat())
}

async fn creates(server: &Server) -> Result<()> {
    println!(
        "\n### API: creates of config maps (480 bytes), each synced before it is answered\n\n| clients | creates/s | p50 ms | p99 ms |\n|---|---|---|---|"
    );
    for clients in [1, 16, 64] {
        let count = if clients == 1 { CREATES / 8 } else { CREATES };
        let began = Instant::now();
        let mut times = made(server, MAPS, 0..count, clients, |number| map(&format!("c{clients}-{number}"))).await?;
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        println!("| {clients} | {rate:.0} | {:.2} | {:.2} |", quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    }
    Ok(())
}

/// How long a write takes until a watcher has it.
async fn deliveries(server: &Server) -> Result<()> {
    let (mut writer, mut watcher) = (server.connect().await?, server.connect().await?);
    watcher.send("GET", &format!("{MAPS}?watch=1&labelSelector=watched"), JSON, b"").await?;
    watcher.head().await?;
    let (mut whole, mut after) = (Vec::new(), Vec::new());
    for number in 0..DELIVERIES {
        let mut map = map(&format!("w{number}"));
        map["metadata"]["labels"]["watched"] = "1".into();
        let body = map.to_string();
        let start = Instant::now();
        let written = async {
            writer.call("POST", MAPS, JSON, body.as_bytes()).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(start.elapsed())
        };
        let heard = async {
            let mut event = Vec::new();
            watcher.chunk(&mut event).await?;
            Ok(start.elapsed())
        };
        let (written, heard) = futures_util::future::try_join(written, heard).await?;
        whole.push(heard);
        after.push(heard.saturating_sub(written));
    }
    println!("\n### API: from a write to a watcher\n\n| | p50 ms | p99 ms |\n|---|---|---|");
    println!(
        "| from the request to the event | {:.2} | {:.2} |",
        quantile(&mut whole, 0.5),
        quantile(&mut whole, 0.99)
    );
    println!("| from the answer to the event | {:.2} | {:.2} |", quantile(&mut after, 0.5), quantile(&mut after, 0.99));
    Ok(())
}

/// Lists of many objects in the forms that clients ask for.
async fn lists(server: &Server, what: &str, count: usize, object: impl Fn(&str) -> Value) -> Result<()> {
    let namespace = format!("many-{what}");
    let mut wire = server.connect().await?;
    let body = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": namespace}}).to_string();
    let (status, answer) = wire.call("POST", "/api/v1/namespaces", JSON, body.as_bytes()).await?;
    if status != 201 {
        return Err(String::from_utf8_lossy(&answer).into());
    }
    if what == "pods" {
        account(&mut wire, &namespace).await?;
    }
    let resource = if what == "pods" { "pods" } else { "configmaps" };
    let path = format!("/api/v1/namespaces/{namespace}/{resource}");
    let before = memory(&mut wire).await?;
    let began = Instant::now();
    made(server, &path, 0..count, FILLERS, |number| object(&format!("{what}-{number:06}"))).await?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let after = memory(&mut wire).await?;
    println!(
        "\n### API: lists of {count} {what} (made by {FILLERS} clients, {rate:.0} a second)\n\n| as | MB | p50 ms | p99 ms |\n|---|---|---|---|"
    );
    let forms = [
        ("JSON", JSON),
        ("protobuf", "application/vnd.kubernetes.protobuf"),
        ("Table", "application/json;as=Table;v=v1;g=meta.k8s.io"),
        ("metadata", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
    ];
    for (name, accept) in forms {
        let (mut times, mut bytes) = (Vec::new(), 0);
        for _ in 0..LISTS {
            let start = Instant::now();
            bytes = wire.call("GET", &path, accept, b"").await?.1.len();
            times.push(start.elapsed());
        }
        let (half, most) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        println!("| {name} | {:.1} | {half:.1} | {most:.1} |", bytes as f64 / 1e6);
    }
    let each = |field: fn(&Memory) -> f64| (field(&after) - field(&before)) / count as f64;
    let (stored, resident) = (each(|memory| memory.stored), each(|memory| memory.resident));
    println!(
        "\nMemory of the whole server: {resident:.0} bytes for each of them, whose key and value are {stored:.0}: {:.2} times.",
        resident / stored
    );
    println!("Resident after the lists: {:.1} MB.", memory(&mut wire).await?.resident / 1e6);
    Ok(())
}

/// Waits for the namespace's service account, which pods need.
async fn account(wire: &mut Wire, namespace: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
    for _ in 0..3000 {
        if wire.call("GET", &path, JSON, b"").await?.0 == 200 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the namespace has no service account".into())
}

/// What the server says of its memory, in bytes.
struct Memory {
    resident: f64,
    stored: f64,
}

async fn memory(wire: &mut Wire) -> Result<Memory> {
    let (_, text) = wire.call("GET", "/metrics", "text/plain", b"").await?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(f64::NAN)
    };
    Ok(Memory { resident: figure("process_resident_memory_bytes "), stored: figure("apiserver_storage_size_bytes ") })
}

/// Milliseconds below which `share` of the times are.
fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort();
    let at = ((times.len().saturating_sub(1)) as f64 * share).round() as usize;
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
