//! Who asks: credentials, a registry's challenges (RFC 7235) and its token server's answers.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use crate::endpoint::{Endpoint, Trust};
use crate::transport::{Ask, Place, Transport, whole};
use crate::url::{Url, encode};
use crate::{Error, RegistryError, Result};

const TOKEN_LIMIT: u64 = 1024 * 1024;

/// What a user has for a registry: a name with a password, a refresh token, or a token as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// A refresh token from an earlier login, used instead of the password.
    pub identity_token: String,
    /// A bearer token, sent as it is.
    pub registry_token: String,
}

/// Secrets are not shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials({:?})", self.username)
    }
}

impl Credentials {
    fn basic(&self) -> Option<String> {
        let pair = format!("{}:{}", self.username, self.password);
        (!self.username.is_empty()).then(|| format!("Basic {}", STANDARD.encode(pair)))
    }
}

/// What a registry wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: String, scope: String },
}

/// The challenges of an answer, those that are understood.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    values.filter_map(|value| value.to_str().ok()).filter_map(challenge).collect()
}

fn challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (String::new(), String::new(), String::new());
    for (name, value) in parameters(rest) {
        match name.to_ascii_lowercase().as_str() {
            "realm" => realm = value,
            "service" => service = value,
            "scope" => scope = value,
            _ => (),
        }
    }
    (!realm.is_empty()).then_some(Challenge::Bearer { realm, service, scope })
}

/// `name="value", name=value`, with `\` before a character that stands for itself.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut list = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while let Some((name, after)) = rest.split_once('=') {
        let mut value = String::new();
        let mut used = 0;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut escaped = false;
            used = after.len();
            for (at, c) in quoted.char_indices() {
                match c {
                    _ if escaped => {
                        value.push(c);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        used = at + 2;
                        break;
                    }
                    c => value.push(c),
                }
            }
        } else {
            for c in after.chars().take_while(|c| *c != ',' && *c != ' ') {
                value.push(c);
                used += c.len_utf8();
            }
        }
        list.push((name.trim().to_owned(), value));
        rest = after[used..].trim_start_matches([' ', ',', '\t']);
    }
    list
}

/// A token server's answer (distribution specification, token authentication).
#[derive(Deserialize, Default)]
#[serde(default)]
struct Token {
    token: String,
    access_token: String,
    refresh_token: String,
}

/// What answers a challenge.
pub(crate) struct Authorization {
    /// Value of the `Authorization` header.
    pub(crate) header: String,
    /// What a login may keep instead of the password.
    pub(crate) identity_token: String,
}

/// Answers `challenge` with `credentials`; `place` is the request that was refused.
pub(crate) async fn answer(
    transport: &Arc<Transport>,
    challenge: &Challenge,
    scopes: &[String],
    credentials: Option<&Credentials>,
    registry: (&Place, &Endpoint),
) -> Result<Authorization> {
    let (place, endpoint) = registry;
    let (realm, service, scope) = match challenge {
        Challenge::Basic => {
            let header = credentials.and_then(Credentials::basic).ok_or_else(|| no_credentials(place))?;
            return Ok(Authorization { header, identity_token: String::new() });
        }
        Challenge::Bearer { realm, service, scope } => (realm, service, scope),
    };
    if let Some(credentials) = credentials.filter(|credentials| !credentials.registry_token.is_empty()) {
        let header = format!("Bearer {}", credentials.registry_token);
        return Ok(Authorization { header, identity_token: String::new() });
    }
    let realm = Url::parse(realm)?;
    // a password that came for an encrypted registry does not leave unencrypted
    let credentials = credentials.filter(|_| realm.origin.tls || !endpoint.origin.tls);
    let trust = if realm.origin.host == endpoint.origin.host { endpoint.trust } else { Trust::Verified };
    let mut wanted: Vec<&str> = scopes.iter().map(String::as_str).collect();
    wanted.extend(scope.split(' ').filter(|scope| !scope.is_empty() && !scopes.iter().any(|have| covers(have, scope))));

    let ask = ask(realm, service, &wanted, credentials, trust)?;
    let answer = transport.send(ask).await?;
    let (status, at) = (answer.status, answer.place.clone());
    let bytes = answer.bytes("token", TOKEN_LIMIT).await?;
    if !status.is_success() {
        return Err(refused(status, &at, &bytes));
    }
    let token: Token = serde_json::from_slice(&bytes)
        .map_err(|source| Error::Json { what: format!("token of {}", at.url), source })?;
    let text = if token.token.is_empty() { token.access_token } else { token.token };
    if text.is_empty() {
        return Err(at.answer("authorization server did not include a token in the response"));
    }
    Ok(Authorization { header: format!("Bearer {text}"), identity_token: token.refresh_token })
}

/// The request for a token: a refresh token is posted, a password sent with GET.
fn ask(realm: Url, service: &str, scopes: &[&str], credentials: Option<&Credentials>, trust: Trust) -> Result<Ask> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(credentials) = credentials.filter(|credentials| !credentials.identity_token.is_empty()) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let form = format!(
            "grant_type=refresh_token&service={}&client_id=docker&scope={}&refresh_token={}",
            encode(service),
            encode(&scopes.join(" ")),
            encode(&credentials.identity_token)
        );
        return Ok(Ask { method: Method::POST, url: realm, headers, body: whole(form), trust });
    }
    let mut url = realm;
    if !service.is_empty() {
        url = url.with("service", service);
    }
    for scope in scopes {
        url = url.with("scope", scope);
    }
    if let Some(credentials) = credentials
        && let Some(basic) = credentials.basic()
    {
        url = url.with("account", &credentials.username).with("client_id", "docker").with("offline_token", "true");
        let mut value = HeaderValue::try_from(basic)
            .map_err(|_| Error::Url { url: url.to_string(), reason: "credentials with invalid characters" })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(Ask { method: Method::GET, url, headers, body: whole(""), trust })
}

/// Whether a scope that is asked for anyway includes what the challenge names.
fn covers(have: &str, wanted: &str) -> bool {
    let split = |scope: &str| scope.rsplit_once(':').map(|(what, actions)| (what.to_owned(), actions.to_owned()));
    match (split(have), split(wanted)) {
        (Some((what, actions)), Some((other, needed))) => {
            what == other && needed.split(',').all(|need| actions.split(',').any(|action| action == need))
        }
        _ => have == wanted,
    }
}

fn no_credentials(place: &Place) -> Error {
    Error::NoCredentials { method: place.method.clone(), url: place.url.clone() }
}

fn refused(status: StatusCode, place: &Place, body: &[u8]) -> Error {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Details {
        details: String,
    }
    let Place { method, url } = place.clone();
    // the query of a token request has names that are nobody's business
    let url = url.split('?').next().unwrap_or_default().to_owned();
    if status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN {
        return Error::Status { method, url, status };
    }
    let mut cause = crate::session::causes(body).into_iter().next().unwrap_or_default();
    if cause.code.is_empty() {
        let details = serde_json::from_slice::<Details>(body).unwrap_or_default().details;
        let message = if details.is_empty() { "incorrect username or password".to_owned() } else { details };
        cause = RegistryError { code: "UNAUTHORIZED".into(), message };
    }
    Error::Unauthorized { method, url, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: &str, scope: &str| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.into(), scope: scope.into() })
        };
        assert_eq!(challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(challenge("basic"), Some(Challenge::Basic));
        assert_eq!(
            challenge(r#"Bearer realm="https://a/token",service="reg",scope="repository:x:pull,push""#),
            bearer("https://a/token", "reg", "repository:x:pull,push")
        );
        assert_eq!(challenge(r#"bearer service=s , realm="http://a/\"q\"" "#), bearer("http://a/\"q\"", "s", ""));
        assert_eq!(challenge("Bearer"), None);
        assert_eq!(challenge("Digest realm=\"x\""), None);
        assert_eq!(challenge("Bearer realm=\"unterminated"), bearer("unterminated", "", ""));
    }

    #[test]
    fn a_wider_scope_includes_a_narrower_one() {
        assert!(covers("repository:x:pull,push", "repository:x:pull"));
        assert!(!covers("repository:x:pull", "repository:x:pull,push"));
        assert!(!covers("repository:y:pull", "repository:x:pull"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_a_server_says_is_too_much(text in "(Bearer |Basic )?\\PC{0,60}", tail in "[a-z]=\"[^\"]{0,9}(\\\\\")?\"?") {
            let _ = challenge(&text);
            let _ = challenge(&format!("Bearer {tail}, {text}"));
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials { username: "me".into(), password: "secret".into(), ..Credentials::default() };
        assert_eq!(format!("{credentials:?}"), "Credentials(\"me\")");
    }
}
