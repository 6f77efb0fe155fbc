//! What a request asks for: WebSocket or SPDY, and which subprotocol.

use std::future::Future;
use std::pin::Pin;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::websocket::handshake;

/// The header with the subprotocols of SPDY.
pub const STREAM_PROTOCOL: &str = "x-stream-protocol-version";
const ACCEPTED_PROTOCOLS: &str = "x-accepted-stream-protocol-versions";

/// A request that becomes streams.
pub struct Accepted<T> {
    /// What to answer.
    pub response: Response<()>,
    /// What it becomes when it was answered.
    pub opened: Pin<Box<dyn Future<Output = Result<T, Lost>> + Send>>,
}

/// Why a request that was accepted did not become streams.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error("the connection was not handed over: {0}")]
    Upgrade(#[from] hyper::Error),
    #[error("the peer did not open its streams in time")]
    Late,
    #[error("the peer left before it had opened its streams")]
    Gone,
}

/// A request that does not ask for what there is.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub status: StatusCode,
    pub message: String,
    /// Further headers of the answer.
    pub headers: Box<HeaderMap>,
}

/// The connection that a request was made on.
pub(crate) type Transport = TokioIo<hyper::upgrade::Upgraded>;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    WebSocket,
    Spdy,
}

impl Refused {
    pub(crate) fn bad(message: impl Into<String>) -> Refused {
        Refused { status: StatusCode::BAD_REQUEST, message: message.into(), headers: Box::default() }
    }
}

/// What a request asks for.
pub(crate) fn asked(headers: &HeaderMap) -> Result<Asked, Refused> {
    if handshake::is_asked(headers) {
        return Ok(Asked::WebSocket);
    }
    let upgrades = handshake::has_token(headers, header::CONNECTION, "upgrade");
    if upgrades && handshake::has_token(headers, header::UPGRADE, "spdy/3.1") {
        return Ok(Asked::Spdy);
    }
    Err(Refused::bad("Upgrade request required"))
}

/// The first subprotocol of SPDY that a client offers and `known` has; the last one known where it offers none.
pub(crate) fn spdy_protocol<'a>(headers: &HeaderMap, known: &[&'a str]) -> Result<&'a str, Refused> {
    let values = headers.get_all(STREAM_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    if offered.is_empty() {
        return Ok(known.last().copied().unwrap_or_default());
    }
    let found = offered.iter().find_map(|offered| known.iter().find(|known| *known == offered));
    found.copied().ok_or_else(|| {
        let mut accepted = HeaderMap::new();
        known.iter().filter_map(|known| HeaderValue::from_str(known).ok()).for_each(|known| {
            accepted.append(ACCEPTED_PROTOCOLS, known);
        });
        let message = format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            offered.join(" "),
            known.join(" ")
        );
        Refused { status: StatusCode::FORBIDDEN, message, headers: accepted.into() }
    })
}

/// 101 for SPDY.
pub(crate) fn spdy_answer(protocol: &str) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    if let Ok(protocol) = HeaderValue::from_str(protocol) {
        headers.insert(STREAM_PROTOCOL, protocol);
    }
    response
}

/// The connection, once the answer is sent.
pub(crate) async fn transport(upgrade: OnUpgrade) -> Result<Transport, Lost> {
    Ok(TokioIo::new(upgrade.await?))
}
