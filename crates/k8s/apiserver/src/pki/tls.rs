//! TLS of the server: a certificate that is swapped while running, and client certificates that are judged later.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::leaf::Leaf;
use super::{Pki, PkiError};

/// The configuration of the listener: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, client certificates asked for.
pub(super) fn server_config(pki: &Pki) -> Result<ServerConfig, PkiError> {
    let provider = Arc::new(ring::default_provider());
    let clients = AnyCertificate { issuers: subjects(&pki.client_authorities()), provider: provider.clone() };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| PkiError::Tls(error.to_string()))?
        .with_client_cert_verifier(Arc::new(clients))
        .with_cert_resolver(Arc::new(Serving { pki: pki.clone() }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A certificate with its key as rustls takes it.
pub(super) fn certified(leaf: &Leaf) -> Result<Arc<CertifiedKey>, PkiError> {
    let key = PrivatePkcs8KeyDer::from(leaf.key.serialize_der()).into();
    let key = ring::sign::any_supported_type(&key).map_err(|error| PkiError::Tls(error.to_string()))?;
    Ok(Arc::new(CertifiedKey::new(vec![leaf.certificate.clone()], key)))
}

fn subjects(authorities: &[CertificateDer<'static>]) -> Vec<DistinguishedName> {
    authorities
        .iter()
        .filter_map(|der| X509Certificate::from_der(der).ok())
        .map(|(_, certificate)| DistinguishedName::from(certificate.subject().as_raw().to_vec()))
        .collect()
}

/// Shows the present certificate. One that is out of its time (the clock jumped) is renewed first.
struct Serving {
    pki: Pki,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Serving")
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pki.serving())
    }
}

/// Takes every client certificate whose key the client proves to have. Whether it is ours and in its time is asked at
/// every request: a stranger gets an answer (401) instead of a broken connection, and a connection does not outlive
/// the certificate it was opened with.
#[derive(Debug)]
struct AnyCertificate {
    issuers: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.issuers
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
