//! A certificate of our own with its key: issued when missing, and again before it expires or when it says too little.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PublicKeyData, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{self, Authority, Request};
use super::files::{self, Access};
use super::{PkiError, Validity};

/// A year.
const LIFETIME: i64 = 365 * 86_400;

/// What one of our certificates is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Shown by a server.
    Server,
    /// Shown by a client.
    Client,
}

/// What one of our certificates must say.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub stem: &'static str,
    pub common_name: &'static str,
    pub organizations: &'static [&'static str],
    pub purpose: Purpose,
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

/// A certificate and its key.
pub(super) struct Leaf {
    pub key: KeyPair,
    pub certificate: CertificateDer<'static>,
    pub pem: String,
    pub validity: Validity,
}

impl Leaf {
    /// Opens `<folder>/<stem>.crt` and `.key`; whatever is missing or wrong is made again.
    pub fn open(folder: &Path, wanted: &Wanted, authority: &Authority, now: i64) -> Result<Leaf, PkiError> {
        let key_path = key_path(folder, wanted);
        let stored = files::read(&key_path, Access::Secret)?;
        let key = match stored.map(|bytes| authority::read_key(&bytes)) {
            Some(Ok(key)) => Some(key),
            Some(Err(what)) => {
                tracing::warn!(path = %key_path.display(), what, "replaced by a new key");
                None
            }
            None => None,
        };
        let Some(key) = key else {
            let key = authority::generate_key(wanted.common_name)?;
            files::write(&key_path, key.serialize_pem().as_bytes(), Access::Secret)?;
            return Leaf::issue(folder, wanted, authority, key, now);
        };
        let path = certificate_path(folder, wanted);
        let Some(bytes) = files::read(&path, Access::Public)? else {
            return Leaf::issue(folder, wanted, authority, key, now);
        };
        match check(&bytes, &key, wanted, authority, now) {
            Ok((certificate, validity)) => {
                let pem = String::from_utf8_lossy(&bytes).into_owned();
                Ok(Leaf { key, certificate, pem, validity })
            }
            Err(why) => {
                tracing::info!(path = %path.display(), why, "certificate issued again");
                Leaf::issue(folder, wanted, authority, key, now)
            }
        }
    }

    /// Whether the certificate is to be issued again, and why.
    pub fn due(&self, wanted: &Wanted, authority: &Authority, now: i64) -> Option<&'static str> {
        check(self.pem.as_bytes(), &self.key, wanted, authority, now).err()
    }

    fn issue(folder: &Path, wanted: &Wanted, authority: &Authority, key: KeyPair, now: i64) -> Result<Leaf, PkiError> {
        let certificate = authority.issue(&wanted.request(), &key, now)?;
        let pem = certificate.pem();
        // Without its file it serves as well (the disk may be full); the next start issues another one.
        if let Err(error) = files::write(&certificate_path(folder, wanted), pem.as_bytes(), Access::Public) {
            tracing::warn!(%error, "a certificate is kept in memory only");
        }
        let certificate: CertificateDer<'static> = certificate.into();
        let validity =
            X509Certificate::from_der(&certificate).map_or(Validity::NEVER, |(_, parsed)| Validity::of(&parsed));
        Ok(Leaf { key, certificate, pem, validity })
    }
}

impl Wanted {
    fn request(&self) -> Request {
        let mut subject = DistinguishedName::new();
        for organization in self.organizations {
            subject.push(DnType::OrganizationName, *organization);
        }
        subject.push(DnType::CommonName, self.common_name);
        let names = self.names.iter().filter_map(|name| name.as_str().try_into().ok().map(SanType::DnsName));
        Request {
            subject,
            names: names.chain(self.addresses.iter().map(|address| SanType::IpAddress(*address))).collect(),
            usages: vec![KeyUsagePurpose::DigitalSignature],
            extended_usages: vec![match self.purpose {
                Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
                Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
            }],
            lifetime: LIFETIME,
        }
    }
}

fn key_path(folder: &Path, wanted: &Wanted) -> PathBuf {
    folder.join(format!("{}.key", wanted.stem))
}

fn certificate_path(folder: &Path, wanted: &Wanted) -> PathBuf {
    folder.join(format!("{}.crt", wanted.stem))
}

/// The certificate and its time, or why it does not do.
fn check(
    pem: &[u8],
    key: &KeyPair,
    wanted: &Wanted,
    authority: &Authority,
    now: i64,
) -> Result<(CertificateDer<'static>, Validity), &'static str> {
    let der = CertificateDer::from_pem_slice(pem).map_err(|_| "holds no PEM certificate")?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| "is not a certificate")?;
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err("is the certificate of another key");
    }
    if !authority.issued(&certificate) {
        return Err("was not issued by the present authority");
    }
    let validity = Validity::of(&certificate);
    if !validity.contains(now) {
        return Err("has expired or is not valid yet");
    }
    if validity.due(now, 3) {
        return Err("expires soon");
    }
    let subject = certificate.subject();
    let organizations: Vec<_> = subject.iter_organization().filter_map(|name| name.as_str().ok()).collect();
    if subject.iter_common_name().next().and_then(|name| name.as_str().ok()) != Some(wanted.common_name)
        || organizations != wanted.organizations
    {
        return Err("has another subject");
    }
    match says(&certificate, wanted) {
        true => Ok((der.clone(), validity)),
        false => Err("lacks a name or address"),
    }
}

fn says(certificate: &X509Certificate<'_>, wanted: &Wanted) -> bool {
    let Ok(found) = certificate.subject_alternative_name() else { return false };
    let found = found.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let name = |wanted: &String| found.iter().any(|name| matches!(name, GeneralName::DNSName(name) if name == wanted));
    let address = |wanted: &IpAddr| {
        found.iter().any(|name| match (name, wanted) {
            (GeneralName::IPAddress(bytes), IpAddr::V4(address)) => *bytes == address.octets(),
            (GeneralName::IPAddress(bytes), IpAddr::V6(address)) => *bytes == address.octets(),
            _ => false,
        })
    };
    wanted.names.iter().all(name) && wanted.addresses.iter().all(address)
}
