//! From a host's name to a connection: addresses, TCP, TLS.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{io, pin::Pin};

use hickory_resolver::TokioResolver;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::endpoint::Trust;
use crate::trust::{self, KnownAuthorities};
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
    system: OnceLock<Arc<rustls::RootCertStore>>,
}

impl Connector {
    pub(crate) fn new(certificates: &Path, timeout: Duration) -> Connector {
        let (resolver, system) = (OnceLock::new(), OnceLock::new());
        Connector { certificates: certificates.to_owned(), timeout, resolver, system }
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
            Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(::trust::Anyone(provider))),
            Trust::Verified => {
                let kept = trust::kept(&self.certificates.join(origin.authority()))?;
                let system = self.system.get_or_init(trust::system).clone();
                let verifier = KnownAuthorities::new(system, kept, provider).map_err(io::Error::other)?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        Ok(builder.with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A TLS server whose certificate, for the name localhost, nobody has signed.
    fn server(folder: &Path, port: u16) -> Server {
        let (key, certificate) = (folder.join("key.pem"), folder.join("own.crt"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
            .args([key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl is installed").success());
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-quiet", "-accept", &port.to_string(), "-key"])
            .arg(key)
            .arg("-cert")
            .arg(certificate);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Server(command.spawn().expect("openssl is installed"));
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("openssl does not listen");
    }

    #[tokio::test]
    async fn a_certificate_is_believed_only_with_its_authority_and_for_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let _server = server(folder.path(), port);
        let connector = Connector::new(&folder.path().join("certs.d"), Duration::from_secs(5));
        let origin = |host: &str| Origin { tls: true, host: host.to_owned(), port };

        let refused = connector.connect(&origin("localhost"), Trust::Verified).await.err();
        assert!(matches!(refused, Some(Failure::Tls(_))), "{refused:?}");
        assert!(connector.connect(&origin("localhost"), Trust::Anyone).await.is_ok());

        for host in ["localhost", "127.0.0.1"] {
            let kept = folder.path().join("certs.d").join(format!("{host}:{port}"));
            std::fs::create_dir_all(&kept).expect("a folder");
            std::fs::copy(folder.path().join("own.crt"), kept.join("ca.crt")).expect("a copy");
        }
        assert!(connector.connect(&origin("localhost"), Trust::Verified).await.is_ok());
        let other_name = connector.connect(&origin("127.0.0.1"), Trust::Verified).await.err();
        assert!(matches!(other_name, Some(Failure::Tls(_))), "{other_name:?}");
    }
}
