//! The elements that one service stands for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::choose::{Chosen, arrange, choose};
use super::sets::{FAMILIES, Family, Key, Place, Set, Value, octets};
use crate::config::{Config, Subnet};
use crate::facts::{self, Here, Policy, Port};

/// What clients aim at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Aim {
    Address(IpAddr, u8, u16),
    Port(Family, u8, u16),
}

/// A service as it is in the table.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub entries: Vec<(Key, Value)>,
    /// The numbered places behind each aim.
    pub places: HashMap<Aim, Vec<Place>>,
    /// Whether clients are remembered.
    pub sticky: bool,
    /// Where the health check is asked, and how many endpoints there are on this node.
    pub health: Option<(u16, usize)>,
}

/// How a service is laid out; `before` keeps the numbers of places that stay.
pub(crate) fn plan(
    service: &Service,
    slices: &[Arc<EndpointSlice>],
    config: &Config,
    here: &Here,
    before: &Plan,
) -> Plan {
    let addresses = facts::cluster_ips(service);
    let mut plan = Plan { sticky: facts::affinity(service).is_some(), ..Plan::default() };
    if addresses.is_empty() {
        return plan;
    }
    let mut local = 0;
    for port in facts::ports(service) {
        let backends = facts::backends(slices, &port);
        for family in FAMILIES {
            if !addresses.iter().any(|address| Family::of(*address) == family) {
                continue;
            }
            let of_family: Vec<_> =
                backends.iter().filter(|backend| Family::of(backend.address) == family).cloned().collect();
            let chosen = choose(&of_family, here);
            local = local.max(chosen.local.len());
            let mut layout = Layout { service, config, family, port: &port, before, plan: &mut plan };
            layout.lay(&addresses, &chosen);
        }
    }
    plan.health = facts::health_port(service).map(|port| (port, local));
    plan
}

/// One port of a service in one family.
struct Layout<'a> {
    service: &'a Service,
    config: &'a Config,
    family: Family,
    port: &'a Port,
    before: &'a Plan,
    plan: &'a mut Plan,
}

impl Layout<'_> {
    fn lay(&mut self, addresses: &[IpAddr], chosen: &Chosen) {
        let own = |address: &&IpAddr| Family::of(**address) == self.family;
        let served = |address: &IpAddr| self.config.served.contains(&(*address, self.port.port).into());
        let internal = facts::internal_policy(self.service);
        let addresses: Vec<IpAddr> = addresses.iter().filter(own).filter(|it| !served(it)).copied().collect();
        for address in addresses {
            let aim = Aim::Address(address, self.port.protocol, self.port.port);
            match internal {
                Policy::Cluster => self.open(aim, &[], &chosen.cluster, Policy::Cluster),
                // nobody else's endpoints, not even for who is inside
                Policy::Local if chosen.local.is_empty() && !chosen.cluster.is_empty() => self.decide(aim, Value::Drop),
                Policy::Local => self.open(aim, &chosen.local, &[], Policy::Cluster),
            }
        }
        let external = facts::external(self.service);
        let policy = facts::external_policy(self.service);
        let others: Vec<Place> = chosen.cluster.iter().filter(|place| !chosen.local.contains(place)).copied().collect();
        let (first, rest) = match policy {
            Policy::Cluster => (&[][..], &chosen.cluster[..]),
            Policy::Local => (&chosen.local[..], &others[..]),
        };
        for address in external.addresses.iter().chain(&external.balanced) {
            if Family::of(*address) == self.family {
                self.open(Aim::Address(*address, self.port.protocol, self.port.port), first, rest, policy);
                self.put(Set::Outer, &[&octets(*address)], Value::Present);
            }
        }
        for address in &external.balanced {
            self.limit(*address);
        }
        if self.port.node_port != 0 {
            self.open(Aim::Port(self.family, self.port.protocol, self.port.node_port), first, rest, policy);
            self.put(Set::Own, &[&[self.port.protocol], &self.port.node_port.to_be_bytes()], Value::Present);
        }
        for place in &chosen.local {
            let address = octets(place.address);
            self.put(Set::Local, &[&address], Value::Present);
            self.put(Set::Hairpin, &[&address, &address], Value::Present);
        }
    }

    /// Leads an aim to places. With the policy `Local`, who is outside reaches the first of them only.
    fn open(&mut self, aim: Aim, first: &[Place], rest: &[Place], policy: Policy) {
        let before = self.before.places.get(&aim).map_or(&[][..], Vec::as_slice);
        let places = arrange(before, first, rest);
        for (number, place) in (0u32..).zip(&places) {
            self.place(aim, number, *place);
        }
        let all = places.len() as u32;
        let outside = if policy == Policy::Local { first.len() as u32 } else { all };
        match (outside, all) {
            (0, 0) => self.refuse(aim),
            (0, _) => self.decide(aim, Value::Drop),
            (count, _) => self.decide(aim, Value::Spread(count)),
        }
        if all != outside {
            self.put_aim(Set::Inside, Set::InsidePorts, aim, Value::Spread(all));
        }
        if let Some(seconds) = facts::affinity(self.service) {
            self.put_aim(Set::Sticky, Set::StickyPorts, aim, Value::Keep(seconds));
        }
        self.plan.places.insert(aim, places);
    }

    fn decide(&mut self, aim: Aim, value: Value) {
        self.put_aim(Set::Services, Set::Ports, aim, value);
    }

    /// What is aimed at a port of the node is refused by the node itself.
    fn refuse(&mut self, aim: Aim) {
        if let Aim::Address(address, protocol, port) = aim {
            self.put(Set::Refused, &[&octets(address), &[protocol], &port.to_be_bytes()], Value::Present);
        }
    }

    fn place(&mut self, aim: Aim, number: u32, place: Place) {
        // as a number that is compared, not read: in the host's order
        let number = number.to_ne_bytes();
        match aim {
            Aim::Address(address, protocol, port) => {
                let fields: [&[u8]; 4] = [&octets(address), &[protocol], &port.to_be_bytes(), &number];
                self.put(Set::Ends, &fields, Value::Place(place));
            }
            Aim::Port(_, protocol, port) => {
                self.put(Set::PortEnds, &[&[protocol], &port.to_be_bytes(), &number], Value::Place(place));
            }
        }
    }

    fn put_aim(&mut self, by_address: Set, by_port: Set, aim: Aim, value: Value) {
        match aim {
            Aim::Address(address, protocol, port) => {
                self.put(by_address, &[&octets(address), &[protocol], &port.to_be_bytes()], value);
            }
            Aim::Port(_, protocol, port) => self.put(by_port, &[&[protocol], &port.to_be_bytes()], value),
        }
    }

    fn put(&mut self, set: Set, fields: &[&[u8]], value: Value) {
        self.plan.entries.push((Key::new(set, self.family, fields), value));
    }

    /// Only who comes from the ranges that the service names may use a balanced address.
    fn limit(&mut self, address: IpAddr) {
        let ranges = self.service.spec.as_ref().and_then(|spec| spec.load_balancer_source_ranges.as_ref());
        let Some(ranges) = ranges.filter(|ranges| !ranges.is_empty() && Family::of(address) == self.family) else {
            return;
        };
        let (octets_of, protocol, port) = (octets(address), [self.port.protocol], self.port.port.to_be_bytes());
        self.put(Set::Ranged, &[&octets_of, &protocol, &port], Value::Present);
        let subnets = ranges.iter().filter_map(|range| range.trim().parse::<Subnet>().ok());
        for (first, last) in merged(subnets.filter(|subnet| Family::of(subnet.base) == self.family)) {
            let ends = [first, last].map(octets);
            let [low, high] = ends.each_ref().map(|end| [&octets_of[..], &protocol, &port, end]);
            self.plan.entries.push((Key::ranged(Set::Allowed, self.family, &low, &high), Value::Present));
        }
    }
}

/// Ranges of one family without those that lie in others: the kernel takes none that overlap.
fn merged(subnets: impl Iterator<Item = Subnet>) -> Vec<(IpAddr, IpAddr)> {
    let mut ranges: Vec<_> = subnets.map(|subnet| subnet.ends()).collect();
    ranges.sort_by_key(|range| (range.0, std::cmp::Reverse(range.1)));
    let mut outer: Vec<(IpAddr, IpAddr)> = Vec::new();
    for range in ranges {
        // of two subnets that meet, one is in the other
        if outer.last().is_none_or(|last| range.0 > last.1) {
            outer.push(range);
        }
    }
    outer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn laid(service: Json, slices: Json) -> Vec<String> {
        let service: Service = serde_json::from_value(json!({ "spec": service })).unwrap();
        let slices: Vec<EndpointSlice> = serde_json::from_value(slices).unwrap();
        let slices: Vec<_> = slices.into_iter().map(Arc::new).collect();
        let here = Here { node: "a".into(), zone: String::new() };
        let plan = plan(&service, &slices, &Config::new("a", "test"), &here, &Plan::default());
        let mut lines: Vec<_> = plan
            .entries
            .iter()
            .map(|(key, value)| {
                let element = key.element(value);
                let value = match value {
                    Value::Place(place) => format!("{}:{}", place.address, place.port),
                    other => format!("{other:?}"),
                };
                format!("{} {:?} {value}", key.set().spec(key.family()).name, element.key)
            })
            .collect();
        lines.sort();
        lines
    }

    fn slice(endpoints: Json) -> Json {
        json!([{"addressType": "IPv4", "ports": [{"port": 8080, "protocol": "TCP"}], "endpoints": endpoints}])
    }

    #[test]
    fn a_service_is_a_few_elements() {
        let spec = json!({"clusterIP": "10.43.0.5", "clusterIPs": ["10.43.0.5"], "ports": [{"port": 80}]});
        let two = slice(
            json!([{"addresses": ["10.42.0.2"], "nodeName": "a"}, {"addresses": ["10.42.1.3"], "nodeName": "b"}]),
        );
        assert_eq!(
            laid(spec.clone(), two),
            [
                "ends4 [10, 43, 0, 5, 6, 0, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0] 10.42.0.2:8080",
                "ends4 [10, 43, 0, 5, 6, 0, 0, 0, 0, 80, 0, 0, 1, 0, 0, 0] 10.42.1.3:8080",
                "hairpin4 [10, 42, 0, 2, 10, 42, 0, 2] Present",
                "local4 [10, 42, 0, 2] Present",
                "services4 [10, 43, 0, 5, 6, 0, 0, 0, 0, 80, 0, 0] Spread(2)",
            ]
        );
        assert_eq!(laid(spec, slice(json!([]))), ["refused4 [10, 43, 0, 5, 6, 0, 0, 0, 0, 80, 0, 0] Present"]);
        assert_eq!(laid(json!({"clusterIP": "None", "ports": [{"port": 80}]}), json!([])), [""; 0]);
        let served = json!({"clusterIP": "10.43.0.10", "ports": [{"port": 53}]});
        assert_eq!(laid(served, json!([])), [""; 0], "what the daemon serves itself is left alone");
    }

    #[test]
    fn outsiders_reach_only_local_places_where_that_is_wanted() {
        let spec = |policy: &str| {
            json!({"type": "NodePort", "clusterIP": "10.43.0.5", "externalTrafficPolicy": policy,
                "ports": [{"port": 80, "nodePort": 30080}]})
        };
        let ports = |policy, endpoints: Json| -> Vec<String> {
            let lines = laid(spec(policy), slice(endpoints));
            let decided = lines.into_iter().filter(|line| line.starts_with("ports4") || line.starts_with("inside"));
            decided.map(|line| format!("{} {}", &line[..7], line.rsplit(' ').next().unwrap())).collect()
        };
        let both =
            || json!([{"addresses": ["10.42.0.2"], "nodeName": "a"}, {"addresses": ["10.42.1.3"], "nodeName": "b"}]);
        let far = || json!([{"addresses": ["10.42.1.3"], "nodeName": "b"}]);
        assert_eq!(ports("Cluster", both()), ["ports4  Spread(2)"]);
        assert_eq!(ports("Local", both()), ["inside- Spread(2)", "ports4  Spread(1)"]);
        assert_eq!(ports("Local", far()), ["inside- Spread(1)", "ports4  Drop"]);
        assert_eq!(ports("Local", json!([])), [""; 0]);
    }

    #[test]
    fn ranges_that_lie_in_others_are_left_out() {
        let subnets = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "10.0.0.0/8"].map(|it| it.parse().unwrap());
        let ranges = merged(subnets.into_iter());
        assert_eq!(ranges.len(), 2);
        assert_eq!(ranges[0].1, IpAddr::from([10, 255, 255, 255]));
    }
}
