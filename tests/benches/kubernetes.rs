//! Many watchers, and pods: `kubernetes KUBECONFIG`. Prints tables; `cargo xtask bench k8s` starts the server and calls this.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt};
use serde_json::json;

const WATCHERS: usize = 1000;
const CHANGES: usize = 50;
const BURST: usize = 100;
/// The image that the caller has made.
const IMAGE: &str = "bench:1";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some(kubeconfig) = words.first() else {
        println!("usage: kubernetes KUBECONFIG: see `cargo xtask bench k8s`");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(kubeconfig))
}

async fn connect(kubeconfig: &str) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    Ok(Client::try_from(kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)?)
}

async fn run(kubeconfig: &str) -> Result<()> {
    watches(kubeconfig).await?;
    let client = connect(kubeconfig).await?;
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    if nodes.items.is_empty() {
        println!("\nNo node: nothing is measured of pods.");
        return Ok(());
    }
    pods(client).await
}

fn map(name: &str) -> ConfigMap {
    let value = json!({"metadata": {"name": name, "labels": {"bench": "1"}}, "data": {"a": "x".repeat(300)}});
    serde_json::from_value(value).expect("a map")
}

/// How long a write takes to reach many watchers.
async fn watches(kubeconfig: &str) -> Result<()> {
    let maps = Api::<ConfigMap>::default_namespaced(connect(kubeconfig).await?);
    let version = maps.list(&ListParams::default().limit(1)).await?.metadata.resource_version.unwrap_or_default();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..WATCHERS {
        // Some connections for all: what is measured is the server.
        let maps = if at % 100 == 0 { Api::default_namespaced(connect(kubeconfig).await?) } else { maps.clone() };
        let (version, told) = (version.clone(), told.clone());
        tasks.spawn(async move {
            let parameters = WatchParams::default().labels("watched");
            let mut events = Box::pin(maps.watch(&parameters, &version).await.expect("a watch"));
            told.send(None).expect("heard");
            while let Some(Ok(event)) = events.next().await {
                if let WatchEvent::Added(map) = event {
                    told.send(Some((map.name_any(), Instant::now()))).expect("heard");
                }
            }
        });
    }
    for _ in 0..WATCHERS {
        heard.recv().await.ok_or("the watches ended")?;
    }
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for number in 0..CHANGES {
        let mut map = map(&format!("w{number}"));
        map.labels_mut().insert("watched".to_owned(), "1".to_owned());
        maps.create(&PostParams::default(), &map).await?;
        let acknowledged = Instant::now();
        for count in 0..WATCHERS {
            let (_, at) = heard.recv().await.flatten().ok_or("the watches ended")?;
            let time = at.saturating_duration_since(acknowledged);
            if count == 0 {
                first.push(time);
            }
            if count == WATCHERS - 1 {
                last.push(time);
            }
        }
    }
    println!(
        "\n### API: {WATCHERS} watchers on this machine, time from the answer to a write until they have it\n\n| | p50 ms | p99 ms |\n|---|---|---|"
    );
    println!("| first of them | {:.2} | {:.2} |", quantile(&mut first, 0.5), quantile(&mut first, 0.99));
    println!("| last of them | {:.2} | {:.2} |", quantile(&mut last, 0.5), quantile(&mut last, 0.99));
    Ok(())
}

async fn pods(client: Client) -> Result<()> {
    let pods = Api::<Pod>::default_namespaced(client);
    let mut alone = Vec::new();
    for number in 0..20 {
        alone.push(running(&pods, &format!("alone-{number}")).await?);
    }
    println!("\n### Pods: created to Running, image present\n\n| | p50 ms | p99 ms |\n|---|---|---|");
    println!("| one at a time | {:.1} | {:.1} |", quantile(&mut alone, 0.5), quantile(&mut alone, 0.99));
    // A node holds 110 pods.
    none(&pods).await?;
    let began = Instant::now();
    let burst = futures_util::stream::iter(0..BURST).map(|number| {
        let pods = &pods;
        async move { running(pods, &format!("burst-{number}")).await }
    });
    let mut burst: Vec<Duration> = burst.buffer_unordered(BURST).try_collect().await?;
    println!("| {BURST} at once | {:.1} | {:.1} |", quantile(&mut burst, 0.5), quantile(&mut burst, 0.99));
    println!("\nAll {BURST} Running after {:.2} s.", began.elapsed().as_secs_f64());
    none(&pods).await
}

/// Deletes all pods and waits until they have gone.
async fn none(pods: &Api<Pod>) -> Result<()> {
    pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
    while !pods.list(&ListParams::default()).await?.items.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn running(pods: &Api<Pod>, name: &str) -> Result<Duration> {
    let pod = json!({"metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
        {"name": "c", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["/bin/sleep", "3600"]}]}});
    let start = Instant::now();
    let made = pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let parameters = WatchParams::default().fields(&format!("metadata.name={name}"));
    let version = made.resource_version().unwrap_or_default();
    let mut events = Box::pin(pods.watch(&parameters, &version).await?);
    while let Some(event) = tokio::time::timeout(Duration::from_secs(120), events.try_next()).await?? {
        match event {
            WatchEvent::Modified(pod)
                if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running") =>
            {
                return Ok(start.elapsed());
            }
            WatchEvent::Error(why) => return Err(format!("the watch of {name} ended: {why:?}").into()),
            _ => {}
        }
    }
    Err("the watch ended before the pod ran".into())
}

/// Milliseconds below which `share` of the times are.
fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort();
    let at = ((times.len().saturating_sub(1)) as f64 * share).round() as usize;
    times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
