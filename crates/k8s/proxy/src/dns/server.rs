//! Questions over UDP and TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dns::{Code, Data, Query, Record, Reply, TCP_LIMIT, refuse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::upstream::Upstream;
use super::zone::{Found, TTL, Zone};

const MESSAGE_LIMIT: usize = 4096;
/// Connections over TCP at a time, and how long one may be silent.
const CONNECTIONS: usize = 128;
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts to get an address that another has.
const PAUSE: Duration = Duration::from_secs(5);

/// What every question is answered from.
pub(crate) struct Answers {
    pub zone: Arc<RwLock<Zone>>,
    pub upstream: Upstream,
}

/// Serves on an address until dropped.
pub(crate) async fn serve(answers: Arc<Answers>, address: SocketAddr) {
    let mut told = false;
    loop {
        match bind(address).await {
            Ok((udp, tcp)) => {
                tracing::info!(%address, "the cluster's name server listens");
                tokio::join!(over_udp(answers.clone(), Arc::new(udp)), over_tcp(answers.clone(), tcp));
                return;
            }
            Err(error) if !told => {
                tracing::error!(%error, %address, "the cluster's name server cannot listen; it tries again");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    Ok((UdpSocket::bind(address).await?, TcpListener::bind(address).await?))
}

async fn over_udp(answers: Arc<Answers>, socket: Arc<UdpSocket>) {
    let mut buffer = [0; MESSAGE_LIMIT];
    loop {
        // an error here is about a client that was answered before and is gone
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let message = &buffer[..length];
        match answers.at_once(message, None) {
            Now::Answer(reply) => _ = socket.send_to(&reply, client).await,
            Now::Nothing => {}
            Now::Later(query, found) => {
                let (answers, socket, message) = (answers.clone(), socket.clone(), message.to_vec());
                tokio::spawn(async move {
                    let limit = query.udp_limit();
                    let reply = answers.later(&message, &query, found, limit).await;
                    let _ = socket.send_to(&reply, client).await;
                });
            }
        }
    }
}

async fn over_tcp(answers: Arc<Answers>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(one) = connections.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answers = answers.clone();
                tokio::spawn(async move {
                    let _ = talk(&answers, stream).await;
                    drop(one);
                });
            }
            // out of descriptors: some connection has to end first
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// One connection: questions and answers, each with its length before it.
async fn talk(answers: &Answers, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let Ok(length) = timeout(PATIENCE, stream.read_u16()).await else { return Ok(()) };
        let mut message = vec![0; usize::from(length?)];
        timeout(PATIENCE, stream.read_exact(&mut message)).await??;
        let reply = match answers.at_once(&message, Some(TCP_LIMIT)) {
            Now::Answer(reply) => reply,
            Now::Nothing => return Ok(()),
            Now::Later(query, found) => answers.later(&message, &query, found, TCP_LIMIT).await,
        };
        let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
        timeout(PATIENCE, stream.write_all(&framed)).await??;
    }
}

/// What can be said without asking anybody.
enum Now {
    Answer(Vec<u8>),
    Nothing,
    Later(Query, Found),
}

impl Answers {
    fn at_once(&self, message: &[u8], limit: Option<usize>) -> Now {
        let Some(query) = Query::read(message) else {
            return refuse(message, Code::FormatError).map_or(Now::Nothing, Now::Answer);
        };
        match self.find(&query) {
            Found::Here(reply) => {
                Now::Answer(query.respond(message, &reply, limit.unwrap_or_else(|| query.udp_limit())))
            }
            found => Now::Later(query, found),
        }
    }

    async fn later(&self, message: &[u8], query: &Query, found: Found, limit: usize) -> Vec<u8> {
        match found {
            Found::Here(reply) => query.respond(message, &reply, limit),
            Found::Alias(target) => query.respond(message, &self.alias(query, target).await, limit),
            Found::Elsewhere => match self.upstream.ask(query, |id| query.pass_on(id, message)).await {
                Some(said) => said.relay.answer(message, query, said.age, limit),
                None => query.respond(message, &Reply::new(Code::ServerFailure), limit),
            },
        }
    }

    /// The other name, and its addresses where those were asked for.
    async fn alias(&self, query: &Query, target: String) -> Reply {
        let mut reply = Reply::with(vec![Record::new(TTL, Data::Cname(target.clone()))]);
        reply.authoritative = true;
        if !matches!(query.kind, dns::Kind::A | dns::Kind::Aaaa) {
            return reply;
        }
        let Some(asked) = Query::read(&dns::ask(0, &target, query.kind)) else { return reply };
        match self.find(&asked) {
            Found::Here(found) => {
                let named = |record: Record| Record { name: Some(target.clone()), ..record };
                reply.answers.extend(found.answers.into_iter().map(named));
            }
            // one alias of the cluster that leads to another is left to the client
            Found::Alias(_) => {}
            Found::Elsewhere => {
                if let Some(said) = self.upstream.ask(&asked, |id| dns::ask(id, &target, query.kind)).await {
                    let record = |(address, ttl): &(_, u32)| {
                        Record::of(&target, ttl.saturating_sub(said.age).min(30), Data::Address(*address))
                    };
                    reply.answers.extend(said.relay.addresses().iter().map(record));
                }
            }
        }
        reply
    }

    fn find(&self, query: &Query) -> Found {
        self.zone.read().unwrap_or_else(PoisonError::into_inner).find(query)
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
