//! Content addresses: `sha256:` and 64 hexadecimal digits (OCI image specification, descriptor.md, "Digests").

use serde::{Deserialize, Deserializer, Serialize};
use sha2::Digest as _;
use std::fmt;
use std::str::FromStr;

/// A checked content address; its text is always valid and safe as a file name part.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

/// A text that is no digest, with that text; the messages are docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not `algorithm:hex`.
    #[error("invalid checksum digest format")]
    Format(String),
    /// An algorithm other than sha256 and sha512.
    #[error("unsupported digest algorithm")]
    Algorithm(String),
    /// Not as many digits as the algorithm has.
    #[error("invalid checksum digest length")]
    Length(String),
}

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes);
        hasher.finish()
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The hexadecimal digits.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// The first twelve digits, as people are shown.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A hasher of this digest's algorithm.
    pub fn hasher(&self) -> Hasher {
        if self.algorithm() == "sha512" { Hasher::Sha512(sha2::Sha512::new()) } else { Hasher::sha256() }
    }

    /// Whether `bytes` have this digest.
    pub fn verifies(&self, bytes: &[u8]) -> bool {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish() == *self
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| DigestError::Format(text.into()))?;
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return Err(DigestError::Algorithm(text.into())),
        };
        if hex.len() != length {
            return Err(DigestError::Length(text.into()));
        }
        if !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format(text.into()));
        }
        Ok(Digest(text.into()))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format_args!("{error}: {text:?}")))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Hashes bytes as they pass.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256, the usual one.
    Sha256(sha2::Sha256),
    /// SHA-512.
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hasher for sha256.
    pub fn sha256() -> Self {
        Hasher::Sha256(sha2::Sha256::new())
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        let (algorithm, bytes) = match self {
            Hasher::Sha256(hasher) => ("sha256", hasher.finalize().to_vec()),
            Hasher::Sha512(hasher) => ("sha512", hasher.finalize().to_vec()),
        };
        Digest(format!("{algorithm}:{}", hex(&bytes)))
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // writing to a string cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

macro_rules! digest_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl $name {
            /// The digest's text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The first twelve digits, as people are shown.
            pub fn short(&self) -> &str {
                self.0.short()
            }

            /// The digest's hexadecimal digits.
            pub fn hex(&self) -> &str {
                self.0.hex()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map($name)
            }
        }

        impl From<Digest> for $name {
            fn from(digest: Digest) -> Self {
                $name(digest)
            }
        }
    };
}

digest_newtype!(
    /// The digest of a layer's uncompressed tar.
    DiffId
);
digest_newtype!(
    /// The digest of an image's configuration, by which docker knows the image.
    ImageId
);
digest_newtype!(
    /// The digest of a stack of layers: what the topmost one sits on is part of it (OCI image specification, config.md, "Layer ChainID").
    ChainId
);

impl ChainId {
    /// The chain of `layers`, lowest first; nothing for no layers.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        layers.iter().fold(None, |below: Option<ChainId>, layer| match below {
            None => Some(ChainId(layer.0.clone())),
            Some(below) => Some(ChainId(Digest::of(format!("{below} {layer}").as_bytes()))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_of_known_bytes() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        assert!(EMPTY.parse::<Digest>().unwrap().verifies(b""));
        assert!(!EMPTY.parse::<Digest>().unwrap().verifies(b"x"));
    }

    #[test]
    fn texts_that_are_no_digests_are_refused() {
        for text in ["", "sha256", "sha256:12", "md5:00", "sha256:../../../../etc/passwd", &EMPTY.to_uppercase()] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        let upper = format!("sha256:{}", EMPTY[7..].to_uppercase());
        assert_eq!(upper.parse::<Digest>(), Err(DigestError::Format(upper.clone())));
    }

    #[test]
    fn a_chain_depends_on_every_layer_below() {
        let layer = |text: &str| DiffId(Digest::of(text.as_bytes()));
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(ChainId::of(&[layer("a")]).unwrap().0, layer("a").0);
        let both = Digest::of(format!("{} {}", layer("a"), layer("b")).as_bytes());
        assert_eq!(ChainId::of(&[layer("a"), layer("b")]).unwrap().0, both);
        assert_ne!(ChainId::of(&[layer("a"), layer("b")]), ChainId::of(&[layer("b"), layer("a")]));
    }
}
