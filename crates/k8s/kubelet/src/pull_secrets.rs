//! Credentials for pulling a pod's images, from the secrets that it names.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt};
use pods::runtime::PullAuth;
use serde_json::Value;

/// Credentials that fit an image, the most specific first. Secrets that are not there or not readable are left out: the pull says what that leads to.
pub async fn credentials(client: &Client, pod: &Pod, image: &str) -> Vec<PullAuth> {
    let names = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let api = Api::<Secret>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let mut found = Vec::new();
    for reference in names {
        if let Ok(secret) = api.get(&reference.name).await {
            found.extend(of_secret(&secret, image));
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, auth)| auth).collect()
}

fn of_secret(secret: &Secret, image: &str) -> Vec<(usize, PullAuth)> {
    let data = |key: &str| {
        let bytes = secret.data.as_ref()?.get(key)?;
        serde_json::from_slice::<Value>(&bytes.0).ok()
    };
    let modern = data(".dockerconfigjson").map(|config| config["auths"].clone());
    let Some(Value::Object(auths)) = modern.or_else(|| data(".dockercfg")) else { return Vec::new() };
    let fitting = auths.iter().filter(|(place, _)| fits(place, image));
    fitting.filter_map(|(place, entry)| Some((place.len(), auth(entry)?))).collect()
}

fn auth(entry: &Value) -> Option<PullAuth> {
    let text = |name: &str| entry[name].as_str().unwrap_or("").to_owned();
    let mut auth = PullAuth {
        username: text("username"),
        password: text("password"),
        identity_token: text("identitytoken"),
        registry_token: text("registrytoken"),
    };
    if let Some(packed) = entry["auth"].as_str().filter(|packed| !packed.is_empty()) {
        let plain = String::from_utf8(STANDARD.decode(packed.trim()).ok()?).ok()?;
        let (user, password) = plain.split_once(':')?;
        (auth.username, auth.password) = (user.to_owned(), password.trim_end_matches('\0').to_owned());
    }
    Some(auth)
}

/// The registry and path of an image, without its tag or digest.
fn place(image: &str) -> (String, String) {
    let name = image.split('@').next().unwrap_or(image);
    let tagged = name.rfind(':').filter(|at| !name[*at..].contains('/'));
    let name = tagged.map_or(name, |at| &name[..at]);
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host.to_owned(), path.to_owned()),
        Some(_) => ("docker.io".into(), name.to_owned()),
        None => ("docker.io".into(), format!("library/{name}")),
    }
}

fn fits(key: &str, image: &str) -> bool {
    let (host, path) = place(image);
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    let (wanted, prefix) = key.split_once('/').unwrap_or((key, ""));
    let hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    if hub(wanted) && hub(&host) {
        return true;
    }
    // API versions in old keys name no path of images.
    let prefix = prefix.trim_start_matches("v1").trim_start_matches("v2").trim_matches('/');
    let parts: (Vec<&str>, Vec<&str>) = (wanted.split('.').collect(), host.split('.').collect());
    let same = parts.0.len() == parts.1.len() && parts.0.iter().zip(&parts.1).all(|(a, b)| *a == "*" || a == b);
    same && (prefix.is_empty() || path == prefix || path.starts_with(&format!("{prefix}/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_fit_their_registry_and_path() {
        for (key, image, fit) in [
            ("https://index.docker.io/v1/", "busybox", true),
            ("https://index.docker.io/v1/", "me/app:1", true),
            ("reg.example:5000", "reg.example:5000/a/b:1", true),
            ("reg.example/team", "reg.example/team/app@sha256:0", true),
            ("reg.example/team", "reg.example/other/app", false),
            ("*.example", "reg.example/app", true),
            ("other", "reg.example/app", false),
        ] {
            assert_eq!(fits(key, image), fit, "{key} {image}");
        }
    }

    #[test]
    fn both_forms_of_secrets_are_read() {
        let entry = serde_json::json!({ "auth": STANDARD.encode("me:pass:word") });
        assert_eq!(
            auth(&entry),
            Some(PullAuth { username: "me".into(), password: "pass:word".into(), ..PullAuth::default() })
        );
    }
}
