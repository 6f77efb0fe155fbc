//! Client certificates: whose they are, judged by the cluster's authority.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::{Oid, asn1_rs::oid};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{PkiError, Validity};

/// Kubernetes' attribute of a subject that holds the user's uid.
const UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);

/// Why a client certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Out of its time.
    #[error(
        "x509: certificate has expired or is not yet valid: current time {now} is not within {not_before} to {not_after}"
    )]
    Time {
        /// Seconds since 1970, as the next two.
        now: i64,
        /// Begin.
        not_before: i64,
        /// End.
        not_after: i64,
    },
    /// Not issued by an authority we know, or not for clients.
    #[error("x509: {0}")]
    Untrusted(String),
    /// No name in it.
    #[error("x509: the certificate has no common name")]
    Nameless,
}

/// Whom a client certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The common name: the user.
    pub name: String,
    /// The organizations: the user's groups.
    pub groups: Vec<String>,
    /// The user's uid, where the certificate has one.
    pub uid: Option<String>,
    /// `X509SHA256=<hex>`: which certificate it was.
    pub credential: String,
    /// When all of this stops to hold.
    pub validity: Validity,
}

/// Judges client certificates.
#[derive(Debug, Clone)]
pub struct PeerVerifier {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl PeerVerifier {
    pub(super) fn new(authorities: &[CertificateDer<'static>]) -> Result<PeerVerifier, PkiError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|error| PkiError::Tls(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .map_err(|error| PkiError::Tls(error.to_string()))?;
        Ok(PeerVerifier { verifier })
    }

    /// Whom a chain (the client's own certificate first) names at `now`, seconds since 1970.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: i64) -> Result<Peer, PeerError> {
        let untrusted = |what: &str| PeerError::Untrusted(what.to_owned());
        let (end, rest) = chain.split_first().ok_or_else(|| untrusted("no certificate"))?;
        let (_, certificate) = X509Certificate::from_der(end).map_err(|_| untrusted("malformed certificate"))?;
        let validity = Validity::of(&certificate);
        if !validity.contains(now) {
            let Validity { not_before, not_after } = validity;
            return Err(PeerError::Time { now, not_before, not_after });
        }
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now.max(0) as u64));
        self.verifier.verify_client_cert(end, rest, at).map_err(|error| PeerError::Untrusted(error.to_string()))?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
        if name.is_empty() {
            return Err(PeerError::Nameless);
        }
        let digest = Sha256::digest(end);
        Ok(Peer {
            name: name.to_owned(),
            groups: subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect(),
            uid: subject.iter_by_oid(&UID).next().and_then(|uid| uid.as_str().ok()).map(str::to_owned),
            credential: format!("X509SHA256={}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            validity,
        })
    }
}
