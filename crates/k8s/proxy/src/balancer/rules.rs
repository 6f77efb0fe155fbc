//! The rules: the same whatever services there are.
//!
//! ```text
//! guard       (filter, prerouting, -110)  services that only some may use
//! prerouting  (nat, -105) ─▶ arrive: a client that is remembered, then services, then node ports at an address of this node
//!                            pods ─▶ depart
//! output      (nat, -105) ─▶ depart: the same, but who is inside reaches every place, whatever outsiders may
//! address4-N, port4-N     one of N places, by chance; place 0 if the number has just gone
//! remember, remember-out (filter, -95) ─▶ keep4-S: the client comes back to the same place for S seconds
//! refuse, refuse-out (filter, -5)         what was meant for a service and is not translated is refused at once
//!                         and nobody says that there is no name server while a daemon is being replaced: pods ask again a moment later
//! postrouting (nat, 95)                   a pod that reaches itself, and who would not get its answer through this node, is masqueraded
//! ```
//!
//! Every look-up has for its key only what the packet or its connection carries, never what another look-up gave: that is what people's tools can
//! list. Packets are marked with nothing.

use netlink::nft::{
    Base, ChainType, CtKey, Expr, Hook, MetaKey, Original, PayloadBase, Refusal, SetSpec, Verdict, reg,
};

use super::sets::{FAMILIES, Family, Kind, Set, affinity, names, pods, range};

/// Where things stand in packets of a family.
struct Header {
    number: u8,
    len: u32,
    source: u32,
    destination: u32,
    original: Original,
}

const HEADERS: [Header; 2] = [
    Header { number: 2, len: 4, source: 12, destination: 16, original: Original::Ipv4 },
    Header { number: 10, len: 16, source: 8, destination: 24, original: Original::Ipv6 },
];

impl Family {
    fn header(self) -> &'static Header {
        &HEADERS[self as usize]
    }

    /// Registers of an address.
    fn words(self) -> u32 {
        self.header().len / 4
    }
}

// bits of a connection's state and status
const NEW: u32 = 1 << 3;
const DESTINATION_TRANSLATED: u32 = 1 << 5;

/// Every chain that is always there.
pub(crate) fn chains() -> Vec<(String, Option<Base>)> {
    let base = |kind, hook, priority| Some(Base { kind, hook, priority });
    let mut chains = Vec::new();
    for family in FAMILIES {
        for name in ["arrive", "depart", "guard", "remember", "refuse", "leave", "hide"] {
            chains.push((format!("{name}{}", family.digit()), None));
        }
    }
    let hooked = [
        ("guard", base(ChainType::Filter, Hook::Prerouting, -110)),
        ("prerouting", base(ChainType::Nat, Hook::Prerouting, -105)),
        ("output", base(ChainType::Nat, Hook::Output, -105)),
        ("remember", base(ChainType::Filter, Hook::Prerouting, -95)),
        ("remember-out", base(ChainType::Filter, Hook::Output, -95)),
        ("refuse", base(ChainType::Filter, Hook::Forward, -5)),
        ("refuse-out", base(ChainType::Filter, Hook::Output, -5)),
        ("postrouting", base(ChainType::Nat, Hook::Postrouting, 95)),
    ];
    chains.extend(hooked.map(|(name, base)| (name.to_owned(), base)));
    chains
}

/// Every rule that is always there with its chain, in order.
pub(crate) fn rules() -> Vec<(String, Vec<Expr>)> {
    let mut rules = Vec::new();
    for family in FAMILIES {
        let mut add = |chain: &str, rule: Vec<Expr>| {
            // without it, people's tools would not know what the bytes of the header are
            let of_one = chain.ends_with(family.digit());
            rules.push((chain.to_owned(), if of_one { [of_family(family), rule].concat() } else { rule }));
        };
        let own = |chain: &str| format!("{chain}{}", family.digit());
        let to = |chain: &str| [of_family(family), go(&own(chain))].concat();
        add("guard", [is_new(), to("guard")].concat());
        add("prerouting", to("arrive"));
        add("output", to("depart"));
        for chain in ["remember", "remember-out"] {
            add(chain, [is_new(), is_translated(), to("remember")].concat());
        }
        add("refuse", to("refuse"));
        add("refuse-out", unanswered(family));
        add("refuse-out", to("refuse"));
        add("postrouting", [is_translated(), to("leave")].concat());

        let guard = [
            aim(family, 0),
            inside(Set::Ranged.spec(family), true),
            aim(family, 0),
            vec![source(family, family.words() + 2)],
            inside(Set::Allowed.spec(family), false),
            vec![Expr::Verdict(Verdict::Drop)],
        ];
        add(&own("guard"), guard.concat());

        add(&own("arrive"), [from_pods(family), go(&own("depart"))].concat());
        add(&own("arrive"), remembered(family));
        add(&own("arrive"), decide(aim(family, 0), Set::Services.spec(family)));
        add(&own("arrive"), [to_node(family), decide(port(0), Set::Ports.spec(family))].concat());

        add(&own("depart"), remembered(family));
        add(&own("depart"), decide(aim(family, 0), Set::Inside.spec(family)));
        add(&own("depart"), decide(aim(family, 0), Set::Services.spec(family)));
        add(&own("depart"), [is_local(), decide(port(0), Set::InsidePorts.spec(family))].concat());
        add(&own("depart"), [is_local(), decide(port(0), Set::Ports.spec(family))].concat());

        add(&own("remember"), decide(meant(family, 0), Set::Sticky.spec(family)));
        add(&own("remember"), decide(meant_port(0), Set::StickyPorts.spec(family)));

        add(&own("refuse"), [is_local(), vec![Expr::Verdict(Verdict::Return)]].concat());
        let to_range = || [vec![destination(family, 0)], inside(range(family), true)].concat();
        let to_refused = || [aim(family, 0), inside(Set::Refused.spec(family), true)].concat();
        for meant in [to_refused(), to_range()] {
            add(&own("refuse"), [meant.clone(), tcp(), vec![Expr::Reject(Refusal::TcpReset)]].concat());
            add(&own("refuse"), [meant, vec![Expr::Reject(Refusal::PortUnreachable)]].concat());
        }

        let itself = [vec![source(family, 0), destination(family, family.words())]].concat();
        let masquerade = || vec![Expr::Masquerade];
        add(&own("leave"), [itself, inside(Set::Hairpin.spec(family), true), masquerade()].concat());
        let meant_for = vec![Expr::CtOriginal { what: family.header().original, to: reg::at(0) }];
        for set in [range(family), Set::Outer.spec(family)] {
            add(&own("leave"), [meant_for.clone(), inside(set, true), go(&own("hide"))].concat());
        }
        add(&own("leave"), [meant_port(0), inside(Set::Own.spec(family), true), go(&own("hide"))].concat());

        let from = |set| [vec![source(family, 0)], inside(set, true)].concat();
        // the host itself: on the way to a service it has the link's address
        add(&own("hide"), [from(range(family)), masquerade()].concat());
        add(&own("hide"), [from_loopback(family), masquerade()].concat());
        let keeps = || vec![Expr::Verdict(Verdict::Return)];
        add(&own("hide"), [from_pods(family), keeps()].concat());
        let here = [vec![destination(family, 0)], inside(Set::Local.spec(family), true)].concat();
        add(&own("hide"), [here, keeps()].concat());
        add(&own("hide"), masquerade());
    }
    rules
}

/// Rules of the chain that chooses one of `count` places.
pub(crate) fn spread(kind: Kind, family: Family, count: u32) -> Vec<Vec<Expr>> {
    let choose = |count: u32| {
        let (mut rule, next, map) = match kind {
            Kind::Address => (aim(family, 0), family.words() + 2, Set::Ends.spec(family)),
            Kind::Port => (port(0), 2, Set::PortEnds.spec(family)),
        };
        rule.push(Expr::Random { below: count, to: reg::at(next) });
        rule.extend(translate(family, map));
        [of_family(family), rule].concat()
    };
    // the second is for who was counted just before the number went down
    if count > 1 { vec![choose(count), choose(1)] } else { vec![choose(1)] }
}

/// The rule of the chain that remembers clients for some seconds.
pub(crate) fn keep(family: Family, seconds: u32) -> Vec<Expr> {
    let words = family.words();
    let mut rule = of_family(family);
    rule.push(source(family, 0));
    rule.extend(meant(family, words));
    let data = 2 * words + 2;
    rule.push(destination(family, data));
    rule.push(destination_port(data + words));
    rule.push(Expr::Remember {
        map: affinity(family).name.to_owned(),
        key: reg::at(0),
        data: reg::at(data),
        milliseconds: u64::from(seconds) * 1000,
    });
    rule
}

fn of_family(family: Family) -> Vec<Expr> {
    vec![
        Expr::Meta { key: MetaKey::Family, to: reg::at(0) },
        Expr::Cmp { from: reg::at(0), equal: true, data: vec![family.header().number] },
    ]
}

fn go(chain: &str) -> Vec<Expr> {
    vec![Expr::Verdict(Verdict::Goto(chain.to_owned()))]
}

fn source(family: Family, at: u32) -> Expr {
    let header = family.header();
    Expr::Payload { base: PayloadBase::Network, offset: header.source, len: header.len, to: reg::at(at) }
}

fn destination(family: Family, at: u32) -> Expr {
    let header = family.header();
    Expr::Payload { base: PayloadBase::Network, offset: header.destination, len: header.len, to: reg::at(at) }
}

fn destination_port(at: u32) -> Expr {
    Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, to: reg::at(at) }
}

/// Protocol and port.
fn port(at: u32) -> Vec<Expr> {
    vec![Expr::Meta { key: MetaKey::Transport, to: reg::at(at) }, destination_port(at + 1)]
}

/// Address, protocol and port.
fn aim(family: Family, at: u32) -> Vec<Expr> {
    [vec![destination(family, at)], port(at + family.words())].concat()
}

/// Protocol and port that the connection was meant for.
fn meant_port(at: u32) -> Vec<Expr> {
    vec![
        Expr::Meta { key: MetaKey::Transport, to: reg::at(at) },
        Expr::CtOriginal { what: Original::Port, to: reg::at(at + 1) },
    ]
}

/// Address, protocol and port that the connection was meant for.
fn meant(family: Family, at: u32) -> Vec<Expr> {
    let address = Expr::CtOriginal { what: family.header().original, to: reg::at(at) };
    [vec![address], meant_port(at + family.words())].concat()
}

fn inside(set: SetSpec, present: bool) -> Vec<Expr> {
    vec![Expr::Lookup { set: set.name.to_owned(), from: reg::at(0), present }]
}

fn decide(key: Vec<Expr>, map: SetSpec) -> Vec<Expr> {
    [key, vec![Expr::Map { map: map.name.to_owned(), from: reg::at(0), to: reg::VERDICT }]].concat()
}

fn translate(family: Family, map: SetSpec) -> Vec<Expr> {
    vec![
        Expr::Map { map: map.name.to_owned(), from: reg::at(0), to: reg::at(0) },
        Expr::Dnat { family: family.header().number, addr: reg::at(0), port: Some(reg::at(family.words())) },
    ]
}

/// A client that has been here goes where it went.
fn remembered(family: Family) -> Vec<Expr> {
    [vec![source(family, 0)], aim(family, family.words()), translate(family, affinity(family))].concat()
}

/// The node's word to a pod that nobody listens at the name server's address.
fn unanswered(family: Family) -> Vec<Expr> {
    let icmp = if family == Family::V4 { 1 } else { 58 };
    let rule = [
        of_family(family),
        vec![
            Expr::Meta { key: MetaKey::Transport, to: reg::at(0) },
            Expr::Cmp { from: reg::at(0), equal: true, data: vec![icmp] },
            source(family, 0),
        ],
        inside(names(family), true),
        vec![destination(family, 0)],
        inside(pods(family), true),
        vec![Expr::Verdict(Verdict::Drop)],
    ];
    rule.concat()
}

fn from_pods(family: Family) -> Vec<Expr> {
    [vec![source(family, 0)], inside(pods(family), true)].concat()
}

/// To an address of this node.
fn is_local() -> Vec<Expr> {
    const LOCAL: u32 = 2;
    vec![
        Expr::FibDestinationType { to: reg::at(0) },
        Expr::Cmp { from: reg::at(0), equal: true, data: LOCAL.to_ne_bytes().to_vec() },
    ]
}

/// The same from outside, which never means the loopback.
fn to_node(family: Family) -> Vec<Expr> {
    let mut rule = is_local();
    match family {
        Family::V4 => {
            rule.push(Expr::Payload { base: PayloadBase::Network, offset: 16, len: 1, to: reg::at(0) });
            rule.push(Expr::Cmp { from: reg::at(0), equal: false, data: vec![127] });
        }
        Family::V6 => {
            rule.push(destination(family, 0));
            rule.push(Expr::Cmp { from: reg::at(0), equal: false, data: [[0; 15].as_slice(), &[1]].concat() });
        }
    }
    rule
}

fn from_loopback(family: Family) -> Vec<Expr> {
    match family {
        Family::V4 => vec![
            Expr::Payload { base: PayloadBase::Network, offset: 12, len: 1, to: reg::at(0) },
            Expr::Cmp { from: reg::at(0), equal: true, data: vec![127] },
        ],
        Family::V6 => vec![
            source(family, 0),
            Expr::Cmp { from: reg::at(0), equal: true, data: [[0; 15].as_slice(), &[1]].concat() },
        ],
    }
}

fn tcp() -> Vec<Expr> {
    vec![
        Expr::Meta { key: MetaKey::Transport, to: reg::at(0) },
        Expr::Cmp { from: reg::at(0), equal: true, data: vec![6] },
    ]
}

fn bits(key: CtKey, mask: u32) -> Vec<Expr> {
    vec![
        Expr::Ct { key, to: reg::at(0) },
        Expr::Mask { from: reg::at(0), to: reg::at(0), mask: mask.to_ne_bytes().to_vec() },
        Expr::Cmp { from: reg::at(0), equal: false, data: vec![0; 4] },
    ]
}

fn is_new() -> Vec<Expr> {
    bits(CtKey::State, NEW)
}

fn is_translated() -> Vec<Expr> {
    bits(CtKey::Status, DESTINATION_TRANSLATED)
}
