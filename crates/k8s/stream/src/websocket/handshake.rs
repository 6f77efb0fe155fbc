//! The handshake of WebSocket (RFC 6455, section 4).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use ring::digest;

/// What the key is answered with is made of this (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request asks for WebSocket.
pub fn is_asked(headers: &HeaderMap) -> bool {
    has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket")
}

/// Whether a header's list has a word, in any case.
pub fn has_token(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    list(headers, name).any(|token| token.eq_ignore_ascii_case(word))
}

/// The subprotocols that a client offers, in its order.
pub fn offered(headers: &HeaderMap) -> Vec<&str> {
    list(headers, header::SEC_WEBSOCKET_PROTOCOL).collect()
}

fn list(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// What a server answers: 101 with the subprotocol it took, if any; or what is wrong with the request.
pub fn answer<B>(request: &Request<B>, protocol: &str) -> Result<Response<()>, &'static str> {
    let headers = request.headers();
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err("version 13 of WebSocket is wanted");
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or("a WebSocket request has a Sec-WebSocket-Key")?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let out = response.headers_mut();
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&accept(key.as_bytes())).map_err(|_| "no such key")?;
    out.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if !protocol.is_empty() {
        let protocol = HeaderValue::from_str(protocol).map_err(|_| "no such protocol")?;
        out.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Adds what a client asks with, and returns what the server has to answer in `Sec-WebSocket-Accept`.
pub fn ask(headers: &mut HeaderMap, protocols: &[&str], random: [u8; 16]) -> String {
    let key = BASE64_STANDARD.encode(random);
    let expected = accept(key.as_bytes());
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if let Ok(key) = HeaderValue::from_str(&key) {
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
    if let Ok(protocols) = HeaderValue::from_str(&protocols.join(", "))
        && !protocols.is_empty()
    {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
    }
    expected
}

fn accept(key: &[u8]) -> String {
    // not for secrecy: it shows that the server has read the request as WebSocket
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID.as_bytes());
    BASE64_STANDARD.encode(hash.finish())
}
