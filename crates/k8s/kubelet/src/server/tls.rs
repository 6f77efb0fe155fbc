//! TLS of the node's server: its certificate, and clients of the cluster's authority.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::{Error, Settings};

/// What the listener needs. Clients without a certificate may have a token; one that the authority did not issue is refused.
pub fn config(node: &str, settings: &Settings) -> Result<ServerConfig, Error> {
    let error = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(settings.client_authorities.as_bytes()) {
        roots.add(authority.map_err(|e| error(&e))?).map_err(|e| error(&e))?;
    }
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| error(&e))?;
    let builder = if roots.is_empty() {
        builder.with_no_client_auth()
    } else {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).allow_unauthenticated();
        builder.with_client_cert_verifier(verifier.build().map_err(|e| error(&e))?)
    };
    let (certificate, key) = match &settings.identity {
        Some(identity) => identity.clone(),
        None => own(node).map_err(|e| error(&e))?,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| error(&e))?;
    let mut config = builder.with_single_cert(chain.map_err(|e| error(&e))?, key).map_err(|e| error(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A certificate that nobody vouches for.
fn own(node: &str) -> Result<(String, String), rcgen::Error> {
    let made = rcgen::generate_simple_self_signed([node.to_owned(), "localhost".to_owned()])?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}
