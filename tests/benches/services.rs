//! Services and a rolling update: `services KUBECONFIG`, run in the daemon's network namespace by `cargo xtask bench k8s`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

const FEW: usize = 10;
const MANY: usize = 10_000;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(1500);
const CLIENTS: usize = 8;
const REPLICAS: usize = 50;
/// The address of a bridge that is this machine's own, so that a connection costs nothing but the way through the Service.
const BACKEND: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const PORT: u16 = 8080;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some(kubeconfig) = words.first() else {
        println!("usage: services KUBECONFIG: see `cargo xtask bench k8s`");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        rolling(client.clone()).await?;
        connections(client).await
    })
}

async fn connections(client: Client) -> Result<()> {
    let listener = TcpListener::bind((BACKEND, PORT)).await?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let first = service(&client, 0).await?;
    more(&client, 1..FEW).await?;
    settled(first).await?;
    let few = rates(first).await?;
    let began = Instant::now();
    more(&client, FEW..MANY).await?;
    let made = began.elapsed();
    let last = service(&client, MANY).await?;
    settled(last).await?;
    let loaded = began.elapsed();
    let many = rates(last).await?;
    println!("\n### Services: new connections/s, each closed at once, {CLIENTS} clients on the same machine");
    println!("\n| | to the backend itself | through the Service | share |\n|---|---|---|---|");
    for (count, (direct, through)) in [(FEW, few), (MANY, many)] {
        println!("| {count} Services | {direct:.0} | {through:.0} | {:.3} |", through / direct);
    }
    println!("\nShare with {MANY} to share with {FEW}: {:.3}.", (many.1 / many.0) / (few.1 / few.0));
    println!(
        "{MANY} Services made in {:.1} s, the last answered {:.2} s after.",
        made.as_secs_f64(),
        (loaded - made).as_secs_f64()
    );
    Ok(())
}

/// Makes a Service with the one backend; its address.
async fn service(client: &Client, number: usize) -> Result<SocketAddr> {
    let name = format!("s{number}");
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
        "ports": [{"name": "", "port": PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [BACKEND.to_string()], "conditions": {"ready": true}}]}))?;
    Api::<EndpointSlice>::default_namespaced(client.clone()).create(&PostParams::default(), &slice).await?;
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": {"ports": [{"port": 80, "targetPort": PORT}]}}))?;
    let made = Api::<Service>::default_namespaced(client.clone()).create(&PostParams::default(), &service).await?;
    let address = made.spec.and_then(|spec| spec.cluster_ip).ok_or("a Service without an address")?;
    Ok(SocketAddr::new(address.parse()?, 80))
}

async fn more(client: &Client, numbers: std::ops::Range<usize>) -> Result<()> {
    let made = futures_util::stream::iter(numbers).map(|number| async move { service(client, number).await.map(drop) });
    made.buffer_unordered(16).try_collect::<Vec<()>>().await.map(drop)
}

/// Waits until connections arrive.
async fn settled(address: SocketAddr) -> Result<()> {
    let began = Instant::now();
    loop {
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(120) {
            return Err(format!("{address} does not answer").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Medians of both ways, in turn.
async fn rates(service: SocketAddr) -> Result<(f64, f64)> {
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        direct.push(rate(SocketAddr::from((BACKEND, PORT))).await?);
        through.push(rate(service).await?);
    }
    direct.sort_by(f64::total_cmp);
    through.sort_by(f64::total_cmp);
    Ok((direct[ROUNDS / 2], through[ROUNDS / 2]))
}

async fn rate(address: SocketAddr) -> Result<f64> {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, count) = (stop.clone(), count.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let stream = TcpStream::connect(address).await?;
                    // A reset leaves no port behind that waits.
                    stream.set_zero_linger()?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                std::io::Result::Ok(())
            })
        })
        .collect();
    tokio::time::sleep(ROUND).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

/// How long a Deployment takes from one template to the next.
async fn rolling(client: Client) -> Result<()> {
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    let template = |version: &str| {
        json!({"metadata": {"labels": {"app": "rolling"}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
            {"name": "c", "image": "bench:1", "command": ["/bin/sleep", "3600"], "env": [{"name": "VERSION", "value": version}]}]}})
    };
    let deployment = json!({"metadata": {"name": "rolling"}, "spec": {
        "replicas": REPLICAS, "selector": {"matchLabels": {"app": "rolling"}}, "template": template("1")}});
    let began = Instant::now();
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment)?).await?;
    complete(&deployments).await?;
    let made = began.elapsed();
    let began = Instant::now();
    let patch = json!({"spec": {"template": template("2")}});
    deployments.patch("rolling", &PatchParams::default(), &Patch::Merge(patch)).await?;
    complete(&deployments).await?;
    let rolled = began.elapsed();
    println!("\n### Deployment of {REPLICAS} replicas, to the end of the roll-out\n\n| | s |\n|---|---|");
    println!(
        "| created | {:.2} |\n| rolled to another template, 25 % at once | {:.2} |",
        made.as_secs_f64(),
        rolled.as_secs_f64()
    );
    deployments.delete("rolling", &DeleteParams::background()).await?;
    let pods = Api::<Pod>::default_namespaced(client);
    while !pods.list(&ListParams::default()).await?.items.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn complete(deployments: &Api<Deployment>) -> Result<()> {
    let began = Instant::now();
    let all = Some(REPLICAS as i32);
    while began.elapsed() < Duration::from_secs(300) {
        let seen = deployments.get("rolling").await?;
        if let Some(status) = seen.status
            && status.observed_generation == seen.metadata.generation
            && [status.replicas, status.updated_replicas, status.available_replicas] == [all; 3]
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the roll-out is not complete after five minutes".into())
}
