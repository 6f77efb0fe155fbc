//! The names and addresses under which this machine can be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The machine's name, with its first label where it has several. Empty where it is no DNS name.
pub fn names() -> Vec<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let mut names = Vec::new();
    if is_dns(&name) {
        if let Some((first, _)) = name.split_once('.') {
            names.push(first.to_owned());
        }
        names.push(name);
    }
    names
}

/// Addresses of the machine's interfaces that others may reach it by, without link-local ones, as the kernel lists them.
pub fn addresses() -> Vec<IpAddr> {
    let v4 = std::fs::read_to_string("/proc/net/fib_trie").map(|text| local_v4(&text)).unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/net/if_inet6").map(|text| global_v6(&text)).unwrap_or_default();
    v4.into_iter().map(IpAddr::V4).chain(v6.into_iter().map(IpAddr::V6)).collect()
}

/// The entries of type LOCAL; the address stands on the line before its type.
fn local_v4(fib_trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in fib_trie.lines() {
        match line.trim().strip_prefix("|-- ") {
            Some(address) => last = address.trim().parse::<Ipv4Addr>().ok(),
            None if line.contains("/32 host LOCAL") => {
                if let Some(address) = last.filter(|address| !address.is_loopback() && !address.is_link_local())
                    && !found.contains(&address)
                {
                    found.push(address);
                }
            }
            None => {}
        }
    }
    found
}

/// The first column is the address, the fourth its scope; 00 is global.
fn global_v6(if_inet6: &str) -> Vec<Ipv6Addr> {
    if_inet6
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let address = u128::from_str_radix(columns.next()?, 16).ok()?;
            (columns.nth(2)? == "00").then_some(Ipv6Addr::from(address))
        })
        .collect()
}

fn is_dns(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_told_from_networks() {
        let text = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.1.0.0/24 2\n        \
                    |-- 10.1.0.0\n           /24 link UNICAST\n        |-- 10.1.0.7\n           /32 host LOCAL\nLocal:\n     \
                    |-- 10.1.0.7\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local_v4(text), [Ipv4Addr::new(10, 1, 0, 7)]);
    }

    #[test]
    fn only_global_v6_addresses_count() {
        let text = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    fe800000000000000042acfffe110002 02 40 20 80     eth0\n\
                    20010db8000000000000000000000007 02 40 00 80     eth0\n";
        assert_eq!(global_v6(text), ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]);
    }
}
