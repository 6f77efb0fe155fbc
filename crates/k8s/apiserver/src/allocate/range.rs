//! Address ranges and port ranges: which member comes next, and which band is kept for those who ask for a certain one.
//!
//! The first members of a range are left to static requests; what is chosen by the server comes from the rest, at random, and from the first
//! ones only when the rest is used up.

use std::net::IpAddr;

use k8s_types::kinds::rules::{masked, parse_cidr};
use ring::rand::{SecureRandom, SystemRandom};

/// A range of addresses, all of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

/// Members numbered from 0; the first `band` are for static requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// How many there are.
    pub count: u128,
    /// How many of the first the server does not choose by itself.
    pub band: u128,
}

impl Cidr {
    /// Reads `10.43.0.0/16`.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (ip, prefix) = parse_cidr(text)?;
        Some(Cidr { base: masked(ip, prefix), prefix })
    }

    /// Whether it is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.base.is_ipv4()
    }

    /// Whether an address is in it, be it usable or not.
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.is_ipv4() && masked(ip, self.prefix) == self.base
    }

    /// Whether an address is in it and can be given to a service: not the network's own, of IPv4 not the broadcast address.
    pub fn usable(&self, ip: IpAddr) -> bool {
        let number = number_of(ip).wrapping_sub(number_of(self.base));
        self.contains(ip) && number >= 1 && (ip.is_ipv6() || number <= self.numbers().count)
    }

    /// Its usable addresses as numbers: number 0 is the first one after the network's own.
    pub fn numbers(&self) -> Numbers {
        let bits = if self.is_ipv4() { 32 } else { 128 } - u32::from(self.prefix);
        // more than 2^64 of IPv6 nobody needs
        let size = 1_u128 << bits.min(64);
        let count = if self.is_ipv4() { size.saturating_sub(2) } else { size - 1 };
        Numbers { count, band: band(size, 16, 256, 16) }
    }

    /// The usable address of that number.
    pub fn address(&self, number: u128) -> IpAddr {
        let at = number_of(self.base).wrapping_add(number).wrapping_add(1);
        match self.base {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(at).unwrap_or_default().into()),
            IpAddr::V6(_) => IpAddr::V6(at.into()),
        }
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl Numbers {
    /// The numbers of a range of ports.
    pub fn of_ports(first: u16, last: u16) -> Numbers {
        let count = u128::from(last.saturating_sub(first)) + 1;
        Numbers { count, band: band(count, 16, 128, 32) }
    }

    /// The first free number from a random one on, those of the band last.
    pub fn choose(&self, random: u64, mut free: impl FnMut(u128) -> bool) -> Option<u128> {
        let dynamic = self.count.saturating_sub(self.band);
        let start = if dynamic == 0 { 0 } else { u128::from(random) % dynamic };
        // nobody looks through a whole IPv6 range
        let tries = dynamic.min(1 << 22);
        let later = (0..tries).map(|i| self.band + (start + i) % dynamic);
        later.chain(0..self.band.min(self.count)).find(|number| free(*number))
    }
}

fn number_of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

fn band(size: u128, least: u128, most: u128, part: u128) -> u128 {
    if size <= 16 { 0 } else { (size / part).clamp(least, most) }
}

/// A random number to begin at.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    // without randomness the choice begins at the first
    let _ = SystemRandom::new().fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}
