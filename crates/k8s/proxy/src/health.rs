//! Health checks of services whose external traffic stays on the node: load-balancers ask which nodes have endpoints.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::balancer::Name;

/// By port: whose, and how many endpoints are on this node.
pub(crate) type Checks = HashMap<u16, (Name, usize)>;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers on the ports that are wanted, until dropped.
pub(crate) async fn run(mut checks: watch::Receiver<Checks>) {
    let mut serving: HashMap<u16, tokio::task::AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted: Vec<u16> = checks.borrow_and_update().keys().copied().collect();
        serving.retain(|port, task| {
            let stays = wanted.contains(port);
            if !stays {
                task.abort();
            }
            stays
        });
        for port in wanted {
            serving.entry(port).or_insert_with(|| tasks.spawn(serve(port, checks.clone())));
        }
        while tasks.try_join_next().is_some() {}
        if checks.changed().await.is_err() {
            return;
        }
    }
}

async fn serve(port: u16, checks: watch::Receiver<Checks>) {
    let listener = match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, port, "load-balancers cannot ask about a service here");
            return;
        }
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let check = checks.borrow().get(&port).cloned();
        if let Some((name, count)) = check {
            tokio::spawn(timeout(PATIENCE, answer(stream, name, count)));
        }
    }
}

/// One request, whatever it asks for, and the answer.
async fn answer(mut stream: TcpStream, (namespace, name): Name, count: usize) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < 8192 {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let status = if count > 0 { "200 OK" } else { "503 Service Unavailable" };
    // names of objects need no escaping
    let body = format!(
        "{{\"service\":{{\"namespace\":\"{namespace}\",\"name\":\"{name}\"}},\"localEndpoints\":{count},\"serviceProxyHealthy\":true}}"
    );
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Load-Balancing-Endpoint-Weight: {count}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    stream.shutdown().await
}
