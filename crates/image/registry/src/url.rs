//! Addresses: just enough of RFC 3986 for a registry's own, its token server's and its redirects.

use std::fmt;

use crate::{Error, Result};

/// Who is spoken to: credentials given for one origin never go to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    /// In lower case, IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// An absolute `http` or `https` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) origin: Origin,
    /// Path and query, beginning with a slash.
    pub(crate) path: String,
}

impl Origin {
    /// The origin of a registry's domain (`host[:port]`).
    pub(crate) fn of_domain(domain: &str, tls: bool) -> Result<Origin> {
        let bad = |reason| Error::Url { url: domain.to_owned(), reason };
        let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => (address, rest.strip_prefix(':')),
            None => match domain.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (domain, None),
            },
        };
        if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
            return Err(bad("no host"));
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| bad("invalid port"))?,
            None if tls => 443,
            None => 80,
        };
        Ok(Origin { tls, host: host.to_ascii_lowercase(), port })
    }

    /// Host and port as in a `Host` header.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// An address here; `path` begins with a slash.
    pub(crate) fn at(&self, path: impl Into<String>) -> Url {
        Url { origin: self.clone(), path: path.into() }
    }
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Url> {
        let bad = |reason| Error::Url { url: text.to_owned(), reason };
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            _ => return Err(bad("neither http nor https")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = path.split('#').next().unwrap_or_default();
        if path.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(bad("invalid character"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { origin: Origin::of_domain(authority, tls)?, path })
    }

    /// What `location` in an answer from here means.
    pub(crate) fn join(&self, location: &str) -> Result<Url> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let here = format!("{}://{}", if self.origin.tls { "https" } else { "http" }, self.origin.authority());
        let folder = self.path.split('?').next().unwrap_or_default().rsplit_once('/').map_or("", |(folder, _)| folder);
        match location {
            location if location.starts_with("//") => {
                Url::parse(&format!("{}:{location}", if self.origin.tls { "https" } else { "http" }))
            }
            location if location.starts_with('/') => Url::parse(&format!("{here}{location}")),
            location => Url::parse(&format!("{here}{folder}/{location}")),
        }
    }

    /// The same address with one more parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Url {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        self.path.push_str(&encode(value));
        self
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.origin.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.origin.authority(), self.path)
    }
}

/// A value for a query or a form.
pub(crate) fn encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined() {
        let here = Url::parse("http://127.0.0.1:5000/v2/a/blobs/uploads/?mount=x").unwrap();
        let join = |location: &str| here.join(location).unwrap().to_string();
        assert_eq!(join("/v2/a/1?s=2"), "http://127.0.0.1:5000/v2/a/1?s=2");
        assert_eq!(join("1"), "http://127.0.0.1:5000/v2/a/blobs/uploads/1");
        assert_eq!(join("https://Other:443/x#y"), "https://other/x");
        assert_eq!(join("//other/x"), "http://other/x");
        assert!(here.join("ftp://other/x").is_err());
        assert!(here.join("http://user@other/x").is_err());
        assert!(here.join("http://other/a b").is_err());
    }

    #[test]
    fn origins_are_told_apart() {
        let origin = |text: &str| Url::parse(text).unwrap().origin;
        assert_eq!(origin("https://a"), origin("https://A:443/x"));
        assert_ne!(origin("https://a"), origin("http://a:443"));
        assert_ne!(origin("http://a:1"), origin("http://a:2"));
        assert_eq!(origin("http://[::1]:5000/").authority(), "[::1]:5000");
    }

    proptest::proptest! {
        #[test]
        fn any_location_is_joined_or_refused(location in "(https?:)?(//)?\\PC{0,40}") {
            let here = Url::parse("http://127.0.0.1:5000/v2/").unwrap();
            if let Ok(url) = here.join(&location) {
                proptest::prop_assert_eq!(Url::parse(&url.to_string()).unwrap(), url);
            }
        }
    }

    #[test]
    fn parameters_are_escaped() {
        let url = Url::parse("https://auth/token").unwrap();
        let url = url.with("service", "a b&c").with("scope", "repository:x/y:pull,push");
        assert_eq!(url.path, "/token?service=a%20b%26c&scope=repository%3Ax%2Fy%3Apull%2Cpush");
    }
}
