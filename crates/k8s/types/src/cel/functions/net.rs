//! Addresses, networks and locators.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::{Cost, Function, Outcome, no_overload};
use crate::cel::EvalError;
use crate::cel::value::{List, Map, Value};

/// An address, IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip(pub(crate) IpAddr);

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    pub(crate) address: Ip,
    pub(crate) prefix: u8,
}

/// A locator in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    host: String,
    path: String,
    query: String,
}

/// `ip`, `cidr`, `url` and what they have.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "ip",
        signatures: &["(string): net.IP", ".(net.CIDR): net.IP"],
        cost: Cost::Text(1),
        run: |args| match &args[0] {
            Value::Cidr(cidr) => Ok(Value::Ip(cidr.address)),
            value => parsed(value, Ip::parse).map(Value::Ip),
        },
    },
    Function { name: "isIP", signatures: &["(string): bool"], cost: Cost::Text(1), run: |args| is(args, Ip::parse) },
    Function {
        name: "ip.isCanonical",
        signatures: &["(string): bool"],
        cost: Cost::Text(2),
        run: |args| {
            let ip = parsed(&args[0], Ip::parse)?;
            Ok(Value::Bool(args[0].as_str() == Some(&ip.to_string())))
        },
    },
    Function {
        name: "family",
        signatures: &[".(net.IP): int"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Ip(ip) => Ok(Value::Int(if ip.0.is_ipv4() { 4 } else { 6 })),
            _ => no_overload(),
        },
    },
    Function {
        name: "isUnspecified",
        signatures: &[".(net.IP): bool"],
        cost: Cost::One,
        run: |args| about(args, |ip| ip.is_unspecified()),
    },
    Function {
        name: "isLoopback",
        signatures: &[".(net.IP): bool"],
        cost: Cost::One,
        run: |args| about(args, |ip| ip.is_loopback()),
    },
    Function {
        name: "isLinkLocalMulticast",
        signatures: &[".(net.IP): bool"],
        cost: Cost::One,
        run: |args| about(args, link_local_multicast),
    },
    Function {
        name: "isLinkLocalUnicast",
        signatures: &[".(net.IP): bool"],
        cost: Cost::One,
        run: |args| about(args, link_local_unicast),
    },
    Function {
        name: "isGlobalUnicast",
        signatures: &[".(net.IP): bool"],
        cost: Cost::One,
        run: |args| {
            about(args, |ip| {
                let broadcast = *ip == IpAddr::V4(Ipv4Addr::BROADCAST);
                !(broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local_unicast(ip))
            })
        },
    },
    Function {
        name: "cidr",
        signatures: &["(string): net.CIDR"],
        cost: Cost::Text(1),
        run: |args| parsed(&args[0], Cidr::parse).map(Value::Cidr),
    },
    Function {
        name: "isCIDR",
        signatures: &["(string): bool"],
        cost: Cost::Text(1),
        run: |args| is(args, Cidr::parse),
    },
    Function {
        name: "containsIP",
        signatures: &[".(net.CIDR, string): bool", ".(net.CIDR, net.IP): bool"],
        cost: Cost::TextOfSecond,
        run: |args| {
            let Value::Cidr(cidr) = &args[0] else { return no_overload() };
            let ip = match &args[1] {
                Value::Ip(ip) => *ip,
                value => parsed(value, Ip::parse)?,
            };
            Ok(Value::Bool(cidr.contains(ip)))
        },
    },
    Function {
        name: "containsCIDR",
        signatures: &[".(net.CIDR, string): bool", ".(net.CIDR, net.CIDR): bool"],
        cost: Cost::TextOfSecond,
        run: |args| {
            let Value::Cidr(outer) = &args[0] else { return no_overload() };
            let inner = match &args[1] {
                Value::Cidr(cidr) => *cidr,
                value => parsed(value, Cidr::parse)?,
            };
            Ok(Value::Bool(outer.prefix <= inner.prefix && outer.contains(inner.address)))
        },
    },
    Function {
        name: "prefixLength",
        signatures: &[".(net.CIDR): int"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Cidr(cidr) => Ok(Value::Int(cidr.prefix.into())),
            _ => no_overload(),
        },
    },
    Function {
        name: "masked",
        signatures: &[".(net.CIDR): net.CIDR"],
        cost: Cost::One,
        run: |args| match &args[0] {
            Value::Cidr(cidr) => {
                Ok(Value::Cidr(Cidr { address: cidr.address.masked(cidr.prefix), prefix: cidr.prefix }))
            }
            _ => no_overload(),
        },
    },
    Function {
        name: "url",
        signatures: &["(string): kubernetes.URL"],
        cost: Cost::Text(1),
        run: |args| parsed(&args[0], Url::parse).map(|url| Value::Url(Arc::new(url))),
    },
    Function { name: "isURL", signatures: &["(string): bool"], cost: Cost::Text(1), run: |args| is(args, Url::parse) },
    Function {
        name: "getScheme",
        signatures: &[".(kubernetes.URL): string"],
        cost: Cost::One,
        run: |args| part(args, |url| url.scheme.clone()),
    },
    Function {
        name: "getHost",
        signatures: &[".(kubernetes.URL): string"],
        cost: Cost::One,
        run: |args| part(args, |url| url.host.clone()),
    },
    Function {
        name: "getHostname",
        signatures: &[".(kubernetes.URL): string"],
        cost: Cost::One,
        run: |args| part(args, |url| url.host_and_port().0.to_owned()),
    },
    Function {
        name: "getPort",
        signatures: &[".(kubernetes.URL): string"],
        cost: Cost::One,
        run: |args| part(args, |url| url.host_and_port().1.to_owned()),
    },
    Function {
        name: "getEscapedPath",
        signatures: &[".(kubernetes.URL): string"],
        cost: Cost::One,
        run: |args| part(args, |url| escape_path(&url.path)),
    },
    Function {
        name: "getQuery",
        signatures: &[".(kubernetes.URL): map<string, list<string>>"],
        cost: Cost::One,
        run: query,
    },
];

fn parsed<T>(value: &Value<'_>, parse: fn(&str) -> Result<T, String>) -> Result<T, EvalError> {
    match value.as_str() {
        Some(text) => parse(text).map_err(EvalError::new),
        None => Err(EvalError::new("no such overload")),
    }
}

fn is<'a, T>(args: &[Value<'a>], parse: fn(&str) -> Result<T, String>) -> Outcome<'a> {
    args[0].as_str().map_or_else(no_overload, |text| Ok(Value::Bool(parse(text).is_ok())))
}

fn about<'a>(args: &[Value<'a>], f: fn(&IpAddr) -> bool) -> Outcome<'a> {
    match &args[0] {
        Value::Ip(ip) => Ok(Value::Bool(f(&ip.0))),
        _ => no_overload(),
    }
}

fn part<'a>(args: &[Value<'a>], f: fn(&Url) -> String) -> Outcome<'a> {
    match &args[0] {
        Value::Url(url) => Ok(Value::text(f(url))),
        _ => no_overload(),
    }
}

fn link_local_multicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.octets()[0] == 0xff && ip.octets()[1] & 0x0f == 2,
    }
}

fn link_local_unicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

impl Ip {
    /// Reads an address without a zone; IPv4 inside IPv6 is refused.
    pub(crate) fn parse(text: &str) -> Result<Ip, String> {
        let fail = || format!("IP Address '{text}' parse error during conversion from string");
        let ip: IpAddr = text.parse().map_err(|_| fail())?;
        match ip {
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                Err(format!("IPv4-mapped IPv6 address '{text}' is not allowed"))
            }
            ip => Ok(Ip(ip)),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        if self.0.is_ipv4() { 4 } else { 16 }
    }

    fn masked(self, prefix: u8) -> Ip {
        Ip(match self.0 {
            IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & !(!0u32).checked_shr(prefix.into()).unwrap_or(0)).into()),
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !(!0u128).checked_shr(prefix.into()).unwrap_or(0)).into()),
        })
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Cidr {
    fn parse(text: &str) -> Result<Cidr, String> {
        let fail = || format!("network address parse error during conversion from string: '{text}'");
        let (address, prefix) = text.split_once('/').ok_or_else(fail)?;
        let address = Ip::parse(address)?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        if !digits || prefix.len() > 1 && prefix.starts_with('0') {
            return Err(fail());
        }
        let prefix: u8 = prefix.parse().map_err(|_| fail())?;
        if u64::from(prefix) > address.size() * 8 {
            return Err(fail());
        }
        Ok(Cidr { address, prefix })
    }

    fn contains(self, ip: Ip) -> bool {
        ip.0.is_ipv4() == self.address.0.is_ipv4() && ip.masked(self.prefix) == self.address.masked(self.prefix)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Url {
    /// Reads an absolute URI or an absolute path.
    pub(crate) fn parse(text: &str) -> Result<Url, String> {
        let fail = |why: &str| format!("URL parse error during conversion from string: parse {text:?}: {why}");
        if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err(fail("net/url: invalid control character in URL"));
        }
        let without_fragment = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = match without_fragment.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ if without_fragment.starts_with('/') => (String::new(), without_fragment),
            _ => return Err(fail("invalid URI for request")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if (scheme.is_empty() && rest.starts_with("//") || !rest.starts_with('/'))
            && (scheme.is_empty() || !rest.starts_with('/') && rest.is_empty())
        {
            return Err(fail("invalid URI for request"));
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
            None => ("", rest),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let url = Url { scheme, host: host.to_owned(), path: path.to_owned(), query: query.to_owned() };
        let after_bracket = host.rsplit_once(']').map_or(host, |(_, port)| port);
        let colons = after_bracket.matches(':').count();
        let port = url.host_and_port().1;
        if colons > 1 || !port.bytes().all(|b| b.is_ascii_digit()) || host.contains(' ') {
            return Err(fail("invalid port after host"));
        }
        if !escapes_are_valid(path) {
            return Err(fail("invalid URL escape"));
        }
        Ok(url)
    }

    fn host_and_port(&self) -> (&str, &str) {
        if let Some(rest) = self.host.strip_prefix('[')
            && let Some((host, port)) = rest.split_once(']')
        {
            return (host, port.trim_start_matches(':'));
        }
        self.host.split_once(':').unwrap_or((&self.host, ""))
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn escapes_are_valid(text: &str) -> bool {
    text.split('%').skip(1).all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

fn escape_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(byte.into()),
            b'/' | b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b':' | b';' | b'=' | b'@' | b'%' | b'!' => {
                out.push(byte.into());
            }
            b'*' | b'\'' | b'(' | b')' | b'[' | b']' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn query<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Value::Url(url) = &args[0] else { return no_overload() };
    let mut entries: Vec<(String, Vec<Value<'a>>)> = Vec::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (unescape(key), Value::text(unescape(value)));
        match entries.iter_mut().find(|(k, _)| *k == key) {
            Some((_, values)) => values.push(value),
            None => entries.push((key, vec![value])),
        }
    }
    let entries = entries.into_iter().map(|(k, v)| (Value::text(k), Value::List(List::Shared(Arc::new(v)))));
    Ok(Value::Map(Map::Shared(Arc::new(entries.collect()))))
}
