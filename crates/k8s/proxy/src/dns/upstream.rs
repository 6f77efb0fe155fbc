//! Names outside the cluster: asked of the node's servers, and kept for a while.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use dns::{Kind, Query, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::Config;

const PORT: u16 = 53;
/// How long a server may take before the next is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often every server is asked.
const ROUNDS: usize = 2;
/// Questions that wait for servers at a time: each costs a socket.
const PENDING: usize = 512;
/// Answers that are kept, and for how many seconds at most; what does not exist for fewer.
const KEPT: usize = 4096;
const LONGEST: u32 = 30;
const LONGEST_NOTHING: u32 = 10;

/// An answer and how many seconds ago it was given.
pub(crate) struct Said {
    pub relay: Arc<Relay>,
    pub age: u32,
}

/// The node's servers.
pub(crate) struct Upstream {
    fixed: Vec<SocketAddr>,
    file: PathBuf,
    /// Our own addresses: asking them would go in circles.
    own: Vec<IpAddr>,
    read: Mutex<(Option<SystemTime>, Vec<SocketAddr>)>,
    kept: Mutex<HashMap<(String, Kind), Kept>>,
    pending: Semaphore,
}

struct Kept {
    relay: Arc<Relay>,
    since: Instant,
    seconds: u32,
}

impl Upstream {
    pub fn new(config: &Config) -> Upstream {
        let is_other = |address: &&IpAddr| !config.dns.contains(address);
        Upstream {
            fixed: config.upstream.iter().filter(is_other).map(|address| (*address, PORT).into()).collect(),
            file: config.resolv_conf.clone(),
            own: config.dns.clone(),
            read: Mutex::new((None, Vec::new())),
            kept: Mutex::default(),
            pending: Semaphore::new(PENDING),
        }
    }

    /// With servers on any port.
    #[cfg(test)]
    pub fn at(config: &Config, servers: Vec<SocketAddr>) -> Upstream {
        Upstream { fixed: servers, ..Upstream::new(config) }
    }

    /// Asks `query` by the message that `write` makes of an id; nothing if nobody answers.
    pub async fn ask(&self, query: &Query, write: impl Fn(u16) -> Vec<u8>) -> Option<Said> {
        let key = (query.name.clone(), query.kind);
        if let Some(kept) = lock(&self.kept).get(&key) {
            let age = kept.since.elapsed().as_secs() as u32;
            if age < kept.seconds {
                return Some(Said { relay: kept.relay.clone(), age });
            }
        }
        let _one = self.pending.try_acquire().ok()?;
        let servers = self.servers();
        for server in (0..ROUNDS).flat_map(|_| &servers) {
            let id = random();
            let Some(relay) = exchange(*server, id, query, &write(id)).await else { continue };
            const REFUSALS: [u8; 2] = [2, 5];
            if REFUSALS.contains(&relay.code()) && servers.len() > 1 {
                continue;
            }
            let relay = Arc::new(relay);
            self.keep(key, &relay);
            return Some(Said { relay, age: 0 });
        }
        None
    }

    fn keep(&self, key: (String, Kind), relay: &Arc<Relay>) {
        const NO_SUCH_NAME: u8 = 3;
        let most = match relay.code() {
            0 if !relay.is_truncated() => LONGEST,
            NO_SUCH_NAME => LONGEST_NOTHING,
            _ => 0,
        };
        let seconds = relay.ttl().unwrap_or(0).min(most);
        if seconds == 0 {
            return;
        }
        let mut kept = lock(&self.kept);
        if kept.len() >= KEPT {
            kept.retain(|_, kept| kept.since.elapsed().as_secs() < u64::from(kept.seconds));
            if kept.len() >= KEPT {
                kept.clear();
            }
        }
        kept.insert(key, Kept { relay: relay.clone(), since: Instant::now(), seconds });
    }

    /// Those of the configuration, else of the node's file, which is read again when it has changed.
    fn servers(&self) -> Vec<SocketAddr> {
        if !self.fixed.is_empty() {
            return self.fixed.clone();
        }
        let modified = std::fs::metadata(&self.file).and_then(|metadata| metadata.modified()).ok();
        let mut read = lock(&self.read);
        if read.0 != modified || modified.is_none() {
            let text = std::fs::read_to_string(&self.file).unwrap_or_default();
            *read = (modified, nameservers(&text, &self.own));
        }
        read.1.clone()
    }
}

/// Servers of a resolver's file, without ourselves.
fn nameservers(text: &str, own: &[IpAddr]) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // without the link that an IPv6 address may name
        address.split('%').next()?.parse::<IpAddr>().ok()
    });
    addresses.filter(|address| !own.contains(address)).take(3).map(|address| (address, PORT).into()).collect()
}

/// One server's answer; over TCP if it is too long otherwise.
async fn exchange(server: SocketAddr, id: u16, query: &Query, message: &[u8]) -> Option<Relay> {
    let over_udp = timeout(PATIENCE, over_udp(server, id, query, message)).await.ok()?.ok()?;
    if !over_udp.is_truncated() {
        return Some(over_udp);
    }
    let over_tcp = timeout(PATIENCE, over_tcp(server, message)).await;
    let whole = over_tcp.ok().and_then(Result::ok).and_then(|answer| Relay::read(&answer, id, query));
    Some(whole.unwrap_or(over_udp))
}

async fn over_udp(server: SocketAddr, id: u16, query: &Query, message: &[u8]) -> io::Result<Relay> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // not the answer: the right one may still come
        if let Some(relay) = Relay::read(&buffer[..length], id, query) {
            return Ok(relay);
        }
    }
}

async fn over_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], message].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// A number that nobody outside can guess.
fn random() -> u16 {
    let mut bytes = [0; 2];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_without_ourselves() {
        let text = "# x\nnameserver 10.43.0.10\nnameserver 192.0.2.53 # far\noptions ndots:5\nnameserver fe80::1%eth0\nnameserver x\n";
        let own = [[10, 43, 0, 10].into()];
        let servers: Vec<_> = nameservers(text, &own).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[fe80::1]:53"]);
    }
}
