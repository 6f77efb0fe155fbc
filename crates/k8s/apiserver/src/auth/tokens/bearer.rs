//! Where a request carries its bearer token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};

/// What browsers, which cannot set headers of WebSockets, put before their token in the list of protocols.
const PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// The token of a request: `Authorization: Bearer ...`, or a protocol of a WebSocket.
pub fn token_of(headers: &HeaderMap) -> Option<String> {
    from_authorization(headers).or_else(|| from_protocol(headers))
}

fn from_authorization(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let mut parts = value.splitn(3, ' ');
    let scheme = parts.next()?;
    let token = parts.next()?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

fn from_protocol(headers: &HeaderMap) -> Option<String> {
    let upgrade = headers.get(UPGRADE)?.to_str().ok()?;
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return None;
    }
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut tokens = lists
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|protocol| protocol.trim().strip_prefix(PROTOCOL));
    let token = tokens.next()?;
    // Two of them are none.
    tokens.next().is_none().then_some(())?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?).ok().filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(headers: &[(&'static str, &str)]) -> Option<String> {
        token_of(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    }

    #[test]
    fn tokens_are_found_where_clients_put_them() {
        assert_eq!(token(&[("authorization", "Bearer abc")]).as_deref(), Some("abc"));
        assert_eq!(token(&[("authorization", " bearer abc x ")]).as_deref(), Some("abc"));
        for none in ["Basic abc", "Bearer", "Bearer ", "Bearer  abc", "abc", ""] {
            assert_eq!(token(&[("authorization", none)]), None, "{none:?}");
        }
        let protocols = "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj";
        assert_eq!(token(&[("upgrade", "websocket"), ("sec-websocket-protocol", protocols)]).as_deref(), Some("abc"));
        assert_eq!(token(&[("sec-websocket-protocol", protocols)]), None);
    }
}
