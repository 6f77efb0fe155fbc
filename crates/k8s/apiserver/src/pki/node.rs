//! Certificates between this server and the nodes: what it shows to kubelets, and what kubelets of this process show to it.
//!
//! Both live in memory only, and are issued again by every start.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, RootCertStore};

use super::authority::{Request, generate_key};
use super::{Pki, PkiError, Validity, host};

/// A year, for what is issued again while running.
const CLIENT: i64 = 365 * 86_400;
/// Ten years, for what is not.
const SERVER: i64 = 3650 * 86_400;

/// What connections to kubelets are made with, and how long it holds.
pub(super) type NodeClient = Option<(Arc<ClientConfig>, Validity)>;

impl Pki {
    /// What connections to kubelets are made with: our certificate, and trust in those of the cluster's authority.
    pub fn node_client(&self) -> Result<Arc<ClientConfig>, PkiError> {
        let now = self.now();
        let mut kept = self.inner.node_client.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((config, validity)) = kept.as_ref()
            && !validity.due(now, 3)
        {
            return Ok(config.clone());
        }
        let made = Arc::new(self.make_node_client(now)?);
        *kept = Some((made.clone(), Validity { not_before: now, not_after: now + CLIENT }));
        Ok(made)
    }

    fn make_node_client(&self, now: i64) -> Result<ClientConfig, PkiError> {
        let failed = |error: rustls::Error| PkiError::Tls(error.to_string());
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, "system:masters");
        subject.push(DnType::CommonName, "kube-apiserver-kubelet-client");
        let key = generate_key("kube-apiserver-kubelet-client")?;
        let request = Request {
            subject,
            names: Vec::new(),
            usages: vec![KeyUsagePurpose::DigitalSignature],
            extended_usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
            lifetime: CLIENT,
        };
        let mut roots = RootCertStore::empty();
        let certificate = {
            let state = self.state();
            for authority in state.authority.chain() {
                roots.add(authority.clone()).map_err(failed)?;
            }
            state.authority.issue(&request, &key, now)?
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate.into()], key)
            .map_err(failed)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Certificate and key (PEM) that the kubelet of a node in this process serves with.
    pub fn node_identity(&self, node: &str) -> Result<(String, String), PkiError> {
        let mut subject = DistinguishedName::new();
        let name = format!("system:node:{node}");
        subject.push(DnType::OrganizationName, "system:nodes");
        subject.push(DnType::CommonName, &name);
        let key = generate_key(&name)?;
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
        let names = [node, "localhost"].into_iter().filter_map(|name| name.try_into().ok().map(SanType::DnsName));
        let addresses = loopback.into_iter().chain(host::addresses()).map(SanType::IpAddress);
        let request = Request {
            subject,
            names: names.chain(addresses).collect(),
            usages: vec![KeyUsagePurpose::DigitalSignature],
            extended_usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
            lifetime: SERVER,
        };
        let certificate = self.state().authority.issue(&request, &key, self.now())?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}
