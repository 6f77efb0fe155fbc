//! A request carried on as it is, and what comes back: an answer, or a connection both ways.

use std::io;
use std::time::Duration;

use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, BodyStream};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use k8s_types::status::ApiError;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::Upload;
use super::backend::{Backend, Outgoing};
use crate::http::body::Body;
use crate::server::ApiServer;

/// How long one side may go on after the other has ended.
const LINGER: Duration = Duration::from_secs(15);

/// Headers that are about one connection only (RFC 9110, section 7.6.1).
const OF_CONNECTION: &[HeaderName] = &[
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A request to carry on.
pub struct Carry<'a, B> {
    pub server: &'a ApiServer,
    pub backend: &'a Backend,
    pub method: http::Method,
    /// Path and query at the backend.
    pub target: &'a str,
    pub headers: &'a HeaderMap,
    pub upgrade: Option<OnUpgrade>,
    pub body: B,
}

impl<B: Upload> Carry<'_, B> {
    /// Sends it, and answers with what comes back.
    pub async fn run(self) -> Result<Response<Body>, ApiError> {
        let upgrades = self.headers.contains_key(header::UPGRADE);
        let mut headers = between(self.headers);
        // who this server believes the client to be is nobody else's to know
        headers.remove(header::AUTHORIZATION);
        let private: Vec<HeaderName> = headers.keys().filter(|name| is_private(name.as_str())).cloned().collect();
        private.iter().for_each(|name| {
            headers.remove(name);
        });
        headers.remove(header::HOST);
        if upgrades {
            for name in [header::CONNECTION, header::UPGRADE] {
                self.headers.get_all(&name).iter().for_each(|value| {
                    headers.append(name.clone(), value.clone());
                });
            }
        }
        let body: Outgoing = self.body.map_err(|error| io::Error::other(error.to_string())).boxed_unsync();
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.parse().map_err(|error| ApiError::bad_request(format!("{error}")))?;
        *request.headers_mut() = headers;
        let mut response = self.backend.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(relay(response));
        }
        let Some(client) = self.upgrade.filter(|_| upgrades) else {
            return Err(ApiError::bad_request("the connection cannot be upgraded"));
        };
        let backend = hyper::upgrade::on(&mut response);
        let ended = self.server.ended();
        tokio::spawn(async move {
            let (Ok(client), Ok(backend)) = tokio::join!(client, backend) else {
                return tracing::debug!("a connection was not handed over");
            };
            tokio::select! {
                () = both_ways(client, backend) => {}
                () = ended => {}
            }
        });
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

fn is_private(name: &str) -> bool {
    name.starts_with("impersonate-") || name.starts_with("x-remote-")
}

/// What of the headers is not about one connection only.
fn between(headers: &HeaderMap) -> HeaderMap {
    let mut out = headers.clone();
    let listed: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    listed.iter().for_each(|name| {
        out.remove(name.as_str());
    });
    OF_CONNECTION.iter().for_each(|name| {
        out.remove(name);
    });
    out
}

/// The answer, as it comes.
pub fn relay(response: Response<Incoming>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let mut answer = Response::new(pieces(body));
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = between(&parts.headers);
    answer
}

/// A body, as it comes.
pub fn pieces(body: Incoming) -> Body {
    let pieces = BodyStream::new(body);
    let pieces = TryStreamExt::map_err(pieces, io::Error::other);
    Body::stream(pieces.try_filter_map(async |frame| Ok(frame.into_data().ok())))
}

/// Carries bytes until one side has ended and the other had time to.
async fn both_ways(client: Upgraded, backend: Upgraded) {
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_backend, to_backend) = tokio::io::split(TokioIo::new(backend));
    let there = one_way(from_client, to_backend);
    let back = one_way(from_backend, to_client);
    tokio::pin!(there, back);
    tokio::select! {
        _ = &mut there => { let _ = tokio::time::timeout(LINGER, back).await; }
        ended = &mut back => {
            // a client that is gone has nothing more to say that anybody waits for
            if ended == Ended::AtItsEnd {
                let _ = tokio::time::timeout(LINGER, there).await;
            }
        }
    }
}

/// Why nothing goes one way any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    AtItsEnd,
    /// Who it went to is gone.
    Refused,
}

async fn one_way(mut from: ReadHalf<TokioIo<Upgraded>>, mut to: WriteHalf<TokioIo<Upgraded>>) -> Ended {
    let mut piece = vec![0; 32 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if to.write_all(&piece[..length]).await.is_err() || to.flush().await.is_err() {
            return Ended::Refused;
        }
    }
    let _ = to.shutdown().await;
    Ended::AtItsEnd
}
