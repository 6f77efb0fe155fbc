//! What a TLS connection says of its client: the certificates it showed, judged once and looked at in every request.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;

use crate::Identity;
use crate::pki::{PeerError, PeerVerifier, Validity};

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
