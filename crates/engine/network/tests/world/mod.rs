//! A host in a namespace of its own, a machine outside, containers that are namespaces without processes.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use network::{AttachRequest, Endpoint, EndpointId, NetworkConfig, Networks, PortRequest};

/// Longer than the first repetition of what was lost; what is refused silently costs as much.
const PATIENCE: Duration = Duration::from_millis(1300);

/// Runs a test on a thread with a new network namespace; without privileges says so and passes.
pub fn isolated(test: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let thread = std::thread::spawn(|| {
        sys::netns::unshare().expect("unshare");
        run("ip", &["link", "set", "lo", "up"]);
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub struct World {
    pub networks: Networks,
    pub outside: Container,
    pub host_ip: IpAddr,
    pub host_ip6: IpAddr,
    directory: tempfile::TempDir,
    killed: bool,
}

impl World {
    /// A host at 192.0.2.1 with a daemon, and a machine at 192.0.2.2 on its wire.
    pub fn new() -> Self {
        let netns = std::thread::spawn(|| {
            sys::netns::unshare().unwrap();
            run("ip", &["link", "set", "lo", "up"]);
            sys::netns::current().unwrap()
        })
        .join()
        .unwrap();
        run("ip", &["link", "add", "wire", "type", "veth", "peer", "name", "wire-out"]);
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "wire"]);
        run("ip", &["addr", "add", "2001:db8::1/64", "dev", "wire", "nodad"]);
        run("ip", &["link", "set", "wire", "up"]);
        move_link("wire-out", netns.as_fd());
        let mut endpoint = blank("outside");
        endpoint.ipv4 = Some((Ipv4Addr::new(192, 0, 2, 2), 24));
        endpoint.ipv6 = Some(("2001:db8::2".parse().unwrap(), 64));
        let outside = Container { endpoint, netns };
        outside.inside(|| {
            run("ip", &["addr", "add", "192.0.2.2/24", "dev", "wire-out"]);
            run("ip", &["addr", "add", "2001:db8::2/64", "dev", "wire-out", "nodad"]);
            run("ip", &["link", "set", "wire-out", "up"]);
            // whatever the host would let through shall find its way
            run("ip", &["route", "add", "default", "via", "192.0.2.1"]);
        });
        let directory = tempfile::tempdir().unwrap();
        let networks = open(&directory);
        networks.reconcile(vec![]).unwrap();
        let host_ip = Ipv4Addr::new(192, 0, 2, 1).into();
        let host_ip6 = "2001:db8::1".parse::<Ipv6Addr>().unwrap().into();
        World { networks, outside, host_ip, host_ip6, directory, killed: false }
    }

    pub fn container(&self, name: &str, network: &str, ports: &[PortRequest]) -> Container {
        Container::attached(&self.networks, name, network, ports)
    }

    pub fn detach(&self, container: &Container) {
        self.networks.detach(&container.endpoint.id).unwrap();
    }

    /// Forgets everything the daemon knew, as a kill would: sockets close, kernel state stays.
    pub fn kill_daemon(&mut self) {
        let (db, keep) = database();
        let idle = NetworkConfig { ready: 0, ..NetworkConfig::new("idle") };
        self.networks = Networks::open(db, idle).unwrap();
        self.networks.purge().unwrap();
        drop(keep);
        self.killed = true;
    }

    pub fn start_daemon(&mut self) -> Networks {
        self.networks = open(&self.directory);
        self.networks.clone()
    }
}

fn open(directory: &tempfile::TempDir) -> Networks {
    let db = Arc::new(redb::Database::create(directory.path().join("db")).unwrap());
    Networks::open(db, NetworkConfig { ready: 2, ..NetworkConfig::new("test") }).unwrap()
}

/// A database of its own, and what keeps its file.
pub fn database() -> (Arc<redb::Database>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Arc::new(redb::Database::create(directory.path().join("db")).unwrap()), directory)
}

pub struct Container {
    pub endpoint: Endpoint,
    pub netns: OwnedFd,
}

impl Container {
    pub fn attached(networks: &Networks, name: &str, network: &str, ports: &[PortRequest]) -> Self {
        let netns = networks.create_sandbox(Some(network)).unwrap();
        let endpoint = networks.attach(request(netns.as_fd(), name, network, ports)).unwrap();
        Container { endpoint, netns }
    }

    pub fn ip(&self) -> IpAddr {
        self.endpoint.ipv4.unwrap().0.into()
    }

    pub fn ip6(&self) -> IpAddr {
        self.endpoint.ipv6.unwrap().0.into()
    }

    pub fn gateway(&self) -> IpAddr {
        self.endpoint.gateway4.unwrap().into()
    }

    pub fn bridge_address(&self, world: &World) -> IpAddr {
        world.networks.find(&self.endpoint.network.0).unwrap().ipam.pools[0].gateway.unwrap()
    }

    /// Runs on a thread inside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                sys::netns::enter(self.netns.as_fd()).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    pub fn connect(&self, to: impl Into<SocketAddr> + Send) -> io::Result<TcpStream> {
        let to = to.into();
        self.inside(|| connect(to))
    }

    /// The client's address as the server sees it.
    pub fn fetch(&self, from: impl Into<SocketAddr> + Send) -> io::Result<String> {
        let from = from.into();
        self.inside(|| fetch(from))
    }

    /// Addresses that 127.0.0.11 gives for a name.
    pub fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.inside(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.send_to(&question(name), "127.0.0.11:53").unwrap();
            let mut buffer = [0; 512];
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { return vec![] };
            assert_eq!(from, "127.0.0.11:53".parse().unwrap(), "the answer comes from where it was asked");
            last_address(name, &buffer[..length])
        })
    }

    pub fn resolve_by_tcp(&self, name: &str) -> Vec<IpAddr> {
        self.inside(|| {
            let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
            let question = question(name);
            stream.write_all(&(question.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&question).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut message).unwrap();
            last_address(name, &message)
        })
    }

    /// A name server inside that has one answer for everything, until the test ends.
    pub fn answer_names(&self, addr: Ipv4Addr) {
        let socket = self.inside(|| UdpSocket::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), 53)).unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let mut reply = buffer[..length].to_vec();
                reply[2] |= 0x80;
                reply[7] = 1;
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                reply.extend(addr.octets());
                socket.send_to(&reply, client).unwrap();
            }
        });
    }

    pub fn default_route(&self, gateway: IpAddr) {
        self.inside(|| run("ip", &["route", "add", "default", "via", &gateway.to_string()]));
    }

    /// As an attacker would: the host's loopback is sought at the host.
    pub fn route_loopback_to(&self, host: IpAddr) {
        self.inside(|| {
            run("ip", &["addr", "del", "127.0.0.1/8", "dev", "lo"]);
            std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
            run("ip", &["route", "add", "127.0.0.0/8", "via", &host.to_string()]);
        });
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The one address of an answer that has at most one.
fn last_address(name: &str, message: &[u8]) -> Vec<IpAddr> {
    assert_eq!(message[..2], [0xab, 0xcd]);
    let records = &message[question(name).len()..];
    match (message[7], records) {
        (0, _) => vec![],
        (1, [.., a, b, c, d]) => vec![Ipv4Addr::new(*a, *b, *c, *d).into()],
        other => panic!("more than one answer: {other:?}"),
    }
}

pub fn request<'a>(netns: BorrowedFd<'a>, name: &str, network: &str, ports: &[PortRequest]) -> AttachRequest<'a> {
    AttachRequest {
        endpoint: EndpointId::random(),
        container: format!("id-of-{name}"),
        container_name: name.to_owned(),
        netns,
        network: network.to_owned(),
        ipv4: None,
        ipv6: None,
        mac: None,
        aliases: vec![],
        dns: vec![],
        ports: ports.to_vec(),
        default_route: true,
    }
}

fn blank(name: &str) -> Endpoint {
    Endpoint {
        id: EndpointId::random(),
        network: network::NetworkId(String::new()),
        network_name: String::new(),
        container: name.to_owned(),
        container_name: name.to_owned(),
        interface: String::new(),
        host_device: String::new(),
        mac: None,
        ipv4: None,
        gateway4: None,
        ipv6: None,
        gateway6: None,
        aliases: vec![],
        ports: vec![],
    }
}

/// A server inside that tells each client its address whenever it says something.
pub fn serve(container: &Container, port: u16) -> Arc<TcpListener> {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener =
        container.inside(|| TcpListener::bind(any).or_else(|_| TcpListener::bind(("0.0.0.0", port))).unwrap());
    let listener = Arc::new(listener);
    let accepting = Arc::downgrade(&listener);
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        while let Some(listener) = accepting.upgrade() {
            match listener.accept() {
                Ok((stream, peer)) => drop(std::thread::spawn(move || tell(stream, peer))),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    });
    listener
}

fn tell(mut stream: TcpStream, peer: SocketAddr) {
    let mut buffer = [0; 64];
    stream.set_nonblocking(false).unwrap();
    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
        if stream.write_all(peer.ip().to_canonical().to_string().as_bytes()).is_err() {
            break;
        }
    }
}

/// The calling thread's address as the server sees it.
pub fn fetch(from: impl Into<SocketAddr>) -> io::Result<String> {
    answer(&mut connect(from.into())?)
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, PATIENCE)
}

pub fn answer(stream: &mut TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"who am I")?;
    let mut buffer = [0; 64];
    let read = stream.read(&mut buffer)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
}

pub fn nft(script: &str) {
    run("nft", &[script]);
}

/// All that could be left behind: links and rules.
pub fn traces() -> String {
    let links = Command::new("ip").args(["-o", "link"]).output().unwrap();
    let rules = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    let names = String::from_utf8(links.stdout).unwrap();
    let names: Vec<_> =
        names.lines().filter_map(|line| line.split(": ").nth(1)).filter(|n| !n.starts_with("wire")).collect();
    format!("{names:?} {}", String::from_utf8(rules.stdout).unwrap())
}

pub fn eventually(check: impl Fn() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(5), "not within five seconds; now {}", traces());
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Moves a link into a namespace.
fn move_link(name: &str, netns: BorrowedFd<'_>) {
    let path = format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd());
    run("ip", &["link", "set", name, "netns", &path]);
}
