//! Names of images: `[host[:port]/]path[:tag][@digest]`, with docker.io and library/ implied where they are left out.

use crate::digest::{Digest, DigestError};
use std::fmt;

/// The registry that names without one mean.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// The tag that names without tag and digest mean.
pub const DEFAULT_TAG: &str = "latest";
const OFFICIAL: &str = "library/";

/// A checked reference; domain and path are always whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference; the messages are docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing matches the grammar.
    #[error("invalid reference format")]
    Format,
    /// The path has capital letters.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// 64 hexadecimal digits are an id, not a name.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Id(String),
    /// The path has more than 255 characters.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// The digest is not one.
    #[error("{0}")]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Reads a reference as users write it.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if is_id(text) {
            return Err(ReferenceError::Id(text.into()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !valid_tag(tag)) {
            return Err(ReferenceError::Format);
        }
        let (domain, path) = split_domain(name);
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(ReferenceError::Uppercase(path));
        }
        if !valid_domain(domain) || !path.split('/').all(valid_component) {
            return Err(ReferenceError::Format);
        }
        if path.len() > 255 {
            return Err(ReferenceError::TooLong);
        }
        Ok(Reference { domain: domain.into(), path, tag: tag.map(String::from), digest })
    }

    /// Reads a name whose tag or digest is told apart, as the Engine API does; an empty `tag` is none.
    pub fn from_parts(name: &str, tag: &str) -> Result<Self, ReferenceError> {
        match tag {
            "" => Self::parse(name),
            digest if digest.contains(':') => Self::parse(&format!("{name}@{digest}")),
            tag => Self::parse(&format!("{name}:{tag}")),
        }
    }

    /// The registry's host and port.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within its registry: `library/debian`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository without tag and digest.
    pub fn repository(&self) -> Self {
        Reference { tag: None, digest: None, ..self.clone() }
    }

    /// The same, with `latest` where neither a tag nor a digest is.
    pub fn or_latest(&self) -> Self {
        if self.tag.is_some() || self.digest.is_some() {
            return self.clone();
        }
        self.with_tag_unchecked(DEFAULT_TAG)
    }

    /// The same repository with `tag`.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if valid_tag(tag) { Ok(self.with_tag_unchecked(tag)) } else { Err(ReferenceError::Format) }
    }

    /// The same repository by `digest`.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The shortest name of the repository: `debian` for docker.io/library/debian.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return format!("{}/{}", self.domain, self.path);
        }
        let short = self.path.strip_prefix(OFFICIAL).filter(|rest| !rest.contains('/'));
        short.unwrap_or(&self.path).to_string()
    }

    /// The shortest text of the whole reference.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    fn with_tag_unchecked(&self, tag: &str) -> Self {
        Reference { tag: Some(tag.into()), digest: None, ..self.clone() }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{tag}{digest}")
    }
}

/// The whole reference, nothing implied.
impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}{}", self.domain, self.path, self.suffix())
    }
}

/// Whether `text` is a whole image id without its algorithm.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The first part is a host only if it looks like one.
fn split_domain(name: &str) -> (&str, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first => {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    };
    let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
    let official = domain == DEFAULT_DOMAIN && !path.contains('/');
    (domain, if official { format!("{OFFICIAL}{path}") } else { path.into() })
}

fn valid_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

fn valid_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("", port.strip_prefix(':')),
            _ => return false,
        },
        None => domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host_valid = domain.starts_with('[') || host.split('.').all(label);
    host_valid && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Lower-case letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn valid_component(component: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, canonical: &str, familiar: &str) {
        let reference = Reference::parse(text).unwrap();
        assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (canonical, familiar));
        assert_eq!(Reference::parse(canonical).unwrap(), reference, "the canonical form means the same");
    }

    #[test]
    fn names_are_completed_and_shortened() {
        reads("debian", "docker.io/library/debian", "debian");
        reads("debian:12", "docker.io/library/debian:12", "debian:12");
        reads("user/app", "docker.io/user/app", "user/app");
        reads("index.docker.io/library/debian", "docker.io/library/debian", "debian");
        reads("127.0.0.1:5000/debian:12", "127.0.0.1:5000/debian:12", "127.0.0.1:5000/debian:12");
        reads("localhost/a/b__c/d-e", "localhost/a/b__c/d-e", "localhost/a/b__c/d-e");
        reads("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x");
    }

    #[test]
    fn digests_stay() {
        let digest = Digest::of(b"");
        let reference = Reference::parse(&format!("debian:12@{digest}")).unwrap();
        assert_eq!((reference.tag(), reference.digest()), (Some("12"), Some(&digest)));
        assert_eq!(reference.repository().or_latest().familiar(), "debian:latest");
        assert_eq!(Reference::from_parts("debian", digest.as_str()).unwrap().digest(), Some(&digest));
    }

    #[test]
    fn bad_names_are_refused_in_dockers_words() {
        let refused = |text: &str| Reference::parse(text).unwrap_err().to_string();
        assert_eq!(refused("Debian"), "invalid reference format: repository name (library/Debian) must be lowercase");
        for text in ["", "a//b", "-a", "a-", "a..b", "a:", "a:t ag", "a/../b", "a___b", "exa_mple.com/x", "http://x/y"]
        {
            assert_eq!(refused(text), "invalid reference format", "{text:?}");
        }
        let id = "0".repeat(64);
        assert_eq!(refused(&id), format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings"));
        assert_eq!(refused(&format!("x/{}", "a".repeat(256))), "repository name must not be more than 255 characters");
        assert_eq!(refused("a@sha256:12"), "invalid checksum digest length: \"sha256:12\"");
    }
}
