//! Under which addresses a registry is to be had: mirrors, TLS, and plain HTTP where that is allowed.

use std::net::{IpAddr, Ipv4Addr};

use spec::reference::DEFAULT_DOMAIN;

use crate::url::{Origin, Url};
use crate::{ClientConfig, Error, Result};

/// The host behind Docker Hub's name.
const HUB: &str = "registry-1.docker.io";

/// One way to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) origin: Origin,
    /// Whether the server has to prove its name.
    pub(crate) trust: Trust,
    /// A mirror: gets no credentials and is left at the first trouble.
    pub(crate) mirror: bool,
}

/// Whom to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    /// Certificates of the system's authorities and of the registry's own folder.
    Verified,
    /// Any certificate.
    Anyone,
}

/// Whether mirrors are to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mirrors {
    Ask,
    PassBy,
}

/// Registries spoken to without trust.
#[derive(Clone, Debug)]
pub(crate) struct Insecure {
    hosts: Vec<String>,
    ranges: Vec<(IpAddr, u8)>,
}

impl Insecure {
    /// Reads `host[:port]` and `address/bits`.
    pub(crate) fn parse(settings: &[String]) -> Result<Insecure> {
        let (mut hosts, mut ranges) =
            (Vec::new(), vec![(IpAddr::from([127, 0, 0, 0]), 8), (IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1]), 128)]);
        for value in settings {
            let bad = |reason: &str| Error::Setting {
                setting: "insecure registry",
                value: value.clone(),
                reason: reason.to_owned(),
            };
            if value.contains("://") {
                return Err(bad("must not contain a scheme"));
            }
            match value.split_once('/') {
                Some((address, bits)) => {
                    let address: IpAddr = address.parse().map_err(|_| bad("not an address range"))?;
                    let bits: u8 = bits.parse().map_err(|_| bad("not an address range"))?;
                    if bits > if address.is_ipv4() { 32 } else { 128 } {
                        return Err(bad("not an address range"));
                    }
                    ranges.push((address, bits));
                }
                None => {
                    Origin::of_domain(value, true).map_err(|_| bad("not a host"))?;
                    hosts.push(value.to_ascii_lowercase());
                }
            }
        }
        Ok(Insecure { hosts, ranges })
    }

    fn has(&self, domain: &str, origin: &Origin) -> bool {
        if self.hosts.contains(&domain.to_ascii_lowercase()) {
            return true;
        }
        let address = match origin.host.as_str() {
            "localhost" => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
            host => host.parse().ok(),
        };
        address.is_some_and(|address| self.ranges.iter().any(|(range, bits)| within(address, *range, *bits)))
    }
}

/// Every way to `domain`, best first: mirrors of Docker Hub, TLS, and plain HTTP for insecure registries.
pub(crate) fn candidates(
    domain: &str,
    config: &ClientConfig,
    insecure: &Insecure,
    mirrors: Mirrors,
) -> Result<Vec<Endpoint>> {
    let mut list = Vec::new();
    if domain == DEFAULT_DOMAIN {
        if mirrors == Mirrors::Ask {
            for mirror in &config.mirrors {
                let origin = Url::parse(mirror)?.origin;
                let name = origin.authority();
                let trust = if insecure.has(&name, &origin) { Trust::Anyone } else { Trust::Verified };
                list.push(Endpoint { origin, trust, mirror: true });
            }
        }
        let origin = Origin::of_domain(HUB, true)?;
        list.push(Endpoint { origin, trust: Trust::Verified, mirror: false });
        return Ok(list);
    }
    let origin = Origin::of_domain(domain, true)?;
    if insecure.has(domain, &origin) {
        list.push(Endpoint { origin, trust: Trust::Anyone, mirror: false });
        let plain = Origin::of_domain(domain, false)?;
        list.push(Endpoint { origin: plain, trust: Trust::Anyone, mirror: false });
    } else {
        list.push(Endpoint { origin, trust: Trust::Verified, mirror: false });
    }
    Ok(list)
}

fn within(address: IpAddr, range: IpAddr, bits: u8) -> bool {
    let (address, range, width) = match (address, range) {
        (IpAddr::V4(a), IpAddr::V4(r)) => (u128::from(a.to_bits()), u128::from(r.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(r)) => (a.to_bits(), r.to_bits(), 128),
        _ => return false,
    };
    let shift = u32::from(width - bits);
    address.checked_shr(shift).unwrap_or(0) == range.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(domain: &str, config: &ClientConfig) -> Vec<String> {
        let insecure = Insecure::parse(&config.insecure).unwrap();
        let list = candidates(domain, config, &insecure, Mirrors::Ask).unwrap();
        list.iter().map(|e| format!("{} {:?} {}", e.origin.at("/"), e.trust, e.mirror)).collect()
    }

    #[test]
    fn only_loopback_and_what_is_named_goes_without_trust() {
        let config = ClientConfig {
            insecure: vec!["reg.example:5000".into(), "10.0.0.0/8".into()],
            mirrors: vec!["https://mirror.example/".into()],
            ..ClientConfig::default()
        };
        let plain = |name: &str| vec![format!("https://{name}/ Anyone false"), format!("http://{name}/ Anyone false")];
        assert_eq!(shown("127.0.0.1:5000", &config), plain("127.0.0.1:5000"));
        assert_eq!(shown("localhost:5000", &config), plain("localhost:5000"));
        assert_eq!(shown("[::1]:5000", &config), plain("[::1]:5000"));
        assert_eq!(shown("reg.example:5000", &config), plain("reg.example:5000"));
        assert_eq!(shown("10.1.2.3", &config), plain("10.1.2.3"));
        assert_eq!(shown("reg.example", &config), ["https://reg.example/ Verified false"]);
        assert_eq!(shown("11.1.2.3", &config), ["https://11.1.2.3/ Verified false"]);
        assert_eq!(
            shown("docker.io", &config),
            ["https://mirror.example/ Verified true", "https://registry-1.docker.io/ Verified false"]
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for bad in ["http://x", "1.2.3.4/33", "x/y", ""] {
            assert!(Insecure::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(!within("128.0.0.1".parse().unwrap(), "127.0.0.0".parse().unwrap(), 8));
        assert!(within("1.2.3.4".parse().unwrap(), "9.9.9.9".parse().unwrap(), 0));
    }
}
