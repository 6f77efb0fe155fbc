//! What an image runs on.

use crate::image::Descriptor;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Operating system, architecture and variant, in Go's words (`linux/arm64/v8`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v7`, `v8`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version of the operating system; for Windows only.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

/// A text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is an invalid component of a platform: platform specifier component must match os[/architecture[/variant]]"
)]
pub struct PlatformError(String);

impl Platform {
    /// This machine.
    pub fn host() -> Self {
        Platform {
            os: "linux".into(),
            architecture: go_architecture(std::env::consts::ARCH).into(),
            variant: None,
            os_version: None,
        }
    }

    /// Reads `os/architecture[/variant]`, `os` or `architecture` alone.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let valid =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        let parts: Vec<&str> = text.split('/').collect();
        if let Some(bad) = parts.iter().find(|part| !valid(part)) {
            return Err(PlatformError((*bad).into()));
        }
        let host = Platform::host();
        match parts.as_slice() {
            ["linux"] => Ok(host),
            [architecture] => Ok(Platform { architecture: go_architecture(architecture).into(), ..host }),
            [os, architecture] => {
                Ok(Platform { os: os.to_lowercase(), architecture: go_architecture(architecture).into(), ..host })
            }
            [os, architecture, variant] => {
                let (os, architecture) = (os.to_lowercase(), go_architecture(architecture).into());
                Ok(Platform { os, architecture, variant: Some((*variant).into()), os_version: None })
            }
            _ => Err(PlatformError(text.into())),
        }
    }

    /// Whether an image for `offered` runs where `self` is wanted.
    pub fn accepts(&self, offered: &Platform) -> bool {
        self.rank(offered).is_some()
    }

    /// The manifest that runs best where `self` is wanted; the first of equals.
    pub fn choose<'a>(&self, manifests: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let ranked = manifests.iter().filter_map(|manifest| Some((self.rank(manifest.platform.as_ref()?)?, manifest)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, manifest)| manifest)
    }

    /// How well an image for `offered` runs: 0 is best, nothing is not at all.
    ///
    /// An arm64 image without a variant is v8, an arm image v7; later arm processors run what earlier ones do.
    fn rank(&self, offered: &Platform) -> Option<u32> {
        let same = self.os == offered.os && self.architecture == offered.architecture;
        match (version(self), version(offered)) {
            _ if !same => None,
            (Some(wanted), Some(have)) if self.architecture == "arm" => wanted.checked_sub(have),
            (wanted, have) => (wanted == have && (wanted.is_some() || self.variant == offered.variant)).then_some(0),
        }
    }
}

/// The number of an ARM or x86-64 variant, the usual one where none is said.
fn version(platform: &Platform) -> Option<u32> {
    match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("arm64", None | Some("")) => Some(8),
        ("arm", None | Some("")) => Some(7),
        ("amd64", None | Some("")) => Some(1),
        ("arm64" | "arm" | "amd64", Some(variant)) => variant.trim_start_matches('v').parse().ok(),
        _ => None,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(formatter, "/{variant}"))
    }
}

/// An architecture in Go's words.
fn go_architecture(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i686" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn parse(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    #[test]
    fn platforms_are_read_and_compared() {
        assert_eq!(parse("linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(parse("linux/arm/v7").to_string(), "linux/arm/v7");
        assert!(parse("linux/arm64").accepts(&parse("linux/arm64/v8")));
        assert!(!parse("linux/amd64").accepts(&parse("linux/arm64")));
        assert!(!parse("linux/arm64/v8").accepts(&parse("linux/arm64/v9")));
        for bad in ["", "linux/", "linux/amd64/v1/x", "linux/a b"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_manifest_that_runs_best_is_chosen() {
        let offer = |(size, platform): (u64, &str)| Descriptor {
            platform: Some(parse(platform)),
            ..Descriptor::new("", Digest::of(b""), size)
        };
        let offers = ["linux/386", "linux/arm/v5", "linux/arm/v6", "linux/amd64", "linux/arm64/v8", "unknown/unknown"];
        let manifests: Vec<Descriptor> = (0..).zip(offers).map(offer).collect();
        let chosen = |text: &str| parse(text).choose(&manifests).map(|chosen| offers[chosen.size as usize]);
        assert_eq!(chosen("linux/amd64"), Some("linux/amd64"));
        assert_eq!(chosen("linux/arm64"), Some("linux/arm64/v8"));
        assert_eq!(chosen("linux/arm/v7"), Some("linux/arm/v6"));
        assert_eq!(chosen("linux/arm/v5"), Some("linux/arm/v5"));
        assert_eq!(chosen("linux/s390x"), None);
        assert_eq!(chosen("windows/amd64"), None);
    }
}
