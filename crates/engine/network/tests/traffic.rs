//! Real traffic through real bridges, in a network namespace of each test's own. Needs root.
//!
//! Each test is a small world: the thread's namespace plays the host, `outside` a machine on its wire.

mod world;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use network::{
    AttachRequest, Endpoint, EndpointId, HostPorts, Live, NetworkConfig, NetworkSpec, PortRequest, Protocol,
};
use world::{Container, World, fetch, isolated, serve};

fn publish(host_ip: Option<&str>, host: HostPorts, container_port: u16) -> PortRequest {
    PortRequest {
        container_port,
        protocol: Protocol::Tcp,
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_ports: host,
    }
}

#[test]
fn containers_reach_each_other_the_host_and_outside() {
    isolated(|| {
        let world = World::new();
        let a = world.container("a", "bridge", &[]);
        let b = world.container("b", "bridge", &[]);
        assert_ne!(a.ip(), b.ip());
        let _server = serve(&b, 80);
        assert_eq!(a.fetch((b.ip(), 80)).unwrap(), a.ip().to_string(), "container to container");
        assert_eq!(fetch((b.ip(), 80)).unwrap(), a.gateway().to_string(), "host to container");
        let _outside = serve(&world.outside, 80);
        assert_eq!(a.fetch((world.outside.ip(), 80)).unwrap(), world.host_ip.to_string(), "masqueraded");
        assert!(world.outside.fetch((b.ip(), 80)).is_err(), "nothing unpublished is reached from outside");
    });
}

#[test]
fn a_port_published_everywhere_is_reached_from_everywhere() {
    isolated(|| {
        let world = World::new();
        let web = world.container("web", "bridge", &[publish(None, HostPorts::One(8080), 80)]);
        let other = world.container("other", "bridge", &[]);
        world.networks.create(NetworkSpec { name: "second".into(), ..NetworkSpec::default() }).unwrap();
        let far = world.container("far", "second", &[]);
        let _server = serve(&web, 80);
        let host = SocketAddr::from((world.host_ip, 8080));
        assert_eq!(world.outside.fetch(host).unwrap(), world.outside.ip().to_string(), "the real client");
        assert_eq!(fetch(host).unwrap(), world.host_ip.to_string(), "host, by its own address");
        assert_eq!(fetch((Ipv4Addr::LOCALHOST, 8080)).unwrap(), web.gateway().to_string(), "host, by loopback");
        assert_eq!(other.fetch(host).unwrap(), web.gateway().to_string(), "hairpin to a neighbour");
        assert_eq!(web.fetch(host).unwrap(), web.gateway().to_string(), "hairpin to itself");
        assert_eq!(other.fetch((web.gateway(), 8080)).unwrap(), web.gateway().to_string(), "hairpin by gateway");
        assert_eq!(far.fetch(host).unwrap(), far.ip().to_string(), "from another network");
        world.detach(&web);
        assert!(fetch((Ipv4Addr::LOCALHOST, 8080)).is_err());
        assert!(world.outside.fetch(host).is_err());
    });
}

#[test]
fn a_port_published_on_loopback_is_for_the_host_only() {
    isolated(|| {
        let world = World::new();
        let web = world.container("web", "bridge", &[publish(Some("127.0.0.1"), HostPorts::One(8080), 80)]);
        let other = world.container("other", "bridge", &[]);
        let _server = serve(&web, 80);
        assert!(fetch((Ipv4Addr::LOCALHOST, 8080)).is_ok());
        assert!(fetch((world.host_ip, 8080)).is_err());
        assert!(world.outside.fetch((world.host_ip, 8080)).is_err());
        // a neighbour that routes the host's loopback to the host
        world.outside.route_loopback_to(world.host_ip);
        assert!(world.outside.fetch((Ipv4Addr::LOCALHOST, 8080)).is_err());
        other.route_loopback_to(other.gateway());
        assert!(other.fetch((Ipv4Addr::LOCALHOST, 8080)).is_err());
        let _local = std::net::TcpListener::bind("127.0.0.1:9").unwrap();
        assert!(other.connect((Ipv4Addr::LOCALHOST, 9)).is_err(), "nor what listens on the host's loopback");
    });
}

#[test]
fn udp_is_published_too_and_ephemeral_ports_are_found() {
    isolated(|| {
        let world = World::new();
        let request = PortRequest { protocol: Protocol::Udp, ..publish(None, HostPorts::Any, 53) };
        let dns = world.container("dns", "bridge", &[request]);
        let port = dns.endpoint.ports[0].host.port();
        assert!(port >= 1024);
        let server = dns.inside(|| std::net::UdpSocket::bind("0.0.0.0:53").unwrap());
        let client = world.outside.inside(|| std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
        client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        client.send_to(b"ping", (world.host_ip, port)).unwrap();
        let mut buffer = [0; 16];
        let (_, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(from.ip(), world.outside.ip());
        server.send_to(b"pong", from).unwrap();
        assert_eq!(client.recv_from(&mut buffer).unwrap().1, (world.host_ip, port).into());
    });
}

#[test]
fn a_udp_client_that_never_stops_reaches_the_next_container() {
    isolated(|| {
        let world = World::new();
        let request = || PortRequest { protocol: Protocol::Udp, ..publish(None, HostPorts::One(5353), 53) };
        let client = world.outside.inside(|| std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
        let hear = |container: &Container| {
            let server = container.inside(|| std::net::UdpSocket::bind("0.0.0.0:53").unwrap());
            server.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            client.send_to(b"ping", (world.host_ip, 5353)).unwrap();
            server.recv_from(&mut [0; 16]).is_ok()
        };
        let first = world.container("first", "bridge", &[request()]);
        assert!(hear(&first));
        world.detach(&first);
        client.send_to(b"ping", (world.host_ip, 5353)).unwrap();
        let second = world.container("second", "bridge", &[request()]);
        assert!(hear(&second));
    });
}

#[test]
fn networks_are_isolated_and_internal_ones_lead_nowhere() {
    isolated(|| {
        let world = World::new();
        let spec = |name: &str| NetworkSpec { name: name.into(), ..NetworkSpec::default() };
        world.networks.create(spec("one")).unwrap();
        world.networks.create(NetworkSpec { internal: true, ..spec("inner") }).unwrap();
        let quiet = [("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())].into();
        world.networks.create(NetworkSpec { options: quiet, ..spec("quiet") }).unwrap();
        let a = world.container("a", "bridge", &[]);
        let b = world.container("b", "one", &[]);
        let c = world.container("c", "inner", &[]);
        let d = world.container("d", "inner", &[]);
        let e = world.container("e", "quiet", &[]);
        let f = world.container("f", "quiet", &[]);
        let _servers = [serve(&a, 80), serve(&b, 80), serve(&c, 80), serve(&e, 80), serve(&world.outside, 80)];
        assert!(a.fetch((b.ip(), 80)).is_err(), "between bridges");
        assert!(d.fetch((c.ip(), 80)).is_ok(), "inside an internal network");
        c.default_route(c.bridge_address(&world));
        assert!(c.fetch((a.ip(), 80)).is_err(), "from an internal network to another");
        assert!(c.fetch((world.outside.ip(), 80)).is_err(), "from an internal network to outside");
        assert!(f.fetch((e.ip(), 80)).is_err(), "without inter-container communication");
        assert!(f.fetch((world.outside.ip(), 80)).is_ok());
    });
}

#[test]
fn a_drop_policy_of_the_host_holds() {
    isolated(|| {
        let world = World::new();
        let web = world.container("web", "bridge", &[publish(None, HostPorts::One(8080), 80)]);
        let _server = serve(&web, 80);
        let host = SocketAddr::from((world.host_ip, 8080));
        assert!(world.outside.fetch(host).is_ok());
        world::nft("table inet host { chain forward { type filter hook forward priority 0; policy drop; }; }");
        assert!(world.outside.fetch(host).is_err(), "our accept does not overrule another table's drop");
        world::nft("add rule inet host forward ct state established,related accept");
        world::nft("add rule inet host forward oifname \"sampan-*\" ct status dnat accept");
        assert!(world.outside.fetch(host).is_ok(), "what the documentation tells to allow is enough");
    });
}

#[test]
fn containers_and_traffic_survive_a_killed_daemon() {
    isolated(|| {
        let mut world = World::new();
        let web = world.container("web", "bridge", &[publish(None, HostPorts::One(8080), 80)]);
        let gone = world.container("gone", "bridge", &[publish(None, HostPorts::One(8081), 80)]);
        let _server = serve(&web, 80);
        let host = SocketAddr::from((world.host_ip, 8080));
        let mut steady = world.outside.connect(host).unwrap();
        world.kill_daemon();
        assert!(world.outside.fetch(host).is_ok(), "while no daemon runs");
        let networks = world.start_daemon();
        assert!(world.outside.fetch(host).is_ok(), "before reconciling");
        let live = Live { endpoint: web.endpoint.clone(), netns: web.netns.try_clone().unwrap(), dns: vec![] };
        let found = networks.reconcile(vec![live]).unwrap();
        assert_eq!(found.adopted, std::slice::from_ref(&web.endpoint.id));
        assert_eq!((found.lost.len(), found.stale), (0, 1), "the port of the container that is gone");
        assert!(world.outside.fetch(host).is_ok());
        assert!(world::answer(&mut steady).is_ok(), "a connection from before");
        assert!(std::net::TcpListener::bind("0.0.0.0:8080").is_err(), "the port is held again");
        let next = world.container("next", "bridge", &[publish(None, HostPorts::One(8081), 80)]);
        assert_ne!(next.ip(), web.ip());
        drop(gone);
    });
}

#[test]
fn two_daemons_live_side_by_side_and_leave_nothing() {
    isolated(|| {
        let before = world::traces();
        let one = World::new();
        let (db, _keep) = world::database();
        let config = NetworkConfig { ready: 1, ..NetworkConfig::new("another instance") };
        let two = network::Networks::open(db, config).unwrap();
        two.reconcile(vec![]).unwrap();
        let a = one.container("a", "bridge", &[publish(None, HostPorts::One(8080), 80)]);
        let b = Container::attached(&two, "b", "bridge", &[publish(None, HostPorts::One(8081), 80)]);
        assert_ne!(a.gateway(), b.gateway());
        let servers = [serve(&a, 80), serve(&b, 80)];
        assert!(fetch((Ipv4Addr::LOCALHOST, 8080)).is_ok());
        assert!(fetch((Ipv4Addr::LOCALHOST, 8081)).is_ok());
        assert!(a.fetch((b.ip(), 80)).is_err());
        two.shutdown().unwrap();
        assert!(fetch((Ipv4Addr::LOCALHOST, 8081)).is_ok(), "shutdown leaves a network in use alone");
        two.detach(&b.endpoint.id).unwrap();
        drop(b);
        two.shutdown().unwrap();
        assert!(fetch((Ipv4Addr::LOCALHOST, 8080)).is_ok());
        one.detach(&a);
        drop((a, servers));
        one.networks.purge().unwrap();
        drop(one);
        world::eventually(|| world::traces() == before);
    });
}

#[test]
fn ipv6_networks_work_as_ipv4_ones() {
    isolated(|| {
        let world = World::new();
        world.networks.create(NetworkSpec { name: "six".into(), ipv6: true, ..NetworkSpec::default() }).unwrap();
        let web = world.container("web", "six", &[publish(None, HostPorts::One(8080), 80)]);
        let other = world.container("other", "six", &[]);
        let addr = web.endpoint.ipv6.unwrap().0;
        let _server = serve(&web, 80);
        assert!(other.fetch((IpAddr::from(addr), 80)).is_ok());
        assert_eq!(web.endpoint.ports.len(), 2, "on 0.0.0.0 and [::]");
        world::eventually(|| world.outside.fetch((world.host_ip6, 8080)).is_ok());
        assert_eq!(world.outside.fetch((world.host_ip6, 8080)).unwrap(), world.outside.ip6().to_string());
        assert!(fetch((world.host_ip6, 8080)).is_ok());
        assert!(other.fetch((world.host_ip6, 8080)).is_ok(), "hairpin");
        let plain = world.container("plain", "bridge", &[]);
        assert!(
            plain
                .inside(|| std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap())
                .lines()
                .all(|l| l.ends_with("lo"))
        );
    });
}

#[test]
fn addresses_networks_and_names_are_refused_in_dockers_words() {
    isolated(|| {
        let world = World::new();
        let networks = &world.networks;
        let text = |result: network::Result<network::Network>| result.unwrap_err().to_string();
        let spec = |name: &str| NetworkSpec { name: name.into(), ..NetworkSpec::default() };
        let chosen = |name: &str, subnet: &str| {
            let mut spec = spec(name);
            spec.ipam.pools.push(network::IpamPool::of(subnet.parse().unwrap()));
            spec
        };
        networks.create(chosen("fixed", "10.9.0.0/24")).unwrap();
        assert_eq!(text(networks.create(spec("fixed"))), "network with name fixed already exists");
        assert_eq!(
            text(networks.create(chosen("other", "10.9.0.0/25"))),
            "invalid pool request: Pool overlaps with other one on this address space"
        );
        assert_eq!(text(networks.remove("bridge")), "bridge is a pre-defined network and cannot be removed");
        assert_eq!(text(networks.remove("nothing")), "network nothing not found");
        let wanted = |network: &str, ip: &str, name: &str| {
            let netns = networks.create_sandbox(Some(network)).unwrap();
            networks
                .attach(AttachRequest { ipv4: ip.parse().ok(), ..world::request(netns.as_fd(), name, network, &[]) })
        };
        assert_eq!(wanted("fixed", "10.9.0.77", "a").unwrap().ipv4, Some(("10.9.0.77".parse().unwrap(), 24)));
        let refusal = |result: network::Result<Endpoint>| result.unwrap_err().to_string();
        assert_eq!(refusal(wanted("fixed", "10.9.0.77", "b")), "Address already in use");
        assert_eq!(refusal(wanted("fixed", "10.8.0.77", "b")), "no configured subnet contains IP address 10.8.0.77");
        assert_eq!(
            refusal(wanted("bridge", "172.17.0.9", "b")),
            "user specified IP address is supported on user defined networks only"
        );
        assert_eq!(
            text(networks.remove("fixed")),
            format!(
                "error while removing network: network fixed has active endpoints (name:\"a\" id:{:?})",
                &networks.endpoints(&networks.find("fixed").unwrap().id)[0].id.0[..12]
            )
        );
        let web = world.container("web", "bridge", &[publish(None, HostPorts::One(8080), 80)]);
        let netns = networks.create_sandbox(Some("bridge")).unwrap();
        let id = EndpointId::random();
        let ports = [publish(None, HostPorts::One(8080), 80)];
        let again = networks
            .attach(AttachRequest { endpoint: id.clone(), ..world::request(netns.as_fd(), "again", "bridge", &ports) });
        assert_eq!(
            refusal(again),
            format!(
                "driver failed programming external connectivity on endpoint again ({}): \
                Bind for 0.0.0.0:8080 failed: port is already allocated",
                id.0
            )
        );
        drop(web);
    });
}

#[test]
fn a_running_container_joins_and_leaves_networks() {
    isolated(|| {
        let world = World::new();
        world.networks.create(NetworkSpec { name: "second".into(), ..NetworkSpec::default() }).unwrap();
        let a = world.container("a", "bridge", &[]);
        let b = world.container("b", "second", &[]);
        let _server = serve(&b, 80);
        assert!(a.fetch((b.ip(), 80)).is_err());
        let request = world::request(a.netns.as_fd(), "a", "second", &[]);
        let joined = world.networks.attach(AttachRequest { default_route: false, ..request }).unwrap();
        assert_eq!(joined.interface, "eth1");
        assert!(a.fetch((b.ip(), 80)).is_ok());
        world.networks.disconnect(&joined.id, a.netns.as_fd()).unwrap();
        assert!(a.fetch((b.ip(), 80)).is_err());
        assert_eq!(world.networks.endpoints(&joined.network).len(), 1);
    });
}

#[test]
fn containers_of_a_network_of_ones_own_find_each_other_by_name() {
    isolated(|| {
        let mut world = World::new();
        world.networks.create(NetworkSpec { name: "mine".into(), ..NetworkSpec::default() }).unwrap();
        world.networks.create(NetworkSpec { name: "theirs".into(), ..NetworkSpec::default() }).unwrap();
        let db = world.container("db", "mine", &[]);
        let web = world.container("web", "mine", &[]);
        let other = world.container("other", "theirs", &[]);
        assert_eq!(web.resolve("db"), [db.ip()]);
        assert_eq!(web.resolve("DB.mine"), [db.ip()]);
        assert_eq!(web.resolve("id-of-db"), [db.ip()]);
        assert_eq!(web.resolve_by_tcp("db"), [db.ip()]);
        assert!(other.resolve("db").is_empty(), "names end at the network");
        world.networks.rename("id-of-db", "data");
        assert_eq!(web.resolve("data"), [db.ip()]);
        let own = web.inside(|| std::net::UdpSocket::bind("0.0.0.0:53"));
        assert!(own.is_ok(), "a container may be a name server itself");
        world.kill_daemon();
        let networks = world.start_daemon();
        let live = |container: &Container| Live {
            endpoint: container.endpoint.clone(),
            netns: container.netns.try_clone().unwrap(),
            dns: vec![],
        };
        networks.reconcile(vec![live(&db), live(&web), live(&other)]).unwrap();
        assert_eq!(web.resolve("db"), [db.ip()], "the next daemon answers");
        world.detach(&db);
        assert!(web.resolve("db").is_empty());
    });
}

#[test]
fn names_of_others_are_asked_of_the_containers_servers() {
    isolated(|| {
        let world = World::new();
        world.networks.create(NetworkSpec { name: "mine".into(), ..NetworkSpec::default() }).unwrap();
        world.networks.create(NetworkSpec { name: "inner".into(), internal: true, ..NetworkSpec::default() }).unwrap();
        world.outside.answer_names("192.0.2.99".parse().unwrap());
        let with_server = |name: &str, network: &str| {
            let netns = world.networks.create_sandbox(Some(network)).unwrap();
            let dns = vec![world.outside.ip()];
            let request = AttachRequest { dns, ..world::request(netns.as_fd(), name, network, &[]) };
            let endpoint = world.networks.attach(request).unwrap();
            Container { endpoint, netns }
        };
        let web = with_server("web", "mine");
        assert_eq!(web.resolve("example.org"), ["192.0.2.99".parse::<IpAddr>().unwrap()]);
        assert_eq!(web.resolve("web"), [web.ip()]);
        let inner = with_server("inner", "inner");
        assert!(inner.resolve("example.org").is_empty(), "an internal network asks nobody");
    });
}

#[test]
fn attaching_is_as_quick_with_a_thousand_published_ports() {
    isolated(|| {
        let world = World::new();
        let time = |name: &str, ports: &[PortRequest]| {
            let mut times: Vec<_> = (0..20u16)
                .map(|n| {
                    std::thread::sleep(Duration::from_millis(10));
                    let ports: Vec<_> =
                        ports.iter().map(|port| PortRequest { host_ports: HostPorts::Any, ..port.clone() }).collect();
                    let name = format!("{name}{n}");
                    let start = Instant::now();
                    let netns = world.networks.create_sandbox(Some("bridge")).unwrap();
                    let taken = start.elapsed();
                    let endpoint =
                        world.networks.attach(world::request(netns.as_fd(), &name, "bridge", &ports)).unwrap();
                    let all = start.elapsed();
                    world.networks.detach(&endpoint.id).unwrap();
                    (all, taken)
                })
                .collect();
            times.sort();
            times[times.len() / 2]
        };
        let one = [publish(None, HostPorts::Any, 80)];
        let (bare, with_port) = (time("bare", &[]), time("one", &one));
        let many: Vec<_> = (0..1000).map(|n| publish(None, HostPorts::One(20000 + n), 1000 + n)).collect();
        let start = Instant::now();
        let _many = world.container("many", "bridge", &many);
        let thousand = start.elapsed();
        let (bare_after, with_port_after) = (time("bare-after", &[]), time("one-after", &one));
        eprintln!("attach (with sandbox): bare {bare:?}, one port {with_port:?}");
        eprintln!("1,000 ports at once: {thousand:?}; then bare {bare_after:?}, one port {with_port_after:?}");
        assert!(with_port_after.0 < with_port.0 * 3 + Duration::from_millis(1));
    });
}

#[test]
fn a_burst_larger_than_the_pool_is_served() {
    isolated(|| {
        let world = World::new();
        let _first = world.container("first", "bridge", &[]);
        std::thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        let mut times: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..32)
                .map(|n| {
                    let world = &world;
                    scope.spawn(move || {
                        let start = Instant::now();
                        let container =
                            world.container(&format!("c{n}"), "bridge", &[publish(None, HostPorts::Any, 80)]);
                        (start.elapsed(), container)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let all = start.elapsed();
        times.sort_by_key(|(time, _)| *time);
        eprintln!("32 at once in {all:?}: median {:?}, slowest {:?}", times[16].0, times[31].0);
        let addresses: std::collections::HashSet<_> = times.iter().map(|(_, container)| container.ip()).collect();
        assert_eq!(addresses.len(), 32);
    });
}
