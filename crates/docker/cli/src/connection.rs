//! HTTP/1.1 to the daemon: one connection for each request, and the raw streams that attach and exec turn into.

use crate::Failure;
use crate::config::{Config, Endpoint, TlsFiles};
use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;

/// The newest API version that this client speaks.
const NEWEST: (u32, u32) = (1, 50);

pub(crate) type RequestBody = BoxBody<Bytes, std::io::Error>;
pub(crate) type RawStream = TokioIo<Upgraded>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Talks to one daemon; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<Config>,
    tls: Option<Arc<rustls::ClientConfig>>,
    version: Arc<OnceCell<String>>,
}

/// An answer of 2xx or 3xx: its status and its unread body.
pub(crate) type Answer = Response<Incoming>;

/// Why the daemon did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")]
    Connect {
        host: String,
        #[source]
        source: std::io::Error,
    },
    #[error("Error response from daemon: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("{what}: {source}")]
    Transport {
        what: String,
        #[source]
        source: anyhow::Error,
    },
}

impl RequestError {
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            RequestError::Refused { status, .. } => Some(*status),
            RequestError::Connect { .. } | RequestError::Transport { .. } => None,
        }
    }
}

impl Client {
    pub(crate) fn new(config: Config) -> Result<Self, Failure> {
        let tls = match &config.endpoint {
            Endpoint::Tcp { tls: Some(files), .. } => Some(Arc::new(tls_config(files)?)),
            Endpoint::Tcp { tls: None, .. } | Endpoint::Unix(_) => None,
        };
        Ok(Client { config: Arc::new(config), tls, version: Arc::default() })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The API version in use: the daemon's, where it is older than ours.
    pub(crate) async fn version(&self) -> Result<&str, RequestError> {
        let version = self.version.get_or_try_init(|| async {
            let answer = self.send(Method::GET, "/_ping", &[], empty(), None).await?;
            let offered = answer.headers().get("api-version").and_then(|value| value.to_str().ok()).unwrap_or("1.24");
            let parsed =
                offered.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
            let (major, minor) = parsed.unwrap_or((1, 24)).min(NEWEST);
            Ok(format!("{major}.{minor}"))
        });
        version.await.map(String::as_str)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, RequestError> {
        json(self.request(Method::GET, path, None).await?).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, RequestError> {
        json(self.request(Method::POST, path, body).await?).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, RequestError> {
        json(self.request(Method::DELETE, path, None).await?).await
    }

    /// One request with a JSON body or none; the answer's body is left to the caller.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, RequestError> {
        let body = body.map(|body| body.to_string());
        let headers: &[(&str, &str)] = if body.is_some() { &[("content-type", "application/json")] } else { &[] };
        self.stream(method, path, headers, body.map_or_else(empty, |body| full(body.into()))).await
    }

    /// One request with a body of any kind.
    pub(crate) async fn stream(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: RequestBody,
    ) -> Result<Answer, RequestError> {
        let version = self.version().await?.to_string();
        self.send(method, path, headers, body, Some(&version)).await
    }

    /// A request whose connection becomes a raw stream in both directions.
    pub(crate) async fn hijack(&self, path: &str, body: Option<&Value>) -> Result<RawStream, RequestError> {
        let version = self.version().await?.to_string();
        let headers = [("connection", "Upgrade"), ("upgrade", "tcp"), ("content-type", "application/json")];
        let body = body.map_or_else(empty, |body| full(body.to_string().into()));
        let answer = self.send(Method::POST, path, &headers, body, Some(&version)).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let source = anyhow::anyhow!("the daemon answered {} and kept the connection", answer.status());
            return Err(RequestError::Transport { what: format!("unable to upgrade to tcp at {path}"), source });
        }
        let upgraded = hyper::upgrade::on(answer).await;
        Ok(TokioIo::new(
            upgraded.map_err(|source| RequestError::Transport { what: "upgrade".into(), source: source.into() })?,
        ))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: RequestBody,
        version: Option<&str>,
    ) -> Result<Answer, RequestError> {
        let transport = |source: anyhow::Error| RequestError::Transport {
            what: format!("error during connect: {method} {path}"),
            source,
        };
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| transport(error.into()))?;
        tokio::spawn(async move {
            // an error here also ends the request, which reports it
            let _ = connection.with_upgrades().await;
        });
        let uri = version.map_or_else(|| path.to_string(), |version| format!("/v{version}{path}"));
        let mut request = Request::builder().method(&method).uri(uri).header(header::HOST, "docker");
        request = request.header(header::USER_AGENT, concat!("sampan/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| transport(error.into()))?;
        let answer = sender.send_request(request).await.map_err(|error| transport(error.into()))?;
        if answer.status().is_success() || answer.status().is_redirection() || answer.status().is_informational() {
            return Ok(answer);
        }
        Err(refusal(answer).await)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, RequestError> {
        match &self.config.endpoint {
            Endpoint::Unix(path) => match tokio::net::UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(source) => Err(RequestError::Connect { host: format!("unix://{}", path.display()), source }),
            },
            Endpoint::Tcp { address, .. } => {
                let failed = |source| RequestError::Connect { host: format!("tcp://{address}"), source };
                let stream = tokio::net::TcpStream::connect(address.as_str()).await.map_err(failed)?;
                let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host).trim_matches(['[', ']']);
                let name = rustls::pki_types::ServerName::try_from(host.to_string())
                    .map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, error)))?;
                let stream =
                    tokio_rustls::TlsConnector::from(tls.clone()).connect(name, stream).await.map_err(failed)?;
                Ok(Box::new(stream))
            }
        }
    }
}

pub(crate) fn empty() -> RequestBody {
    full(Bytes::new())
}

pub(crate) fn full(bytes: Bytes) -> RequestBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// A whole body as JSON; `null` where it is empty.
pub(crate) async fn json(answer: Answer) -> Result<Value, RequestError> {
    let transport =
        |source: anyhow::Error| RequestError::Transport { what: "error reading the daemon's answer".into(), source };
    let bytes = answer.into_body().collect().await.map_err(|error| transport(error.into()))?.to_bytes();
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|error| transport(error.into()))
}

async fn refusal(answer: Answer) -> RequestError {
    let status = answer.status();
    let bytes = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let told =
        serde_json::from_slice::<Value>(&bytes).ok().and_then(|body| body.get("message")?.as_str().map(String::from));
    let message = told.unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim().to_string());
    let message = if message.is_empty() { status.to_string() } else { message };
    RequestError::Refused { status, message }
}

fn tls_config(files: &TlsFiles) -> anyhow::Result<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let read = |name: &str| {
        let path = files.dir.join(name);
        std::fs::read(&path).with_context(|| format!("read {}", path.display()))
    };
    if !files.verify {
        anyhow::bail!("a TLS connection without verification is unimplemented: set DOCKER_TLS_VERIFY=1");
    }
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read("ca.pem")?) {
        roots.add(certificate.context("parse ca.pem")?)?;
    }
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    if !files.dir.join("cert.pem").exists() {
        return Ok(builder.with_no_client_auth());
    }
    let chain =
        CertificateDer::pem_slice_iter(&read("cert.pem")?).collect::<Result<Vec<_>, _>>().context("parse cert.pem")?;
    let key = PrivateKeyDer::from_pem_slice(&read("key.pem")?).context("parse key.pem")?;
    builder.with_client_auth_cert(chain, key).context("use cert.pem and key.pem")
}
