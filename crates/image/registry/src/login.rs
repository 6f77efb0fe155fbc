//! Login: whether a registry accepts credentials.

use spec::reference::DEFAULT_DOMAIN;

use crate::client::Client;
use crate::endpoint::Mirrors;
use crate::pull::keep_telling;
use crate::session::{Purpose, Session};
use crate::url::Url;
use crate::{Credentials, Error, Result};

/// A login that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What may be kept instead of the password; often empty.
    pub identity_token: String,
}

impl Client {
    /// Asks `server` (`host[:port]`, an address, or nothing for Docker Hub) whether it accepts `credentials`.
    pub async fn login(&self, server: &str, credentials: Credentials) -> Result<Login> {
        let domain = domain(server)?;
        let mut last = None;
        for endpoint in self.endpoints(&domain, Mirrors::PassBy)? {
            let (transport, found) = (self.inner.transport.clone(), endpoint.clone());
            let session = Session::new(transport, endpoint, "", Purpose::Pull, Some(credentials.clone()));
            match session.ping().await {
                Ok(identity_token) => {
                    self.reached_at(&domain, &found);
                    return Ok(Login { identity_token });
                }
                Err(error) if error.is_unreachable() => keep_telling(&mut last, error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or(Error::Stopped { what: "search for a registry" }))
    }
}

/// The registry that a `ServerAddress` means.
fn domain(server: &str) -> Result<String> {
    let name = match server.contains("://") {
        true => Url::parse(server)?.origin.authority(),
        false => server.split('/').next().unwrap_or_default().to_owned(),
    };
    Ok(match name.as_str() {
        "" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_DOMAIN.to_owned(),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_addresses_are_read() {
        for (server, want) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://reg.example:5000/v2/", "reg.example:5000"),
            ("reg.example/x", "reg.example"),
        ] {
            assert_eq!(domain(server).unwrap(), want);
        }
    }
}
