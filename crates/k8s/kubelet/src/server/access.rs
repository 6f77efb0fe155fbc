//! Who asks the node's server, and may they: certificates and tokens, and the API's word on what they may do with the node.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long a permission is believed.
const ALLOWED: Duration = Duration::from_secs(60);
/// How long a refusal is.
const REFUSED: Duration = Duration::from_secs(5);
/// How many answers are kept.
const KEPT: usize = 1000;

/// A user, as a certificate or the API names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    pub name: String,
    pub groups: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    Unauthorized,
    Forbidden(String),
}

/// What a request wants of the node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    peer: Peer,
    verb: &'static str,
    subresource: &'static str,
}

/// Judges requests.
pub struct Access {
    node: String,
    reviews: Option<kube::Client>,
    answers: Mutex<HashMap<Asked, (Instant, bool)>>,
}

impl Peer {
    /// Whom a client's certificate names; TLS has verified it.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Peer> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups = subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned);
        Some(Peer { name, groups: groups.chain(["system:authenticated".to_owned()]).collect() })
    }
}

impl Access {
    /// Judges requests to a node.
    pub fn new(node: String, reviews: Option<kube::Client>) -> Access {
        Access { node, reviews, answers: Mutex::default() }
    }

    /// Lets a request pass, or says why not.
    pub async fn judge(
        &self,
        certified: Option<&Peer>,
        headers: &HeaderMap,
        method: &Method,
        path: &str,
    ) -> Result<(), Denied> {
        let peer = match certified {
            Some(peer) => peer.clone(),
            None => self.by_token(headers).await.ok_or(Denied::Unauthorized)?,
        };
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        };
        for subresource in subresources(path) {
            let asked = Asked { peer: peer.clone(), verb, subresource };
            if self.may(asked).await {
                return Ok(());
            }
        }
        let last = subresources(path)[0];
        let (name, node) = (&peer.name, &self.node);
        Err(Denied::Forbidden(format!(
            "Forbidden (user={name}, verb={verb}, resource=nodes, subresource={last}, node={node})"
        )))
    }

    async fn by_token(&self, headers: &HeaderMap) -> Option<Peer> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.trim().to_owned();
        let spec = TokenReviewSpec { token, ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api = Api::<TokenReview>::all(self.reviews.clone()?);
        let answer = api.create(&PostParams::default(), &review).await.ok()?.status?;
        let user = answer.user.filter(|_| answer.authenticated == Some(true))?;
        Some(Peer { name: user.username?, groups: user.groups.unwrap_or_default() })
    }

    async fn may(&self, asked: Asked) -> bool {
        let lock = || self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, allowed)) = lock().get(&asked)
            && *until > Instant::now()
        {
            return *allowed;
        }
        let Some(client) = self.reviews.clone() else {
            return asked.peer.groups.iter().any(|group| group == "system:masters");
        };
        let attributes = ResourceAttributes {
            verb: Some(asked.verb.to_owned()),
            version: Some("v1".to_owned()),
            resource: Some("nodes".to_owned()),
            subresource: Some(asked.subresource.to_owned()),
            name: Some(self.node.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(asked.peer.name.clone()),
            groups: Some(asked.peer.groups.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        match Api::<SubjectAccessReview>::all(client).create(&PostParams::default(), &review).await {
            Ok(answer) => {
                let allowed = answer.status.is_some_and(|status| status.allowed);
                let until = Instant::now() + if allowed { ALLOWED } else { REFUSED };
                let mut answers = lock();
                if answers.len() >= KEPT {
                    answers.clear();
                }
                answers.insert(asked, (until, allowed));
                allowed
            }
            Err(error) => {
                tracing::warn!(%error, "the API does not say who may ask this node");
                false
            }
        }
    }
}

/// What of a node a path is about; any of them will do.
fn subresources(path: &str) -> &'static [&'static str] {
    match path.split('/').nth(1).unwrap_or_default() {
        "stats" => &["stats"],
        "metrics" => &["metrics"],
        "logs" => &["log"],
        "pods" | "runningpods" => &["pods", "proxy"],
        "healthz" => &["healthz", "proxy"],
        "configz" => &["configz", "proxy"],
        _ => &["proxy"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_an_api_only_masters_may_ask() {
        let access = Access::new("n".to_owned(), None);
        let judge =
            async |peer: Option<&Peer>| access.judge(peer, &HeaderMap::new(), &Method::POST, "/exec/default/a/b").await;
        let peer = |group: &str| Peer { name: "x".to_owned(), groups: vec![group.to_owned()] };
        assert_eq!(judge(None).await, Err(Denied::Unauthorized));
        assert_eq!(judge(Some(&peer("system:masters"))).await, Ok(()));
        let refusal = "Forbidden (user=x, verb=create, resource=nodes, subresource=proxy, node=n)";
        assert_eq!(judge(Some(&peer("others"))).await, Err(Denied::Forbidden(refusal.to_owned())));
    }
}
