//! What an image runs on.

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

    /// Whether an image for `offered` runs where `self` is wanted. An arm64 image without a variant is v8.
    pub fn accepts(&self, offered: &Platform) -> bool {
        let variant = |platform: &Platform| match (platform.architecture.as_str(), platform.variant.as_deref()) {
            ("arm64", None) => Some("v8".to_string()),
            ("arm", None) => Some("v7".to_string()),
            (_, variant) => variant.map(String::from),
        };
        self.os == offered.os && self.architecture == offered.architecture && variant(self) == variant(offered)
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

    #[test]
    fn platforms_are_read_and_compared() {
        let parse = |text: &str| Platform::parse(text).unwrap();
        assert_eq!(parse("linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(parse("linux/arm/v7").to_string(), "linux/arm/v7");
        assert!(parse("linux/arm64").accepts(&parse("linux/arm64/v8")));
        assert!(!parse("linux/amd64").accepts(&parse("linux/arm64")));
        assert!(Platform::parse("linux/amd64/v1/x").is_err());
        assert!(Platform::parse("linux/a b").is_err());
    }
}
