//! The key that signs service-account tokens (ES256), and the public keys they are checked with.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::PkiError;
use super::authority;
use super::files::{self, Access};

/// Signs with one key, checks with it and with earlier ones.
pub struct TokenKey {
    signer: EcdsaKeyPair,
    random: SystemRandom,
    public: Vec<PublicKey>,
}

/// A public key tokens may be signed with.
struct PublicKey {
    id: String,
    /// `04 || x || y`.
    point: Vec<u8>,
}

impl TokenKey {
    /// Opens `sa.key` and `sa.pub`, making what is missing. Public keys that `sa.pub` holds beside that of `sa.key` stay
    /// good for checking, so that a key can be replaced without a break: remove `sa.key`, and take the old one out of
    /// `sa.pub` when the last token of it has expired.
    pub(super) fn open(folder: &Path) -> Result<TokenKey, PkiError> {
        let key_path = folder.join("sa.key");
        let bad_key = |what: String| PkiError::Key {
            path: key_path.clone(),
            what,
            remove: "sa.key".to_owned(),
            consequence: "tokens of the old key stay good while sa.pub holds it",
        };
        let pair = match files::read(&key_path, Access::Secret)? {
            Some(bytes) => authority::read_key(&bytes).map_err(bad_key)?,
            None => {
                let pair = authority::generate_key("service-account tokens")?;
                files::write(&key_path, pair.serialize_pem().as_bytes(), Access::Secret)?;
                pair
            }
        };
        let random = SystemRandom::new();
        let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.serialized_der(), &random)
            .map_err(|_| bad_key("is not a P-256 key, which tokens are signed with (ES256)".to_owned()))?;
        let public = TokenKey::public_keys(&folder.join("sa.pub"), &pair)?;
        Ok(TokenKey { signer, random, public })
    }

    fn public_keys(path: &Path, pair: &KeyPair) -> Result<Vec<PublicKey>, PkiError> {
        let own = PublicKey::of(&pair.subject_public_key_info(), pair.der_bytes());
        let stored = files::read(path, Access::Public)?.unwrap_or_default();
        let mut public = vec![own];
        let mut stands = false;
        for found in SubjectPublicKeyInfoDer::pem_slice_iter(&stored) {
            match found.ok().and_then(|der| PublicKey::read(&der)) {
                Some(key) if key.id == public[0].id => stands = true,
                Some(key) => public.push(key),
                None => tracing::warn!(path = %path.display(), "holds what is not a P-256 public key; it is ignored"),
            }
        }
        if !stands {
            let mut text = pair.public_key_pem().into_bytes();
            if public.len() > 1 {
                text.extend_from_slice(&stored);
            }
            files::write(path, &text, Access::Public)?;
        }
        Ok(public)
    }

    /// The id of the key that signs.
    pub fn id(&self) -> &str {
        &self.public[0].id
    }

    /// The signature, `r || s`. Fails only where the system has no random numbers.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(self.signer.sign(&self.random, message).ok()?.as_ref().to_vec())
    }

    /// Whether `signature` is that of one of the keys; the one named by `id` where a token names it.
    pub fn verify(&self, id: Option<&str>, message: &[u8], signature: &[u8]) -> bool {
        self.public
            .iter()
            .filter(|key| id.is_none_or(|id| id.is_empty() || id == key.id))
            .any(|key| UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.point).verify(message, signature).is_ok())
    }

    /// The public keys as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> Value {
        let keys: Vec<_> = self.public.iter().map(PublicKey::jwk).collect();
        json!({ "keys": keys })
    }
}

impl PublicKey {
    fn of(spki: &[u8], point: &[u8]) -> PublicKey {
        PublicKey { id: URL_SAFE_NO_PAD.encode(Sha256::digest(spki)), point: point.to_vec() }
    }

    fn read(spki: &[u8]) -> Option<PublicKey> {
        let parsed = rcgen::SubjectPublicKeyInfo::from_der(spki).ok()?;
        let point = parsed.der_bytes();
        (parsed.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256 && point.len() == 65).then(|| PublicKey::of(spki, point))
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.point[1..].split_at(32);
        json!({
            "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}
