//! What others need to check our service accounts' tokens by themselves (OpenID Connect Discovery 1.0).

use serde_json::{Value, json};

/// Path of the configuration.
pub const CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Path of the keys.
pub const KEYS: &str = "/openid/v1/jwks";

/// A document and its content type.
pub struct Document {
    /// `application/json` or `application/jwk-set+json`.
    pub content_type: &'static str,
    /// JSON.
    pub body: String,
}

/// The configuration of an issuer.
pub fn configuration(issuer: &str) -> Document {
    let body: Value = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}{KEYS}"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    Document { content_type: "application/json", body: body.to_string() }
}

/// The keys.
pub fn keys(jwks: &Value) -> Document {
    Document { content_type: "application/jwk-set+json", body: jwks.to_string() }
}
