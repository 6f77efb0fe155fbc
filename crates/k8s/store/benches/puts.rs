//! Durable puts a second: the embedded store beside etcd, in one run, each synced before it is acknowledged.
//!
//! `cargo bench --workspace --bench puts`; etcd is Debian's `etcd-server`, on the same disk, through the same client code.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k8s_store::{EtcdOptions, Expect, Options, Store, Write};

const PUTS: usize = 20_000;
const VALUE: usize = 256;

struct Etcd(Child);

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir_in(std::env::current_dir().expect("a folder")).expect("a folder");
        let ours = Store::open(&folder.path().join("ours"), Options::default()).expect("a store");
        let etcd = start(&folder.path().join("etcd")).await;
        println!("\n### Durable puts of {VALUE} bytes\n\n| clients | ours, puts/s | etcd, puts/s | ours to etcd |\n|---|---|---|---|");
        for clients in [1, 32, 128] {
            let puts = if clients == 1 { PUTS / 10 } else { PUTS };
            let rate = measure(&ours, clients, puts).await;
            match &etcd {
                Some((_, store)) => {
                    let theirs = measure(store, clients, puts).await;
                    println!("| {clients} | {rate:.0} | {theirs:.0} | {:.2} |", rate / theirs);
                }
                None => println!("| {clients} | {rate:.0} | not installed | |"),
            }
        }
        ours.close().await;
    });
}

async fn measure(store: &Store, clients: usize, puts: usize) -> f64 {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0..puts / clients {
                let key = format!("bench/{client}/{number}");
                store.write(Write::put(key, Expect::Any, vec![b'x'; VALUE])).await.expect("written");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    (puts / clients * clients) as f64 / began.elapsed().as_secs_f64()
}

async fn start(data: &std::path::Path) -> Option<(Etcd, Store)> {
    let url = "http://127.0.0.1:23790";
    let mut command = Command::new("etcd");
    command.args(["--name", "bench", "--log-level", "error", "--data-dir"]).arg(data);
    command.args(["--listen-client-urls", url, "--advertise-client-urls", url]);
    command.args([
        "--listen-peer-urls",
        "http://127.0.0.1:23800",
        "--initial-advertise-peer-urls",
        "http://127.0.0.1:23800",
    ]);
    command.args(["--initial-cluster", "bench=http://127.0.0.1:23800"]);
    let process = Etcd(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?);
    let options: EtcdOptions = url.parse().expect("a URL");
    for _ in 0..200 {
        if let Ok(store) = Store::connect(&options, Options::default()).await {
            return Some((process, store));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}
