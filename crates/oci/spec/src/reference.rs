//! Names of images: `[host[:port]/]path[:tag][@digest]`, with docker.io and library/ implied where they are left out.

use crate::digest::{Digest, DigestError};
use std::fmt;

/// The registry that names without one mean.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// The tag that names without tag and digest mean.
pub const DEFAULT_TAG: &str = "latest";
const OFFICIAL: &str = "library/";
const PATH_MAX: usize = 255;

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
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Reads a reference as users write it.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if is_id(text) {
            return Err(ReferenceError::Id(text.into()));
        }
        let (domain, remainder) = split_domain(text);
        let untagged = remainder.split(':').next().unwrap_or_default();
        if untagged.chars().any(char::is_uppercase) {
            return Err(ReferenceError::Uppercase(untagged.into()));
        }
        let (rest, digest) = match remainder.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let grammatical = valid_domain(domain)
            && path.split('/').all(valid_component)
            && tag.is_none_or(valid_tag)
            && digest.is_none_or(looks_like_digest);
        if !grammatical {
            return Err(ReferenceError::Format);
        }
        if path.len() > PATH_MAX {
            return Err(ReferenceError::TooLong);
        }
        let digest = digest.map(str::parse).transpose()?;
        Ok(Reference { domain: domain.into(), path: path.into(), tag: tag.map(String::from), digest })
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
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            (!address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'), port)
        }
        None => {
            let (host, port) = domain.split_at(domain.find(':').unwrap_or(domain.len()));
            // docker lets a path's component without a port pass for a host, underscores and all
            let component = port.is_empty() && valid_component(host);
            (component || host.split('.').all(valid_label), port)
        }
    };
    let digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    host && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))
}

fn valid_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The grammar's own, wider idea of a digest; what passes here is read as a digest afterwards.
fn looks_like_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(word)
        && hex.len() >= 32
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
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
mod tests;
