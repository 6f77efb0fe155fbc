//! Who a connection and its headers are.

use http::HeaderMap;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::*;
use crate::pki::CertificateRequest;
use crate::testing::Parts;

struct World {
    access: Access,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let Parts { registry, pki, config, folder } = Parts::new();
        let access = Access::open(&registry, &pki, &config).await.unwrap();
        World { access, folder }
    }

    fn certificate(&self, name: &str) -> Connection {
        let pem = std::fs::read(self.folder.path().join("pki").join(name)).unwrap();
        Connection::new(Some(&[CertificateDer::from_pem_slice(&pem).unwrap()]))
    }

    async fn ask(
        &self,
        connection: &Connection,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Arc<Identity>, String> {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        self.access
            .authenticate(&headers, connection)
            .await
            .map_err(|error| format!("{} {}", error.code, error.message))
    }
}

#[tokio::test]
async fn certificates_come_first_then_tokens_then_nobody() {
    let world = World::new().await;
    let admin = world.certificate("admin.crt");
    assert_eq!(world.ask(&admin, &[]).await.unwrap().name, "kubernetes-admin");
    assert_eq!(world.ask(&admin, &[("authorization", "Bearer rubbish")]).await.unwrap().name, "kubernetes-admin");
    let none = Connection::default();
    assert_eq!(*world.ask(&none, &[]).await.unwrap(), Identity::anonymous());
    assert_eq!(*world.ask(&none, &[("authorization", "Basic YTpi")]).await.unwrap(), Identity::anonymous());
    assert_eq!(world.ask(&none, &[("authorization", "Bearer rubbish")]).await.unwrap_err(), "401 Unauthorized");
}

#[tokio::test]
async fn wrong_certificates_are_not_anonymous() {
    let (world, other) = (World::new().await, World::new().await);
    let stranger = other.certificate("admin.crt");
    assert_eq!(world.ask(&stranger, &[]).await.unwrap_err(), "401 Unauthorized");
    let server = world.certificate("apiserver.crt");
    assert_eq!(world.ask(&server, &[]).await.unwrap_err(), "401 Unauthorized");
}

#[tokio::test]
async fn every_organization_of_a_certificate_is_a_group() {
    let world = World::new().await;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "dev");
    // The same attribute under its number, which the library takes for another one.
    params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 10]), "ops");
    params.distinguished_name.push(DnType::CommonName, "carol");
    let request = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let request = CertificateRequest::read(request.as_bytes()).unwrap();
    let pem = world.access.pki().sign_request(&request, &["client auth"], 3600).unwrap();
    let connection = Connection::new(Some(&[CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()]));
    let identity = world.ask(&connection, &[]).await.unwrap();
    assert_eq!(identity.groups, ["dev", "ops", "system:authenticated"]);
}

#[tokio::test]
async fn only_front_proxies_speak_for_others() {
    let world = World::new().await;
    let headers = [("x-remote-user", "bob"), ("x-remote-group", "dev"), ("x-remote-extra-acme%2fx", "y")];
    let identity = world.ask(&world.certificate("front-proxy-client.crt"), &headers).await.unwrap();
    assert_eq!((identity.name.as_str(), identity.extra["acme/x"][0].as_str()), ("bob", "y"));
    assert_eq!(identity.groups, ["dev", "system:authenticated"]);
    assert_eq!(world.ask(&world.certificate("admin.crt"), &headers).await.unwrap().name, "kubernetes-admin");
    assert_eq!(*world.ask(&Connection::default(), &headers).await.unwrap(), Identity::anonymous());
    assert_eq!(world.ask(&world.certificate("front-proxy-client.crt"), &[]).await.unwrap_err(), "401 Unauthorized");
}
