//! From a host's name to a connection: addresses, TCP, TLS.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{io, pin::Pin};

use hickory_resolver::TokioResolver;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::endpoint::Trust;
use crate::url::Origin;

/// A connection, plain or not.
pub(crate) type Stream = Pin<Box<dyn Duplex>>;

/// What bytes go over.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// Where a connection failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Lookup(String),
    Connect(String, io::Error),
    Tls(io::Error),
    Timeout,
}

/// Makes connections.
pub(crate) struct Connector {
    certificates: PathBuf,
    timeout: Duration,
    resolver: OnceLock<Result<TokioResolver, String>>,
    verified: OnceLock<Arc<rustls::RootCertStore>>,
}

impl Connector {
    pub(crate) fn new(certificates: &Path, timeout: Duration) -> Connector {
        let (resolver, verified) = (OnceLock::new(), OnceLock::new());
        Connector { certificates: certificates.to_owned(), timeout, resolver, verified }
    }

    /// Connects to `origin`.
    pub(crate) async fn connect(&self, origin: &Origin, trust: Trust) -> Result<Stream, Failure> {
        tokio::time::timeout(self.timeout, self.connect_in_time(origin, trust)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn connect_in_time(&self, origin: &Origin, trust: Trust) -> Result<Stream, Failure> {
        let mut failure = Failure::Lookup("no such host".into());
        for address in self.addresses(&origin.host).await? {
            let address = SocketAddr::new(address, origin.port);
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return match origin.tls {
                        true => self.encrypt(origin, trust, stream).await,
                        false => Ok(Box::pin(stream)),
                    };
                }
                Err(error) => failure = Failure::Connect(address.to_string(), error),
            }
        }
        Err(failure)
    }

    /// Addresses of `host` by `/etc/hosts` and the name servers of `/etc/resolv.conf`.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if host == "localhost" {
            return Ok(vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1])]);
        }
        let resolver = self.resolver.get_or_init(|| {
            let builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
            builder.build().map_err(|error| error.to_string())
        });
        let resolver = resolver.as_ref().map_err(|reason| Failure::Lookup(reason.clone()))?;
        match resolver.lookup_ip(host).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_nx_domain() || error.is_no_records_found() => {
                Err(Failure::Lookup("no such host".into()))
            }
            Err(error) => Err(Failure::Lookup(error.to_string())),
        }
    }

    async fn encrypt(&self, origin: &Origin, trust: Trust, stream: TcpStream) -> Result<Stream, Failure> {
        let name = ServerName::try_from(origin.host.clone())
            .map_err(|error| Failure::Tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let config = self.tls(origin, trust).map_err(Failure::Tls)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(Failure::Tls)?;
        Ok(Box::pin(stream))
    }

    fn tls(&self, origin: &Origin, trust: Trust) -> io::Result<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match trust {
            Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelieveAnyone(provider))),
            Trust::Verified => builder.with_root_certificates(self.authorities(origin)?),
        };
        Ok(builder.with_no_client_auth())
    }

    /// The system's certificate authorities and those kept for this registry.
    fn authorities(&self, origin: &Origin) -> io::Result<Arc<rustls::RootCertStore>> {
        let system = self.verified.get_or_init(|| {
            let mut store = rustls::RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(store)
        });
        let Ok(folder) = std::fs::read_dir(self.certificates.join(origin.authority())) else {
            return Ok(system.clone());
        };
        let mut store = rustls::RootCertStore::clone(system);
        for path in folder.flatten().map(|entry| entry.path()) {
            if path.extension().is_none_or(|extension| extension != "crt") {
                continue;
            }
            for certificate in CertificateDer::pem_file_iter(&path).map_err(io::Error::other)? {
                let certificate = certificate.map_err(io::Error::other)?;
                store.add(certificate).map_err(io::Error::other)?;
            }
        }
        Ok(Arc::new(store))
    }
}

/// For registries that the administrator declared insecure: signatures are checked, names and authorities are not.
#[derive(Debug)]
struct BelieveAnyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for BelieveAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
