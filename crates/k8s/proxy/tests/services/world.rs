//! A node in a namespace of its own, a machine outside, pods that are namespaces without processes.
//!
//! Pods have an address without neighbours, so that everything they say goes through the node: `10.42.0.N`, `fd42::N`.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_proxy::Config;
use k8s_proxy::balancer::Balancer;
use serde_json::{Value, json};

/// For what shall come.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// For what shall not: longer than the first repetition of what was lost.
const SILENCE: Duration = Duration::from_millis(1300);

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
    pub outside: Pod,
    pub config: Config,
    pub balancer: Balancer,
}

/// A network namespace with an address.
pub struct Pod {
    pub netns: OwnedFd,
    pub v4: IpAddr,
    pub v6: IpAddr,
}

impl World {
    /// A node at 192.0.2.1 whose pods are behind a bridge, and a machine at 192.0.2.2 on its wire. `192.0.2.2` also has a route to services.
    pub fn new() -> World {
        for setting in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/{setting}"), "1").unwrap();
        }
        run("ip", &["link", "add", "pods", "type", "bridge"]);
        run("ip", &["addr", "add", "10.42.0.1/24", "dev", "pods"]);
        run("ip", &["addr", "add", "fd42::1/64", "dev", "pods", "nodad"]);
        std::fs::write("/proc/sys/net/ipv4/conf/pods/route_localnet", "1").unwrap();
        run("ip", &["link", "set", "pods", "up"]);
        let outside = Pod { netns: namespace(), v4: [192, 0, 2, 2].into(), v6: "2001:db8::2".parse().unwrap() };
        run("ip", &["link", "add", "wire", "type", "veth", "peer", "name", "wire-out"]);
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "wire"]);
        run("ip", &["addr", "add", "2001:db8::1/64", "dev", "wire", "nodad"]);
        run("ip", &["link", "set", "wire", "up"]);
        give("wire-out", &outside.netns);
        outside.inside(|| {
            run("ip", &["addr", "add", "192.0.2.2/24", "dev", "wire-out"]);
            run("ip", &["addr", "add", "2001:db8::2/64", "dev", "wire-out", "nodad"]);
            run("ip", &["link", "set", "wire-out", "up"]);
            run("ip", &["route", "add", "default", "via", "192.0.2.1"]);
            run("ip", &["-6", "route", "add", "default", "via", "2001:db8::1"]);
        });
        let mut config = Config::new("here", "test");
        config.pod_cidrs.push("fd42::/16".parse().unwrap());
        config.service_cidrs.push("fd43::/112".parse().unwrap());
        // somewhere to go for what is nobody's
        run("ip", &["route", "add", "default", "via", "192.0.2.254"]);
        k8s_proxy::prepare(&config).unwrap();
        let balancer = Balancer::open(&config).unwrap();
        World { outside, config, balancer }
    }

    /// Frames between ports of bridges do not go through the rules for packets, as on hosts that never had iptables. Before there are pods.
    pub fn frames_are_no_packets(&self) {
        for family in ["iptables", "ip6tables"] {
            let _ = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{family}"), "0");
        }
    }

    /// A pod at `10.42.0.N`.
    pub fn pod(&self, n: u8) -> Pod {
        let pod = Pod { netns: namespace(), v4: [10, 42, 0, n].into(), v6: format!("fd42::{n}").parse().unwrap() };
        let (near, far) = (format!("pod{n}"), format!("pod{n}-in"));
        run("ip", &["link", "add", &near, "type", "veth", "peer", "name", &far]);
        run("ip", &["link", "set", &near, "master", "pods", "up"]);
        // where frames go through the rules for packets, what is translated to the same bridge is bridged, not routed
        let bridged =
            std::fs::read("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|on| on.starts_with(b"1"));
        run("bridge", &["link", "set", "dev", &near, if bridged { "hairpin" } else { "isolated" }, "on"]);
        give(&far, &pod.netns);
        pod.inside(|| {
            std::fs::write("/proc/sys/net/ipv4/conf/all/accept_redirects", "0").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/all/accept_redirects", "0").unwrap();
            run("ip", &["link", "set", &far, "name", "eth0"]);
            run("ip", &["addr", "add", &format!("{}/32", pod.v4), "dev", "eth0"]);
            run("ip", &["addr", "add", &format!("{}/128", pod.v6), "dev", "eth0", "nodad"]);
            run("ip", &["link", "set", "eth0", "up"]);
            run("ip", &["route", "add", "default", "via", "10.42.0.1", "dev", "eth0", "onlink"]);
            run("ip", &["-6", "route", "add", "fd42::1", "dev", "eth0"]);
            run("ip", &["-6", "route", "add", "default", "via", "fd42::1", "dev", "eth0"]);
        });
        pod
    }

    /// Says what a service is, and commits.
    pub fn service(&mut self, name: &str, spec: Value, endpoints: Value) {
        self.note(name, spec, endpoints);
        self.balancer.commit().unwrap();
    }

    /// The same without a commit.
    pub fn note(&mut self, name: &str, spec: Value, endpoints: Value) {
        let service: Service = serde_json::from_value(json!({"spec": spec, "status": spec["status"]})).unwrap();
        let protocol = spec["ports"][0]["protocol"].as_str().unwrap_or("TCP");
        let slice = |family: &str| -> Arc<EndpointSlice> {
            let is_own =
                |endpoint: &&Value| endpoint["addresses"][0].as_str().unwrap().contains(':') == (family == "IPv6");
            let own: Vec<Value> = endpoints.as_array().unwrap().iter().filter(is_own).cloned().collect();
            let slice =
                json!({"addressType": family, "ports": [{"port": 8080, "protocol": protocol}], "endpoints": own});
            Arc::new(serde_json::from_value(slice).unwrap())
        };
        self.balancer.look_at(&named(name), Some(&service), &[slice("IPv4"), slice("IPv6")]);
    }

    pub fn gone(&mut self, name: &str) {
        self.balancer.look_at(&named(name), None, &[]);
        self.balancer.commit().unwrap();
    }

    /// The daemon dies and another one starts; the kernel goes on in between.
    pub fn restart(&mut self) {
        self.balancer = Balancer::open(&self.config).unwrap();
    }
}

fn named(name: &str) -> (String, String) {
    ("default".to_owned(), name.to_owned())
}

/// A service of one port on an address.
pub fn at(address: &str) -> Value {
    json!({"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80, "protocol": "TCP"}]})
}

/// Endpoints on this node.
pub fn here(pods: &[&Pod]) -> Value {
    pods.iter().map(|pod| json!({"addresses": [pod.v4.to_string()], "nodeName": "here"})).collect()
}

impl Pod {
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

    /// Serves on port 8080: tells each client which pod this is, and as whom it sees the client.
    pub fn serve(&self) -> Server {
        let own = self.v4;
        let listener = self.inside(|| TcpListener::bind("[::]:8080").unwrap());
        let udp = self.inside(|| UdpSocket::bind("[::]:8080").unwrap());
        let server = Server(Arc::new(()));
        let running = Arc::downgrade(&server.0);
        listener.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while running.strong_count() > 0 {
                let mut idle = true;
                if let Ok((stream, peer)) = listener.accept() {
                    std::thread::spawn(move || tell(stream, own, peer));
                    idle = false;
                }
                if let Ok((_, peer)) = udp.recv_from(&mut buffer) {
                    let _ = udp.send_to(format!("{own} {}", peer.ip().to_canonical()).as_bytes(), peer);
                    idle = false;
                }
                if idle {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        server
    }

    /// `server client`, as the server told it.
    pub fn fetch(&self, to: &str) -> io::Result<String> {
        self.inside(|| fetch(to))
    }

    /// How a connection fails that shall.
    pub fn fails(&self, to: &str) -> io::ErrorKind {
        self.inside(|| fails(to))
    }
}

/// Serves as long as this lives.
pub struct Server(Arc<()>);

fn tell(mut stream: TcpStream, own: IpAddr, peer: SocketAddr) {
    let mut buffer = [0; 64];
    stream.set_nonblocking(false).unwrap();
    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
        if stream.write_all(format!("{own} {}", peer.ip().to_canonical()).as_bytes()).is_err() {
            break;
        }
    }
}

/// `server client`, as the server told the calling thread.
pub fn fetch(to: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to.parse().unwrap(), PATIENCE)?;
    answer(&mut stream)
}

pub fn answer(stream: &mut TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"who am I")?;
    let mut buffer = [0; 128];
    let read = stream.read(&mut buffer)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
}

pub fn fails(to: &str) -> io::ErrorKind {
    TcpStream::connect_timeout(&to.parse().unwrap(), SILENCE).expect_err("it is reached").kind()
}

pub fn nft(args: &[&str]) -> String {
    let output = Command::new("nft").args(args).output().unwrap();
    assert!(output.status.success(), "nft {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}\n{}", nft(&["list", "ruleset"]));
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn namespace() -> OwnedFd {
    let made = || {
        sys::netns::unshare().unwrap();
        run("ip", &["link", "set", "lo", "up"]);
        sys::netns::current().unwrap()
    };
    std::thread::spawn(made).join().unwrap()
}

fn give(link: &str, netns: &OwnedFd) {
    let path = format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd());
    run("ip", &["link", "set", link, "netns", &path]);
}
