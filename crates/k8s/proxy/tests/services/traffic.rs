//! Real packets through services, in network namespaces of each test's own. Needs root.

use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::world::{PATIENCE, World, at, eventually, fails, fetch, here, isolated, nft};
use serde_json::{Value, json};

fn with(mut spec: Value, more: Value) -> Value {
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn server(told: &str) -> String {
    told.split(' ').next().unwrap().to_owned()
}

#[test]
fn connections_are_spread_and_keep_their_client() {
    isolated(|| {
        let mut world = World::new();
        let pods = [2, 3, 4].map(|n| world.pod(n));
        let _servers = pods.each_ref().map(|pod| pod.serve());
        let client = world.pod(9);
        world.service("web", at("10.43.0.5"), here(&[&pods[0], &pods[1], &pods[2]]));
        let mut shares: BTreeMap<String, usize> = BTreeMap::new();
        client.inside(|| {
            for _ in 0..300 {
                let told = fetch("10.43.0.5:80").unwrap();
                assert!(told.ends_with(" 10.42.0.9"), "the client's address is kept: {told}");
                *shares.entry(server(&told)).or_default() += 1;
            }
        });
        // 100 each; less than 50 happens once in 10^10 runs
        assert!(shares.len() == 3 && shares.values().all(|share| *share > 50), "{shares:?}");
        assert!(fetch("10.43.0.5:80").unwrap().ends_with(" 10.42.0.1"), "from the node itself");
        println!("{}", nft(&["list", "ruleset"]));
        nft(&["-j", "list", "ruleset"]);
        nft(&["list", "table", "inet", "sampan-services-test"]);
        nft(&["list", "map", "inet", "sampan-services-test", "services4"]);
        world.gone("web");
        assert_ne!(client.fails("10.43.0.5:80"), io::ErrorKind::TimedOut);
        k8s_proxy::remove(&world.config).unwrap();
        let links = std::process::Command::new("ip").args(["-o", "link"]).output().unwrap();
        assert!(!String::from_utf8(links.stdout).unwrap().contains("svc-"));
        assert_eq!(nft(&["list", "ruleset"]).trim(), "");
    });
}

#[test]
fn answers_come_back_the_way_of_the_question_without_bridge_rules() {
    isolated(|| {
        let mut world = World::new();
        world.frames_are_no_packets();
        let (pod, client) = (world.pod(2), world.pod(9));
        let _server = pod.serve();
        world.service("web", at("10.43.0.5"), here(&[&pod]));
        for _ in 0..20 {
            assert_eq!(client.fetch("10.43.0.5:80").unwrap(), "10.42.0.2 10.42.0.9");
        }
        assert_eq!(pod.fetch("10.43.0.5:80").unwrap(), "10.42.0.2 10.42.0.1", "the pod itself");
    });
}

#[test]
fn a_pod_reaches_itself_and_nobody_is_told_at_once() {
    isolated(|| {
        let mut world = World::new();
        let (pod, client) = (world.pod(2), world.pod(9));
        let _server = pod.serve();
        world.service("web", at("10.43.0.5"), here(&[&pod]));
        assert_eq!(pod.fetch("10.43.0.5:80").unwrap(), "10.42.0.2 10.42.0.1");
        world.service("web", at("10.43.0.5"), json!([]));
        assert_eq!(client.fails("10.43.0.5:80"), io::ErrorKind::ConnectionRefused);
        assert_eq!(client.fails("10.43.0.5:81"), io::ErrorKind::ConnectionRefused, "a port of no service");
        assert_eq!(client.fails("10.43.9.9:80"), io::ErrorKind::ConnectionRefused, "an address of no service");
        assert_eq!(fails("10.43.0.5:80"), io::ErrorKind::ConnectionRefused, "from the node");
        world.service(
            "web",
            with(at("10.43.0.5"), json!({"internalTrafficPolicy": "Local"})),
            json!([{"addresses": ["10.42.1.2"], "nodeName": "far"}]),
        );
        assert_eq!(client.fails("10.43.0.5:80"), io::ErrorKind::TimedOut, "dropped: only elsewhere");
    });
}

#[test]
fn clients_come_back_to_the_same_endpoint() {
    isolated(|| {
        let mut world = World::new();
        let pods = [2, 3, 4, 5].map(|n| world.pod(n));
        let _servers = pods.each_ref().map(|pod| pod.serve());
        let client = world.pod(9);
        let sticky =
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}}});
        let spec = with(at("10.43.0.5"), sticky);
        world.service("web", spec.clone(), here(&[&pods[0], &pods[1], &pods[2], &pods[3]]));
        let first = client.fetch("10.43.0.5:80").unwrap();
        for _ in 0..20 {
            assert_eq!(client.fetch("10.43.0.5:80").unwrap(), first);
        }
        let listed = nft(&["list", "ruleset"]);
        assert!(listed.contains("10.42.0.9 . 10.43.0.5 . tcp . 80"), "{listed}");
        nft(&["-j", "list", "ruleset"]);
        let left: Vec<_> = pods.iter().filter(|pod| pod.v4.to_string() != server(&first)).collect();
        world.service("web", spec, here(&left));
        let second = client.fetch("10.43.0.5:80").unwrap();
        assert_ne!(server(&second), server(&first), "the endpoint is gone");
        for _ in 0..20 {
            assert_eq!(client.fetch("10.43.0.5:80").unwrap(), second);
        }
    });
}

#[test]
fn node_ports_and_external_addresses_keep_outsiders_addresses() {
    isolated(|| {
        let mut world = World::new();
        let (pod, client) = (world.pod(2), world.pod(9));
        let _server = pod.serve();
        let spec = |more: Value| {
            let mut spec = with(
                at("10.43.0.5"),
                json!({"type": "LoadBalancer", "externalIPs": ["198.51.100.7"],
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}),
            );
            spec["ports"][0]["nodePort"] = 30080.into();
            with(spec, more)
        };
        world.service("web", spec(json!({})), here(&[&pod]));
        for to in ["192.0.2.1:30080", "198.51.100.7:80", "192.0.2.1:80", "10.43.0.5:80"] {
            assert_eq!(world.outside.fetch(to).unwrap(), "10.42.0.2 192.0.2.2", "{to}");
        }
        assert_eq!(client.fetch("192.0.2.1:30080").unwrap(), "10.42.0.2 10.42.0.9");
        assert!(fetch("192.0.2.1:30080").is_ok(), "from the node by its own address");
        assert_eq!(fetch("127.0.0.1:30080").unwrap(), "10.42.0.2 10.42.0.1", "from the node by its loopback");
        world.service("web", spec(json!({"loadBalancerSourceRanges": ["203.0.113.0/24"]})), here(&[&pod]));
        assert_eq!(world.outside.fails("192.0.2.1:80"), io::ErrorKind::TimedOut, "not from this range");
        world.service(
            "web",
            spec(json!({"loadBalancerSourceRanges": ["203.0.113.0/24", "192.0.2.0/24", "192.0.2.2/32"]})),
            here(&[&pod]),
        );
        assert!(world.outside.fetch("192.0.2.1:80").is_ok());
        nft(&["list", "ruleset"]);
        // only elsewhere, and only local ones are wanted
        let far = json!([{"addresses": ["10.42.0.2"], "nodeName": "far"}]);
        world.service("web", spec(json!({"externalTrafficPolicy": "Local"})), far.clone());
        assert_eq!(world.outside.fails("192.0.2.1:30080"), io::ErrorKind::TimedOut);
        assert_eq!(client.fetch("192.0.2.1:30080").unwrap(), "10.42.0.2 10.42.0.9", "who is inside reaches it");
        // on another node: the answer has to come back through this one
        world.service("web", spec(json!({})), far);
        assert_eq!(world.outside.fetch("192.0.2.1:30080").unwrap(), "10.42.0.2 10.42.0.1");
        world.service("web", spec(json!({})), json!([]));
        for to in ["192.0.2.1:30080", "198.51.100.7:80", "10.43.0.5:80"] {
            assert_eq!(world.outside.fails(to), io::ErrorKind::ConnectionRefused, "{to}");
        }
    });
}

#[test]
fn both_families_are_balanced() {
    isolated(|| {
        let mut world = World::new();
        let (pod, client) = (world.pod(2), world.pod(9));
        let _server = pod.serve();
        let mut spec = at("10.43.0.5");
        spec["clusterIPs"] = json!(["10.43.0.5", "fd43::5"]);
        spec["ports"][0]["nodePort"] = 30080.into();
        let endpoints =
            json!([{"addresses": ["10.42.0.2"], "nodeName": "here"}, {"addresses": ["fd42::2"], "nodeName": "here"}]);
        let sticky = with(spec, json!({"sessionAffinity": "ClientIP", "type": "NodePort"}));
        world.service("web", sticky, endpoints);
        eventually("neighbours are found", || {
            client.fetch("[fd43::5]:80").is_ok_and(|told| told == "10.42.0.2 fd42::9")
        });
        assert_eq!(client.fetch("10.43.0.5:80").unwrap(), "10.42.0.2 10.42.0.9");
        assert_eq!(pod.fetch("[fd43::5]:80").unwrap(), "10.42.0.2 fd42::1");
        assert_eq!(world.outside.fetch("[2001:db8::1]:30080").unwrap(), "10.42.0.2 2001:db8::2");
        assert_eq!(client.fails("[fd43::6]:80"), io::ErrorKind::ConnectionRefused);
        let listed = nft(&["list", "ruleset"]);
        assert!(listed.contains("fd43::5 . tcp . 80 : goto address6-1"), "{listed}");
        nft(&["-j", "list", "ruleset"]);
    });
}

#[test]
fn clients_of_udp_are_led_on_when_their_endpoint_goes() {
    isolated(|| {
        let mut world = World::new();
        let pods = [2, 3].map(|n| world.pod(n));
        let _servers = pods.each_ref().map(|pod| pod.serve());
        let client = world.pod(9);
        let spec =
            json!({"clusterIP": "10.43.0.5", "clusterIPs": ["10.43.0.5"], "ports": [{"port": 80, "protocol": "UDP"}]});
        world.service("names", spec.clone(), here(&[&pods[0]]));
        let socket = client.inside(|| UdpSocket::bind("0.0.0.0:5000").unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let ask = || {
            let mut buffer = [0; 64];
            socket.send_to(b"who", "10.43.0.5:80").unwrap();
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(from, "10.43.0.5:80".parse().unwrap());
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        assert_eq!(ask(), "10.42.0.2 10.42.0.9");
        world.service("names", spec, here(&[&pods[1]]));
        assert_eq!(ask(), "10.42.0.3 10.42.0.9", "the same client and port");
    });
}

#[test]
fn no_connection_is_lost_while_endpoints_change_and_daemons_die() {
    isolated(|| {
        let mut world = World::new();
        let pods = [2, 3, 4, 5].map(|n| world.pod(n));
        let _servers = pods.each_ref().map(|pod| pod.serve());
        let client = world.pod(9);
        world.service("web", at("10.43.0.5"), here(&[&pods[0], &pods[1]]));
        let (end, done, lost) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    client.inside(|| {
                        while !end.load(Ordering::Relaxed) {
                            let counter = if fetch("10.43.0.5:80").is_ok() { &done } else { &lost };
                            counter.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                });
            }
            for round in 0..200usize {
                let count = 1 + round % 4;
                let chosen: Vec<_> = pods.iter().cycle().skip(round % 3).take(count).collect();
                world.service("web", at("10.43.0.5"), here(&chosen));
                if round % 20 == 0 {
                    // it dies, the kernel goes on, the next finds what it left
                    world.restart();
                    let before = done.load(Ordering::Relaxed);
                    eventually("connections go on", || done.load(Ordering::Relaxed) > before + 5);
                }
            }
            end.store(true, Ordering::Relaxed);
        });
        println!("{} connections, {} lost", done.load(Ordering::Relaxed), lost.load(Ordering::Relaxed));
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_table_of_another_shape_is_replaced_and_a_lost_one_made_again() {
    isolated(|| {
        let mut world = World::new();
        let (pod, client) = (world.pod(2), world.pod(9));
        let _server = pod.serve();
        nft(&["add table inet sampan-services-test"]);
        nft(&["add set inet sampan-services-test services4 { type ipv4_addr; }"]);
        nft(&["add element inet sampan-services-test services4 { 192.0.2.9 }"]);
        world.service("web", at("10.43.0.5"), here(&[&pod]));
        assert!(client.fetch("10.43.0.5:80").is_ok());
        nft(&["flush", "ruleset"]);
        world.service("other", at("10.43.0.6"), here(&[&pod]));
        for to in ["10.43.0.5:80", "10.43.0.6:80"] {
            assert!(client.fetch(to).is_ok(), "{to}");
        }
        // what an earlier daemon left and nobody wants any more
        world.restart();
        world.service("other", at("10.43.0.6"), here(&[&pod]));
        assert_eq!(client.fails("10.43.0.5:80"), io::ErrorKind::ConnectionRefused);
        assert!(client.fetch("10.43.0.6:80").is_ok());
    });
}
