//! A client of the API that costs as little as can be: HTTP/1.1 over TLS, one request at a time. What is measured is the server.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Result;

/// How to reach a server.
pub struct Server {
    address: String,
    tls: TlsConnector,
}

/// One connection.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    host: String,
    buffer: Vec<u8>,
}

impl Server {
    /// Reads a kubeconfig with certificates inside.
    pub fn of(path: &str) -> Result<Server> {
        let file = std::fs::read_to_string(path)?;
        let pem = |name: &str| decoded(value(&file, name)?);
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem("certificate-authority-data")?) {
            roots.add(certificate?)?;
        }
        let chain = pem("client-certificate-data")?;
        let chain = CertificateDer::pem_slice_iter(&chain).collect::<std::result::Result<Vec<_>, _>>()?;
        let key = pem("client-key-data")?;
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key)?)?;
        let address = value(&file, "server")?.trim_start_matches("https://").to_owned();
        Ok(Server { address, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// A new connection.
    pub async fn connect(&self) -> Result<Wire> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host).to_owned();
        let stream = self.tls.connect(ServerName::try_from(host.clone())?, stream).await?;
        Ok(Wire { stream, host, buffer: Vec::with_capacity(256 * 1024) })
    }
}

impl Wire {
    /// Asks, and reads the whole answer: its status, its body, how long it was with its chunks.
    pub async fn call(&mut self, method: &str, path: &str, accept: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.send(method, path, accept, body).await?;
        self.answer().await
    }

    /// Sends a request.
    pub async fn send(&mut self, method: &str, path: &str, accept: &str, body: &[u8]) -> Result<()> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        Ok(self.stream.flush().await?)
    }

    /// The head of an answer: its status and, unless it comes in chunks, the length of its body.
    pub async fn head(&mut self) -> Result<(u16, Option<usize>)> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
                let length = head.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
                return Ok((status, length.and_then(|text| text.trim().parse().ok())));
            }
            self.more().await?;
        }
    }

    async fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let (status, length) = self.head().await?;
        let mut body = Vec::with_capacity(length.unwrap_or(1 << 20));
        match length {
            Some(length) => {
                while self.buffer.len() < length {
                    self.more().await?;
                }
                body.extend(self.buffer.drain(..length));
            }
            None => while self.chunk(&mut body).await? {},
        }
        Ok((status, body))
    }

    /// Adds the next chunk of an answer; false: that was the last.
    pub async fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        let end = loop {
            match self.buffer.windows(2).position(|part| part == b"\r\n") {
                Some(end) => break end,
                None => self.more().await?,
            }
        };
        let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..end])?.trim(), 16)?;
        while self.buffer.len() < end + 2 + size + 2 {
            self.more().await?;
        }
        body.extend_from_slice(&self.buffer[end + 2..end + 2 + size]);
        self.buffer.drain(..end + 2 + size + 2);
        Ok(size > 0)
    }

    async fn more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    use base64::Engine;
    Ok(base64::engine::general_purpose::STANDARD.decode(text.trim())?)
}

/// The value of a key that is in a kubeconfig once.
fn value<'a>(file: &'a str, name: &str) -> Result<&'a str> {
    let rest = file.split_once(&format!("{name}:")).or_else(|| file.split_once(&format!("{name}\":")));
    let (_, rest) = rest.ok_or_else(|| format!("no {name} in the kubeconfig"))?;
    let rest = rest.trim_start_matches([' ', '"']);
    Ok(&rest[..rest.find(['\n', '"', ',']).unwrap_or(rest.len())])
}
