//! Bearer tokens: of service accounts, issued and checked here, and of machines that join (bootstrap tokens).

mod account;
mod bearer;
mod bootstrap;
mod issue;
mod jwt;
mod legacy;
mod secrets;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_types::status::ApiError;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Identity;
use crate::pki::{Pki, TokenKey};
use crate::registry::Registry;

pub use bearer::token_of;
pub use secrets::run as follow_secrets;

/// Tokens whose signature was checked are remembered; at this many all are forgotten.
const REMEMBERED: usize = 4096;

/// Why a token is not accepted. The client is told only in token reviews.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// What it says does not hold, or not any more.
    #[error("{0}")]
    Refused(String),
    /// What it says could not be checked.
    #[error("{0}")]
    Unchecked(ApiError),
}

impl TokenError {
    fn refused(why: impl Into<String>) -> TokenError {
        TokenError::Refused(why.into())
    }
}

/// Whom a token names, and those of the wanted audiences it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Who.
    pub identity: Identity,
    /// For whom.
    pub audiences: Vec<String>,
}

/// Issues and checks tokens.
pub struct Tokens {
    registry: Registry,
    pki: Pki,
    /// Who issues them; also the audience of this server.
    issuer: String,
    /// Claims by the digest of tokens with a good signature: checking it costs more than all else.
    genuine: Mutex<HashMap<[u8; 32], Arc<Value>>>,
}

impl Tokens {
    /// Over the objects that tokens are bound to.
    pub fn new(registry: &Registry, pki: &Pki, cluster_domain: &str) -> Tokens {
        Tokens {
            registry: registry.clone(),
            pki: pki.clone(),
            issuer: format!("https://kubernetes.default.svc.{cluster_domain}"),
            genuine: Mutex::default(),
        }
    }

    /// Who issues the tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys of tokens.
    pub fn key(&self) -> &TokenKey {
        self.pki.token_key()
    }

    /// Whom a token names. `wanted` are audiences of which it must be for one; empty for this server's own.
    pub async fn accept(&self, token: &str, wanted: &[String]) -> Result<Accepted, TokenError> {
        let own = [self.issuer.clone()];
        let wanted = if wanted.is_empty() { &own } else { wanted };
        if let Some(parts) = bootstrap::split(token) {
            let identity = bootstrap::identity(&self.registry, parts, self.pki.now()).await?;
            return self.for_own_audience(identity, wanted);
        }
        let Some(claims) = self.genuine(token) else { return Err(TokenError::refused("invalid bearer token")) };
        match claims["iss"].as_str() {
            Some(legacy::ISSUER) => {
                let identity = legacy::identity(&self.registry, &claims, token).await?;
                self.for_own_audience(identity, wanted)
            }
            Some(issuer) if issuer == self.issuer => {
                let audiences = account::audiences(&claims, wanted)?;
                let identity = account::identity(&self.registry, &claims, self.pki.now()).await?;
                Ok(Accepted { identity, audiences })
            }
            _ => Err(TokenError::refused("invalid bearer token")),
        }
    }

    /// Tokens without an audience are for this server only.
    fn for_own_audience(&self, identity: Identity, wanted: &[String]) -> Result<Accepted, TokenError> {
        match wanted.contains(&self.issuer) {
            true => Ok(Accepted { identity, audiences: vec![self.issuer.clone()] }),
            false => Err(TokenError::refused("invalid bearer token")),
        }
    }

    /// The claims of a token that one of our keys signed.
    fn genuine(&self, token: &str) -> Option<Arc<Value>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let genuine = || self.genuine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = genuine().get(&digest) {
            return Some(claims.clone());
        }
        let parsed = jwt::Token::parse(token)?;
        if !parsed.is_genuine(self.key()) {
            return None;
        }
        let claims = Arc::new(parsed.claims);
        let mut genuine = genuine();
        if genuine.len() >= REMEMBERED {
            genuine.clear();
        }
        genuine.insert(digest, claims.clone());
        Some(claims)
    }
}

/// A random id in the form of a UUID, version 4.
fn random_id() -> Option<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// Compares secrets in a time that depends on their lengths only.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}
