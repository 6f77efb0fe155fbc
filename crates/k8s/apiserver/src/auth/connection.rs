//! What a TLS connection says of its client: the certificates it showed, judged once and looked at in every request.

use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use rustls::pki_types::CertificateDer;

use crate::Identity;
use crate::pki::{PeerError, PeerVerifier, Validity};

/// The common name of front proxies that are believed.
const FRONT_PROXY: &str = "front-proxy-client";

/// One connection. TLS has made sure that the client has the key of the first certificate, and nothing else.
#[derive(Default)]
pub struct Connection {
    certificates: Vec<CertificateDer<'static>>,
    judged: OnceLock<Result<(Arc<Identity>, Validity), PeerError>>,
}

impl Connection {
    /// A connection whose client showed these certificates, its own first: `ServerConnection::peer_certificates()`.
    pub fn new(certificates: Option<&[CertificateDer<'_>]>) -> Connection {
        let certificates = certificates.unwrap_or_default().iter().map(|der| der.clone().into_owned()).collect();
        Connection { certificates, judged: OnceLock::new() }
    }

    /// The certificates, the client's own first.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Whom a front proxy says it speaks for: the client is one, by its certificate, and names a user in its headers.
    pub(super) fn proxied(&self, headers: &HeaderMap, verifier: &PeerVerifier, now: i64) -> Option<Arc<Identity>> {
        let user = headers.get("x-remote-user")?.to_str().ok().filter(|user| !user.is_empty())?;
        let peer = verifier.verify(&self.certificates, now).ok()?;
        if peer.name != FRONT_PROXY {
            return None;
        }
        let texts = |name: &str| -> Vec<String> {
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
        };
        let mut identity = Identity { name: user.to_owned(), groups: texts("x-remote-group"), ..Identity::default() };
        identity.uid = texts("x-remote-uid").into_iter().next().unwrap_or_default();
        for name in headers.keys() {
            if let Some(key) = name.as_str().strip_prefix("x-remote-extra-") {
                let key = crate::http::path::decode(key).unwrap_or_else(|| key.to_owned());
                identity.extra.insert(key, texts(name.as_str()));
            }
        }
        if !identity.in_group("system:authenticated") && !identity.in_group("system:unauthenticated") {
            identity.groups.push("system:authenticated".to_owned());
        }
        Some(Arc::new(identity))
    }

    /// Whom the client's certificate names at `now`; `None` where it showed none.
    pub(super) fn identity(&self, verifier: &PeerVerifier, now: i64) -> Option<Result<Arc<Identity>, PeerError>> {
        if self.certificates.is_empty() {
            return None;
        }
        let judged = self.judged.get_or_init(|| {
            let peer = verifier.verify(&self.certificates, now)?;
            let mut identity = Identity::new(peer.name, &[]);
            identity.groups.splice(0..0, peer.groups);
            identity.uid = peer.uid.unwrap_or_default();
            identity.extra.insert("authentication.kubernetes.io/credential-id".to_owned(), vec![peer.credential]);
            Ok((Arc::new(identity), peer.validity))
        });
        Some(match judged {
            Ok((identity, validity)) if validity.contains(now) => Ok(identity.clone()),
            Ok((_, Validity { not_before, not_after })) => {
                Err(PeerError::Time { now, not_before: *not_before, not_after: *not_after })
            }
            Err(error) => Err(error.clone()),
        })
    }
}
