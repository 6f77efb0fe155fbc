//! Platform names (`linux/arm64/v8`) and the choice of one manifest out of an index.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::image::Descriptor;

/// What an image was built for; see the image specification, "image-index.md".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", default, skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// Why a text is no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is an invalid component of {whole:?}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
)]
pub struct PlatformError {
    text: String,
    whole: String,
}

impl Platform {
    /// A platform of these three parts, normalised.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Platform {
        let (architecture, variant) = normalise(architecture, variant);
        Platform { architecture, os: os.to_ascii_lowercase(), variant, ..Platform::default() }
    }

    /// The machine this program was built for.
    pub fn host() -> Platform {
        Platform::new("linux", std::env::consts::ARCH, "")
    }

    /// Reads `os`, `arch`, `os/arch` or `os/arch/variant`; what is missing is the host's.
    pub fn parse(text: &str) -> Result<Platform, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let bad = |part: &str| PlatformError { text: part.to_owned(), whole: text.to_owned() };
        if let Some(part) = parts.iter().find(|part| !is_component(part)) {
            return Err(bad(part));
        }
        let host = Platform::host();
        match parts[..] {
            [one] if is_os(one) => Ok(Platform::new(one, &host.architecture, &host.variant)),
            [one] => Ok(Platform::new("linux", one, "")),
            [os, architecture] => Ok(Platform::new(os, architecture, "")),
            [os, architecture, variant] => Ok(Platform::new(os, architecture, variant)),
            _ => Err(bad(text)),
        }
    }

    /// How well an image for `image` runs here: 0 is best, none is not at all.
    pub fn rank(&self, image: &Platform) -> Option<usize> {
        let image = Platform::new(&image.os, &image.architecture, &image.variant);
        if image.os != self.os {
            return None;
        }
        self.runs()
            .iter()
            .position(|(architecture, variant)| *architecture == image.architecture && *variant == image.variant)
    }

    /// The manifest of `manifests` that runs best here; the first of equals.
    pub fn choose<'a>(&self, manifests: &'a [Descriptor]) -> Option<&'a Descriptor> {
        manifests
            .iter()
            .filter_map(|manifest| {
                let platform = manifest.platform.as_ref()?;
                Some((self.rank(platform)?, manifest))
            })
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, manifest)| manifest)
    }

    /// Architectures and variants this platform executes, best first.
    fn runs(&self) -> Vec<(String, String)> {
        let mut list = Vec::new();
        let mut add = |architecture: &str, variant: String| {
            list.push((architecture.to_owned(), variant));
        };
        match self.architecture.as_str() {
            "arm" => {
                let version = arm_version(&self.variant).unwrap_or(7);
                (5..=version).rev().for_each(|v| add("arm", format!("v{v}")));
            }
            "arm64" => {
                add("arm64", self.variant.clone());
                if !self.variant.is_empty() {
                    add("arm64", String::new());
                }
                (5..=8).rev().for_each(|v| add("arm", format!("v{v}")));
            }
            "amd64" => {
                add("amd64", self.variant.clone());
                if !self.variant.is_empty() {
                    add("amd64", String::new());
                }
                add("386", String::new());
            }
            other => add(other, self.variant.clone()),
        }
        list
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        Platform::parse(text)
    }
}

fn is_component(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_os(name: &str) -> bool {
    ["linux", "windows", "darwin", "freebsd", "wasip1", "js"].contains(&name.to_ascii_lowercase().as_str())
}

fn arm_version(variant: &str) -> Option<u32> {
    variant.strip_prefix('v')?.parse().ok()
}

/// One spelling per architecture, Go's.
fn normalise(architecture: &str, variant: &str) -> (String, String) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "i686" | "x86" | "386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        ("riscv64gc", variant) => ("riscv64", variant),
        ("powerpc64", variant) => ("ppc64le", variant),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn shown(text: &str) -> String {
        Platform::parse(text).map_or_else(|e| e.to_string(), |p| p.to_string())
    }

    #[test]
    fn platforms_are_normalised() {
        let cases = [
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64/v8", "linux/arm64"),
            ("LINUX/ARM64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("s390x", "linux/s390x"),
            ("windows/amd64", "windows/amd64"),
            ("linux/i386", "linux/386"),
        ];
        for (text, want) in cases {
            assert_eq!(shown(text), want, "{text}");
        }
        for text in ["", "linux/", "linux/am d64", "a/b/c/d"] {
            assert!(Platform::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_best_manifest_is_chosen() {
        let manifests: Vec<Descriptor> = ["386", "arm/v6", "amd64", "arm64/v8", "unknown"]
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let (architecture, variant) = name.split_once('/').unwrap_or((name, ""));
                let mut descriptor = Descriptor::new("", Digest::sha256(b""), i as u64);
                descriptor.platform = Some(Platform {
                    os: "linux".to_owned(),
                    architecture: architecture.to_owned(),
                    variant: variant.to_owned(),
                    ..Platform::default()
                });
                descriptor
            })
            .collect();
        let chosen = |text: &str| Platform::parse(text).unwrap().choose(&manifests).map(|d| d.size);
        assert_eq!(chosen("linux/amd64"), Some(2));
        assert_eq!(chosen("linux/arm64"), Some(3));
        assert_eq!(chosen("linux/arm/v7"), Some(1));
        assert_eq!(chosen("linux/arm/v5"), None);
        assert_eq!(chosen("linux/s390x"), None);
        assert_eq!(chosen("windows/amd64"), None);
    }
}
