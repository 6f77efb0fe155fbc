//! Which of a pod's pull secrets are for an image.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use k8s_openapi::api::core::v1::Secret;
use pods::runtime::PullAuth;
use serde::Deserialize;
use std::collections::BTreeMap;

const DOCKER_HUB: &str = "index.docker.io";

/// Where an entry holds: `host[:port][/path]`, whose host may have patterns.
type Entries = BTreeMap<String, Vec<PullAuth>>;

/// One entry of a docker configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "lowercase")]
struct Entry {
    username: String,
    password: String,
    /// `user:password` in base64; goes before the two.
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Entry>,
}

/// The credentials of the secrets that match an image, the most specific first. A secret that cannot be read is passed over.
pub fn pull_auths<'a>(secrets: impl IntoIterator<Item = &'a Secret>, image: &str) -> Vec<PullAuth> {
    let mut entries = Entries::new();
    for secret in secrets {
        for (place, entry) in entries_of(secret) {
            let (Some(place), Some(auth)) = (normal(&place), auth(entry)) else { continue };
            let same = entries.entry(place).or_default();
            if !same.contains(&auth) {
                same.push(auth);
            }
        }
    }
    let target = repository(image);
    let matching = entries.iter().rev().filter(|(place, _)| matches(place, &target));
    let found: Vec<PullAuth> = matching.flat_map(|(_, auths)| auths.clone()).collect();
    if found.is_empty() && target.starts_with("docker.io/") {
        return entries.remove(DOCKER_HUB).unwrap_or_default();
    }
    found
}

fn entries_of(secret: &Secret) -> BTreeMap<String, Entry> {
    let data = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.as_slice());
    let read = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => {
            data(".dockerconfigjson").map(|text| serde_json::from_slice::<Config>(text).map(|config| config.auths))
        }
        Some("kubernetes.io/dockercfg") => data(".dockercfg").map(serde_json::from_slice),
        _ => None,
    };
    match read {
        Some(Ok(entries)) => entries,
        Some(Err(error)) => {
            tracing::warn!(secret = secret.metadata.name, %error, "a pull secret cannot be read");
            BTreeMap::new()
        }
        None => BTreeMap::new(),
    }
}

/// A key of the configuration without scheme and API version.
fn normal(place: &str) -> Option<String> {
    let place = place.strip_prefix("https://").or_else(|| place.strip_prefix("http://")).unwrap_or(place);
    let (host, path) = place.split_once('/').map_or((place, ""), |(host, path)| (host, path));
    if host.is_empty() {
        return None;
    }
    let path = match path.split_once('/') {
        Some(("v1" | "v2", rest)) => rest,
        _ if matches!(path, "v1" | "v2") => "",
        _ => path,
    };
    Some(if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") })
}

fn auth(entry: Entry) -> Option<PullAuth> {
    let (mut username, mut password) = (entry.username, entry.password);
    if !entry.auth.is_empty() {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let decoded = GeneralPurpose::new(&STANDARD, config).decode(entry.auth.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, secret) = text.split_once(':')?;
        (username, password) = (user.to_owned(), secret.trim_matches('\0').to_owned());
    }
    Some(PullAuth { username, password, identity_token: entry.identitytoken, registry_token: entry.registrytoken })
}

/// An image's repository with its registry, `docker.io/library/busybox`.
fn repository(image: &str) -> String {
    let name = image.split('@').next().unwrap_or_default();
    let colon = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
    let name = &name[..colon.unwrap_or(name.len())];
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" if !path.contains('/') => format!("docker.io/library/{path}"),
            "docker.io" | "index.docker.io" => format!("docker.io/{path}"),
            _ => name.to_owned(),
        },
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

/// Whether an entry is for a repository: same port, as many labels in the host and each matching, and a path that begins like it.
fn matches(place: &str, target: &str) -> bool {
    let split = |text: &str| {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let (host, port) = host.rsplit_once(':').unwrap_or((host, ""));
        (host.to_owned(), port.to_owned(), path.to_owned())
    };
    let ((host, port, path), (wanted_host, wanted_port, wanted_path)) = (split(place), split(target));
    if port != wanted_port || !wanted_path.starts_with(&path) {
        return false;
    }
    let (labels, wanted): (Vec<&str>, Vec<&str>) = (host.split('.').collect(), wanted_host.split('.').collect());
    labels.len() == wanted.len() && labels.iter().zip(&wanted).all(|(glob, text)| glob_matches(glob, text))
}

/// `*` and `?` within one label.
fn glob_matches(glob: &str, text: &str) -> bool {
    match glob.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &glob[1..];
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| glob_matches(rest, &text[at..]))
        }
        Some(first) => {
            let mut chars = text.chars();
            chars.next().is_some_and(|char| first == '?' || first == char)
                && glob_matches(&glob[first.len_utf8()..], chars.as_str())
        }
    }
}
