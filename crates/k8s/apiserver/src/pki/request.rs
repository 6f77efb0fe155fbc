//! A certificate signing request (PKCS#10), read and answered.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::der::{self, Content};
use super::{Pki, PkiError, Validity};

/// Certificates of requests begin this much earlier.
const BACKDATE: i64 = 300;

/// What a request asks for; its signature is good.
#[derive(Debug, Clone, Default)]
pub struct CertificateRequest {
    /// Common name, empty where there is none.
    pub common_name: String,
    /// Organizations.
    pub organizations: Vec<String>,
    /// Whether it asks for DNS names.
    pub has_dns_names: bool,
    /// Whether it asks for addresses.
    pub has_addresses: bool,
    /// Whether it asks for mail addresses.
    pub has_mail_addresses: bool,
    /// Whether it asks for URIs.
    pub has_uris: bool,
    pub(crate) subject: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) names: Option<Vec<u8>>,
}

impl CertificateRequest {
    /// Reads PEM; the text of the error is for clients.
    pub fn read(pem: &[u8]) -> Result<CertificateRequest, String> {
        let wrong = || "PEM block type must be CERTIFICATE REQUEST".to_owned();
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| wrong())?;
        if pem.label != "CERTIFICATE REQUEST" {
            return Err(wrong());
        }
        let (rest, request) = X509CertificationRequest::from_der(&pem.contents)
            .map_err(|error| format!("x509: malformed certificate request: {error}"))?;
        if !rest.is_empty() {
            return Err("x509: trailing data after the certificate request".to_owned());
        }
        request.verify_signature().map_err(|error| format!("x509: {error}"))?;
        let info = &request.certification_request_info;
        let mut read = CertificateRequest {
            subject: info.subject.as_raw().to_vec(),
            key: info.subject_pki.raw.to_vec(),
            organizations: info
                .subject
                .iter_organization()
                .filter_map(|o| o.as_str().ok())
                .map(str::to_owned)
                .collect(),
            ..CertificateRequest::default()
        };
        let common_name = info.subject.iter_common_name().next().and_then(|name| name.as_str().ok());
        read.common_name = common_name.unwrap_or_default().to_owned();
        read.read_names(&request)?;
        Ok(read)
    }

    fn read_names(&mut self, request: &X509CertificationRequest<'_>) -> Result<(), String> {
        let attributes = request.certification_request_info.iter_attributes();
        let extensions = attributes.filter_map(|attribute| match attribute.parsed_attribute() {
            x509_parser::cri_attributes::ParsedCriAttribute::ExtensionRequest(requested) => Some(&requested.extensions),
            _ => None,
        });
        for extension in extensions.flatten() {
            let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else { continue };
            for name in &names.general_names {
                match name {
                    GeneralName::DNSName(_) => self.has_dns_names = true,
                    GeneralName::IPAddress(_) => self.has_addresses = true,
                    GeneralName::RFC822Name(_) => self.has_mail_addresses = true,
                    GeneralName::URI(_) => self.has_uris = true,
                    _ => return Err("x509: a subject alternative name is of an unsupported kind".to_owned()),
                }
            }
            self.names = Some(extension.value.to_vec());
        }
        Ok(())
    }
}

impl Pki {
    /// Signs a request by the cluster's authority for `lifetime` seconds, never longer than the authority lives. `usages` are those
    /// of `spec.usages` of a CertificateSigningRequest; unknown ones are left out. Answers PEM.
    pub fn sign_request(
        &self,
        request: &CertificateRequest,
        usages: &[&str],
        lifetime: i64,
    ) -> Result<String, PkiError> {
        let state = self.state();
        let own = state.authority.validity();
        let now = self.now();
        let validity = Validity {
            not_before: (now - BACKDATE).max(own.not_before),
            not_after: (now + lifetime).min(own.not_after),
        };
        let content = Content {
            subject: &request.subject,
            key: &request.key,
            names: request.names.as_deref(),
            usages: usages.iter().filter_map(|usage| usage_bit(usage)).fold(0, |bits, bit| bits | 0x8000 >> bit),
            purposes: usages.iter().filter_map(|usage| purpose(usage)).collect(),
        };
        let der = der::issue(&state.authority, &content, validity)?;
        Ok(pem("CERTIFICATE", &der))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Number of a usage's bit in `KeyUsage` (RFC 5280, 4.2.1.3).
fn usage_bit(usage: &str) -> Option<u32> {
    Some(match usage {
        "signing" | "digital signature" => 0,
        "content commitment" => 1,
        "key encipherment" => 2,
        "data encipherment" => 3,
        "key agreement" => 4,
        "cert sign" => 5,
        "crl sign" => 6,
        "encipher only" => 7,
        "decipher only" => 8,
        _ => return None,
    })
}

/// A usage's object identifier in `ExtendedKeyUsage`.
fn purpose(usage: &str) -> Option<&'static [u8]> {
    Some(match usage {
        "any" => &[0x55, 0x1d, 0x25, 0x00],
        "server auth" => &[0x2b, 6, 1, 5, 5, 7, 3, 1],
        "client auth" => &[0x2b, 6, 1, 5, 5, 7, 3, 2],
        "code signing" => &[0x2b, 6, 1, 5, 5, 7, 3, 3],
        "email protection" | "s/mime" => &[0x2b, 6, 1, 5, 5, 7, 3, 4],
        "ipsec end system" => &[0x2b, 6, 1, 5, 5, 7, 3, 5],
        "ipsec tunnel" => &[0x2b, 6, 1, 5, 5, 7, 3, 6],
        "ipsec user" => &[0x2b, 6, 1, 5, 5, 7, 3, 7],
        "timestamping" => &[0x2b, 6, 1, 5, 5, 7, 3, 8],
        "ocsp signing" => &[0x2b, 6, 1, 5, 5, 7, 3, 9],
        "microsoft sgc" => &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3],
        "netscape sgc" => &[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use rcgen::{CertificateParams, DnType, KeyPair};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use x509_parser::prelude::X509Certificate;

    use super::super::PkiConfig;
    use super::*;

    const NOW: i64 = 1_900_000_000;

    fn pki(folder: &std::path::Path) -> Pki {
        let mut config = PkiConfig::new(folder, &[]);
        config.clock = Arc::new(|| UNIX_EPOCH + std::time::Duration::from_secs(NOW as u64));
        Pki::open_with(config).unwrap()
    }

    fn request(organization: &str, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    #[test]
    fn a_signed_certificate_names_whom_the_request_did() {
        let folder = tempfile::tempdir().unwrap();
        let pki = pki(folder.path());
        let read = CertificateRequest::read(request("dev", &[]).as_bytes()).unwrap();
        assert_eq!((read.common_name.as_str(), read.organizations.as_slice()), ("alice", &["dev".to_owned()][..]));
        let pem = pki.sign_request(&read, &["client auth", "digital signature", "key encipherment"], 3600).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let peer = pki.peers().verify(std::slice::from_ref(&der), NOW + 3599).unwrap();
        assert_eq!((peer.name.as_str(), peer.groups), ("alice", vec!["dev".to_owned()]));
        assert!(pki.peers().verify(std::slice::from_ref(&der), NOW + 3601).is_err());
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.key_usage().unwrap().unwrap().value.flags, 0b101);
        assert!(!certificate.is_ca());
    }

    #[test]
    fn names_are_taken_over_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let pki = pki(folder.path());
        let read = CertificateRequest::read(request("system:nodes", &["node.local", "10.0.0.7"]).as_bytes()).unwrap();
        assert!(read.has_dns_names && read.has_addresses && !read.has_uris && !read.has_mail_addresses);
        let pem = pki.sign_request(&read, &["server auth"], 3600).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 2);
        assert!(pki.peers().verify(std::slice::from_ref(&der), NOW).is_err(), "not for clients");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let good = request("dev", &[]);
        let mut bytes: Vec<u8> = good.clone().into_bytes();
        let at = bytes.len() - 60;
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        for bad in
            [b"".to_vec(), b"rubbish".to_vec(), good.replace("CERTIFICATE REQUEST", "CERTIFICATE").into_bytes(), bytes]
        {
            assert!(CertificateRequest::read(&bad).is_err());
        }
    }
}
