//! A proxy that cuts connections after so many bytes of answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Between a client and the port of a registry.
pub struct Proxy {
    pub port: u16,
    /// Bytes of answers that came through.
    pub passed: Arc<AtomicU64>,
    cuts: Arc<Mutex<Vec<u64>>>,
}

impl Proxy {
    /// Passes everything on to `upstream`; see [`Proxy::cut_after`].
    pub async fn to(upstream: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (passed, cuts) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<u64>>>::default());
        let (counter, queue) = (passed.clone(), cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else { continue };
                tokio::spawn(pass(client, server, counter.clone(), queue.clone()));
            }
        });
        Proxy { port, passed, cuts }
    }

    /// From now on every connection that has given more than `limits[0]` bytes is cut, once; then the next limit counts.
    pub fn cut_after(&self, limits: &[u64]) {
        *self.cuts.lock().expect("unpoisoned") = limits.iter().rev().copied().collect();
    }

    pub fn cuts_left(&self) -> usize {
        self.cuts.lock().expect("unpoisoned").len()
    }
}

async fn pass(client: TcpStream, server: TcpStream, passed: Arc<AtomicU64>, cuts: Arc<Mutex<Vec<u64>>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut given = 0u64;
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = from_server.read(&mut buffer).await {
        if count == 0 || to_client.write_all(&buffer[..count]).await.is_err() {
            break;
        }
        given += count as u64;
        passed.fetch_add(count as u64, Ordering::Relaxed);
        let mut cuts = cuts.lock().expect("unpoisoned");
        if cuts.last().is_some_and(|limit| given > *limit) {
            cuts.pop();
            break;
        }
    }
    up.abort();
}
