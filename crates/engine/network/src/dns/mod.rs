//! Names for containers of user-defined networks: the daemon answers on 127.0.0.11 inside each of their sandboxes.
//!
//! The sockets were opened inside; a small table there leads port 53 to them, so that a container may run a name
//! server of its own. Names of containers are answered from memory; everything else goes to the container's, the
//! daemon's or the host's servers, asked from the host's namespace, unless all the container's networks are internal.
//! One thread serves all sandboxes; connections over TCP, which are rare, have one each for their few milliseconds.
//!
//! An open socket keeps a namespace alive: `Resolver::leave` closes them when the container's last endpoint goes.

mod names;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netlink::nft::{Base, ChainType, Expr, Family, Hook, MetaKey, PayloadBase, Table, reg};
use netlink::{Batch, Protocol, Socket};
use rustix::event::epoll;

use crate::endpoint::{Endpoint, EndpointId};
use crate::error::{Result, io_error, netlink_error};
use crate::files::{self, EMBEDDED_DNS};
use ::dns::{Code, Query, TCP_LIMIT, UDP_LIMIT, refuse};
use names::{Found, Names};

const PORT: u16 = 53;
const MESSAGE_LIMIT: usize = 4096;
/// How long a server may take before the next is asked.
const PATIENCE: Duration = Duration::from_secs(4);
/// Questions that wait for servers at a time, of all containers and of one: each costs a socket.
const PENDING: usize = 1024;
const PENDING_EACH: usize = 128;
/// Connections over TCP at a time.
const CONNECTIONS: usize = 64;

/// The sockets of one sandbox.
pub(crate) struct Ears {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Ears {
    /// Opens sockets in the calling thread's namespace, whose loopback is up, and leads port 53 to them.
    pub fn open() -> Result<Self> {
        let failed = || io_error::<io::Error>("open name server sockets in a sandbox");
        let udp = UdpSocket::bind((EMBEDDED_DNS, 0)).map_err(failed())?;
        let tcp = TcpListener::bind((EMBEDDED_DNS, 0)).map_err(failed())?;
        udp.set_nonblocking(true).map_err(failed())?;
        tcp.set_nonblocking(true).map_err(failed())?;
        let udp_port = udp.local_addr().map_err(failed())?.port();
        let tcp_port = tcp.local_addr().map_err(failed())?.port();
        let mut socket = Socket::open(Protocol::Netfilter).map_err(netlink_error("open nf_tables socket"))?;
        let rules = redirection(udp_port, tcp_port);
        socket.run(&rules).map_err(netlink_error("lead port 53 of a sandbox to the daemon"))?;
        Ok(Ears { udp, tcp })
    }
}

/// Handle of the resolver; its thread ends when the handle is dropped.
pub(crate) struct Resolver {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

struct Shared {
    epoll: OwnedFd,
    wake: OwnedFd,
    closed: AtomicBool,
    next_token: AtomicU64,
    connections: AtomicUsize,
    names: Mutex<Names>,
    listeners: Mutex<HashMap<u64, Arc<Listener>>>,
    /// Servers for containers that name none.
    fallback: Vec<IpAddr>,
}

struct Listener {
    container: String,
    servers: Vec<IpAddr>,
    ears: Ears,
}

/// A question that was passed on.
struct Pending {
    listener: Arc<Listener>,
    client: SocketAddr,
    question: Vec<u8>,
    upstream: UdpSocket,
    servers: Vec<IpAddr>,
    deadline: Instant,
}

const WAKE: u64 = 0;

impl Resolver {
    /// A resolver without a thread; that starts with the first sandbox. `servers` of the daemon's configuration, else
    /// those of the host's file.
    pub fn new(servers: &[IpAddr]) -> Result<Self> {
        let failed = || io_error("set up the name server for containers");
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed())?;
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let wake = rustix::event::eventfd(0, flags).map_err(failed())?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN).map_err(failed())?;
        let shared = Shared {
            epoll,
            wake,
            closed: AtomicBool::new(false),
            next_token: AtomicU64::new(1),
            connections: AtomicUsize::new(0),
            names: Mutex::default(),
            listeners: Mutex::default(),
            fallback: servers.to_vec(),
        };
        Ok(Resolver { shared: Arc::new(shared), thread: Mutex::new(None) })
    }

    /// An endpoint has names from now on.
    pub fn add_name(&self, endpoint: &Endpoint, internal: bool) {
        lock(&self.shared.names).add(endpoint, internal);
    }

    /// Whether a container's sandbox is listened in.
    pub fn listens(&self, container: &str) -> bool {
        lock(&self.shared.listeners).values().any(|listener| listener.container == container)
    }

    /// Listens in a container's sandbox.
    pub fn listen(&self, container: &str, servers: &[IpAddr], ears: Ears) -> Result<()> {
        let failed = || io_error("listen in a sandbox for names");
        let listener = Arc::new(Listener { container: container.to_owned(), servers: servers.to_vec(), ears });
        let token = self.shared.next_token.fetch_add(2, Ordering::Relaxed);
        let mut listeners = lock(&self.shared.listeners);
        let (udp, tcp) = (epoll::EventData::new_u64(token << 1), epoll::EventData::new_u64(token << 1 | 1));
        epoll::add(&self.shared.epoll, listener.ears.udp.as_fd(), udp, epoll::EventFlags::IN).map_err(failed())?;
        epoll::add(&self.shared.epoll, listener.ears.tcp.as_fd(), tcp, epoll::EventFlags::IN).map_err(failed())?;
        listeners.insert(token, listener);
        drop(listeners);
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let shared = self.shared.clone();
            let work = move || shared.serve();
            let started = std::thread::Builder::new().name("container-dns".to_owned()).spawn(work);
            *thread = Some(started.map_err(io_error("start the name server for containers"))?);
        }
        Ok(())
    }

    /// An endpoint is gone; with the container's last one its sockets are closed.
    pub fn leave(&self, container: &str, endpoint: &EndpointId) {
        let mut names = lock(&self.shared.names);
        names.remove(endpoint);
        if !names.has(container) {
            let mut listeners = lock(&self.shared.listeners);
            listeners.retain(|_, listener| listener.container != container);
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(self: Arc<Self>) {
        let mut pending: HashMap<u64, Pending> = HashMap::new();
        let mut events = Vec::with_capacity(64);
        while !self.closed.load(Ordering::Acquire) {
            events.clear();
            let timeout = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => {
                    tracing::error!(%errno, "the name server for containers ends");
                    return;
                }
            }
            for event in &events {
                let data = event.data.u64();
                if let Some(answered) = pending.remove(&data) {
                    self.pass_back(data, answered, &mut pending);
                } else if data != WAKE {
                    let listener = lock(&self.listeners).get(&(data >> 1)).cloned();
                    match listener {
                        Some(listener) if data & 1 == 0 => self.hear(&listener, &mut pending),
                        Some(listener) => self.accept(&listener),
                        None => {}
                    }
                }
            }
            self.expire(&mut pending);
        }
    }

    /// Questions that wait at a sandbox.
    fn hear(&self, listener: &Arc<Listener>, pending: &mut HashMap<u64, Pending>) {
        let mut buffer = [0; MESSAGE_LIMIT];
        while let Ok((length, client)) = listener.ears.udp.recv_from(&mut buffer) {
            let question = &buffer[..length];
            match self.answer(&listener.container, question, UDP_LIMIT) {
                Reply::Now(reply) => _ = listener.ears.udp.send_to(&reply, client),
                Reply::Ask => self.ask(listener.clone(), client, question.to_vec(), self.servers(listener), pending),
                Reply::Nothing => {}
            }
        }
    }

    fn answer(&self, container: &str, question: &[u8], limit: usize) -> Reply {
        let Some(query) = Query::read(question) else {
            return refuse(question, Code::FormatError).map_or(Reply::Nothing, Reply::Now);
        };
        match lock(&self.names).find(container, &query) {
            Found::Here(answers) => Reply::Now(query.respond(question, &::dns::Reply::with(answers), limit)),
            Found::Nowhere => Reply::Now(query.respond(question, &::dns::Reply::new(Code::NoSuchName), limit)),
            Found::Elsewhere => Reply::Ask,
        }
    }

    /// Passes a question on to the first server left; gives up when there is none.
    fn ask(
        &self,
        listener: Arc<Listener>,
        client: SocketAddr,
        question: Vec<u8>,
        mut servers: Vec<IpAddr>,
        pending: &mut HashMap<u64, Pending>,
    ) {
        let crowded = pending.len() >= PENDING
            || pending.values().filter(|one| one.listener.container == listener.container).count() >= PENDING_EACH;
        if crowded {
            servers.clear();
        }
        while !servers.is_empty() {
            let server = servers.remove(0);
            let Ok(upstream) = send_on(server, &question) else { continue };
            let token = self.next_token.fetch_add(2, Ordering::Relaxed) << 1;
            let data = epoll::EventData::new_u64(token);
            if epoll::add(&self.epoll, upstream.as_fd(), data, epoll::EventFlags::IN).is_err() {
                continue;
            }
            let deadline = Instant::now() + PATIENCE;
            pending.insert(token, Pending { listener, client, question, upstream, servers, deadline });
            return;
        }
        let _ = listener.ears.udp.send_to(&failure(&question), client);
    }

    fn pass_back(&self, token: u64, answered: Pending, pending: &mut HashMap<u64, Pending>) {
        let mut buffer = [0; MESSAGE_LIMIT];
        match answered.upstream.recv(&mut buffer) {
            Ok(length) if length >= 2 && buffer[..2] == answered.question[..2] => {
                let _ = answered.listener.ears.udp.send_to(&buffer[..length], answered.client);
            }
            // not the answer: the right one may still come
            Ok(_) => _ = pending.insert(token, answered),
            Err(_) => {
                let Pending { listener, client, question, servers, .. } = answered;
                self.ask(listener, client, question, servers, pending);
            }
        }
    }

    fn expire(&self, pending: &mut HashMap<u64, Pending>) {
        let now = Instant::now();
        let late: Vec<_> = pending.iter().filter(|(_, one)| one.deadline <= now).map(|(token, _)| *token).collect();
        for token in late {
            if let Some(Pending { listener, client, question, servers, .. }) = pending.remove(&token) {
                self.ask(listener, client, question, servers, pending);
            }
        }
    }

    fn accept(self: &Arc<Self>, listener: &Arc<Listener>) {
        while let Ok((stream, _)) = listener.ears.tcp.accept() {
            if self.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                self.connections.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (shared, listener) = (self.clone(), listener.clone());
            let talk = move || {
                let _ = shared.talk(stream, &listener);
                shared.connections.fetch_sub(1, Ordering::Relaxed);
            };
            if std::thread::Builder::new().name("container-dns-tcp".to_owned()).spawn(talk).is_err() {
                self.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// One connection: questions and answers, each with its length before it.
    fn talk(&self, mut stream: TcpStream, listener: &Listener) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        while let Ok(question) = read_framed(&mut stream) {
            let reply = match self.answer(&listener.container, &question, TCP_LIMIT) {
                Reply::Now(reply) => Some(reply),
                Reply::Ask => self.servers(listener).into_iter().find_map(|server| ask_framed(server, &question).ok()),
                Reply::Nothing => return Ok(()),
            };
            write_framed(&mut stream, &reply.unwrap_or_else(|| failure(&question)))?;
        }
        Ok(())
    }

    fn servers(&self, listener: &Listener) -> Vec<IpAddr> {
        if !listener.servers.is_empty() {
            return listener.servers.clone();
        }
        if !self.fallback.is_empty() {
            return self.fallback.clone();
        }
        // read anew: the host may have moved to another network
        std::fs::read_to_string("/etc/resolv.conf").map(|text| files::nameservers(&text)).unwrap_or_default()
    }
}

/// Nobody could be asked.
fn failure(question: &[u8]) -> Vec<u8> {
    match Query::read(question) {
        Some(query) => query.respond(question, &::dns::Reply::new(Code::ServerFailure), UDP_LIMIT),
        None => refuse(question, Code::ServerFailure).unwrap_or_default(),
    }
}

enum Reply {
    Now(Vec<u8>),
    Ask,
    Nothing,
}

fn send_on(server: IpAddr, question: &[u8]) -> io::Result<UdpSocket> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect((server, PORT))?;
    socket.send(question)?;
    Ok(socket)
}

fn ask_framed(server: IpAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&(server, PORT).into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write_framed(&mut stream, question)?;
    read_framed(&mut stream)
}

fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes()[..], message].concat())
}

/// A table inside the sandbox: port 53 of 127.0.0.11 is where the daemon listens. Rules of an earlier daemon go.
fn redirection(udp_port: u16, tcp_port: u16) -> Batch {
    let table = Table::new(Family::Ipv4, "sampan-dns");
    let output = Base { kind: ChainType::Nat, hook: Hook::Output, priority: -100 };
    let mut batch = Batch::new();
    batch.push(table.add()).push(table.add_chain("output", Some(output))).push(table.flush_chain("output"));
    for (protocol, port) in [(17, udp_port), (6, tcp_port)] {
        batch.push(table.add_rule(
            "output",
            &[
                Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, to: reg::at(0) },
                Expr::Cmp { from: reg::at(0), equal: true, data: EMBEDDED_DNS.octets().to_vec() },
                Expr::Meta { key: MetaKey::Transport, to: reg::at(0) },
                Expr::Cmp { from: reg::at(0), equal: true, data: vec![protocol] },
                Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, to: reg::at(0) },
                Expr::Cmp { from: reg::at(0), equal: true, data: PORT.to_be_bytes().to_vec() },
                Expr::Load { to: reg::at(0), data: EMBEDDED_DNS.octets().to_vec() },
                Expr::Load { to: reg::at(1), data: port.to_be_bytes().to_vec() },
                Expr::Dnat { family: 2, addr: reg::at(0), port: Some(reg::at(1)) },
            ],
        ));
    }
    batch
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
