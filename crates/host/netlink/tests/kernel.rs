//! Requests against the kernel, in a network namespace of each test's own; `nft` says what arrived. Needs root.

use std::process::Command;

use netlink::nft::{
    Base, ChainType, CtKey, DataType, Element, Expr, Family, Hook, MetaKey, Original, PayloadBase, Refusal, SetSpec,
    Table, Verdict, reg,
};
use netlink::{Batch, Protocol, Socket, route};
use rustix::io::Errno;

/// Runs a test on a thread with a new network namespace; without privileges says so and passes.
fn isolated(test: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let thread = std::thread::spawn(|| {
        sys::netns::unshare().expect("unshare");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn nft(args: &[&str]) -> String {
    let output = Command::new("nft").args(args).output().expect("nft (package nftables)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn name(device: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..device.len()].copy_from_slice(device.as_bytes());
    bytes
}

const BRIDGES: SetSpec = SetSpec::new("bridges", &[DataType::IfName]);
const NETS: SetSpec = SetSpec::ranges("nets", &[DataType::Ipv4Addr]);
const LOCAL: SetSpec = SetSpec::ranges("local", &[DataType::IfName, DataType::Ipv4Addr]);
const PORTS: SetSpec = SetSpec::map(
    "ports",
    &[DataType::Ipv4Addr, DataType::InetProto, DataType::InetService],
    &[DataType::Ipv4Addr, DataType::InetService],
);

#[test]
fn what_is_sent_is_what_nft_lists() {
    isolated(|| {
        let table = Table::new(Family::Inet, "sample");
        let mut batch = Batch::new();
        batch.push(table.add());
        for set in [&BRIDGES, &NETS, &LOCAL, &PORTS] {
            batch.push(table.add_set(set));
        }
        batch.push(table.add_chain("publish", None));
        let pre = Base { kind: ChainType::Nat, hook: Hook::Prerouting, priority: -100 };
        batch.push(table.add_chain("pre", Some(pre)));
        let forward = Base { kind: ChainType::Filter, hook: Hook::Forward, priority: 0 };
        batch.push(table.add_chain("forward", Some(forward)));
        let post = Base { kind: ChainType::Nat, hook: Hook::Postrouting, priority: 100 };
        batch.push(table.add_chain("post", Some(post)));
        batch.push(table.add_rule(
            "publish",
            &[
                Expr::Meta { key: MetaKey::Family, to: reg::at(0) },
                Expr::Cmp { from: reg::at(0), equal: true, data: vec![2] },
                Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, to: reg::at(0) },
                Expr::Meta { key: MetaKey::Transport, to: reg::at(1) },
                Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, to: reg::at(2) },
                Expr::Map { map: "ports".to_owned(), from: reg::at(0), to: reg::at(0) },
                Expr::Dnat { family: 2, addr: reg::at(0), port: Some(reg::at(1)) },
            ],
        ));
        batch.push(table.add_rule(
            "pre",
            &[
                Expr::FibDestinationType { to: reg::at(0) },
                Expr::Cmp { from: reg::at(0), equal: true, data: 2u32.to_ne_bytes().to_vec() },
                Expr::Counter,
                Expr::Verdict(Verdict::Goto("publish".to_owned())),
            ],
        ));
        batch.push(table.add_rule(
            "forward",
            &[
                Expr::Ct { key: CtKey::State, to: reg::at(0) },
                Expr::Mask { from: reg::at(0), to: reg::at(0), mask: 6u32.to_ne_bytes().to_vec() },
                Expr::Cmp { from: reg::at(0), equal: false, data: vec![0; 4] },
                Expr::Verdict(Verdict::Accept),
            ],
        ));
        batch.push(table.add_rule(
            "post",
            &[
                Expr::Meta { key: MetaKey::OutName, to: reg::at(0) },
                Expr::Lookup { set: "bridges".to_owned(), from: reg::at(0), present: false },
                Expr::Masquerade,
            ],
        ));
        batch.extend(table.add_elements(&BRIDGES, &[Element::key(&[&name("br0")])]));
        batch.extend(
            table.add_elements(&NETS, &[Element::key(&[&[172, 17, 0, 0]]), Element::end_before(&[&[172, 18, 0, 0]])]),
        );
        batch.extend(table.add_elements(
            &LOCAL,
            &[Element::key(&[&name("br0"), &[172, 17, 0, 0]]).to(&[&name("br0"), &[172, 17, 255, 255]])],
        ));
        let published = Element::key(&[&[127, 0, 0, 1], &[6], &[0x1f, 0x90]]).with_data(&[&[172, 17, 0, 2], &[0, 80]]);
        batch.extend(table.add_elements(&PORTS, std::slice::from_ref(&published)));
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        socket.run(&batch).unwrap();
        assert_eq!(nft(&["list", "ruleset"]), include_str!("ruleset.txt"));
        assert_eq!(table.dump_elements(&mut socket, &PORTS).unwrap(), [published]);
        assert!(table.exists(&mut socket).unwrap());
        socket.run_one(table.delete()).unwrap();
        assert!(!table.exists(&mut socket).unwrap());
        assert_eq!(nft(&["list", "ruleset"]), "");
    });
}

#[test]
fn a_refused_batch_changes_nothing_and_names_the_request() {
    isolated(|| {
        let table = Table::new(Family::Inet, "half");
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        let batch: Batch = [table.add(), table.flush_chain("absent"), table.add_chain("c", None)].into_iter().collect();
        let error = socket.run(&batch).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::NOENT));
        assert!(error.to_string().starts_with("flush chain absent: "), "{error}");
        assert!(!table.exists(&mut socket).unwrap(), "nothing of the batch stays");
        socket.run_one(table.add()).unwrap();
        socket.run_one(table.add()).unwrap();
    });
}

#[test]
fn thousands_of_elements_go_in_and_come_back() {
    isolated(|| {
        let table = Table::new(Family::Inet, "many");
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        let elements: Vec<_> = (1..5000u16)
            .map(|port| {
                Element::key(&[&[0; 4], &[6], &port.to_be_bytes()]).with_data(&[&[10, 0, 0, 1], &port.to_be_bytes()])
            })
            .collect();
        let mut batch = Batch::new();
        batch.push(table.add()).push(table.add_set(&PORTS));
        batch.extend(table.add_elements(&PORTS, &elements));
        socket.run(&batch).unwrap();
        assert_eq!(table.dump_elements(&mut socket, &PORTS).unwrap().len(), 4999);
        socket.run(&table.delete_elements(&PORTS, &elements[1..]).into_iter().collect()).unwrap();
        assert_eq!(table.dump_elements(&mut socket, &PORTS).unwrap(), elements[..1]);
        socket.run_one(table.flush_set(&PORTS)).unwrap();
        assert_eq!(table.dump_elements(&mut socket, &PORTS).unwrap(), []);
    });
}

#[test]
fn a_pair_joins_a_bridge_with_another_namespace() {
    isolated(|| {
        let mut here = Socket::open(Protocol::Route).unwrap();
        here.run_one(route::add_bridge("br0", None, 0)).unwrap();
        let bridge = route::link_named(&mut here, "br0").unwrap().unwrap();
        assert_eq!(bridge.kind, "bridge");
        let (netns, mut there) = std::thread::spawn(|| {
            sys::netns::unshare().unwrap();
            (sys::netns::current().unwrap(), Socket::open(Protocol::Route).unwrap())
        })
        .join()
        .unwrap();
        let near = route::VethEnd { name: "veth0", mac: None };
        let far = route::VethEnd { name: "eth0", mac: Some([2, 0x42, 10, 0, 0, 2]) };
        let netns = std::os::fd::AsFd::as_fd(&netns);
        let batch: Batch = [
            route::add_address(bridge.index, "10.0.0.1".parse().unwrap(), 24),
            route::link_up(bridge.index),
            route::add_veth(near, Some(bridge.index), far, netns, Some(2), 1400),
            route::port_up("veth0", route::PortFlags { isolated: true, hairpin: true }),
        ]
        .into_iter()
        .collect();
        here.run(&batch).unwrap();
        let batch: Batch = [
            route::link_up(route::LOOPBACK),
            route::link_up(2),
            route::add_address(2, "10.0.0.2".parse().unwrap(), 24),
            route::default_route(2, "10.0.0.1".parse().unwrap()),
        ]
        .into_iter()
        .collect();
        there.run(&batch).unwrap();
        let eth0 = route::link_named(&mut there, "eth0").unwrap().unwrap();
        assert_eq!((eth0.index, eth0.up, eth0.mtu), (2, true, 1400));
        assert_eq!(eth0.mac, Some([2, 0x42, 10, 0, 0, 2]));
        let veth0 = route::link_named(&mut here, "veth0").unwrap().unwrap();
        assert_eq!((veth0.master, veth0.up, veth0.kind.as_str()), (Some(bridge.index), true, "veth"));
        let routes = route::routes(&mut there).unwrap();
        assert!(routes.iter().any(|route| route.prefix == 0 && route.index == Some(2)));
        assert!(routes.iter().any(|route| route.prefix == 24));
        let error = here.run_one(route::add_bridge("br0", None, 0)).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EXIST));
    });
}

/// Destination address, protocol and port of a packet, from the first register on.
fn aim() -> Vec<Expr> {
    vec![
        Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, to: reg::at(0) },
        Expr::Meta { key: MetaKey::Transport, to: reg::at(1) },
        Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, to: reg::at(2) },
    ]
}

#[test]
fn choosing_by_chance_remembering_and_refusing_are_listed() {
    const AIM: &[DataType] = &[DataType::Ipv4Addr, DataType::InetProto, DataType::InetService];
    const PLACE: &[DataType] = &[DataType::Ipv4Addr, DataType::InetService];
    const SERVICES: SetSpec = SetSpec::map("services", AIM, &[DataType::Verdict]);
    const ENDPOINTS: SetSpec = SetSpec::map(
        "endpoints",
        &[DataType::Ipv4Addr, DataType::InetProto, DataType::InetService, DataType::Mark],
        PLACE,
    );
    const KEPT: SetSpec = SetSpec {
        dynamic: Some(1000),
        ..SetSpec::map(
            "kept",
            &[DataType::Ipv4Addr, DataType::Ipv4Addr, DataType::InetProto, DataType::InetService],
            PLACE,
        )
    };
    isolated(|| {
        let table = Table::new(Family::Inet, "sample");
        let base = |kind, hook, priority| Some(Base { kind, hook, priority });
        let family = || {
            vec![
                Expr::Meta { key: MetaKey::Family, to: reg::at(0) },
                Expr::Cmp { from: reg::at(0), equal: true, data: vec![2] },
            ]
        };
        let choose = |count: u32| {
            let mut rule = aim();
            rule.push(Expr::Random { below: count, to: reg::at(3) });
            rule.push(Expr::Map { map: "endpoints".to_owned(), from: reg::at(0), to: reg::at(0) });
            rule.push(Expr::Dnat { family: 2, addr: reg::at(0), port: Some(reg::at(1)) });
            [family(), rule].concat()
        };
        let decide = [aim(), vec![Expr::Map { map: "services".to_owned(), from: reg::at(0), to: reg::VERDICT }]];
        let remember = vec![
            Expr::Payload { base: PayloadBase::Network, offset: 12, len: 4, to: reg::at(0) },
            Expr::CtOriginal { what: Original::Ipv4, to: reg::at(1) },
            Expr::Meta { key: MetaKey::Transport, to: reg::at(2) },
            Expr::CtOriginal { what: Original::Port, to: reg::at(3) },
            Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, to: reg::at(4) },
            Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, to: reg::at(5) },
            Expr::Remember { map: "kept".to_owned(), key: reg::at(0), data: reg::at(4), milliseconds: 10_800_000 },
        ];
        let tcp = vec![
            Expr::Meta { key: MetaKey::Transport, to: reg::at(0) },
            Expr::Cmp { from: reg::at(0), equal: true, data: vec![6] },
            Expr::Reject(Refusal::TcpReset),
        ];
        let mut batch = Batch::new();
        batch.push(table.add());
        for set in [&SERVICES, &ENDPOINTS, &KEPT] {
            batch.push(table.add_set(set));
        }
        batch.push(table.add_chain("of-2", None));
        batch.push(table.add_chain("pre", base(ChainType::Nat, Hook::Prerouting, -100)));
        batch.push(table.add_chain("after", base(ChainType::Filter, Hook::Prerouting, -90)));
        batch.push(table.add_chain("forward", base(ChainType::Filter, Hook::Forward, 0)));
        batch.push(table.add_rule("of-2", &choose(2)));
        batch.push(table.add_rule("of-2", &choose(1)));
        batch.push(table.add_rule("pre", &[family(), decide.concat()].concat()));
        batch.push(table.add_rule("after", &[family(), remember].concat()));
        batch.push(table.add_rule("forward", &tcp));
        batch.push(table.add_rule("forward", &[Expr::Reject(Refusal::PortUnreachable)]));
        let web = Element::key(&[&[10, 43, 0, 5], &[6], &[0, 80]]);
        let decided = vec![web.clone().deciding(Verdict::Goto("of-2".to_owned()))];
        batch.extend(table.add_elements(&SERVICES, &decided));
        let place = |n: u32| {
            Element::key(&[&[10, 43, 0, 5], &[6], &[0, 80], &n.to_ne_bytes()])
                .with_data(&[&[10, 42, 0, n as u8 + 2], &[0x1f, 0x90]])
        };
        batch.extend(table.add_elements(&ENDPOINTS, &[place(0), place(1)]));
        let mut socket = Socket::open(Protocol::Netfilter).unwrap();
        socket.run(&batch).unwrap();
        assert_eq!(table.dump_elements(&mut socket, &SERVICES).unwrap(), decided);
        let listed = nft(&["list", "ruleset"]);
        for part in [
            "10.43.0.5 . tcp . 80 : goto of-2",
            "10.43.0.5 . tcp . 80 . 0x00000001 : 10.42.0.3 . 8080",
            "numgen random mod 2 map @endpoints",
            "vmap @services",
            "ct original",
            "timeout 3h",
            "reject with tcp reset",
        ] {
            assert!(listed.contains(part), "{part} is not in\n{listed}");
        }
        println!("{listed}");
        nft(&["-j", "list", "ruleset"]);
    });
}
