//! JSON Web Tokens (RFC 7519) in compact form, signed with ES256 and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::pki::TokenKey;

/// Longer ones are no tokens; headers are about as long at most.
const LONGEST: usize = 32 * 1024;

/// A token that was taken apart; nothing of it is to be believed before [`Token::is_genuine`].
pub struct Token<'a> {
    /// The key it says to be signed with, empty where it says none.
    pub key_id: String,
    /// `alg`.
    algorithm: String,
    /// What it says.
    pub claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// Takes a token apart; `None` where it is none.
    pub fn parse(text: &'a str) -> Option<Token<'a>> {
        if text.len() > LONGEST {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let (header, claims) = (json(header)?, json(claims)?);
        // A header that demands to be understood (RFC 7515, 4.1.11) is not.
        if !claims.is_object() || header.get("crit").is_some() {
            return None;
        }
        Some(Token {
            key_id: header["kid"].as_str().unwrap_or_default().to_owned(),
            algorithm: header["alg"].as_str()?.to_owned(),
            claims,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Whether one of our keys signed it.
    pub fn is_genuine(&self, key: &TokenKey) -> bool {
        self.algorithm == "ES256" && key.verify(Some(&self.key_id), self.signed.as_bytes(), &self.signature)
    }
}

/// Signs claims. `None` only where the system has no random numbers.
pub fn sign(key: &TokenKey, claims: &Value) -> Option<String> {
    let header = json!({ "alg": "ES256", "kid": key.id() });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut token = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Some(token)
}
