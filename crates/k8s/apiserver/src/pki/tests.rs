//! The life of keys and certificates: first start, restarts, expiry, clocks that jump, files that are damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use x509_parser::prelude::FromDer;

use super::*;

const DAY: i64 = 86_400;
const START: i64 = 1_800_000_000;

struct Bench {
    folder: tempfile::TempDir,
    now: Arc<AtomicI64>,
}

impl Bench {
    fn new() -> Bench {
        Bench { folder: tempfile::tempdir().unwrap(), now: Arc::new(AtomicI64::new(START)) }
    }

    fn open(&self) -> Result<Pki, PkiError> {
        let now = self.now.clone();
        let mut config = PkiConfig::new(self.folder.path(), &[IpAddr::from([10, 96, 0, 1])]);
        config.clock = Arc::new(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::SeqCst) as u64));
        Pki::open_with(config)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("pki").join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// A handshake in memory as the administrator; what the server then thinks of the client.
fn handshake(pki: &Pki, name: &str, trusted: &str) -> Result<Result<Peer, PeerError>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let (certificate, key) = {
        let state = pki.state();
        (state.admin.certificate.clone(), state.admin.key.serialize_der())
    };
    let now = pki.now();
    let config =
        ClientConfig::builder_with_details(Arc::new(rustls::crypto::ring::default_provider()), Arc::new(At(now)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.into()))
            .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(pki.server_config().unwrap()).unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| error.to_string())?;
    }
    Ok(pki.peers().verify(server.peer_certificates().unwrap_or_default(), now))
}

#[derive(Debug)]
struct At(i64);

impl rustls::time_provider::TimeProvider for At {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(self.0 as u64)))
    }
}

#[test]
fn the_first_start_makes_everything_with_its_mode() {
    let bench = Bench::new();
    let pki = bench.open().unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(bench.folder.path().join("pki")), 0o700);
    for key in ["ca.key", "apiserver.key", "admin.key", "front-proxy-ca.key", "front-proxy-client.key", "sa.key"] {
        assert_eq!(mode(bench.path(key)), 0o600, "{key}");
    }
    let kubeconfig = pki.write_kubeconfig(6443).unwrap();
    assert_eq!(mode(kubeconfig), 0o600);
}

#[test]
fn the_administrator_is_known_under_every_name_of_the_server() {
    let bench = Bench::new();
    let pki = bench.open().unwrap();
    for name in ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default.svc.cluster.local", "10.96.0.1"] {
        let peer = handshake(&pki, name, &pki.authority_pem()).unwrap().unwrap();
        assert_eq!(
            (peer.name.as_str(), peer.groups),
            ("kubernetes-admin", vec!["system:masters".to_owned()]),
            "{name}"
        );
        assert!(peer.credential.starts_with("X509SHA256=") && peer.credential.len() == 11 + 64);
    }
    assert!(handshake(&pki, "example.com", &pki.authority_pem()).is_err());
}

#[test]
fn a_restart_changes_nothing() {
    let bench = Bench::new();
    bench.open().unwrap();
    let names = ["ca.crt", "ca.key", "apiserver.crt", "apiserver.key", "admin.crt", "sa.key", "sa.pub"];
    let before: Vec<_> = names.iter().map(|name| bench.read(name)).collect();
    bench.pass(DAY);
    bench.open().unwrap();
    assert!(names.iter().map(|name| bench.read(name)).eq(before));
}

#[test]
fn certificates_are_renewed_while_running_and_the_old_root_still_trusts_them() {
    let bench = Bench::new();
    let pki = bench.open().unwrap();
    let old_root = pki.authority_pem();
    let config = pki.write_kubeconfig(6443).unwrap();
    let (serving, kubeconfig) = (bench.read("apiserver.crt"), fs::read(&config).unwrap());
    bench.pass(200 * DAY);
    pki.renew().unwrap();
    assert_eq!(serving, bench.read("apiserver.crt"));
    bench.pass(100 * DAY);
    pki.renew().unwrap();
    assert_ne!(serving, bench.read("apiserver.crt"));
    assert_ne!(kubeconfig, fs::read(&config).unwrap());
    handshake(&pki, "localhost", &old_root).unwrap().unwrap();
    bench.pass(8 * 365 * DAY);
    pki.renew().unwrap();
    assert_ne!(old_root, pki.authority_pem());
    handshake(&pki, "localhost", &old_root).unwrap().unwrap();
    handshake(&pki, "localhost", &pki.authority_pem()).unwrap().unwrap();
}

#[test]
fn a_handshake_renews_what_expired_meanwhile() {
    let bench = Bench::new();
    let pki = bench.open().unwrap();
    bench.pass(3 * 365 * DAY);
    let answer = handshake(&pki, "localhost", &pki.authority_pem()).unwrap();
    assert!(matches!(answer, Err(PeerError::Time { .. })), "the client's own has expired: {answer:?}");
    handshake(&pki, "localhost", &pki.authority_pem()).unwrap().unwrap();
}

#[test]
fn everything_that_expired_is_healed_at_the_start() {
    let bench = Bench::new();
    let old_root = bench.open().unwrap().authority_pem();
    bench.pass(30 * 365 * DAY);
    let pki = bench.open().unwrap();
    assert_ne!(old_root, pki.authority_pem());
    handshake(&pki, "localhost", &pki.authority_pem()).unwrap().unwrap();
}

#[test]
fn a_clock_that_was_ahead_at_the_first_start_is_healed() {
    let bench = Bench::new();
    bench.pass(20 * 365 * DAY);
    bench.open().unwrap();
    bench.now.store(START, Ordering::SeqCst);
    let pki = bench.open().unwrap();
    handshake(&pki, "localhost", &pki.authority_pem()).unwrap().unwrap();
    bench.now.store(DAY, Ordering::SeqCst);
    pki.renew().unwrap();
    handshake(&pki, "localhost", &pki.authority_pem()).unwrap().unwrap();
}

#[test]
fn damaged_certificates_and_leaf_keys_are_made_again() {
    for name in
        ["ca.crt", "apiserver.crt", "apiserver.key", "admin.crt", "admin.key", "sa.pub", "front-proxy-client.key"]
    {
        let bench = Bench::new();
        bench.open().unwrap();
        let certificate = bench.read("ca.key");
        fs::write(bench.path(name), b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let pki = bench.open().unwrap();
        handshake(&pki, "localhost", &pki.authority_pem()).unwrap().unwrap();
        assert_eq!(certificate, bench.read("ca.key"), "{name}");
        fs::remove_file(bench.path(name)).unwrap();
        let pki = bench.open().unwrap();
        handshake(&pki, "localhost", &pki.authority_pem()).unwrap().unwrap();
    }
}

#[test]
fn keys_that_all_hangs_on_are_never_replaced_unasked() {
    for (name, text) in [
        (
            "ca.key",
            "is not a PEM private key (PKCS#8) of a supported kind; restore it, or remove ca.key and ca.crt for a new one",
        ),
        ("front-proxy-ca.key", "remove front-proxy-ca.key and front-proxy-ca.crt for a new one"),
        ("sa.key", "restore it, or remove sa.key for a new one: tokens of the old key stay good"),
    ] {
        let bench = Bench::new();
        bench.open().unwrap();
        fs::write(bench.path(name), b"rubbish").unwrap();
        let error = bench.open().err().unwrap().to_string();
        assert!(error.contains(text) && error.contains(bench.path(name).to_str().unwrap()), "{error}");
    }
    let bench = Bench::new();
    bench.open().unwrap();
    fs::remove_file(bench.path("ca.key")).unwrap();
    assert!(bench.open().err().unwrap().to_string().contains("ca.key: is missing"));
}

#[test]
fn another_authority_makes_everything_issued_again() {
    let bench = Bench::new();
    bench.open().unwrap();
    for name in ["ca.crt", "ca.key"] {
        fs::remove_file(bench.path(name)).unwrap();
    }
    let pki = bench.open().unwrap();
    handshake(&pki, "localhost", &pki.authority_pem()).unwrap().unwrap();
}

#[test]
fn strangers_and_expired_clients_are_nobody() {
    let (bench, other) = (Bench::new(), Bench::new());
    let (pki, stranger) = (bench.open().unwrap(), other.open().unwrap());
    let certificate = stranger.state().admin.certificate.clone();
    let answer = pki.peers().verify(std::slice::from_ref(&certificate), START);
    assert!(matches!(answer, Err(PeerError::Untrusted(_))), "{answer:?}");
    let own = pki.state().admin.certificate.clone();
    assert!(matches!(pki.peers().verify(&[own], START + 400 * DAY), Err(PeerError::Time { .. })));
    let serving = pki.state().apiserver.certificate.clone();
    assert!(matches!(pki.peers().verify(&[serving], START), Err(PeerError::Untrusted(_))), "not for clients");
    assert!(pki.peers().verify(&[], START).is_err());
    assert!(pki.peers().verify(&[CertificateDer::from(b"rubbish".to_vec())], START).is_err());
}

#[test]
fn issued_certificates_never_outlive_their_authority() {
    let bench = Bench::new();
    let pki = bench.open().unwrap();
    let request = authority::Request {
        subject: rcgen::DistinguishedName::new(),
        names: Vec::new(),
        usages: Vec::new(),
        extended_usages: Vec::new(),
        lifetime: 100 * 365 * DAY,
    };
    let key = authority::generate_key("a test").unwrap();
    let certificate = pki.state().authority.issue(&request, &key, START).unwrap();
    let (_, certificate) = X509Certificate::from_der(certificate.der()).unwrap();
    assert_eq!(Validity::of(&certificate).not_after, START + 10 * 365 * DAY);
}

#[test]
fn tokens_of_a_replaced_key_stay_good_while_its_public_key_stands() {
    let bench = Bench::new();
    let pki = bench.open().unwrap();
    let key = pki.token_key();
    let signature = key.sign(b"message").unwrap();
    let id = key.id().to_owned();
    assert!(key.verify(Some(&id), b"message", &signature) && key.verify(None, b"message", &signature));
    assert!(!key.verify(Some(&id), b"another", &signature) && !key.verify(Some("unknown"), b"message", &signature));
    fs::remove_file(bench.path("sa.key")).unwrap();
    let pki = bench.open().unwrap();
    assert_ne!(pki.token_key().id(), id);
    assert!(pki.token_key().verify(Some(&id), b"message", &signature));
    let jwks = pki.token_key().jwks();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
    assert_eq!(jwks["keys"][1]["kid"], id);
    fs::remove_file(bench.path("sa.pub")).unwrap();
    assert!(!bench.open().unwrap().token_key().verify(Some(&id), b"message", &signature));
}
