//! A certificate for somebody else's request, written down: its subject, key and names stay byte for byte as they were asked for.
//!
//! The certificate library keeps one organization of a subject; users are in several.

use std::time::Duration;

use rcgen::{PublicKeyData, SigningKey};
use ring::rand::{SecureRandom, SystemRandom};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::Authority;
use super::{PkiError, Validity};

const SEQUENCE: u8 = 0x30;
const SET_OF_EXTENSIONS: u8 = 0xa3;
const VERSION: u8 = 0xa0;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const TRUE: [u8; 3] = [0x01, 0x01, 0xff];

/// What a certificate says, in parts of DER.
#[derive(Debug, Clone, Default)]
pub struct Content<'a> {
    /// `Name`.
    pub subject: &'a [u8],
    /// `SubjectPublicKeyInfo`.
    pub key: &'a [u8],
    /// `GeneralNames`, where there are any.
    pub names: Option<&'a [u8]>,
    /// Bits of `KeyUsage`, the first one being the highest.
    pub usages: u16,
    /// Purposes, as encoded object identifiers without tag and length.
    pub purposes: Vec<&'static [u8]>,
}

/// A certificate signed by `authority`, as DER.
pub fn issue(authority: &Authority, content: &Content<'_>, validity: Validity) -> Result<Vec<u8>, PkiError> {
    let failed = |why: &str| PkiError::Generate { what: "a certificate".to_owned(), why: why.to_owned() };
    let (_, own) =
        X509Certificate::from_der(&authority.chain()[0]).map_err(|_| failed("the authority is unreadable"))?;
    let mut serial = [0_u8; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| failed("the system has no random numbers"))?;
    serial[0] = serial[0] & 0x7f | 0x40;
    let algorithm = algorithm(authority.key()).ok_or_else(|| failed("the authority's key is of an unknown kind"))?;
    let tbs = sequence(&[
        &tagged(VERSION, &tagged(INTEGER, &[2])),
        &tagged(INTEGER, &serial),
        &algorithm,
        own.subject().as_raw(),
        &sequence(&[&time(validity.not_before), &time(validity.not_after)]),
        content.subject,
        content.key,
        &tagged(SET_OF_EXTENSIONS, &extensions(content, &own)),
    ]);
    let signature = authority.key().sign(&tbs).map_err(|error| failed(&error.to_string()))?;
    Ok(sequence(&[&tbs, &algorithm, &bits(0, &signature)]))
}

fn extensions(content: &Content<'_>, authority: &X509Certificate<'_>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if content.usages != 0 {
        let unused = content.usages.trailing_zeros();
        let bytes = content.usages.to_be_bytes();
        let (used, unused) = if unused >= 8 { (&bytes[..1], unused - 8) } else { (&bytes[..], unused) };
        extensions.push(extension(&[0x55, 0x1d, 0x0f], true, &bits(unused as u8, used)));
    }
    if !content.purposes.is_empty() {
        let purposes: Vec<_> = content.purposes.iter().map(|oid| tagged(OID, oid)).collect();
        extensions.push(extension(&[0x55, 0x1d, 0x25], false, &tagged(SEQUENCE, &purposes.concat())));
    }
    extensions.push(extension(&[0x55, 0x1d, 0x13], true, &sequence(&[])));
    if let Some(id) = authority.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    }) {
        extensions.push(extension(&[0x55, 0x1d, 0x23], false, &sequence(&[&tagged(0x80, id)])));
    }
    if let Some(names) = content.names {
        extensions.push(extension(&[0x55, 0x1d, 0x11], false, names));
    }
    tagged(SEQUENCE, &extensions.concat())
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &TRUE } else { &[] };
    sequence(&[&tagged(OID, oid), critical, &tagged(OCTET_STRING, value)])
}

/// How the kinds of keys that an authority may have sign.
fn algorithm(key: &rcgen::KeyPair) -> Option<Vec<u8>> {
    let null: &[u8] = &[0x05, 0x00];
    let known: [(&rcgen::SignatureAlgorithm, &[u8], &[u8]); 4] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], &[]),
        (&rcgen::PKCS_ECDSA_P384_SHA384, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], &[]),
        (&rcgen::PKCS_ED25519, &[0x2b, 0x65, 0x70], &[]),
        (&rcgen::PKCS_RSA_SHA256, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], null),
    ];
    let (_, oid, parameters) = known.into_iter().find(|(known, ..)| *known == PublicKeyData::algorithm(key))?;
    Some(sequence(&[&tagged(OID, oid), parameters]))
}

/// UTCTime until 2049, GeneralizedTime after it.
fn time(seconds: i64) -> Vec<u8> {
    const LAST: i64 = 253_402_300_799;
    let since = Duration::from_secs(seconds.clamp(0, LAST) as u64);
    let time = jiff::Timestamp::UNIX_EPOCH.checked_add(since).unwrap_or(jiff::Timestamp::MAX);
    let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
    match text.as_str() < "2050" {
        true => tagged(0x17, &text.as_bytes()[2..]),
        false => tagged(0x18, text.as_bytes()),
    }
}

fn bits(unused: u8, bytes: &[u8]) -> Vec<u8> {
    tagged(BIT_STRING, &[&[unused], bytes].concat())
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(SEQUENCE, &parts.concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length => {
            let bytes = length.to_be_bytes();
            let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
            out.push(0x80 | (bytes.len() - first) as u8);
            out.extend_from_slice(&bytes[first..]);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(tagged(4, &[0; 3])[..2], [4, 3]);
        assert_eq!(tagged(4, &[0; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(tagged(4, &[0; 0x1234])[..4], [4, 0x82, 0x12, 0x34]);
    }

    #[test]
    fn times_change_their_form_in_2050() {
        assert_eq!(time(0), tagged(0x17, b"700101000000Z"));
        assert_eq!(time(2_524_607_999), tagged(0x17, b"491231235959Z"));
        assert_eq!(time(2_524_608_000), tagged(0x18, b"20500101000000Z"));
    }
}
