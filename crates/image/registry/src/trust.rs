//! Whose certificates are believed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};

/// The system's certificate authorities.
pub(crate) fn system() -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(store)
}

/// The certificates (`*.crt`) that a folder keeps for one registry; none without such a folder.
pub(crate) fn kept(folder: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut kept = Vec::new();
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "crt") {
            for certificate in CertificateDer::pem_file_iter(&path).map_err(io::Error::other)? {
                kept.push(certificate.map_err(io::Error::other)?);
            }
        }
    }
    Ok(kept)
}

/// Believes the system's authorities and the certificates kept for a registry. One of the latter may be the server's
/// own, as people do with a certificate that signs itself.
#[derive(Debug)]
pub(crate) struct KnownAuthorities {
    inner: Arc<WebPkiServerVerifier>,
    kept: Vec<CertificateDer<'static>>,
}

impl KnownAuthorities {
    pub(crate) fn new(
        system: Arc<RootCertStore>,
        kept: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<KnownAuthorities, Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = RootCertStore::clone(&system);
        for certificate in &kept {
            roots.add(certificate.clone())?;
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(KnownAuthorities { inner, kept })
    }
}

impl ServerCertVerifier for KnownAuthorities {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let error = match self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        // an authority's certificate used by a server itself is found last, after its dates were looked at
        let out_of_date = matches!(
            error,
            rustls::Error::InvalidCertificate(
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            )
        );
        if out_of_date || !self.kept.iter().any(|kept| kept.as_ref() == certificate.as_ref()) {
            return Err(error);
        }
        rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
