//! A registry in this process that does what a test tells it, and keeps what it was asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use spec::image::{Descriptor, media_type};

use super::{arch, digest};

pub type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// What the registry was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What answers instead of the registry, if it wants to.
pub type Hook = Box<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;

/// Content of a fake registry, every repository having all of it.
#[derive(Default)]
pub struct Content {
    /// By tag and by digest: media type and bytes.
    manifests: HashMap<String, (String, Bytes)>,
    blobs: HashMap<String, Bytes>,
}

impl Content {
    pub fn blob(&mut self, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        self.blobs.insert(digest.clone(), bytes);
        digest
    }

    /// Puts other bytes behind a digest.
    pub fn spoil(&mut self, digest: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if let Some(manifest) = self.manifests.get_mut(digest) {
            manifest.1 = bytes;
        } else {
            self.blobs.insert(digest.to_owned(), bytes);
        }
    }

    /// A manifest under its digest and a tag.
    pub fn manifest(&mut self, tag: &str, media_type: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        for name in [tag, &digest] {
            self.manifests.insert(name.to_owned(), (media_type.to_owned(), bytes.clone()));
        }
        digest
    }

    /// An image of these uncompressed layers for an architecture; answers the digests of the layers' blobs too.
    pub fn image(&mut self, tag: &str, architecture: &str, layers: &[Vec<u8>]) -> (String, Vec<String>) {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let config = serde_json::json!({
            "architecture": architecture, "os": "linux", "config": {"Cmd": [tag]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let blobs: Vec<Bytes> = layers.iter().map(|layer| gzip(layer)).collect();
        let descriptors: Vec<Descriptor> =
            blobs.iter().map(|blob| Descriptor::of(media_type::OCI_LAYER_GZIP, blob)).collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": descriptors,
        });
        self.blob(config);
        let digests = blobs.into_iter().map(|blob| self.blob(blob)).collect();
        (self.manifest(tag, media_type::OCI_MANIFEST, manifest.to_string()), digests)
    }

    /// As [`Content::image`], for this machine.
    pub fn image_here(&mut self, tag: &str, layers: &[Vec<u8>]) -> (String, Vec<String>) {
        self.image(tag, &arch(), layers)
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let path = asked.path.split('?').next().unwrap_or_default();
        if path == "/v2/" {
            return text(StatusCode::OK, "{}");
        }
        let found = path.rsplit_once('/').and_then(|(rest, name)| match rest.rsplit_once('/')?.1 {
            "manifests" => self.manifests.get(name).cloned(),
            "blobs" => self.blobs.get(name).map(|bytes| ("application/octet-stream".to_owned(), bytes.clone())),
            _ => None,
        });
        let Some((media_type, bytes)) = found else {
            let error = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
            return text(StatusCode::NOT_FOUND, error);
        };
        let mut answer = Response::new(whole(bytes.clone()));
        answer.headers_mut().insert("content-type", media_type.parse().expect("a header"));
        let from =
            asked.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        if let Some(from) = from.filter(|from: &usize| *from < bytes.len()) {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            answer.headers_mut().insert("content-range", range.parse().expect("a header"));
            *answer.body_mut() = whole(bytes.slice(from..));
        }
        answer
    }
}

/// A running fake.
pub struct FakeRegistry {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeRegistry {
    pub async fn start(content: Content) -> FakeRegistry {
        Self::with(content, Box::new(|_| None)).await
    }

    /// `hook` is asked first.
    pub async fn with(content: Content, hook: Hook) -> FakeRegistry {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let shared = Arc::new((content, hook, asked.clone()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| serve(shared.clone(), request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        FakeRegistry { port, asked }
    }

    pub fn name(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("unpoisoned").clone()
    }

    /// What was asked of blobs.
    pub fn blobs_asked(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.method == "GET" && asked.path.contains("/blobs/")).collect()
    }
}

type Shared = (Content, Hook, Arc<Mutex<Vec<Asked>>>);

async fn serve(shared: Arc<Shared>, request: http::Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (method, path) = (head.method.to_string(), head.uri.to_string());
    let asked = Asked { method, path, headers: head.headers, body };
    shared.2.lock().expect("unpoisoned").push(asked.clone());
    // hooks may block
    let answer = tokio::task::block_in_place(|| (shared.1)(&asked));
    Ok(answer.unwrap_or_else(|| shared.0.answer(&asked)))
}

pub fn whole(bytes: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub fn text(status: StatusCode, body: &str) -> Answer {
    let mut answer = Response::new(whole(body.to_owned()));
    *answer.status_mut() = status;
    answer
}

pub fn with_header(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    answer.headers_mut().insert(name, value.parse().expect("a header"));
    answer
}

/// An answer that stops in the middle and stays open.
pub fn stuck(bytes: Bytes, size: usize) -> Answer {
    use futures_util::StreamExt;
    let first = futures_util::stream::iter([Ok::<_, io::Error>(hyper::body::Frame::data(bytes))]);
    let body = http_body_util::StreamBody::new(first.chain(futures_util::stream::pending())).boxed_unsync();
    let mut answer = Response::new(body);
    answer.headers_mut().insert("content-length", size.into());
    answer
}

pub fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, bytes).expect("memory");
    encoder.finish().expect("memory").into()
}
