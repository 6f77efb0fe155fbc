//! TLS of `tcp://` addresses.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// What clients have to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Nothing.
    Anonymous,
    /// A certificate that the CA signed.
    Certified,
}

/// Makes the configuration from PEM files.
pub fn config(cert: &Path, key: &Path, ca: &Path, clients: Clients) -> Result<Arc<ServerConfig>> {
    let chain = certificates(cert)?;
    let key =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("cannot read the TLS key {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Clients::Anonymous => builder.with_no_client_auth(),
        Clients::Certified => {
            let mut roots = RootCertStore::empty();
            for root in certificates(ca)? {
                roots.add(root).with_context(|| format!("{} holds a certificate that cannot be used", ca.display()))?;
            }
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
            )
        }
    };
    Ok(Arc::new(builder.with_single_cert(chain, key).context("TLS certificate and key do not fit")?))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let doing = || format!("cannot read TLS certificates from {}", path.display());
    CertificateDer::pem_file_iter(path).with_context(doing)?.collect::<Result<_, _>>().with_context(doing)
}
