//! Subnets for new networks, and addresses of one network: pure bookkeeping in memory.
//!
//! Addresses are given in turn, not the lowest free one: one that was just given back rests as long as possible.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::AddressPool;
use crate::network::{Subnet4, Subnet6};

/// Docker's ranges: 172.17 to 172.31 in /16, 192.168 in /20.
pub(crate) fn default_pools() -> Vec<AddressPool> {
    let pool = |base: [u8; 4], prefix, size| AddressPool { base: Subnet4::new(base.into(), prefix), size };
    let mut pools: Vec<_> = (17..32).map(|second| pool([172, second, 0, 0], 16, 16)).collect();
    pools.push(pool([192, 168, 0, 0], 16, 20));
    pools
}

/// The first subnet of the pools that overlaps with nothing taken.
pub(crate) fn choose_subnet(pools: &[AddressPool], taken: &[Subnet4]) -> Option<Subnet4> {
    pools.iter().find_map(|pool| {
        let size = pool.size.clamp(pool.base.prefix(), 32);
        let step = 1u64 << (32 - size);
        let count = 1u64 << (size - pool.base.prefix());
        let base = u64::from(pool.base.base().to_bits());
        (0..count)
            .map(|nth| Subnet4::new(Ipv4Addr::from_bits((base + nth * step) as u32), size))
            .find(|subnet| !taken.iter().any(|other| other.overlaps(*subnet)))
    })
}

/// The `nth` /64 of the instance's own unique local /48 that overlaps with nothing taken.
pub(crate) fn choose_subnet6(instance: &str, taken: &[Subnet6]) -> Option<Subnet6> {
    let global = u128::from(fnv(instance) & 0xff_ffff_ffff);
    (0..=u128::from(u16::MAX))
        .map(|nth| Subnet6::new(Ipv6Addr::from_bits(0xfd << 120 | global << 80 | nth << 64), 64))
        .find(|subnet| !taken.iter().any(|other| other.overlaps(*subnet)))
}

/// A number that stays the same for a text, for names and prefixes (FNV-1a).
pub(crate) fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Addresses of one network's IPv4 subnet.
#[derive(Debug, Clone)]
pub(crate) struct Leases4 {
    subnet: Subnet4,
    range: Subnet4,
    used: HashSet<Ipv4Addr>,
    next: u64,
}

/// Why an address cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Outside,
    InUse,
}

impl Leases4 {
    /// All free but the network's own, the broadcast and the reserved addresses.
    pub fn new(subnet: Subnet4, range: Option<Subnet4>, reserved: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let mut used: HashSet<_> = reserved.into_iter().collect();
        if subnet.prefix() < 31 {
            used.extend([subnet.base(), subnet.last()]);
        }
        Leases4 { subnet, range: range.unwrap_or(subnet), used, next: 0 }
    }

    pub fn subnet(&self) -> Subnet4 {
        self.subnet
    }

    /// The next free address of the range.
    pub fn take_any(&mut self) -> Option<Ipv4Addr> {
        let count = 1u64 << (32 - self.range.prefix());
        let base = u64::from(self.range.base().to_bits());
        for step in 0..count {
            let at = (self.next + step) % count;
            let addr = Ipv4Addr::from_bits((base + at) as u32);
            if self.used.insert(addr) {
                self.next = at + 1;
                return Some(addr);
            }
        }
        None
    }

    /// This address.
    pub fn take(&mut self, addr: Ipv4Addr) -> Result<(), Refusal> {
        if !self.subnet.contains(addr) {
            return Err(Refusal::Outside);
        }
        if self.used.insert(addr) { Ok(()) } else { Err(Refusal::InUse) }
    }

    pub fn give_back(&mut self, addr: Ipv4Addr) {
        self.used.remove(&addr);
    }
}

/// Addresses of one network's IPv6 subnet.
#[derive(Debug, Clone)]
pub(crate) struct Leases6 {
    subnet: Subnet6,
    range: Subnet6,
    used: HashSet<Ipv6Addr>,
    next: u128,
}

impl Leases6 {
    pub fn new(subnet: Subnet6, range: Option<Subnet6>, reserved: impl IntoIterator<Item = Ipv6Addr>) -> Self {
        let mut used: HashSet<_> = reserved.into_iter().collect();
        used.insert(subnet.base());
        Leases6 { subnet, range: range.unwrap_or(subnet), used, next: 0 }
    }

    pub fn subnet(&self) -> Subnet6 {
        self.subnet
    }

    /// The address with this host part if that is free (so that the Ethernet address of the same container stays with
    /// it), else the next free one.
    pub fn take_any(&mut self, like: Option<u128>) -> Option<Ipv6Addr> {
        let base = self.range.base().to_bits();
        if let Some(addr) = like.map(|host| Ipv6Addr::from_bits(base | host))
            && self.range.contains(addr)
            && self.used.insert(addr)
        {
            return Some(addr);
        }
        let count = 1u128.checked_shl(128 - u32::from(self.range.prefix())).unwrap_or(u128::MAX);
        // more than are in use have to be tried at most
        for step in 0..count.min(self.used.len() as u128 + 1) {
            let at = (self.next + step) % count;
            let addr = Ipv6Addr::from_bits(base + at);
            if self.used.insert(addr) {
                self.next = at + 1;
                return Some(addr);
            }
        }
        None
    }

    pub fn take(&mut self, addr: Ipv6Addr) -> Result<(), Refusal> {
        if !self.subnet.contains(addr) {
            return Err(Refusal::Outside);
        }
        if self.used.insert(addr) { Ok(()) } else { Err(Refusal::InUse) }
    }

    pub fn give_back(&mut self, addr: Ipv6Addr) {
        self.used.remove(&addr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Subnet4 {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_are_chosen_around_what_the_host_uses() {
        let pools = default_pools();
        assert_eq!(choose_subnet(&pools, &[]), Some(net("172.17.0.0/16")));
        let taken = [net("172.17.0.0/16"), net("172.18.4.0/24")];
        assert_eq!(choose_subnet(&pools, &taken), Some(net("172.19.0.0/16")));
        assert_eq!(choose_subnet(&pools, &[net("172.16.0.0/12")]), Some(net("192.168.0.0/20")));
        let taken = [net("172.16.0.0/12"), net("192.168.3.0/24")];
        assert_eq!(choose_subnet(&pools, &taken), Some(net("192.168.16.0/20")));
        assert_eq!(choose_subnet(&pools, &[net("0.0.0.0/0")]), None);
    }

    #[test]
    fn unique_local_prefixes_differ_between_instances() {
        let one = choose_subnet6("one", &[]).unwrap();
        let two = choose_subnet6("two", &[]).unwrap();
        assert_ne!(one, two);
        assert_eq!(one.base().octets()[0], 0xfd);
        assert_ne!(choose_subnet6("one", &[one]), Some(one));
    }

    #[test]
    fn addresses_are_given_in_turn_and_rest_when_given_back() {
        let mut leases = Leases4::new(net("10.0.0.0/29"), None, ["10.0.0.1".parse().unwrap()]);
        let mut take = || leases.take_any().map(|addr| addr.octets()[3]);
        assert_eq!((take(), take()), (Some(2), Some(3)));
        leases.give_back("10.0.0.2".parse().unwrap());
        let rest: Vec<_> = std::iter::from_fn(|| leases.take_any()).map(|addr| addr.octets()[3]).collect();
        assert_eq!(rest, [4, 5, 6, 2]);
        leases.give_back("10.0.0.5".parse().unwrap());
        assert_eq!(leases.take_any(), Some("10.0.0.5".parse().unwrap()));
    }

    #[test]
    fn wanted_addresses_are_checked() {
        let mut leases = Leases4::new(net("10.0.0.0/24"), Some(net("10.0.0.128/25")), []);
        assert_eq!(leases.take_any(), Some("10.0.0.128".parse().unwrap()));
        assert_eq!(leases.take("10.0.0.7".parse().unwrap()), Ok(()));
        assert_eq!(leases.take("10.0.0.7".parse().unwrap()), Err(Refusal::InUse));
        assert_eq!(leases.take("10.0.1.7".parse().unwrap()), Err(Refusal::Outside));
        assert_eq!(leases.take("10.0.0.255".parse().unwrap()), Err(Refusal::InUse));
    }

    #[test]
    fn an_ipv6_address_follows_its_ipv4_sibling() {
        let mut leases = Leases6::new("fd00::/64".parse().unwrap(), None, ["fd00::1".parse().unwrap()]);
        assert_eq!(leases.take_any(Some(5)), Some("fd00::5".parse().unwrap()));
        assert_eq!(leases.take_any(Some(5)), Some("fd00::2".parse().unwrap()));
        assert_eq!(leases.take_any(None), Some("fd00::3".parse().unwrap()));
    }
}
