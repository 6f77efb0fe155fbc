//! Who asks and what they may: authentication, impersonation, RBAC, tokens and reviews.
//!
//! ```text
//! client certificate ┐                                     ┌ system:masters: everything
//! bearer token ──────┼─▶ Identity ─▶ Impersonate-* ─▶ may ─┼ nodes: what concerns their pods
//! nothing: anonymous ┘   (wrong: 401)   (403)         they?└ RBAC (403)
//! ```

pub mod admission;
mod certificates;
mod connection;
mod impersonate;
pub mod nodes;
pub mod openid;
pub mod rbac;
mod reviews;
#[cfg(test)]
mod tests;
pub mod tokens;

use std::sync::Arc;

use http::HeaderMap;
use k8s_types::status::ApiError;
use serde_json::Value;

use crate::authorize::{Attributes, Decision};
use crate::catalog::Row;
use crate::pki::Pki;
use crate::registry::{Call, Registry};
use crate::{Config, Identity, OpenError};

pub use connection::Connection;
use nodes::Nodes;
use rbac::Rbac;
use reviews::Question;
use tokens::Tokens;

/// Access control, a cheap handle.
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    pki: Pki,
    rbac: Rbac,
    nodes: Nodes,
    tokens: Tokens,
    anonymous: Arc<Identity>,
}

impl Access {
    /// Opens it over the objects of a registry (roles, bindings, service accounts, secrets) and keeps up with them.
    pub async fn open(registry: &Registry, pki: &Pki, config: &Config) -> Result<Access, OpenError> {
        let rbac = Rbac::start(registry).await.map_err(|error| OpenError::Store(error.to_string()))?;
        let nodes = Nodes::start(registry).await.map_err(|error| OpenError::Store(error.to_string()))?;
        let tokens = Tokens::new(registry, pki, &config.cluster_domain);
        let anonymous = Arc::new(Identity::anonymous());
        let access = Access { inner: Arc::new(Inner { pki: pki.clone(), rbac, nodes, tokens, anonymous }) };
        tokio::spawn(certificates::run(registry.clone(), access.clone()));
        tokio::spawn(tokens::follow_secrets(registry.clone()));
        Ok(access)
    }

    /// Who asks: by the connection's client certificate or by what the headers carry. Without either it is
    /// [`Identity::anonymous`]; what is carried but wrong is `Unauthorized`.
    pub async fn authenticate(&self, headers: &HeaderMap, connection: &Connection) -> Result<Arc<Identity>, ApiError> {
        let Inner { pki, tokens, anonymous, .. } = &*self.inner;
        let now = pki.now();
        if let Some(identity) = connection.proxied(headers, pki.front_proxies(), now) {
            return Ok(identity);
        }
        let certified = connection.identity(pki.peers(), now);
        if let Some(Ok(identity)) = certified {
            return Ok(identity);
        }
        if let Some(token) = tokens::token_of(headers) {
            return match tokens.accept(&token, &[]).await {
                Ok(accepted) => Ok(Arc::new(accepted.identity)),
                Err(error) => {
                    tracing::debug!(%error, "a bearer token was refused");
                    Err(ApiError::unauthorized(""))
                }
            };
        }
        match certified {
            Some(Err(error)) => {
                tracing::debug!(%error, "a client certificate was refused");
                Err(ApiError::unauthorized(""))
            }
            _ => Ok(anonymous.clone()),
        }
    }

    /// The user to act as, where headers ask for it and the user may.
    pub async fn impersonate(&self, identity: Arc<Identity>, headers: &HeaderMap) -> Result<Arc<Identity>, ApiError> {
        Ok(impersonate::impersonated(&identity, headers, |attributes| self.decide(attributes))?
            .map_or(identity, Arc::new))
    }

    /// May they?
    pub async fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut decision = self.decide(attributes);
        if nodes::node_of(attributes.identity).is_some() {
            for pause in nodes::PAUSES {
                if matches!(decision, Decision::Allow(_)) {
                    break;
                }
                tokio::time::sleep(pause).await;
                decision = self.decide(attributes);
            }
        }
        decision
    }

    /// The same, without waiting for anything.
    pub fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.identity.in_group("system:masters") {
            return Decision::Allow("".into());
        }
        let refused = match self.inner.nodes.decide(attributes) {
            Some(allowed @ Decision::Allow(_)) => return allowed,
            Some(Decision::Deny(why)) => Some(why),
            None => None,
        };
        match (self.inner.rbac.decide(attributes), refused) {
            (Decision::Deny(_), Some(why)) => Decision::Deny(why),
            (decision, _) => decision,
        }
    }

    /// Roles and bindings.
    pub fn rbac(&self) -> &Rbac {
        &self.inner.rbac
    }

    /// Service-account and bootstrap tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// Keys and certificates.
    pub fn pki(&self) -> &Pki {
        &self.inner.pki
    }

    /// `/.well-known/openid-configuration` and `/openid/v1/jwks`; `None` for other paths.
    pub fn openid(&self, path: &str) -> Option<openid::Document> {
        match path {
            openid::CONFIGURATION => Some(openid::configuration(self.tokens().issuer())),
            openid::KEYS => Some(openid::keys(&self.tokens().key().jwks())),
            _ => None,
        }
    }

    /// Answers a create of a kind that is never stored (token reviews, access reviews) or of `serviceaccounts/token`;
    /// `None` where it is another kind. `object` is decoded and defaulted; `name` is the parent's for subresources.
    pub async fn answer(
        &self,
        call: &Call,
        row: &Row,
        subresource: &str,
        namespace: &str,
        name: &str,
        mut object: Value,
    ) -> Option<Result<Value, ApiError>> {
        let question = Question::of(&row.resource.group, &row.resource.plural, subresource)?;
        if let Err(error) = question.prepare(&mut object, namespace) {
            return Some(Err(error));
        }
        Some(match question {
            Question::TokenRequest => self.tokens().issue(call, namespace, name, object).await,
            Question::TokenReview => self.review_token(object).await,
            Question::SelfSubjectReview => Ok(self.review_self(&call.identity, object)),
            Question::SelfSubjectAccessReview => Ok(self.review_access(&call.identity, object)),
            Question::SubjectAccessReview | Question::LocalSubjectAccessReview => {
                Ok(self.review_access(&reviews::subject(&object), object))
            }
            Question::SelfSubjectRulesReview => self.review_rules(&call.identity, object),
        })
    }
}
