//! Where the daemon is and who the user is: environment, contexts and `config.json`.

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The client's settings for one call.
pub(crate) struct Config {
    /// The folder of `config.json` and the contexts.
    pub dir: PathBuf,
    /// The whole of `config.json`; an empty object where there is none.
    pub file: Value,
    pub endpoint: Endpoint,
}

/// How to reach the daemon.
pub(crate) enum Endpoint {
    Unix(PathBuf),
    Tcp { address: String, tls: Option<TlsFiles> },
}

/// PEM files for a TLS connection.
pub(crate) struct TlsFiles {
    pub dir: PathBuf,
    pub verify: bool,
}

const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
const DEFAULT_REGISTRY: &str = "https://index.docker.io/v1/";

impl Config {
    /// Flags win over `DOCKER_HOST`, which wins over `DOCKER_CONTEXT` and the current context.
    pub(crate) fn load(dir: Option<&Path>, context: Option<&str>, host: Option<&str>) -> anyhow::Result<Self> {
        let dir = match (dir, std::env::var_os("DOCKER_CONFIG"), std::env::var_os("HOME")) {
            (Some(dir), _, _) => dir.to_path_buf(),
            (None, Some(dir), _) => dir.into(),
            (None, None, home) => PathBuf::from(home.unwrap_or_else(|| "/root".into())).join(".docker"),
        };
        let file = read_json(&dir.join("config.json"))?.unwrap_or_else(|| json!({}));
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let endpoint = if let Some(host) = host {
            parse_host(host)?
        } else if let Some(context) = context {
            context_endpoint(&dir, context)?
        } else if let Some(host) = variable("DOCKER_HOST") {
            parse_host(&host)?
        } else {
            let current = file.get("currentContext").and_then(Value::as_str).map(String::from);
            match variable("DOCKER_CONTEXT").or(current) {
                Some(context) => context_endpoint(&dir, &context)?,
                None => parse_host(DEFAULT_HOST)?,
            }
        };
        Ok(Config { dir, file, endpoint })
    }

    /// The `X-Registry-Auth` header's value for a reference's registry.
    pub(crate) fn registry_auth(&self, reference: &str) -> String {
        let server = registry_of(reference);
        let auth = self.credentials(&server).unwrap_or_else(|| json!({}));
        base64::engine::general_purpose::URL_SAFE.encode(auth.to_string())
    }

    /// Stores credentials for `server` in `config.json`, readable by its owner alone.
    pub(crate) fn store_credentials(&mut self, server: &str, auth: Option<&str>) -> anyhow::Result<()> {
        let server = server_key(server);
        let auths = self
            .file
            .as_object_mut()
            .context("config.json is not an object")?
            .entry("auths")
            .or_insert_with(|| json!({}));
        let auths = auths.as_object_mut().context("auths in config.json is not an object")?;
        match auth {
            Some(auth) => {
                auths.insert(server, json!({ "auth": base64::engine::general_purpose::STANDARD.encode(auth) }))
            }
            None => auths.remove(&server),
        };
        std::fs::create_dir_all(&self.dir)?;
        let path = self.dir.join("config.json");
        let new = self.dir.join("config.json.new");
        {
            use std::io::Write;
            use std::os::unix::fs::OpenOptionsExt;
            let mut file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(serde_json::to_string_pretty(&self.file)?.as_bytes())?;
            file.sync_all()?;
        }
        std::fs::rename(&new, &path).with_context(|| format!("replace {}", path.display()))
    }

    fn credentials(&self, server: &str) -> Option<Value> {
        let entry = self.file.get("auths")?.get(server)?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(entry.get("auth")?.as_str()?).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (user, password) = decoded.split_once(':')?;
        let mut auth = json!({ "username": user, "password": password, "serveraddress": server });
        if let Some(token) = entry.get("identitytoken") {
            auth["identitytoken"] = token.clone();
        }
        Some(auth)
    }
}

/// The key of a registry in `auths`.
fn server_key(server: &str) -> String {
    match server {
        "" | "docker.io" | "index.docker.io" => DEFAULT_REGISTRY.into(),
        _ => server.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/').into(),
    }
}

fn registry_of(reference: &str) -> String {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => server_key(host),
        _ => DEFAULT_REGISTRY.into(),
    }
}

fn read_json(path: &Path) -> anyhow::Result<Option<Value>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn parse_host(host: &str) -> anyhow::Result<Endpoint> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    match scheme {
        "unix" => Ok(Endpoint::Unix(if rest.is_empty() { "/var/run/docker.sock".into() } else { rest.into() })),
        "tcp" | "http" | "https" => {
            Ok(Endpoint::Tcp { address: with_port(rest, tls_wanted()), tls: tls_from_environment() })
        }
        "ssh" | "npipe" | "fd" => bail!("unable to connect to {host}: {scheme} connections are unimplemented"),
        _ => bail!("unable to parse docker host `{host}`"),
    }
}

fn with_port(address: &str, tls: bool) -> String {
    let address = address.trim_end_matches('/');
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { address.into() } else { format!("{address}:{}", if tls { 2376 } else { 2375 }) }
}

fn tls_wanted() -> bool {
    ["DOCKER_TLS_VERIFY", "DOCKER_TLS"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn tls_from_environment() -> Option<TlsFiles> {
    if !tls_wanted() {
        return None;
    }
    let dir = std::env::var_os("DOCKER_CERT_PATH").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".docker");
    let verify = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
    Some(TlsFiles { dir: dir.unwrap_or_else(home), verify })
}

/// Contexts are kept as `contexts/meta/*/meta.json`, found by their `Name`.
fn context_endpoint(dir: &Path, name: &str) -> anyhow::Result<Endpoint> {
    if name == "default" {
        return parse_host(&std::env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT_HOST.into()));
    }
    let missing = || anyhow!("context {name:?}: context not found");
    for entry in std::fs::read_dir(dir.join("contexts/meta")).map_err(|_| missing())?.flatten() {
        let Some(meta) = read_json(&entry.path().join("meta.json"))? else { continue };
        if meta.get("Name").and_then(Value::as_str) != Some(name) {
            continue;
        }
        let docker = &meta["Endpoints"]["docker"];
        let endpoint = parse_host(docker["Host"].as_str().unwrap_or(DEFAULT_HOST))?;
        let tls = dir.join("contexts/tls").join(entry.file_name()).join("docker");
        return Ok(match endpoint {
            Endpoint::Tcp { address, .. } if tls.is_dir() => {
                let verify = docker["SkipTLSVerify"].as_bool() != Some(true);
                Endpoint::Tcp { address, tls: Some(TlsFiles { dir: tls, verify }) }
            }
            other => other,
        });
    }
    Err(missing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_registry() {
        assert_eq!(registry_of("debian:12"), DEFAULT_REGISTRY);
        assert_eq!(registry_of("library/debian"), DEFAULT_REGISTRY);
        assert_eq!(registry_of("127.0.0.1:5000/debian:12"), "127.0.0.1:5000");
        assert_eq!(registry_of("localhost/debian"), "localhost");
    }

    #[test]
    fn hosts_get_their_default_port() {
        assert_eq!(with_port("10.0.0.1", false), "10.0.0.1:2375");
        assert_eq!(with_port("10.0.0.1", true), "10.0.0.1:2376");
        assert_eq!(with_port("10.0.0.1:1", true), "10.0.0.1:1");
    }

    #[test]
    fn an_unknown_scheme_is_refused() {
        assert_eq!(
            parse_host("gopher://x").err().map(|e| e.to_string()).as_deref(),
            Some("unable to parse docker host `gopher://x`")
        );
    }
}
