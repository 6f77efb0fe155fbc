//! A certificate authority in two files: made when missing, renewed with the same key before it expires.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::{self, Access};
use super::{PkiError, Validity};

/// Ten years; a renewal two years ahead never shortens what it issues.
const LIFETIME: i64 = 10 * 365 * 86_400;
/// Clocks of clients may lag; certificates begin this much earlier.
const BACKDATE: i64 = 3_600;

/// An authority with its key.
pub struct Authority {
    certificate_path: PathBuf,
    subject: String,
    key: KeyPair,
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    validity: Validity,
}

/// What a certificate is to say.
#[derive(Debug, Clone)]
pub struct Request {
    /// The subject.
    pub subject: DistinguishedName,
    /// Names and addresses.
    pub names: Vec<SanType>,
    /// What the key may do.
    pub usages: Vec<KeyUsagePurpose>,
    /// What the certificate is for.
    pub extended_usages: Vec<ExtendedKeyUsagePurpose>,
    /// Seconds it is valid for; it never outlives its authority.
    pub lifetime: i64,
}

impl Authority {
    /// Opens `<folder>/<stem>.crt` and `.key`, making or renewing what is missing or due.
    ///
    /// A certificate that is missing, unreadable, of another key or out of its time is made again from the key. A key
    /// that is unreadable, or missing beside a certificate, is an error: a new one would make everything issued invalid.
    pub(super) fn open(folder: &Path, stem: &str, common_name: &str, now: i64) -> Result<Authority, PkiError> {
        let certificate_path = folder.join(format!("{stem}.crt"));
        let key_path = folder.join(format!("{stem}.key"));
        let bad_key = |what: String| PkiError::Key {
            path: key_path.clone(),
            what,
            remove: format!("{stem}.key and {stem}.crt"),
            consequence: "every certificate issued so far becomes invalid",
        };
        let stored = files::read(&certificate_path, Access::Public)?;
        let key = match files::read(&key_path, Access::Secret)? {
            Some(bytes) => read_key(&bytes).map_err(bad_key)?,
            None if stored.is_some() => return Err(bad_key("is missing".into())),
            None => {
                let key = generate_key(common_name)?;
                files::write(&key_path, key.serialize_pem().as_bytes(), Access::Secret)?;
                key
            }
        };
        let mut authority = Authority {
            certificate_path,
            subject: common_name.to_owned(),
            key,
            chain: Vec::new(),
            pem: String::new(),
            validity: Validity::NEVER,
        };
        match stored.map(|bytes| authority.adopt(bytes)) {
            Some(Ok(())) => {}
            Some(Err(what)) => {
                tracing::warn!(path = %authority.certificate_path.display(), what, "made again from its key");
                authority.make(now)?;
            }
            None => authority.make(now)?,
        }
        authority.renew_when_due(now)?;
        Ok(authority)
    }

    /// Renews the certificate, with the same key, when a fifth of its time is left or the clock is outside of it.
    pub(super) fn renew_when_due(&mut self, now: i64) -> Result<bool, PkiError> {
        if !self.validity.due(now, 5) {
            return Ok(false);
        }
        if !self.self_signed() {
            return match self.validity.contains(now) {
                true => Ok(false),
                false => Err(PkiError::Foreign {
                    path: self.certificate_path.clone(),
                    what: "has expired or is not valid yet",
                }),
            };
        }
        self.make(now)?;
        tracing::info!(path = %self.certificate_path.display(), "certificate of the authority renewed");
        Ok(true)
    }

    /// The certificates as PEM: the authority's own first.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificates: the authority's own first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The key.
    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    /// The time its certificate is valid for.
    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    /// Issues a certificate for `key`.
    pub fn issue(&self, request: &Request, key: &impl PublicKeyData, now: i64) -> Result<rcgen::Certificate, PkiError> {
        let failed = |source| PkiError::Make { subject: common_name(&request.subject), source };
        let issuer = Issuer::from_ca_cert_der(&self.chain[0], &self.key).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = request.subject.clone();
        params.subject_alt_names = request.names.clone();
        params.key_usages = request.usages.clone();
        params.extended_key_usages = request.extended_usages.clone();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial(&common_name(&request.subject))?);
        let validity = Validity {
            not_before: (now - BACKDATE).max(self.validity.not_before),
            not_after: (now + request.lifetime).min(self.validity.not_after),
        };
        set_period(&mut params, validity);
        params.signed_by(key, &issuer).map_err(failed)
    }

    /// Whether a certificate was issued by this authority's key under its present name.
    pub(super) fn issued(&self, certificate: &X509Certificate<'_>) -> bool {
        let Ok((_, own)) = X509Certificate::from_der(&self.chain[0]) else { return false };
        certificate.issuer().as_raw() == own.subject().as_raw()
            && certificate.verify_signature(Some(own.public_key())).is_ok()
    }

    fn adopt(&mut self, bytes: Vec<u8>) -> Result<(), &'static str> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|_| "is not PEM")?;
        let first = chain.first().ok_or("holds no certificate")?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|_| "is not a certificate")?;
        if parsed.public_key().raw != self.key.subject_public_key_info() {
            return Err("is the certificate of another key");
        }
        if !parsed.is_ca() {
            return Err("is not the certificate of an authority");
        }
        let validity = Validity::of(&parsed);
        self.subject = parsed
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .unwrap_or(&self.subject)
            .to_owned();
        self.pem = String::from_utf8(bytes).map_err(|_| "is not text")?;
        self.validity = validity;
        self.chain = chain;
        Ok(())
    }

    fn self_signed(&self) -> bool {
        X509Certificate::from_der(&self.chain[0]).is_ok_and(|(_, own)| own.subject().as_raw() == own.issuer().as_raw())
    }

    fn make(&mut self, now: i64) -> Result<(), PkiError> {
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, self.subject.as_str());
        params.distinguished_name = subject;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        params.serial_number = Some(serial(&self.subject)?);
        let validity = Validity { not_before: (now - BACKDATE).max(0), not_after: now + LIFETIME };
        set_period(&mut params, validity);
        let certificate =
            params.self_signed(&self.key).map_err(|source| PkiError::Make { subject: self.subject.clone(), source })?;
        self.pem = certificate.pem();
        self.chain = vec![certificate.into()];
        self.validity = validity;
        files::write(&self.certificate_path, self.pem.as_bytes(), Access::Public)
    }
}

/// A new P-256 key.
pub(super) fn generate_key(what: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(|error| PkiError::Generate { what: what.to_owned(), why: error.to_string() })
}

/// A private key of PEM text, PKCS#8.
pub(super) fn read_key(bytes: &[u8]) -> Result<KeyPair, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not text".to_owned())?;
    KeyPair::from_pem(text).map_err(|_| "is not a PEM private key (PKCS#8) of a supported kind".to_owned())
}

fn common_name(subject: &DistinguishedName) -> String {
    match subject.get(&DnType::CommonName) {
        Some(rcgen::DnValue::Utf8String(name)) => name.clone(),
        Some(rcgen::DnValue::PrintableString(name)) => name.as_str().to_owned(),
        _ => "an unnamed subject".to_owned(),
    }
}

fn serial(what: &str) -> Result<SerialNumber, PkiError> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| PkiError::Generate {
        what: what.to_owned(),
        why: "the system has no random numbers".to_owned(),
    })?;
    // Positive and of full length.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Sets the time a certificate is valid for, within the years 1970 to 9999.
fn set_period(params: &mut CertificateParams, validity: Validity) {
    const LAST: i64 = 253_402_300_799;
    let at = |seconds: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.clamp(0, LAST) as u64);
    params.not_before = at(validity.not_before);
    params.not_after = at(validity.not_after);
}
